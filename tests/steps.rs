//! Steps from component.toml to the host: what they depend on, and what decides whether they run.

use std::fs;
use std::path::PathBuf;

use crate::common::{Lacking, Output, Sandbox, left_out};
use crate::shop::says;

const APP: &str = r##"[attributes]
port = 80
greeting = "one"

[[require]]
key = "db"

[[file]]
path = "etc/app.conf"
content = "port = {{ component.port }}\n"

[[file]]
path = "motd"
content = "{{ component.greeting }}\n"

[[file]]
path = "bin/reload"
mode = "0755"
content = "#!/bin/sh\necho \"$@\" >> reloaded\n"

[[step]]
name = "reload"
script = "bin/reload"
arguments = ["{{ component.artifact }}/etc"]
triggers = ["etc/", "resource:db"]

[[step]]
name = "index"
verify = { path = "index", unchanged = ["motd"] }
update = "echo {{ component.greeting }} >> index"

[[step]]
name = "legacy"
only_if_path = "legacy"
creates = "converted"
unless = "test -e keep"
update = "touch converted"
"##;

struct App(Sandbox);

impl App {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        sandbox
            .write("batou.toml", "[project]\nname = \"shop\"\n")
            .write("components/app/component.toml", APP)
            .write("components/db/component.toml", "[[provide]]\nkey = \"db\"\nvalue = \"db01\"\n")
            .write(
                "environments/dev/environment.toml",
                "[environment]\nconnect_method = \"local\"\n\n[hosts]\nlocalhost = [\"app\", \"db\"]\n",
            );
        Self(sandbox)
    }

    fn replace(&self, path: &str, old: &str, new: &str) {
        let text = self.0.read(path);
        assert!(text.contains(old));
        self.0.write(path, text.replace(old, new));
    }

    fn state(&self, name: &str) -> PathBuf {
        self.0.project().join("work/dev/state/app").join(name)
    }

    /// Releases; the steps that were updated, and how often each has been until now.
    fn switch(&self) -> (String, usize, usize) {
        let output = self.0.batou(&["switch", "dev"]).success();
        let ran = output.stderr.lines().find_map(|line| line.strip_prefix("localhost/app: ran "));
        let count = |name| fs::read_to_string(self.state(name)).map_or(0, |text| text.lines().count());
        let steps = ran.map(|ran| ran.split_once("; ").map_or(ran, |(steps, _)| steps));
        (steps.unwrap_or_default().to_owned(), count("reloaded"), count("index"))
    }

    fn plan(&self) -> String {
        self.0.batou(&["plan", "dev"]).success().stdout
    }
}

#[test]
fn a_step_runs_for_its_triggers_and_for_nothing_else() {
    let app = App::new();
    assert_eq!(app.switch(), ("reload, index".to_owned(), 1, 1));
    assert_eq!(app.switch(), (String::new(), 1, 1));

    app.replace("components/app/component.toml", "port = 80", "port = 81");
    says(&app.plan(), &["runs step reload  because etc/ changed"]);
    assert_eq!(app.switch(), ("reload".to_owned(), 2, 1));

    app.replace("components/db/component.toml", "db01", "db02");
    says(&app.plan(), &["runs step reload  because resource:db changed"]);
    assert_eq!(app.switch(), ("reload".to_owned(), 3, 1));

    app.replace("components/app/component.toml", "greeting = \"one\"", "greeting = \"two\"");
    let plan = app.plan();
    assert!(
        !plan.contains("runs step reload") && plan.contains("runs step index  because motd changed"),
        "{plan}"
    );
    assert_eq!(app.switch(), ("index".to_owned(), 3, 2));

    app.replace(
        "components/app/component.toml",
        "path = \"etc/app.conf\"",
        "path = \"etc/app.conf\"\nmode = \"0600\"",
    );
    assert_eq!(app.switch(), ("reload".to_owned(), 4, 2));
    app.replace("components/app/component.toml", "echo \\\"$@\\\"", "echo again");
    says(&app.plan(), &["runs step reload  because bin/reload changed"]);
    assert_eq!(app.switch(), ("reload".to_owned(), 5, 2));

    app.0.batou(&["rollback", "dev"]).success();
    assert_eq!(app.switch().1, 7, "the script of before is another one, and so is that of the next release");
}

#[test]
fn a_trigger_of_a_failed_release_is_not_forgotten() {
    let app = App::new();
    app.switch();
    app.replace("components/app/component.toml", "port = 80", "port = 81");
    app.replace("components/app/component.toml", "$@\\\" >> reloaded", "$@\\\" >> reloaded; exit 1");
    app.0.batou(&["switch", "dev"]).fails(1);
    app.replace("components/app/component.toml", "; exit 1", "");
    assert_eq!(app.switch().0, "reload");
    assert_eq!(app.switch().0, "");
}

#[test]
fn conditions_decide_on_the_host() {
    let app = App::new();
    app.switch();
    assert!(!app.state("converted").exists());
    says(&app.0.batou(&["switch", "dev"]).success().stdout, &["nothing to do"]);
    fs::write(app.state("keep"), "").unwrap();
    fs::write(app.state("legacy"), "").unwrap();
    assert_eq!(app.switch().0, "", "it is wanted now, and there is nothing to do");
    fs::remove_file(app.state("keep")).unwrap();
    says(&app.0.batou(&["verify", "dev"]).fails(1).stdout, &["step app/legacy: converted does not exist"]);
    says(&app.0.batou(&["switch", "dev", "--recheck"]).success().stderr, &["legacy"]);
    assert!(app.state("converted").exists());
    app.0.batou(&["verify", "dev"]).success();
}

#[test]
fn a_plan_says_which_sub_components_declare_files_and_steps() {
    let sandbox = Sandbox::new();
    let code = r#"
def _package(c):
    c.file("etc/" + c.name)
    c.step("install-" + c.name, update = "true")
Package = definition(configure = _package)
Venv = definition(configure = lambda c: c.add(Package("zope")) and None)
def configure(c):
    c.add(Venv("py"))
    c.step("last", update = "true")
"#;
    sandbox
        .write("batou.toml", "[project]\nname = \"shop\"\n")
        .write("components/app/component.star", code)
        .write("components/app/etc/zope", "zope\n")
        .write(
            "environments/dev/environment.toml",
            "[environment]\nconnect_method = \"local\"\n\n[hosts]\nlocalhost = [\"app\"]\n",
        );
    let by = r#"  of Venv("py") > Package("zope")"#;
    let step = format!("runs step install-zope{by}\n      runs step last\n");
    let first = sandbox.batou(&["plan", "dev"]).success().stdout;
    says(&first, &[&format!("+ etc/zope{by}"), &step]);
    sandbox.batou(&["switch", "dev"]).success();
    sandbox.write("components/app/component.star", code.replace("update = \"true\"", "update = \"exit 0\""));
    let second = sandbox.batou(&["plan", "dev"]).success().stdout;
    says(&second, &[&step]);
    assert!(!second.contains("etc/zope"), "{second}");
    let lines = sandbox.batou(&["plan", "dev", "--json"]).success().json();
    let by = |line: &serde_json::Value| {
        line.to_string()
            .contains(r#""name":"install-zope","because":[],"by":"Venv(\"py\") > Package(\"zope\")"}"#)
    };
    assert!(lines.iter().any(by), "{lines:?}");
}

#[test]
fn a_step_runs_where_its_session_has_no_number() {
    let app = App::new();
    let container = ["unshare", "--user", "--map-current-user", "--pid", "--fork", "--mount-proc"];
    let possible = Output::of(app.0.program(container[0]).args(&container[1..]).arg("true"));
    if possible.status != Some(0) {
        return left_out("a step in a container that was entered from outside", Lacking::Namespaces);
    }
    Output::of(&mut app.0.command_under(&container, &["switch", "dev"])).success();
    assert_eq!(fs::read_to_string(app.state("index")).unwrap().lines().count(), 1);
}
