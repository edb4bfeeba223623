//! What steps depend on, and what is said of mistakes in them.

use batou_release::{HostPath, Step};

use super::common::Sandbox;

const FILES: &str = "[[file]]\npath = \"etc/app.conf\"\ncontent = \"\"\n[[file]]\npath = \"etc/sub/a.ini\"\ncontent = \"\"\n\
    [[file]]\npath = \"bin/run\"\ncontent = \"\"\nmode = \"0755\"\n[[symlink]]\npath = \"etc/data\"\nto = \"x\"\n";

/// The first step, where what is at a path is what `describe` says.
fn step(component: &str, describe: &(dyn Fn(&str) -> String + Sync)) -> Step {
    let evaluation = Sandbox::app(component).evaluate();
    evaluation.steps(("web01", "app"), "/srv/shop/store/artifacts/abc-app", describe).unwrap().remove(0)
}

fn snapshot(name: &str, steps: &str) {
    insta::assert_snapshot!(name, Sandbox::app(&format!("{FILES}{steps}")).mistakes());
}

#[test]
fn a_trigger_changes_with_the_files_that_it_names() {
    let component = format!(
        "{FILES}[[step]]\nname = \"s\"\nupdate = \"x\"\ntriggers = [\"etc/app.conf\", \"etc/\", \"*.ini\"]\n"
    );
    let old = step(&component, &str::to_owned).triggers;
    assert_eq!(old.keys().collect::<Vec<_>>(), ["*.ini", "etc/", "etc/app.conf"]);
    assert!(old.values().all(|digest| digest.len() == 64));
    let changed = |changed: &'static str| {
        let describe = move |path: &str| if path == changed { "new".to_owned() } else { path.to_owned() };
        let new = step(&component, &describe).triggers;
        let differing = old.keys().filter(|name| old[*name] != new[*name]);
        differing.map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(changed("bin/run"), "");
    assert_eq!(changed("etc/app.conf"), "etc/ etc/app.conf");
    assert_eq!(changed("etc/sub/a.ini"), "*.ini etc/");
    assert_eq!(changed("etc/data"), "etc/");
}

#[test]
fn a_folders_trigger_changes_with_its_names() {
    let digest = |files: &str| {
        let component = format!("{files}[[step]]\nname = \"s\"\nupdate = \"x\"\ntriggers = [\"etc/\"]\n");
        step(&component, &|_| String::new()).triggers["etc/"].clone()
    };
    let more = format!("{FILES}[[file]]\npath = \"etc/new\"\ncontent = \"\"\n");
    assert_ne!(digest(FILES), digest(&more));
    assert_ne!(digest(FILES), digest(&FILES.replace("etc/app.conf", "etc/app.cnf")));
}

#[test]
fn a_resources_trigger_changes_with_its_values() {
    let digests = |db: &str, cache: &str| {
        let environment = "[hosts]\nweb01 = [\"app\", \"db\"]\nweb02 = [\"db\"]\n";
        let sandbox = Sandbox::app(
            "[[require]]\nkey = \"db\"\n[[require]]\nkey = \"db\"\nas = \"own\"\nhost = \"same\"\n[[require]]\nkey = \"cache\"\nstrict = false\n\
             [[step]]\nname = \"s\"\nupdate = \"x\"\ntriggers = [\"resource:db\"]\nverify = { unchanged = [\"resource:cache\"] }\n",
        );
        sandbox.write("environments/prod/environment.toml", environment);
        let db = format!(
            "[[provide]]\nkey = \"db\"\nvalue = {db}\n[[provide]]\nkey = \"cache\"\nvalue = {cache}\n"
        );
        sandbox.write("components/db/component.toml", db);
        let evaluation = sandbox.evaluate();
        let step = evaluation.steps(("web01", "app"), "/a", &|_| String::new()).unwrap().remove(0);
        (step.triggers["resource:db"].clone(), step.assertions.unchanged["resource:cache"].clone())
    };
    let first = digests("{ host = \"{{ host.name }}\", ports = [1, 2] }", "1");
    assert_eq!(first, digests("{ ports = [1, 2], host = \"{{ host.name }}\" }", "1"));
    let second = digests("{ host = \"{{ host.name }}\", ports = [1, 3] }", "1");
    assert!(first.0 != second.0 && first.1 == second.1);
    let third = digests("{ host = \"{{ host.name }}\", ports = [1, 2] }", "2");
    assert!(first.0 == third.0 && first.1 != third.1);
}

#[test]
fn conditions_and_assertions_are_rendered() {
    let component = format!(
        "{FILES}[[step]]\nname = \"s\"\nscript = \"./bin//run\"\narguments = [\"{{{{ host.name }}}}\"]\ncreates = \"{{{{ component.state }}}}/venv\"\n\
         unless = \"test -e {{{{ component.artifact }}}}/x\"\nonly_if_path = \"/etc/debian_version\"\n\
         [step.verify]\ncommand = \"true {{{{ host.name }}}}\"\nscript = \"bin/run\"\npath = \"venv\"\nnewer = \"venv\"\nthan = [\"/etc/{{{{ host.name }}}}\"]\n",
    );
    let step = step(&component, &str::to_owned);
    let path = |text: &str| HostPath::new(text).unwrap();
    let script = step.script.unwrap();
    assert_eq!((script.path.as_str(), &script.arguments[..]), ("bin/run", &["web01".to_owned()][..]));
    assert_eq!(step.creates, Some(path("/srv/shop/state/app/venv")));
    assert_eq!(step.unless.as_deref(), Some("test -e /srv/shop/store/artifacts/abc-app/x"));
    assert_eq!(step.only_if_path, Some(path("/etc/debian_version")));
    assert_eq!(step.verify.as_deref(), Some("true web01"));
    let newer = step.assertions.newer.unwrap();
    assert_eq!((newer.path, newer.than), (path("venv"), vec![path("/etc/web01")]));
    assert_eq!(step.assertions.path, Some(path("venv")));
    assert_eq!(step.assertions.script.unwrap().digest, script.digest);
}

#[test]
fn mistakes_in_triggers() {
    snapshot(
        "step_triggers",
        "[[require]]\nkey = \"database\"\nstrict = false\n[[step]]\nname = \"a\"\nupdate = \"x\"\n\
         triggers = [\"etc/app.cnf\", \"*.yaml\", \"var/\", \"resource:databse\", \"resource:other\"]\n\
         [[step]]\nname = \"b\"\nupdate = \"x\"\nverify = { unchanged = [\"nothing\"] }\n",
    );
    snapshot(
        "step_triggers_malformed",
        "[[step]]\nname = \"a\"\nupdate = \"x\"\ntriggers = [\"../x\", \"/etc/\", \"[\", 1]\n\
         [[step]]\nname = \"b\"\nupdate = \"x\"\nverify = { unchanged = [\"{{ host.name }}\"] }\n",
    );
}

#[test]
fn mistakes_in_scripts() {
    snapshot(
        "step_scripts",
        "[[step]]\nname = \"a\"\nscript = \"etc/app.conf\"\n[[step]]\nname = \"b\"\nscript = \"bin/rn\"\n\
         [[step]]\nname = \"c\"\nverify = { script = \"etc/data\" }\n",
    );
    snapshot(
        "step_scripts_malformed",
        "[[step]]\nname = \"a\"\nscript = \"/bin/sh\"\n[[step]]\nname = \"b\"\nscript = \"../bin/run\"\n\
         [[step]]\nname = \"c\"\nscript = \"bin/run\"\nupdate = \"x\"\n[[step]]\nname = \"d\"\nupdate = \"x\"\narguments = [\"x\"]\n",
    );
}

#[test]
fn mistakes_in_conditions() {
    snapshot(
        "step_conditions",
        "[[step]]\nname = \"a\"\nverify = \"x\"\ncreates = \"y\"\n[[step]]\nname = \"b\"\nverify = \"x\"\nunless = \"y\"\n",
    );
    snapshot(
        "step_paths",
        "[[step]]\nname = \"a\"\nupdate = \"x\"\ncreates = \"../y\"\n[[step]]\nname = \"b\"\nupdate = \"x\"\nonly_if_path = \"{{ '' }}\"\n\
         [[step]]\nname = \"c\"\nupdate = \"x\"\ncreates = \"a\\nb\"\n[[step]]\nname = \"d\"\nverify = { path = \"{{ host.nam }}\" }\n",
    );
}

#[test]
fn mistakes_in_assertions() {
    snapshot(
        "step_assertions",
        "[[step]]\nname = \"a\"\nverify = {}\n[[step]]\nname = \"b\"\nverify = { newer = \"x\" }\n\
         [[step]]\nname = \"c\"\nverify = { than = [\"x\"] }\n[[step]]\nname = \"d\"\nverify = { comand = \"x\" }\n\
         [[step]]\nname = \"e\"\nverify = 3\n",
    );
    snapshot(
        "step_newer",
        "[[step]]\nname = \"a\"\nverify = { newer = \"venv\", than = [\"{{ component.path }}/etc/app.conf\"] }\n\
         [[step]]\nname = \"b\"\nverify = { newer = \"{{ component.artifact }}/x\", than = [\"venv\"] }\n\
         [[step]]\nname = \"c\"\ndirectory = \"{{ component.artifact }}\"\nverify = { newer = \"venv\", than = [\"x\"] }\n",
    );
}

#[test]
fn code_names_files_by_what_declared_them() {
    let code = "def configure(c):\n    conf = c.file(\"etc/app.conf\", content = \"\")\n    c.file(\"etc/b\", content = \"\")\n    \
        etc = c.directory(\"share\", source = \"share\")\n    run = c.file(\"bin/run\", content = \"\", mode = \"0755\")\n    \
        c.step(\"s\", script = run, arguments = [c.host.name], triggers = [conf, etc, \"etc/\"], creates = c.state + \"/made\",\n           \
        verify = {\"path\": \"x\", \"unchanged\": [conf], \"script\": run})\n";
    let sandbox = Sandbox::app("");
    std::fs::remove_file(sandbox.root().join("components/app/component.toml")).unwrap();
    sandbox.write("components/app/component.star", code);
    sandbox.write("components/app/share/a", "");
    let evaluation = sandbox.evaluate();
    let step = evaluation.steps(("web01", "app"), "/a", &str::to_owned).unwrap().remove(0);
    assert_eq!(step.triggers.keys().collect::<Vec<_>>(), ["etc/", "etc/app.conf", "share/"]);
    let script = step.script.unwrap();
    assert_eq!((script.path.as_str(), &script.arguments[..]), ("bin/run", &["web01".to_owned()][..]));
    assert_eq!(step.creates, Some(HostPath::new("/srv/shop/state/app/made").unwrap()));
    assert_eq!(step.assertions.unchanged["etc/app.conf"], step.triggers["etc/app.conf"]);
    assert_eq!(step.assertions.script.unwrap().path.as_str(), "bin/run");
}
