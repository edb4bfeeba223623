//! `--json`: which types of lines commands print, and that there is no type that no command prints here. Whether lines are
//! what the schema has is looked at wherever a test runs batou with `--json`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::common::{Sandbox, types, validate};
use crate::shop::{self, greet};

/// A component with each kind of thing that an artifact can hold.
const KINDS: &str = r#"[[directory]]
path = "empty"

[[file]]
path = "folder/file"
content = "content\n"

[[symlink]]
path = "link"
to = "folder/file"
"#;

/// A project, and which types of lines its commands have printed.
struct Scenario {
    sandbox: Sandbox,
    seen: BTreeSet<String>,
}

impl Scenario {
    /// The command ends with this status, and its lines are of these types; consecutive ones of a type count once.
    #[track_caller]
    fn prints(&mut self, arguments: &[&str], status: i32, expected: &[&str]) -> Vec<Value> {
        let arguments = [&["--json"], arguments].concat();
        let lines = self.sandbox.batou(&arguments).fails(status).json();
        let mut printed: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
        printed.dedup();
        assert_eq!(printed, expected, "{arguments:?}");
        self.seen.extend(printed.into_iter().map(str::to_owned));
        lines
    }
}

#[test]
fn every_type_of_line_is_printed_by_its_command() {
    let mut shop = Scenario { sandbox: shop::local(), seen: BTreeSet::new() };
    shop.sandbox.write("components/kinds/component.toml", KINDS);
    let path = "environments/dev/environment.toml";
    let environment = shop.sandbox.read(path).replace("\"db\"]", "\"db\", \"kinds\"]");
    shop.sandbox.write(path, &environment);
    shop::append(&shop.sandbox, "batou.toml", "[facts]\nos = \"os-release\"\n");

    shop.prints(&["init", "other"], 0, &["project"]);
    shop.prints(&["facts", "dev"], 0, &["facts", "facts-lock"]);
    shop.prints(&["check"], 0, &["checked"]);
    shop.prints(&["explain", "dev", "localhost", "app"], 0, &["attribute"]);
    shop.prints(&["explain", "dev", "localhost", "db"], 0, &["notice"]);
    shop.prints(&["build"], 0, &["artifact", "built"]);
    shop.prints(&["build", "--component", "app"], 0, &["artifact"]);
    shop.prints(&["plan", "dev"], 0, &["plan"]);
    shop.prints(&["switch", "dev"], 0, &["activated", "released", "host"]);
    shop.prints(&["switch", "dev"], 0, &["released"]);
    std::fs::remove_dir(shop::Target::local(&shop.sandbox).0.join("state/kinds")).unwrap();
    shop.prints(&["switch", "dev"], 0, &["mended", "warning", "released", "host"]);
    greet(&shop.sandbox, "two");
    shop.prints(&["switch", "dev"], 0, &["released", "host"]);
    shop.prints(&["rollback", "dev"], 0, &["released", "host"]);
    shop.prints(&["status", "dev"], 0, &["status"]);
    shop.prints(&["history", "dev"], 0, &["history"]);
    shop.prints(&["verify", "dev"], 0, &["verified"]);
    shop.prints(&["exec", "dev", "--", "sh", "-c", "echo one; exit 3"], 1, &["output", "exited", "error"]);
    let releases = shop.prints(&["store", "ls"], 0, &["release"]);
    let release = releases[0]["release"].as_str().unwrap();
    shop.prints(&["diff", release, "dev"], 0, &["plan"]);
    let artifacts = shop.prints(&["store", "ls", release], 0, &["artifact"]);
    let kinds = artifacts.iter().find(|line| line["component"] == "kinds").unwrap();
    let kinds = kinds["artifact"].as_str().unwrap();
    shop.prints(&["store", "ls", kinds], 0, &["folder", "file", "symlink"]);
    shop.prints(&["store", "export", "dev", "-o", "shop.tar.zst"], 0, &["exported"]);
    shop.prints(&["store", "import", "shop.tar.zst"], 0, &["imported"]);
    shop.prints(&["store", "verify"], 0, &["store-verified"]);
    fs::write(shop.sandbox.store().join("junk"), "").unwrap();
    shop.prints(&["store", "verify"], 1, &["problem", "store-verified", "error"]);
    fs::remove_file(shop.sandbox.store().join("junk")).unwrap();
    shop.prints(&["gc", "dev"], 0, &["collected", "store-collected"]);
    shop.prints(&["check", "nope"], 2, &["error"]);
    let path = shop::Target::local(&shop.sandbox).0.join("lock");
    let lock = fs::File::create(&path).unwrap();
    lock.lock().unwrap();
    let holder = json!({"user": "ann", "machine": "desk", "since": "2026-11-28T09:00:00Z", "attempt": 7});
    fs::write(&path, holder.to_string()).unwrap();
    let wait = ["switch", "dev", "--recheck", "--lock-wait", "1"];
    let waited = shop.prints(&wait, 1, &["waiting", "error"]);
    let holder = json!({"user": "ann", "machine": "desk", "since": "2026-11-28T09:00:00Z"});
    let expected = json!({"format": 1, "type": "waiting", "host": "localhost", "holder": holder});
    assert_eq!(waited[..waited.len() - 1], [expected]);
    drop(lock);
    shop.prints(&["retire", "dev", "localhost", "--yes"], 0, &["retired"]);
    let far = "[environment]\nconnect_method = \"ssh\"\n\n[hosts]\nfar = [\"app\"]\n";
    shop.sandbox.write("environments/far/environment.toml", far);
    shop.sandbox.write("ssh_config", "Host *\nHostname 127.0.0.1\nPort 1\n");
    shop.prints(&["facts", "far", "--skip-unreachable"], 0, &["warning", "facts-lock"]);
    shop.prints(&["status", "far"], 1, &["status", "error"]);

    assert_eq!(shop.seen, types());
}

#[test]
fn a_bad_command_line_is_a_line() {
    let mut shop = Scenario { sandbox: shop::local(), seen: BTreeSet::new() };
    let lines = shop.prints(&["switch"], 2, &["error"]);
    assert!(lines[0]["message"].as_str().unwrap().contains("<ENV>"), "{lines:?}");
}

#[test]
fn a_line_that_the_schema_does_not_have_is_found() {
    let line = json!({"format": 1, "type": "exited", "host": "one", "status": 0});
    assert_eq!(validate(&line.to_string()), Ok(()));
    for (field, value) in [
        ("format", json!(2)),
        ("type", json!("gone")),
        ("status", json!("0")),
        ("status", json!(null)),
        ("unknown", json!(1)),
    ] {
        let mut other = line.clone();
        other[field] = value;
        assert!(validate(&other.to_string()).is_err(), "{other}");
    }
    for field in ["format", "type", "host", "status"] {
        let mut other = line.clone();
        other.as_object_mut().unwrap().remove(field);
        assert!(validate(&other.to_string()).is_err(), "{other}");
    }
}

#[test]
fn a_part_of_a_line_has_no_unknown_field_either() {
    let record = json!({"release": "0".repeat(64), "sequence": 1, "who": "ann@laptop", "hosts": ["one"], "without": []});
    let mut line = json!({"format": 1, "type": "history", "when": "2026-11-28T09:00:00Z", "entries": {}});
    line.as_object_mut().unwrap().extend(record.as_object().unwrap().clone());
    assert_eq!(validate(&line.to_string()), Ok(()));
    let mut unknown = line.clone();
    unknown["unknown"] = json!(1);
    assert!(validate(&unknown.to_string()).is_err());
    let mut digest = line.clone();
    digest["release"] = json!("0");
    assert!(validate(&digest.to_string()).is_err());

    let mut entry =
        json!({"when": "", "manifest": "0".repeat(64), "result": "committed", "runs": [], "unreverted": []});
    line["entries"]["one"] = entry.clone();
    assert_eq!(validate(&line.to_string()), Ok(()));
    entry["unknown"] = json!(1);
    line["entries"]["one"] = entry;
    assert!(validate(&line.to_string()).is_err());
}

#[test]
fn lines_in_the_book_are_what_the_schema_has() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/src/reference/json.md");
    let page = fs::read_to_string(page).unwrap();
    let lines: Vec<_> = page.lines().filter(|line| line.starts_with('{')).collect();
    let wrong: Vec<_> = lines.iter().filter_map(|line| Some((line, validate(line).err()?))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(lines.len() > 20, "only {} were found", lines.len());
}
