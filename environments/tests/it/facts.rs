//! `[facts]`, facts.lock, and `host.facts`.

use std::collections::BTreeMap;

use batou_environments::{FactsLock, Offline};
use batou_release::{FactValue, Facts};
use insta::assert_snapshot;
use serde_json::json;

use super::common::{Sandbox, component, text};

const PROJECT: &str = "[project]\nname = \"shop\"\n[facts]\nmemory = \"memory\"\nos = \"os-release\"\n\
    disks = { files = \"/dev/disk/by-id/*\" }\nuplink = { command = \"ip route\", timeout = 5 }\n";

const LOCK: &str = r#"
[facts]
disks.files = "/dev/disk/by-id/*"
memory = "memory"
os = "os-release"
uplink.command = "ip route"

[host.web01]
disks = ["sda", "sdb"]
memory = 8589934592
os.id = "debian"
uplink = "{{ component.secret }} {% raw %}"

[host.web02]
memory = 4
"#;

/// The component `app` with this file on two hosts, of which the second knows less of itself.
fn sandbox(content: &str) -> Sandbox {
    let sandbox = Sandbox::new(&[
        ("batou.toml", PROJECT),
        ("environments/prod/environment.toml", "[hosts]\nweb01 = [\"app\"]\nweb02 = []\n"),
        ("environments/prod/facts.lock", LOCK),
        ("components/app/component.toml", "[[file]]\npath = \"out\"\n"),
    ]);
    sandbox.write("components/app/out", content);
    sandbox
}

fn out(sandbox: &Sandbox) -> String {
    text(&sandbox.evaluate(), "web01", "app", "out")
}

#[test]
fn templates_see_the_facts_of_their_host() {
    let sandbox = sandbox(
        "{{ host.facts.memory // 1024 }} {{ host.facts.os.id }} {% for disk in host.facts.disks %}{{ disk }};{% endfor %}\n",
    );
    assert_eq!(out(&sandbox), "8388608 debian sda;sdb;\n");
    let evaluation = sandbox.evaluate();
    let causes = &component(&evaluation, "web01", "app").causes["out"];
    let names: Vec<_> = causes.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["file components/app/out", "host fact disks", "host fact memory", "host fact os"],
        "what was not used is no cause"
    );
}

#[test]
fn a_changed_fact_is_a_changed_cause() {
    let sandbox = sandbox("{{ host.facts.memory }}");
    let cause = |sandbox: &Sandbox| {
        component(&sandbox.evaluate(), "web01", "app").causes["out"]["host fact memory"].clone()
    };
    let before = cause(&sandbox);
    sandbox.write("environments/prod/facts.lock", LOCK.replace("8589934592", "1"));
    assert_ne!(cause(&sandbox), before);
}

#[test]
fn a_fact_is_data_and_no_template() {
    let sandbox = sandbox("{{ host.facts.uplink }}|{{ component.uplink }}|{{ up[0] }}");
    sandbox.write(
        "components/app/component.toml",
        "[attributes]\nuplink = \"{{ host.facts.uplink }}\"\n[[file]]\npath = \"out\"\n\
         [[provide]]\nkey = \"up\"\nvalue = \"{{ component.uplink }}\"\n[[require]]\nkey = \"up\"\n",
    );
    assert_eq!(out(&sandbox), ["{{ component.secret }} {% raw %}"; 3].join("|"));
}

#[test]
fn facts_keep_their_types() {
    let sandbox = sandbox("{{ component.half }} {{ component.disks | length }} {{ component.os.id }}");
    sandbox.write(
        "components/app/component.toml",
        "[attributes]\nhalf = { type = \"int\", default = \"{{ host.facts.memory // 2 }}\" }\n\
         disks = { type = \"list\", default = \"{{ host.facts.disks }}\" }\n\
         os = { type = \"dict\", default = \"{{ host.facts.os }}\" }\n[[file]]\npath = \"out\"\n",
    );
    assert_eq!(out(&sandbox), "4294967296 2 debian");
}

#[test]
fn hosts_see_each_others_facts() {
    let sandbox = sandbox(
        "{% for host in environment.hosts %}{{ host.name }}={{ host.facts.memory }} {% endfor %}{{ environment.hosts | map(attribute='name') | join }}",
    );
    assert_eq!(out(&sandbox), "web01=8589934592 web02=4 web01web02");
    let evaluation = sandbox.evaluate();
    let causes = &component(&evaluation, "web01", "app").causes["out"];
    let facts: Vec<_> = causes.keys().filter(|name| name.starts_with("host fact")).collect();
    assert_eq!(facts, ["host fact memory of web01", "host fact memory of web02"]);
}

#[test]
fn the_list_of_hosts_is_not_made_of_their_facts() {
    let sandbox = sandbox("{{ environment.hosts | tojson }}");
    let cause = |sandbox: &Sandbox| component(&sandbox.evaluate(), "web01", "app").causes["out"].clone();
    let (before, shown) = (cause(&sandbox), out(&sandbox));
    sandbox.write("environments/prod/facts.lock", LOCK.replace("memory = 4", "memory = 5"));
    assert_eq!((cause(&sandbox), out(&sandbox)), (before, shown));
}

#[test]
fn facts_that_there_are_not() {
    let mistakes = |content: &str| sandbox(content).mistakes();
    assert_snapshot!(mistakes("a\n{{ host.facts.memroy }}\n"), @"
    error: there is no fact `memroy`: did you mean `memory`?
     --> components/app/out:2:8
      |
    2 | {{ host.facts.memroy }}
      |        ^^^^^^^^^^^^^
      = affects: web01/app
    ");
    assert_snapshot!(mistakes("{{ host.facts.x is defined }}"), @"
    error: there is no fact `x`: batou.toml declares `disks`, `memory`, `os` and `uplink`
     --> components/app/out:1:8
      |
    1 | {{ host.facts.x is defined }}
      |        ^^^^^^^^
      = affects: web01/app
    ");
    assert_snapshot!(mistakes("{% for host in environment.hosts %}\n{{ host.facts.os.id }}{% endfor %}"), @"
    error: the fact `os` of web02 is not in environments/prod/facts.lock: run `batou facts prod --host web02`
     --> components/app/out:2:8
      |
    2 | {{ host.facts.os.id }}{% endfor %}
      |        ^^^^^^^^^
      = affects: web01/app
    ");
    assert_snapshot!(mistakes("{{ host.facts.os.idd }}"), @"
    error: `host.facts.os.idd` is undefined
     --> components/app/out:1:4
      |
    1 | {{ host.facts.os.idd }}
      |    ^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: did you mean `host.facts.os.id`?
    ");
    assert_snapshot!(mistakes("{% for n in environment.hosts[1].facts %}{% endfor %}"), @"
    error: the fact `disks` of web02 is not in environments/prod/facts.lock: run `batou facts prod --host web02`
     --> components/app/out:1:30
      |
    1 | {% for n in environment.hosts[1].facts %}{% endfor %}
      |                              ^^^^^^^^^
      = affects: web01/app
    ");
}

#[test]
fn facts_that_nobody_gathered() {
    let sandbox = sandbox("{{ host.facts.memory }}");
    std::fs::remove_file(sandbox.root().join("environments/prod/facts.lock")).unwrap();
    assert_snapshot!(sandbox.mistakes(), @"
    error: the fact `memory` was never gathered: run `batou facts prod`
     --> components/app/out:1:8
      |
    1 | {{ host.facts.memory }}
      |        ^^^^^^^^^^^^^
      = affects: web01/app
    ");
    sandbox.write(
        "components/app/component.toml",
        "[attributes]\nmemory = \"{{ host.facts.memory }}\"\n[[file]]\npath = \"out\"\n",
    );
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: the fact `memory` was never gathered: run `batou facts prod`
     --> components/app/component.toml:2:18
      |
    2 | memory = "{{ host.facts.memory }}"
      |                  ^^^^^^^^^^^^^
      = affects: web01/app

    error: the fact `memory` was never gathered: run `batou facts prod`
     --> components/app/out:1:8
      |
    1 | {{ host.facts.memory }}
      |        ^^^^^^^^^^^^^
      = affects: web01/app
    "#);
    sandbox.write("components/app/component.toml", "[[file]]\npath = \"out\"\ncontent = \"nothing\"\n");
    assert_eq!(out(&sandbox), "nothing", "what is not used need not be there");
    sandbox.write("components/app/component.toml", "[[file]]\npath = \"out\"\n");
    sandbox.write("batou.toml", "[project]\nname = \"shop\"\n");
    assert_snapshot!(sandbox.mistakes(), @"
    error: there is no fact `memory`: declare it in [facts] of batou.toml
     --> components/app/out:1:8
      |
    1 | {{ host.facts.memory }}
      |        ^^^^^^^^^^^^^
      = affects: web01/app
    ");
}

#[test]
fn a_fact_that_is_declared_otherwise_is_not_known() {
    let sandbox = sandbox("{{ host.facts.uplink }}");
    sandbox.write("batou.toml", PROJECT.replace("timeout = 5", "timeout = 50"));
    sandbox.evaluate();
    sandbox.write("batou.toml", PROJECT.replace("timeout = 5", "json = true"));
    assert_snapshot!(sandbox.mistakes(), @"
    error: the declaration of the fact `uplink` has changed since it was gathered: run `batou facts prod`
     --> components/app/out:1:8
      |
    1 | {{ host.facts.uplink }}
      |        ^^^^^^^^^^^^^
      = affects: web01/app
    ");
}

#[test]
fn a_damaged_lock_is_an_error_with_its_line() {
    let sandbox = sandbox("{{ host.facts.memory }}");
    let mistakes = |content: &[u8]| {
        sandbox.write("environments/prod/facts.lock", content);
        sandbox.mistakes()
    };
    let conflict = LOCK.replace("memory = 4", "<<<<<<< HEAD\nmemory = 4\n=======\nmemory = 8\n>>>>>>> other");
    assert_snapshot!(mistakes(conflict.as_bytes()), @"
    error: not valid TOML: key with no value, expected `=`
      --> environments/prod/facts.lock:15:9
       |
    15 | <<<<<<< HEAD
       |         ^
      = help: restore it, or remove it and run `batou facts prod`
    ");
    assert_snapshot!(mistakes(b"[hots.web01]\nmemory = 1\n"), @"
    error: unknown key `hots` in facts.lock
     --> environments/prod/facts.lock:1:2
      |
    1 | [hots.web01]
      |  ^^^^
      = help: did you mean `host`?
    ");
    assert_snapshot!(mistakes(b"[host]\nweb01 = 3\n"), @"
    error: `host.web01` must be a table, not an integer
     --> environments/prod/facts.lock:2:9
      |
    2 | web01 = 3
      |         ^
      = help: restore it, or remove it and run `batou facts prod`
    ");
    assert_snapshot!(mistakes(b"[facts]\nx = \"y\"\n"), @r#"
    error: there is no built-in fact `y`
     --> environments/prod/facts.lock:2:5
      |
    2 | x = "y"
      |     ^^^
      = help: there are `addresses`, `architecture`, `hostname`, `memory`, `os-release` and `processors`; write { command = "…" } for a command
    "#);
    assert_snapshot!(mistakes(b"[host.web01]\nmemory = 1979-05-27\n"), @"
    error: a fact cannot be a date
     --> environments/prod/facts.lock:2:10
      |
    2 | memory = 1979-05-27
      |          ^^^^^^^^^^
      = help: restore it, or remove it and run `batou facts prod`
    ");
    assert_snapshot!(mistakes(b"[host.web01]\ndisks = [nan]\n"), @"
    error: a fact cannot be NaN
     --> environments/prod/facts.lock:2:10
      |
    2 | disks = [nan]
      |          ^^^
      = help: restore it, or remove it and run `batou facts prod`
    ");
    assert_snapshot!(mistakes(b"[host.web01]\nmemory = \"\xff\"\n"), @r#"
    error: not UTF-8
     --> environments/prod/facts.lock:2:11
      |
    2 | memory = "�"
      |           ^
      = help: save the file as UTF-8
    "#);
    let policy = batou_environments::policy(&sandbox.project(), "prod");
    assert!(policy.is_ok(), "only what needs facts reads them");
}

#[test]
fn bad_declarations() {
    let declared = |facts: &str| {
        let sandbox = Sandbox::app("");
        sandbox.write("batou.toml", format!("[project]\nname = \"shop\"\n[facts]\n{facts}\n"));
        match sandbox.evaluate_with(&Offline) {
            Ok(_) => panic!("nothing wrong with {facts}"),
            Err(diagnostics) => diagnostics.to_string(),
        }
    };
    assert_snapshot!(declared("os = \"os-relase\"\nx = \"whatever\""), @r#"
    error: there is no built-in fact `os-relase`
     --> batou.toml:4:6
      |
    4 | os = "os-relase"
      |      ^^^^^^^^^^^
      = help: did you mean `os-release`?

    error: there is no built-in fact `whatever`
     --> batou.toml:5:5
      |
    5 | x = "whatever"
      |     ^^^^^^^^^^
      = help: there are `addresses`, `architecture`, `hostname`, `memory`, `os-release` and `processors`; write { command = "…" } for a command
    "#);
    assert_snapshot!(declared("\"a-b\" = \"memory\"\n\"{{ x }}\" = \"memory\""), @r#"
    error: `a-b` is not a fact's name
     --> batou.toml:4:1
      |
    4 | "a-b" = "memory"
      | ^^^^^
      = help: use letters, digits and `_`, beginning with a letter: templates say `host.facts.NAME`

    error: `{{ x }}` is not a fact's name
     --> batou.toml:5:1
      |
    5 | "{{ x }}" = "memory"
      | ^^^^^^^^^
      = help: use letters, digits and `_`, beginning with a letter: templates say `host.facts.NAME`
    "#);
    assert_snapshot!(
        "keys",
        declared(
            "a = { comand = \"x\" }\nb = { files = \"/x\", json = true }\nc = { files = \"/x\", command = \"x\" }\nd = 4\n\
             e = { command = \"x\", timeout = 0 }\nf = { command = \" \" }\ng = { command = [\"ls\"] }\nh = {}"
        )
    );
    assert_snapshot!(
        "patterns",
        declared(
            "a = { files = \"dev/*\" }\nb = { files = \"/a/../b\" }\nc = { files = \"/a/**\" }\nd = { files = \"/a/[\" }\ne = { files = \"/a/{b,c/d}\" }\nf = { files = \"/\" }"
        )
    );
}

fn told(facts: serde_json::Value) -> Facts {
    let serde_json::Value::Object(facts) = facts else { panic!("{facts}") };
    facts.into_iter().map(|(name, value)| (name, FactValue::from_json(value).unwrap())).collect()
}

#[test]
fn a_lock_is_written_the_same_way_each_time_and_read_again() {
    let sandbox = sandbox("");
    let project = sandbox.project();
    let answers = BTreeMap::from([
        ("web02".parse().unwrap(), told(json!({"memory": 5, "disks": [], "os": {}}))),
        (
            "db.other.net".parse().unwrap(),
            told(json!({
                "uplink": "tab\t \"quoted\" \\ \u{0} \u{1b}[31m \u{9b} \u{202e}gpj {{ x }}\r\nüñ",
                "os": {"id": "debian", "": 1, "a b": {"deep": [1.0, 1e300, -0.5, i64::MIN, true]}},
                "disks": [{"name": "sda", "parts": [{"n": 1}, []]}, "b"],
            })),
        ),
    ]);
    let hosts = ["db.other.net", "web01", "web02"].map(|host| host.parse().unwrap());
    let old = FactsLock::load(&project, "prod").unwrap();
    let lock = old.updated(&project.facts, &hosts, answers);
    let written = lock.to_toml("prod");
    assert_snapshot!(written, @r#"
    # What the hosts of prod said of themselves. `batou facts prod` writes this file: it asks for
    # what [facts] in batou.toml declares. Evaluations read it and ask no host. Commit it.

    [facts]
    disks.files = "/dev/disk/by-id/*"
    memory = "memory"
    os = "os-release"
    uplink.command = "ip route"

    [host."db.other.net"]
    disks = [
        { name = "sda", parts = [{ n = 1 }, []] },
        "b",
    ]
    os."" = 1
    os."a b".deep = [
        1.0,
        1e300,
        -0.5,
        -9223372036854775808,
        true,
    ]
    os.id = "debian"
    uplink = "tab\t \"quoted\" \\ \U00000000 \U0000001B[31m \U0000009B \U0000202Egpj {{ x }}\r\nüñ"

    [host.web01]
    disks = [
        "sda",
        "sdb",
    ]
    memory = 8589934592
    os.id = "debian"
    uplink = "{{ component.secret }} {% raw %}"

    [host.web02]
    disks = []
    memory = 5
    os = {}
    "#);
    assert!(written.chars().all(|c| c == '\n' || !c.is_control()), "{written:?}");
    sandbox.write("environments/prod/facts.lock", &written);
    let read = FactsLock::load(&project, "prod").unwrap();
    assert_eq!((&read.to_toml("prod"), read.lines("db.other.net")), (&written, lock.lines("db.other.net")));
    sandbox.evaluate();
}

#[test]
fn what_is_gone_goes_and_what_was_not_asked_stays() {
    let sandbox = sandbox("");
    sandbox
        .write("batou.toml", PROJECT.replace("ip route", "ip -6 route").replace("memory = \"memory\"\n", ""));
    let project = sandbox.project();
    let old = FactsLock::load(&project, "prod").unwrap();
    let answers = BTreeMap::from([("stranger".parse().unwrap(), told(json!({"os": {}})))]);
    let lock = old.updated(&project.facts, &["web01".parse().unwrap()], answers);
    assert_eq!(lock.lines("web01"), ["disks[] = \"sda\"", "disks[] = \"sdb\"", "os.id = \"debian\""]);
    assert_eq!(lock.hosts().collect::<Vec<_>>(), ["web01"]);
    assert_eq!(lock.updated(&project.facts, &["web01".parse().unwrap()], BTreeMap::new()), lock);
}

#[test]
fn an_inheriting_environment_has_facts_of_its_own() {
    let sandbox = sandbox("{{ host.facts.memory }}");
    sandbox.write("environments/base/environment.toml", sandbox_hosts());
    sandbox.write("environments/base/facts.lock", LOCK);
    std::fs::remove_file(sandbox.root().join("environments/prod/facts.lock")).unwrap();
    sandbox.write("environments/prod/environment.toml", "[environment]\ninherits = \"base\"\n");
    let mistakes = sandbox.mistakes();
    assert!(mistakes.contains("run `batou facts prod`"), "{mistakes}");
}

fn sandbox_hosts() -> &'static str {
    "[hosts]\nweb01 = [\"app\"]\n"
}

#[test]
fn a_host_of_the_environment_has_its_data_by_name() {
    let sandbox = sandbox("{{ environment.hosts[0].data }} {{ environment.hosts[0].data.alias }}");
    let path = sandbox.root().join("environments/prod/environment.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let table = if text.contains("[host.web01]") { "" } else { "\n[host.web01]\n" };
    let text = text + table;
    std::fs::write(&path, text.replace("[host.web01]\n", "[host.web01]\ndata-alias = \"db\"\n")).unwrap();
    assert_eq!(out(&sandbox), "{'alias': 'db'} db");
}
