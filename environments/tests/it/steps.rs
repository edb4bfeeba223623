//! What steps depend on, and what is said of mistakes in them.

use batou_environments::Dependency;
use batou_release::{ARTIFACT_TOKEN, HostPath, Step, show_artifact};
use insta::assert_snapshot;

use super::common::{self, Sandbox};

const FILES: &str = "[[file]]\npath = \"etc/app.conf\"\ncontent = \"\"\n[[file]]\npath = \"etc/sub/a.ini\"\ncontent = \"\"\n\
    [[file]]\npath = \"bin/run\"\ncontent = \"\"\nmode = \"0755\"\n[[symlink]]\npath = \"etc/data\"\nto = \"x\"\n";

/// The only step of a component.
fn step(component: &str) -> Step<Dependency> {
    common::step(&Sandbox::app(component).evaluate(), "web01", "app")
}

fn entries(paths: &[&str]) -> Dependency {
    Dependency::Entries(paths.iter().map(|path| (*path).to_owned()).collect())
}

/// What is said of a component with those files and these steps.
fn mistakes(steps: &str) -> String {
    Sandbox::app(&format!("{FILES}{steps}")).mistakes()
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
    assert_snapshot!(
        "step_triggers",
        mistakes(
            "[[require]]\nkey = \"database\"\nstrict = false\n[[step]]\nname = \"a\"\nupdate = \"x\"\n\
             triggers = [\"etc/app.cnf\", \"*.yaml\", \"var/\", \"resource:databse\", \"resource:other\"]\n\
             [[step]]\nname = \"b\"\nupdate = \"x\"\nverify = { unchanged = [\"nothing\"] }\n"
        )
    );
    assert_snapshot!(
        mistakes(
            "[[step]]\nname = \"a\"\nupdate = \"x\"\ntriggers = [\"../x\", \"/etc/\", \"[\", 1]\n\
             [[step]]\nname = \"b\"\nupdate = \"x\"\nverify = { unchanged = [\"{{ host.name }}\"] }\n\
             [[step]]\nname = \"{{ host.name }}\"\nupdate = \"x\"\n"
        ),
        @r#"
    error: the path `../x` leaves the component with `..`
      --> components/app/component.toml:17:13
       |
    17 | triggers = ["../x", "/etc/", "[", 1]
       |             ^^^^^^

    error: the path `/etc/` is absolute; paths are relative to the component
      --> components/app/component.toml:17:21
       |
    17 | triggers = ["../x", "/etc/", "[", 1]
       |                     ^^^^^^^

    error: `[` is not a pattern of file names: unclosed character class; missing ']'
      --> components/app/component.toml:17:30
       |
    17 | triggers = ["../x", "/etc/", "[", 1]
       |                              ^^^

    error: `triggers` must be a list of strings, not an integer
      --> components/app/component.toml:17:35
       |
    17 | triggers = ["../x", "/etc/", "[", 1]
       |                                   ^

    error: the path `{{ host.name }}` looks like a template; a path cannot be one
      --> components/app/component.toml:21:25
       |
    21 | verify = { unchanged = ["{{ host.name }}"] }
       |                         ^^^^^^^^^^^^^^^^^

    error: the step's name `{{ host.name }}` looks like a template; a name cannot be one
      --> components/app/component.toml:23:8
       |
    23 | name = "{{ host.name }}"
       |        ^^^^^^^^^^^^^^^^^
    "#
    );
}

#[test]
fn mistakes_in_scripts() {
    assert_snapshot!(
        mistakes(
            "[[step]]\nname = \"a\"\nscript = \"etc/app.conf\"\n[[step]]\nname = \"b\"\nscript = \"bin/rn\"\n\
             [[step]]\nname = \"c\"\nverify = { script = \"etc/data\" }\n"
        ),
        @r#"
    error: the script `etc/app.conf` cannot be run: its mode is 0644
      --> components/app/component.toml:16:10
       |
    16 | script = "etc/app.conf"
       |          ^^^^^^^^^^^^^^
      = affects: web01/app
      = help: give the file mode = "0755"

    error: the component has no file `bin/rn`
      --> components/app/component.toml:19:10
       |
    19 | script = "bin/rn"
       |          ^^^^^^^^
      = affects: web01/app
      = help: did you mean `bin/run`?

    error: the component has no file `etc/data`
      --> components/app/component.toml:22:21
       |
    22 | verify = { script = "etc/data" }
       |                     ^^^^^^^^^^
      = affects: web01/app
      = help: add [[file]] with path = "etc/data", and give it mode = "0755"
    "#
    );
    assert_snapshot!(
        mistakes(
            "[[step]]\nname = \"a\"\nscript = \"/bin/sh\"\n[[step]]\nname = \"b\"\nscript = \"../bin/run\"\n\
             [[step]]\nname = \"c\"\nscript = \"bin/run\"\nupdate = \"x\"\n[[step]]\nname = \"d\"\nupdate = \"x\"\narguments = [\"x\"]\n"
        ),
        @r#"
    error: the path `/bin/sh` is absolute; paths are relative to the component
      --> components/app/component.toml:16:10
       |
    16 | script = "/bin/sh"
       |          ^^^^^^^^^

    error: the path `../bin/run` leaves the component with `..`
      --> components/app/component.toml:19:10
       |
    19 | script = "../bin/run"
       |          ^^^^^^^^^^^^

    error: a step can have `update` or `script`, not both
      --> components/app/component.toml:20:1
       |
    20 | [[step]]
       | ^^^^^^^^
      = help: drop one of the two, or make two steps

    error: `arguments` apply to `script`, and there is none
      --> components/app/component.toml:24:1
       |
    24 | [[step]]
       | ^^^^^^^^
      = help: write the arguments of a command into the command
    "#
    );
}

#[test]
fn mistakes_in_conditions() {
    assert_snapshot!(
        mistakes(
            "[[step]]\nname = \"a\"\nverify = \"x\"\ncreates = \"y\"\n[[step]]\nname = \"b\"\nverify = \"x\"\nunless = \"y\"\n"
        ),
        @r#"
    error: `creates` applies to `update`, and the step has none
      --> components/app/component.toml:14:1
       |
    14 | [[step]]
       | ^^^^^^^^
      = help: add update = "COMMAND", or use `verify`

    error: `unless` applies to `update`, and the step has none
      --> components/app/component.toml:18:1
       |
    18 | [[step]]
       | ^^^^^^^^
      = help: add update = "COMMAND", or use `verify`
    "#
    );
    assert_snapshot!(
        mistakes(
            "[[step]]\nname = \"a\"\nupdate = \"x\"\ncreates = \"../y\"\n[[step]]\nname = \"b\"\nupdate = \"x\"\nonly_if_path = \"{{ '' }}\"\n\
             [[step]]\nname = \"c\"\nupdate = \"x\"\ncreates = \"a\\nb\"\n[[step]]\nname = \"d\"\nverify = { path = \"{{ host.nam }}\" }\n"
        ),
        @r#"
    error: the path `../y` holds `..`: name the path without it
      --> components/app/component.toml:17:11
       |
    17 | creates = "../y"
       |           ^^^^^^
      = affects: web01/app

    error: the path is empty
      --> components/app/component.toml:21:16
       |
    21 | only_if_path = "{{ '' }}"
       |                ^^^^^^^^^^
      = affects: web01/app

    error: the path "a\nb" holds a control character
      --> components/app/component.toml:25:11
       |
    25 | creates = "a\nb"
       |           ^^^^^^
      = affects: web01/app

    error: `host.nam` is undefined
      --> components/app/component.toml:28:23
       |
    28 | verify = { path = "{{ host.nam }}" }
       |                       ^^^^^^^^
      = affects: web01/app
      = help: did you mean `host.name`?
    "#
    );
}

#[test]
fn mistakes_in_assertions() {
    assert_snapshot!(
        mistakes(
            "[[step]]\nname = \"a\"\nverify = {}\n[[step]]\nname = \"b\"\nverify = { newer = \"x\" }\n\
             [[step]]\nname = \"c\"\nverify = { than = [\"x\"] }\n[[step]]\nname = \"d\"\nverify = { comand = \"x\" }\n\
             [[step]]\nname = \"e\"\nverify = 3\n"
        ),
        @r#"
    error: `verify` is empty
      --> components/app/component.toml:16:10
       |
    16 | verify = {}
       |          ^^
      = help: the keys are command, newer, path, script, unchanged

    error: `newer` needs `than`: the files that it must not be older than
      --> components/app/component.toml:19:10
       |
    19 | verify = { newer = "x" }
       |          ^^^^^^^^^^^^^^^
      = help: add than = ["PATH"]

    error: `than` needs `newer`: the file that must not be older
      --> components/app/component.toml:22:10
       |
    22 | verify = { than = ["x"] }
       |          ^^^^^^^^^^^^^^^^
      = help: add newer = "PATH"

    error: unknown key `comand` in `verify`
      --> components/app/component.toml:25:12
       |
    25 | verify = { comand = "x" }
       |            ^^^^^^
      = help: did you mean `command`?

    error: `verify` must be a command, or a table of what must hold, not an integer
      --> components/app/component.toml:28:10
       |
    28 | verify = 3
       |          ^
    "#
    );
    assert_snapshot!(
        mistakes(
            "[[step]]\nname = \"a\"\nverify = { newer = \"venv\", than = [\"{{ component.path }}/etc/app.conf\"] }\n\
             [[step]]\nname = \"b\"\nverify = { newer = \"{{ component.artifact }}/x\", than = [\"venv\"] }\n\
             [[step]]\nname = \"c\"\ndirectory = \"{{ component.artifact }}\"\nverify = { newer = \"venv\", than = [\"x\"] }\n"
        ),
        @r#"
    error: `{{ component.path }}/etc/app.conf` is a file of a release, whose modification time does not say when it changed
      --> components/app/component.toml:16:36
       |
    16 | verify = { newer = "venv", than = ["{{ component.path }}/etc/app.conf"] }
       |                                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: to run the step when it changes, name it in `triggers` or `unchanged`

    error: `{{ component.artifact }}/x` is a file of a release, whose modification time does not say when it changed
      --> components/app/component.toml:19:20
       |
    19 | verify = { newer = "{{ component.artifact }}/x", than = ["venv"] }
       |                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: to run the step when it changes, name it in `triggers` or `unchanged`

    error: `venv` is a file of a release, whose modification time does not say when it changed
      --> components/app/component.toml:23:20
       |
    23 | verify = { newer = "venv", than = ["x"] }
       |                    ^^^^^^
      = affects: web01/app
      = help: to run the step when it changes, name it in `triggers` or `unchanged`
    "#
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
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: `component.artifact` does not exist yet while files, attributes and provided values are evaluated: use `component.path`, which stays the same across releases
     --> components/app/component.star:2:39
      |
    2 |     c.step("s", update = c.expand("{{ component.artifact }}"))
      |                                       ^^^^^^^^^^^^^^^^^^
      = affects: web01/app
    "#);
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
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: `component.artifact` does not exist yet while files, attributes and provided values are evaluated: use `component.path`, which stays the same across releases
     --> components/app/component.star:2:31
      |
    2 |     c.file("x", content = "{{ component.artifact }}")
      |                               ^^^^^^^^^^^^^^^^^^
      = affects: web01/app > Part("p")

    error: `component.sise` is undefined
     --> components/app/component.star:3:80
      |
    3 |     c.step("s", update = "cat {{ component.artifact }}/{{ component.name }} {{ component.sise }}")
      |                                                                                ^^^^^^^^^^^^^^
      = affects: web01/app > Part("p")
      = help: did you mean `component.size`?
    "#);
}

#[test]
fn the_artifacts_path_cannot_be_changed() {
    let filters = ["upper", "replace('component', 'x')", "tojson", "urlencode", "truncate(12)"];
    let filters = filters.map(|filter| format!("update = \"x {{{{ component.artifact | {filter} }}}}\""));
    let parts = ["[1:]", ".split('-')"];
    let parts = parts.map(|part| format!("verify = {{ path = \"{{{{ component.artifact{part} }}}}\" }}"));
    let step = |(number, text)| format!("[[step]]\nname = \"{number}\"\n{text}\n");
    let steps: String = filters.into_iter().chain(parts).enumerate().map(step).collect();
    assert_snapshot!("step_artifact_changed", mistakes(&steps));
}

#[test]
fn nothing_can_be_made_of_the_artifacts_path_that_does_not_hold_it() {
    let wrong = [
        "{{ component.artifact[8:12] }}",
        "{{ component.artifact[8:12] }} {{ component.artifact }}",
        "{{ component.artifact | length }}",
        "{{ component.artifact.split('/') | length }}",
        "{{ component.artifact.split('/')[2] is defined }}",
        "{{ component.artifact | wordcount }}",
        "{{ component.artifact == '/x' or component.artifact > '/b' }} {{ component.artifact.count('a') }}",
        "{{ (component.artifact ~ '/lib').split('/')[:-1] | length }}",
        "{% for c in component.artifact %}{{ loop.index }}{% endfor %}",
        "{% if 'batou' in component.artifact %}a{% else %}{{ component.artifact | indent }}b{% endif %}",
        "{{ component.artifact.startswith('/srv') }}",
        "{{ component.artifact.endswith('-app') }}",
        "{{ 'store' in component.artifact }}",
        "{{ 'long' if component.artifact | length > 60 else 'short' }}",
        "{{ [component.artifact, '/zzz'] | sort | join(' ') }}",
        "{{ component.artifact < '/x' }}",
        "{% if component.artifact.endswith('1') %}a{% endif %}{{ component.artifact[-3:-1] }}",
    ];
    for text in wrong {
        let mistakes = mistakes(&format!("[[step]]\nname = \"s\"\nupdate = \"\"\"{text}\"\"\"\n"));
        assert!(mistakes.contains("so it cannot be changed here"), "{text}: {mistakes}");
    }
    let right = [
        "{{ component.artifact }}/x{{ ' ' ~ component.artifact }}",
        "{% if component.artifact %}{{ component.artifact }}{% endif %}",
        "{{ component.artifact | trim }} {{ [component.artifact, 'x'] | join('/') }}",
        "{{ component.artifact.startswith('/') }} {{ component.artifact[0] }}",
    ];
    for text in right {
        step(&format!("{FILES}[[step]]\nname = \"s\"\nupdate = \"\"\"{text}\"\"\"\n"));
    }
}

#[test]
fn a_changed_path_of_the_artifact_is_shown_where_it_is_printed() {
    let component = "[[step]]\nname = \"s\"\nupdate = \"\"\"\nset -e\ncd {{ component.artifact }}\n\
                     {% set root = component.artifact | upper %}\nexec {{ root }}/run\n\"\"\"\n";
    assert_snapshot!(mistakes(component), @r"
    error: the path of the artifact is known only on the host, so it cannot be changed here: write {{ component.artifact }} by itself, and change it in the command
      --> components/app/component.toml:20:9
       |
    20 | exec {{ root }}/run
       |         ^^^^
      = affects: web01/app
    ");
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
    assert_snapshot!(Sandbox::app(&component).mistakes(), @r#"
    error: the text contains the character U+10BA71, which batou reserves for itself in steps
     --> components/app/component.toml:9:16
      |
    9 | update = "echo 􋩱x"
      |                ^
      = affects: web01/app
      = help: put it into a file of the component, which the step can read

    error: a value in the text contains the character U+10BA71, which batou reserves for itself in steps
      --> components/app/component.toml:12:10
       |
    12 | update = "{{ component.label }}"
       |          ^^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: put it into a file of the component, which the step can read

    error: a value in the text contains the character U+10BA70, which batou reserves for itself in steps
      --> components/app/component.toml:16:11
       |
    16 | creates = "{{ component.token }}"
       |           ^^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: put it into a file of the component, which the step can read
    "#);
}

#[test]
fn mistakes_show_the_artifact_as_it_was_written() {
    assert_snapshot!(
        mistakes(
            "[[step]]\nname = \"a\"\nupdate = \"x\"\ncreates = \"{{ component.artifact }}/../x\"\n\
             [[step]]\nname = \"b\"\nupdate = \"{{ (component.artifact ~ '/x') + 1 }}\"\n"
        ),
        @r#"
    error: the path `{{ component.artifact }}/../x` holds `..`: name the path without it
      --> components/app/component.toml:17:11
       |
    17 | creates = "{{ component.artifact }}/../x"
       |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app

    error: `+` cannot be used with a string and a number
      --> components/app/component.toml:20:14
       |
    20 | update = "{{ (component.artifact ~ '/x') + 1 }}"
       |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: `~` joins strings and numbers to a string; `x | int` makes a number of a string
    "#
    );
}
