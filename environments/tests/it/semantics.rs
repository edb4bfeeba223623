//! What users of batou 2 know of resources, attributes and hosts. Each sentence is a test, here or where its subject is:
//!
//! - order of declaration is irrelevant: `random::the_order_of_declaration_changes_nothing`
//! - `host = "same"` sees only that host: `resources::one_same_host_and_named_host`
//! - consumers wait for providers on all hosts: `resources::a_list_comes_in_the_order_of_hosts_and_keeps_its_types`,
//!   and on real hosts `providers_are_activated_before_those_that_require_them`
//! - a cycle is reported with its members, never a hang: `resources::cycles_are_shown_with_their_members`,
//!   `resources::values_in_a_cycle_are_shown_with_their_members`, `random::cycles_are_found`
//! - two values where one is expected: `bad_components::requirements`
//! - `strict = false` accepts none: `resources::requirements_that_are_not_strict_may_stay_open`
//! - what is ignored still provides: `resources::what_is_ignored_still_provides_and_passes_on_what_it_waits_for`
//! - `"9002"` becomes a number: `types::strings_become_the_declared_type`
//! - an override nobody declares is rejected: `bad_environments::overrides`
//! - resolver entries beat DNS: `dns::the_resolver_of_the_environment_comes_first`
//! - an attribute without a value is named: `bad_components::values`

use insta::assert_snapshot;

use super::common::{Sandbox, component, text};
use super::resources::{WEB, requirer, sandbox};

#[test]
fn a_provider_nobody_requires_is_an_error() {
    assert_snapshot!(sandbox("a = [\"web\"]\nb = [\"web\"]", &[("web", WEB)]).mistakes(), @r#"
    error: no component requires `web`
     --> components/web/component.toml:4:7
      |
    4 | key = "web"
      |       ^^^^^
      = affects: a/web, b/web
      = help: require it in a component of this environment, or do not provide it
    "#);
    let misspelt = requirer("strict = false", "x").replace("\"web\"", "\"wep\"");
    let misspelt = sandbox("a = [\"web\", \"lb\"]", &[("web", WEB), ("lb", &misspelt)]);
    assert_snapshot!(misspelt.mistakes(), @r#"
    error: no component requires `web`
     --> components/web/component.toml:4:7
      |
    4 | key = "web"
      |       ^^^^^
      = affects: a/web
      = help: `wep` is required: did you mean that?
    "#);
}

#[test]
fn a_provider_is_required_by_whom_can_see_it() {
    let same = requirer("host = \"same\"", "{{ web }}");
    let lonely = sandbox("a = [\"web\", \"lb\"]\nb = [\"web\"]", &[("web", WEB), ("lb", &same)]);
    let mistakes = lonely.mistakes();
    assert!(
        mistakes.contains("no component requires `web`") && mistakes.contains("affects: b/web"),
        "{mistakes}"
    );
    assert!(!mistakes.contains("a/web"), "{mistakes}");
    let ignored =
        sandbox("a = [\"web\"]\nb = [\"!lb\"]", &[("web", WEB), ("lb", &requirer("", "{{ web }}"))]);
    assert_eq!(ignored.evaluate().components.len(), 1);
}

#[test]
fn a_requirement_nobody_provides_names_key_host_and_requirer() {
    let anywhere = requirer("", "x");
    let there = requirer("host = \"b\"", "x");
    let own = requirer("host = \"same\"", "x");
    let components = [("anywhere", &*anywhere), ("there", &*there), ("own", &*own)];
    let hosts = "a = [\"anywhere\", \"there\"]\nb = [\"own\"]\nc = [\"own\"]";
    assert_snapshot!(sandbox(hosts, &components).mistakes(), @r#"
    error: no component provides `web`
     --> components/anywhere/component.toml:2:7
      |
    2 | key = "web"
      |       ^^^^^
      = affects: a/anywhere
      = help: place a component that provides it on a host; with `strict = false` there may be none

    error: no component on the same host provides `web`
     --> components/own/component.toml:2:7
      |
    2 | key = "web"
      |       ^^^^^
      = affects: b/own, c/own
      = help: place a component that provides it on a host; with `strict = false` there may be none

    error: no component on the host `b` provides `web`
     --> components/there/component.toml:2:7
      |
    2 | key = "web"
      |       ^^^^^
      = affects: a/there
      = help: place a component that provides it on a host; with `strict = false` there may be none
    "#);
}

#[test]
fn the_failure_of_a_component_shows_in_its_own_file_and_nowhere_else() {
    let broken = "[attributes]\nport = \"{{ host.data.prot }}\"\n[[provide]]\nkey = \"web\"\nvalue = \"{{ component.port }}\"\n";
    let lb = format!(
        "{}[[provide]]\nkey = \"lb\"\nvalue = \"{{{{ web[0] }}}}\"\n",
        requirer("", "{{ web | join(',') }}")
    );
    let top = "[[require]]\nkey = \"lb\"\n[[file]]\npath = \"x\"\ncontent = \"{{ lb }}\"\n";
    let sandbox = sandbox(
        "a = [\"web\"]\nb = [\"web\", \"top\"]\nc = [\"lb\"]",
        &[("web", broken), ("lb", &lb), ("top", top)],
    );
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: `host.data.prot` is undefined
     --> components/web/component.toml:2:12
      |
    2 | port = "{{ host.data.prot }}"
      |            ^^^^^^^^^^^^^^
      = affects: a/web, b/web
      = help: `host.data` has no members
    "#);
}

#[test]
fn requirements_limited_to_a_host_do_not_influence_other_hosts() {
    let own = requirer("host = \"same\"\none = true", "{{ web }}");
    let hosts = "a = [\"web\", \"own\"]\nb = [\"web\", \"own\"]";
    let evaluation = sandbox(hosts, &[("web", WEB), ("own", &own)]).evaluate();
    for host in ["a", "b"] {
        assert_eq!(text(&evaluation, host, "own", "out"), format!("{host}:8080"));
        let after: Vec<_> =
            component(&evaluation, host, "own").after.iter().map(ToString::to_string).collect();
        assert_eq!(after, [format!("{host}/web")]);
    }
}

#[test]
fn a_value_of_the_wrong_type_names_attribute_and_component() {
    let sandbox = Sandbox::app(
        "[attributes]\nport = 80\n[[file]]\npath = \"out\"\ncontent = \"{{ component.port + 1 }}\"\n",
    );
    let environment = |port: &str| {
        format!(
            "[hosts]\nweb01 = [\"app\"]\nweb02 = [\"app\"]\n[components.app]\nport = {port}\n[components.\"app@web02\"]\nport = 1\n"
        )
    };
    sandbox.write("environments/prod/environment.toml", environment("\"9002\""));
    assert_eq!(text(&sandbox.evaluate(), "web01", "app", "out"), "9003");
    sandbox.write("environments/prod/environment.toml", environment("\"x\""));
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: the attribute `port` of `app` must be an integer, not "x"
     --> environments/prod/environment.toml:5:8
      |
    5 | port = "x"
      |        ^^^
      = affects: web01/app
    "#);
}

#[test]
fn a_hosts_service_user_and_platform_beat_the_environments() {
    let sandbox = Sandbox::app(
        "[[file]]\npath = \"out\"\ncontent = \"{{ host.platform }} of {{ environment.platform }}\"\n",
    );
    sandbox.write(
        "environments/prod/environment.toml",
        "[environment]\nplatform = \"debian12\"\nservice_user = \"shop\"\n[hosts]\nweb01 = [\"app\"]\nweb02 = [\"app\"]\n\
         [host.web02]\nplatform = \"nixos\"\nservice_user = \"other\"\n",
    );
    let evaluation = sandbox.evaluate();
    assert_eq!(text(&evaluation, "web01", "app", "out"), "debian12 of debian12");
    assert_eq!(text(&evaluation, "web02", "app", "out"), "nixos of debian12");
    let users: Vec<_> = evaluation.hosts.iter().map(|host| host.service_user.as_deref().unwrap()).collect();
    assert_eq!(users, ["shop", "other"]);
}

#[test]
fn listening_on_an_address_family_that_is_off_is_an_error() {
    let listen = |settings: &str, field: &str| {
        let sandbox = Sandbox::app(&format!(
            "[attributes]\na = {{ type = \"address\", default = \"www.example.net:80\" }}\n[[file]]\npath = \"x\"\ncontent = \"{{{{ component.a.{field} }}}}\"\n"
        ));
        sandbox.write(
            "environments/prod/environment.toml",
            format!("[environment]\n{settings}\n[hosts]\nweb01 = [\"app\"]\n[resolver]\n\"www.example.net\" = [\"192.0.2.1\", \"2001:db8::1\"]\n"),
        );
        sandbox
    };
    assert_snapshot!(listen("require_v4 = false\nrequire_v6 = true", "listen").mistakes(), @r#"
    error: there is no IPv4 address for `www.example.net:80`: `require_v4` is false in [environment]
     --> components/app/component.toml:5:24
      |
    5 | content = "{{ component.a.listen }}"
      |                        ^^^^^^^^^
      = affects: web01/app
    "#);
    assert_snapshot!(listen("require_v6 = false", "listen_v6").mistakes(), @r#"
    error: there is no IPv6 address for `www.example.net:80`: `require_v6` is false in [environment]
     --> components/app/component.toml:5:24
      |
    5 | content = "{{ component.a.listen_v6 }}"
      |                        ^^^^^^^^^^^^
      = affects: web01/app
    "#);
    let both = listen("require_v6 = true", "listen_v6");
    assert_eq!(text(&both.evaluate(), "web01", "app", "x"), "[2001:db8::1]:80");
}

#[test]
fn selected_features_replace_the_default_which_is_all() {
    let component = "features = [\"web\", \"worker\"]\n[[file]]\npath = \"out\"\ncontent = \"{{ component.features | join('+') }}\"\n";
    let hosts = "a = [\"app\"]\nb = [\"app:worker\"]\nc = [\"app:worker\", \"app:web\"]";
    let evaluation = sandbox(hosts, &[("app", component)]).evaluate();
    let shown = |host| text(&evaluation, host, "app", "out");
    assert_eq!([shown("a"), shown("b"), shown("c")], ["web+worker", "worker", "web+worker"]);
    assert_snapshot!(sandbox("a = [\"app:wep\"]", &[("app", component)]).mistakes(), @r#"
    error: the component `app` has no feature `wep`
     --> environments/prod/environment.toml:2:6
      |
    2 | a = ["app:wep"]
      |      ^^^^^^^^^
      = help: did you mean `web`?
    "#);
}

#[test]
fn seven_mistakes_in_files_are_shown_at_once() {
    let environment = "[environment]\nkeep = \"many\"\nplatfrom = \"x\"\n[hosts]\n\"web{01..02}\" = [\"app\", \"lost\"]\n\
         \"db{01..\" = [\"app\"]\ndb01 = [\"db\"]\n";
    let app = "[[file]]\npath = \"../etc\"\ncontent = \"\"\n[[file]]\npath = \"missing\"\n";
    let sandbox = Sandbox::new(&[
        ("environments/prod/environment.toml", environment),
        ("components/app/component.toml", app),
        ("components/db/component.toml", "[[step]\n"),
    ]);
    let mistakes = sandbox.mistakes();
    assert_eq!(mistakes.matches("error: ").count(), 7);
    assert_snapshot!("seven_load_errors", mistakes);
}

/// Components without a mistake in their files, and twelve in what they want of each other and of their values.
const TWELVE: [(&str, &str); 6] = [
    (
        "needs",
        "[[require]]\nkey = \"nothing\"\n[[require]]\nkey = \"many\"\none = true\n[[require]]\nkey = \"sorted\"\nsort = \"weight\"\n",
    ),
    (
        "gives",
        "[[provide]]\nkey = \"many\"\nvalue = 1\n[[provide]]\nkey = \"sorted\"\nvalue = { name = \"x\" }\n[[provide]]\nkey = \"unused\"\nvalue = 1\n",
    ),
    ("one", "[[provide]]\nkey = \"one\"\nvalue = 1\n[[require]]\nkey = \"two\"\n"),
    ("two", "[[provide]]\nkey = \"two\"\nvalue = 1\n[[require]]\nkey = \"one\"\n"),
    (
        "values",
        "[attributes]\nunset = { type = \"str\" }\nport = 80\naddress = { type = \"address\", default = \"web01\" }\na = \"{{ component.b }}\"\nb = \"{{ component.a }}\"\n",
    ),
    (
        "files",
        "[[file]]\npath = \"x\"\ncontent = \"{{ host.nme }}\"\n[[step]]\nname = \"run\"\nscript = \"x\"\n\
         [[step]]\nname = \"reload\"\nupdate = \"true\"\ntriggers = [\"etc/\"]\n",
    ),
];

#[test]
fn twelve_mistakes_in_the_configuration_are_shown_at_once_with_the_affected_hosts() {
    let hosts = "a = [\"needs\", \"gives\", \"one\"]\nb = [\"gives\", \"two\", \"values\", \"files\"]\nc = [\"values\", \"files\"]\n\
         [components.values]\nport = \"x\"\n";
    let mistakes = sandbox(hosts, &TWELVE).mistakes();
    assert_eq!(mistakes.matches("error: ").count(), 12);
    assert_snapshot!("twelve_configuration_errors", mistakes);
}
