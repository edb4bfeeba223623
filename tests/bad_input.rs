//! What a user gets who made a mistake: file, line and excerpt, what to do about it, exit status 2, and nothing
//! written anywhere.

use std::path::PathBuf;

use insta::assert_snapshot;

use crate::common::Sandbox;
use crate::shop::{self, Listing, greet, listing, says};

/// All that batou could have written to.
fn everything(sandbox: &Sandbox) -> Listing {
    let mut listing = listing(sandbox.project().parent().unwrap());
    // A temporary file that is gone again leaves its folder with another time.
    listing.remove(&PathBuf::from(sandbox.project().parent().unwrap()).join("tmp"));
    listing
}

/// What a command says that is refused.
#[track_caller]
fn refused(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let before = everything(sandbox);
    let output = sandbox.batou(arguments).fails(2);
    assert_eq!(output.stdout, "");
    assert_eq!(everything(sandbox), before);
    output.stderr
}

/// What is said of the mistakes in a project, by every command that could act on them.
#[track_caller]
fn mistakes(sandbox: &Sandbox) -> String {
    let said = refused(sandbox, &["switch", "dev"]);
    for arguments in [&["build", "dev"][..], &["plan", "dev"], &["switch", "dev", "--dry-run"]] {
        assert_eq!(refused(sandbox, arguments), said, "{arguments:?}");
    }
    said
}

/// The shop with another text for `app`.
fn with_app(text: &str) -> Sandbox {
    let sandbox = shop::local();
    sandbox.write("components/app/component.toml", text);
    sandbox
}

#[test]
fn an_unknown_key_is_shown_with_the_one_that_was_meant() {
    let sandbox = shop::local();
    shop::set(&sandbox, "platfrom = \"debian\"");
    assert_snapshot!(mistakes(&sandbox), @r#"
    error: unknown key `platfrom` in [environment]
     --> environments/dev/environment.toml:2:1
      |
    2 | platfrom = "debian"
      | ^^^^^^^^
      = help: did you mean `platform`?
    "#);
}

#[test]
fn an_undefined_name_is_shown_where_it_stands() {
    let sandbox = with_app("[[file]]\npath = \"app.conf\"\n");
    sandbox.write("components/app/app.conf", "one\nname = {{ component.nmae }}\n");
    assert_snapshot!(mistakes(&sandbox), @r"
    error: `component.nmae` is undefined
     --> components/app/app.conf:2:11
      |
    2 | name = {{ component.nmae }}
      |           ^^^^^^^^^^^^^^
      = affects: localhost/app
      = help: did you mean `component.name`?
    ");
}

#[test]
fn a_key_for_all_hosts_is_refused_for_one_with_the_place_where_it_belongs() {
    let sandbox = with_app("");
    let environment = "[environment]\nconnect_method = \"local\"\n[hosts]\nlocalhost = [\"app\"]\n\
                       [host.localhost]\ntarget_directory = \"/srv/{{ host.name }}\"\n";
    sandbox.write("environments/dev/environment.toml", environment);
    assert_snapshot!(mistakes(&sandbox), @r#"
    error: `target_directory` is no key of [host.…]
     --> environments/dev/environment.toml:6:1
      |
    6 | target_directory = "/srv/{{ host.name }}"
      | ^^^^^^^^^^^^^^^^
      = help: it is set in [environment], for all hosts: a host that needs another can be in an environment of its own, which `inherits` from this one
    "#);
}

#[test]
fn all_mistakes_are_shown_at_once() {
    let sandbox = with_app("[attributes]\nsize = 3\n[[file]]\npath = \"../etc\"\ncontent = \"\"\n");
    let environment = "[environment]\nconnect_method = \"local\"\nkep = 3\n[hosts]\nlocalhost = [\"app\", \"bd\"]\n\
                       \"web{01..\" = [\"db\"]\n[components.db]\nport = 3\n";
    sandbox.write("environments/dev/environment.toml", environment);
    assert_snapshot!(mistakes(&sandbox), @r#"
    error: the path `../etc` leaves the component with `..`
     --> components/app/component.toml:4:8
      |
    4 | path = "../etc"
      |        ^^^^^^^^

    error: unknown key `kep` in [environment]
     --> environments/dev/environment.toml:3:1
      |
    3 | kep = 3
      | ^^^
      = help: did you mean `keep`?

    error: there is no component `bd`
     --> environments/dev/environment.toml:5:21
      |
    5 | localhost = ["app", "bd"]
      |                     ^^^^
      = help: did you mean `db`?

    error: the host pattern `web{01..` opens a `{` and never closes it
     --> environments/dev/environment.toml:6:1
      |
    6 | "web{01.." = ["db"]
      | ^^^^^^^^^^
      = help: write `web{01..12}` for a range or `{a,b}` for a choice

    error: the component `db` declares no attribute `port`
     --> environments/dev/environment.toml:8:1
      |
    8 | port = 3
      | ^^^^
      = help: declare it in [attributes] of components/db/component.toml

    5 errors
    "#);
}

#[test]
fn a_template_that_never_ends_is_ended() {
    let each = "{% for a in range(99999) %}";
    let sandbox = with_app(&format!(
        "[[file]]\npath = \"f\"\ncontent = \"{each}{each}{{% endfor %}}{{% endfor %}}\"\n"
    ));
    assert_snapshot!(mistakes(&sandbox), @r#"
    error: the template does too much work, or never ends
     --> components/app/component.toml:3:11
      |
    3 | content = "{% for a in range(99999) %}{% for a in range(99999) %}{% endfor %}{% endfor %}"
      |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = affects: localhost/app
      = help: look for a loop that grows; a template may do about five million operations
    "#);
}

#[test]
fn a_circle_is_shown() {
    let sandbox = with_app("[[provide]]\nkey = \"a\"\nvalue = 1\n[[require]]\nkey = \"b\"\n");
    sandbox.write(
        "components/db/component.toml",
        "[[provide]]\nkey = \"b\"\nvalue = 1\n[[require]]\nkey = \"a\"\n",
    );
    assert_snapshot!(mistakes(&sandbox), @r#"
    error: components require each other in a cycle: localhost/app -> localhost/db -> localhost/app
     --> components/app/component.toml:5:7
      |
    5 | key = "b"
      |       ^^^
      = help: `dirty = true` on one of the requirements leaves their order open
    "#);
}

#[test]
fn what_comes_later_is_said_not_to_be_there_yet() {
    let sandbox = with_app("[[service]]\nname = \"app\"\nexec = [\"app\"]\n");
    assert_snapshot!(mistakes(&sandbox), @r"
    error: `service` in component.toml is not supported yet
     --> components/app/component.toml:1:3
      |
    1 | [[service]]
      |   ^^^^^^^
      = help: remove it for now
    ");
}

#[test]
fn a_mistake_after_a_release_changes_nothing_on_the_host() {
    let sandbox = shop::local();
    sandbox.batou(&["switch", "dev"]).success();
    sandbox.batou(&["build", "dev"]).success();
    greet(&sandbox, "{{ mistaken }}");
    says(&mistakes(&sandbox), &["`mistaken` is undefined", "components/app/component.toml:"]);
}

#[test]
fn mistakes_are_objects_with_json() {
    let sandbox = shop::local();
    shop::set(&sandbox, "platfrom = \"debian\"");
    let lines = sandbox.batou(&["check", "dev", "--json"]).fails(2).json();
    let file = "environments/dev/environment.toml";
    assert_eq!(
        (&lines[0]["type"], &lines[0]["file"], &lines[0]["line"]),
        (&"error".into(), &file.into(), &2.into())
    );
}

#[test]
fn what_is_no_file_is_a_mistake_and_not_waited_for() {
    for file in ["batou.toml", "environments/dev/environment.toml", "components/app/component.toml"] {
        let sandbox = shop::local();
        std::fs::remove_file(sandbox.project().join(file)).unwrap();
        assert!(sandbox.program("mkfifo").arg(file).status().unwrap().success());
        for arguments in [&["check"][..], &["check", "dev"], &["switch", "dev"]] {
            says(&refused(&sandbox, arguments), &[file, "it is a pipe, a socket or a device, and no file"]);
        }
    }
    let sandbox = shop::local();
    assert!(sandbox.program("mkfifo").arg("plan").status().unwrap().success());
    says(&refused(&sandbox, &["switch", "dev", "--plan", "plan"]), &["plan cannot be read", "and no file"]);
}

#[test]
fn a_bad_command_line_is_refused() {
    let sandbox = shop::local();
    assert_snapshot!(refused(&sandbox, &["swich", "dev"]), @r"
    error: unrecognized subcommand 'swich'

      tip: a similar subcommand exists: 'switch'

    Usage: batou [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(refused(&sandbox, &["switch", "prod"]), @r"
    error: there is no environment `prod`
      = help: there are: dev
    ");
    for arguments in [&[][..], &["switch"], &["switch", "dev", "--lock-wait", "soon"], &["switch", "../dev"]]
    {
        refused(&sandbox, arguments);
    }
    refused(&Sandbox::new(), &["switch", "dev"]);
    // What follows `--` is another program's: this is no wish for JSON.
    refused(&sandbox, &["exec", "--", "ls", "--json"]);
    says(&sandbox.batou(&["help", "switch"]).success().stdout, &["Usage: batou switch"]);
}

#[test]
fn control_characters_are_made_visible() {
    let evil = "\\u001b]0;owned\\u0007";
    let sandbox = shop::local();
    sandbox.write("components/app/component.toml", format!("[[file]]\npath = \"{evil}\"\ncontent = \"\"\n"));
    says(&mistakes(&sandbox), &["`^[]0;owned^G`"]);
    sandbox.write("components/app/component.toml", format!("[[file]]\npath = \"a\"\ncontent = \"{evil}\"\n"));
    let plan = sandbox.batou(&["switch", "dev"]).success();
    assert!(!plan.stdout.contains('\u{1b}'));
    sandbox
        .write("components/app/component.toml", format!("[[file]]\npath = \"a\"\ncontent = \"{evil}2\"\n"));
    let plan = sandbox.batou(&["plan", "dev"]).success().stdout;
    assert!(!plan.contains(['\u{1b}', '\u{7}']), "{plan:?}");
    says(&plan, &["+^[]0;owned^G2"]);
}
