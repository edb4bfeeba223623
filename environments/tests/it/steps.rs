//! What steps depend on, and what is said of mistakes in them.

use batou_environments::{Dependency, RenderedStep};
use batou_release::{ARTIFACT_TOKEN, HostPath, show_artifact};

use super::common::{self, Sandbox};

const FILES: &str = "[[file]]\npath = \"etc/app.conf\"\ncontent = \"\"\n[[file]]\npath = \"etc/sub/a.ini\"\ncontent = \"\"\n\
    [[file]]\npath = \"bin/run\"\ncontent = \"\"\nmode = \"0755\"\n[[symlink]]\npath = \"etc/data\"\nto = \"x\"\n";

/// The only step of a component.
fn step(component: &str) -> RenderedStep {
    common::step(&Sandbox::app(component).evaluate(), "web01", "app")
}

fn entries(paths: &[&str]) -> Dependency {
    Dependency::Entries(paths.iter().map(|path| (*path).to_owned()).collect())
}

fn snapshot(name: &str, steps: &str) {
    insta::assert_snapshot!(name, Sandbox::app(&format!("{FILES}{steps}")).mistakes());
}

#[test]
fn a_trigger_names_entries_of_its_component() {
    let component = format!(
        "{FILES}[[step]]\nname = \"s\"\nupdate = \"x\"\ntriggers = [\"etc/app.conf\", \"etc/\", \"*.ini\"]\n"
    );
    let triggers = step(&component).triggers;
    assert_eq!(triggers.keys().collect::<Vec<_>>(), ["*.ini", "etc/", "etc/app.conf"]);
    assert_eq!(triggers["*.ini"], entries(&["etc/sub/a.ini"]));
    assert_eq!(triggers["etc/"], entries(&["etc/app.conf", "etc/data", "etc/sub/a.ini"]));
    assert_eq!(triggers["etc/app.conf"], entries(&["etc/app.conf"]));
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
        let step = common::step(&sandbox.evaluate(), "web01", "app");
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
    let step = step(&component);
    let path = |text: &str| HostPath::new(text).unwrap();
    let script = step.script.unwrap();
    assert_eq!((script.path.as_str(), &script.arguments[..]), ("bin/run", &["web01".to_owned()][..]));
    assert_eq!(step.creates, Some(path("/srv/shop/state/app/venv")));
    assert_eq!(step.unless, Some(format!("test -e {ARTIFACT_TOKEN}/x")));
    assert_eq!(step.only_if_path, Some(path("/etc/debian_version")));
    assert_eq!(step.verify.as_deref(), Some("true web01"));
    let newer = step.assertions.newer.unwrap();
    assert_eq!((newer.path, newer.than), (path("venv"), vec![path("/etc/web01")]));
    assert_eq!(step.assertions.path, Some(path("venv")));
    assert_eq!(step.assertions.script.unwrap().path, script.path);
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
    let step = common::step(&sandbox.evaluate(), "web01", "app");
    assert_eq!(step.triggers.keys().collect::<Vec<_>>(), ["etc/", "etc/app.conf", "share/"]);
    let script = step.script.unwrap();
    assert_eq!((script.path.as_str(), &script.arguments[..]), ("bin/run", &["web01".to_owned()][..]));
    assert_eq!(step.creates, Some(HostPath::new("/srv/shop/state/app/made").unwrap()));
    assert_eq!(step.assertions.unchanged["etc/app.conf"], step.triggers["etc/app.conf"]);
    assert_eq!(step.assertions.script.unwrap().path.as_str(), "bin/run");
}

#[test]
fn the_artifact_is_a_token_wherever_a_step_may_name_it() {
    let component = format!(
        "[attributes]\nport = 80\n{FILES}[[step]]\nname = \"s\"\nupdate = \"{{{{ component.artifact }}}}/x {{{{ component.port }}}} {{{{ component.artifact ~ '/y' }}}}\"\n\
         revert = \"{{% set x = component.artifact %}}{{{{ x | replace('/etc', '/usr') }}}}\"\ndirectory = \"{{{{ component.artifact }}}}\"\ncreates = \"{{{{ component.artifact }}}}/x\"\n\
         environment = {{ OWN = \"{{{{ {{'a': component.artifact}}.a }}}}\" }}\nverify = {{ path = \"{{{{ component.artifact }}}}\" }}\n",
    );
    let step = step(&component);
    assert_eq!(step.update.unwrap(), format!("{ARTIFACT_TOKEN}/x 80 {ARTIFACT_TOKEN}/y"));
    assert_eq!(
        (step.revert.unwrap(), step.directory.unwrap()),
        (ARTIFACT_TOKEN.into(), ARTIFACT_TOKEN.into())
    );
    assert_eq!(step.creates, Some(HostPath::new(format!("{ARTIFACT_TOKEN}/x")).unwrap()));
    assert_eq!(step.environment["OWN"], ARTIFACT_TOKEN);
    assert_eq!(step.assertions.path, Some(HostPath::new(ARTIFACT_TOKEN).unwrap()));
}

#[test]
fn code_names_the_artifact_in_the_texts_of_steps() {
    let sandbox = Sandbox::app("");
    std::fs::remove_file(sandbox.root().join("components/app/component.toml")).unwrap();
    let code = "def configure(c):\n    name = \"x\"\n    \
        c.step(\"s\", update = f\"cat {{{{ component.artifact }}}}/{name}\", verify = \"test -e \" + \"{{ component.artifact }}/\" + name,\n           \
        environment = {\"OWN\": \"{{ component.artifact }}/{{ part }}\"}, variables = {\"part\": \"lib\"})\n";
    sandbox.write("components/app/component.star", code);
    let step = common::step(&sandbox.evaluate(), "web01", "app");
    assert_eq!(show_artifact(&step.update.unwrap()), "cat {{ component.artifact }}/x");
    assert_eq!(step.verify.unwrap(), format!("test -e {ARTIFACT_TOKEN}/x"));
    assert_eq!(step.environment["OWN"], format!("{ARTIFACT_TOKEN}/lib"));

    sandbox.write(
        "components/app/component.star",
        "def configure(c):\n    c.step(\"s\", update = c.expand(\"{{ component.artifact }}\"))\n",
    );
    insta::assert_snapshot!("step_artifact_expanded_by_code", sandbox.mistakes());
}

#[test]
fn a_sub_component_is_part_of_an_artifact() {
    let sandbox = Sandbox::app("");
    std::fs::remove_file(sandbox.root().join("components/app/component.toml")).unwrap();
    let code = |artifact: &str, content: &str| {
        format!(
            "def part(c):\n    c.file(\"x\", content = \"{content}\")\n    \
             c.step(\"s\", update = \"cat {{{{ component.artifact }}}}/{{{{ component.name }}}} {artifact}\")\n\n\
             Part = definition(attributes = {{\"size\": 1}}, configure = part)\n\ndef configure(c):\n    c.add(Part(\"p\"))\n"
        )
    };
    sandbox.write("components/app/component.star", code("", "{{ component }} {{ component.size }}"));
    let evaluation = sandbox.evaluate();
    assert_eq!(common::step(&evaluation, "web01", "app").update.unwrap(), format!("cat {ARTIFACT_TOKEN}/p "));
    let shown = common::text(&evaluation, "web01", "app", "x");
    assert!(
        shown.starts_with("{'name': 'p',") && shown.ends_with(" 1") && !shown.contains("artifact"),
        "{shown}"
    );
    sandbox.write("components/app/component.star", code("{{ component.sise }}", "{{ component.artifact }}"));
    insta::assert_snapshot!("step_sub_component", sandbox.mistakes());
}

#[test]
fn the_artifacts_path_cannot_be_changed() {
    let filters = ["upper", "replace('component', 'x')", "tojson", "urlencode", "truncate(12)"];
    let filters = filters.map(|filter| format!("update = \"x {{{{ component.artifact | {filter} }}}}\""));
    let parts = ["[1:]", ".split('-')"];
    let parts = parts.map(|part| format!("verify = {{ path = \"{{{{ component.artifact{part} }}}}\" }}"));
    let step = |(number, text)| format!("[[step]]\nname = \"{number}\"\n{text}\n");
    let steps: String = filters.into_iter().chain(parts).enumerate().map(step).collect();
    snapshot("step_artifact_changed", &steps);
}

#[test]
fn the_tokens_own_characters_are_refused_in_steps_only() {
    let marked = "\u{10ba71}x";
    let file = format!("[[file]]\npath = \"out\"\ncontent = \"{marked}\"\n");
    Sandbox::app(&file).evaluate();
    let component = format!(
        "[attributes]\nlabel = \"{marked}\"\ntoken = \"{ARTIFACT_TOKEN}\"\n{file}\
         [[step]]\nname = \"a\"\nupdate = \"echo {marked}\"\n\
         [[step]]\nname = \"b\"\nupdate = \"{{{{ component.label }}}}\"\n\
         [[step]]\nname = \"c\"\nupdate = \"true\"\ncreates = \"{{{{ component.token }}}}\"\n"
    );
    insta::assert_snapshot!("step_marked", Sandbox::app(&component).mistakes());
}

#[test]
fn mistakes_show_the_artifact_as_it_was_written() {
    snapshot(
        "step_artifact_shown",
        "[[step]]\nname = \"a\"\nupdate = \"x\"\ncreates = \"{{ component.artifact }}/../x\"\n\
         [[step]]\nname = \"b\"\nupdate = \"{{ (component.artifact ~ '/x') + 1 }}\"\n",
    );
}
