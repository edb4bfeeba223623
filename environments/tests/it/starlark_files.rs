//! `component.star`: `read` and `glob`, and what a plan is told of them.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;

use super::common::{Sandbox, component, text};
use super::starlark::app;

/// A component that writes what a pattern matches, with `conf/a.conf` beside it.
fn globs(arguments: &str) -> Sandbox {
    let sandbox = app(&format!(
        "def configure(c):\n    c.file(\"out\", content = \" \".join(glob({arguments})), template = False)\n"
    ));
    sandbox.write("components/app/conf/a.conf", "a");
    sandbox
}

fn found(sandbox: &Sandbox) -> String {
    text(&sandbox.evaluate(), "web01", "app", "out")
}

#[test]
fn what_is_not_meant_keeps_nobody_from_finding_files() {
    let sandbox = globs("\"conf/*.conf\"");
    let app = sandbox.root().join("components/app");
    // As an editor leaves it beside a file with changes that are not saved.
    symlink("ann@desk.4711:1", app.join(".#component.star")).unwrap();
    symlink("ann@desk.4711:1", app.join("conf/.#a")).unwrap();
    symlink("..", app.join("loop")).unwrap();
    symlink("/etc", app.join("etc")).unwrap();
    assert_eq!(found(&sandbox), "conf/a.conf");
}

#[test]
fn what_is_meant_and_cannot_be_read_is_a_mistake() {
    for (pattern, target, message) in [
        ("**", "ann@desk.4711:1", "components/app/x is a symlink that points to nothing"),
        ("x/*.conf", ".", "components/app/x is a symlink to a folder that contains it"),
        ("**/*.conf", "/etc", "components/app/x lies outside the project"),
        ("{x,y}/a.conf", "/etc", "components/app/x lies outside the project"),
    ] {
        let sandbox = globs(&format!("\"{pattern}\""));
        symlink(target, sandbox.root().join("components/app/x")).unwrap();
        let mistakes = sandbox.mistakes();
        assert!(mistakes.contains(message), "{mistakes}");
        assert!(!mistakes.contains(&*sandbox.root().to_string_lossy()), "{mistakes}");
    }
    let sandbox = globs("\"**\", exclude = [\"x\"]");
    symlink("nowhere", sandbox.root().join("components/app/x")).unwrap();
    assert_eq!(found(&sandbox), "component.star conf/a.conf");
}

#[test]
fn patterns_reach_every_folder_that_they_mean() {
    for (pattern, wanted) in [
        ("conf/**", "conf/a.conf conf/x/y/b.conf"),
        ("**/b.conf", "conf/x/y/b.conf"),
        ("conf/**/y/*.conf", "conf/x/y/b.conf"),
        ("*/*/*/*.conf", "conf/x/y/b.conf"),
        ("conf/{a.conf,x/y/b.conf}", "conf/a.conf conf/x/y/b.conf"),
        ("c[no]nf/?.conf", "conf/a.conf"),
        ("conf/*", "conf/a.conf"),
    ] {
        let sandbox = globs(&format!("\"{pattern}\""));
        sandbox.write("components/app/conf/x/y/b.conf", "b");
        assert_eq!(found(&sandbox), wanted, "{pattern}");
    }
    for pattern in ["//conf/*", "/conf/*", "../app/*", "./conf/*", ""] {
        let mistakes = globs(&format!("\"{pattern}\"")).mistakes();
        assert!(
            mistakes.contains("is not a pattern of paths below the Starlark file's folder"),
            "{mistakes}"
        );
    }
}

/// A file that another one changes is not said to change because of its own code, which did not.
#[test]
fn only_what_changed_is_a_cause_of_a_text_that_code_makes() {
    let sandbox = app(
        "def configure(c):\n    c.file(\"out\", content = \"\".join([read(f) for f in glob(\"conf/*\")]), template = False)\n",
    );
    sandbox.write("components/app/conf/a.conf", "a");
    let causes = || -> BTreeMap<String, String> {
        component(&sandbox.evaluate(), "web01", "app").causes["out"].clone()
    };
    let before = causes();
    sandbox.write("components/app/conf/b.conf", "b");
    let after = causes();
    let changed: Vec<&str> = after
        .iter()
        .filter(|(name, digest)| before.get(*name) != Some(digest))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(changed, ["file components/app/conf/b.conf", "files components/app/{conf/*}"]);
}
