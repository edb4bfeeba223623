//! What is said of mistakes in batou.toml and environment.toml.

use insta::assert_snapshot;

use super::common::Sandbox;

/// A project with one component `app` that has the attribute `port`, and this environment.
fn environment(text: &str) -> Sandbox {
    Sandbox::new(&[
        ("environments/prod/environment.toml", text),
        ("components/app/component.toml", "[attributes]\nport = 80\n"),
    ])
}

/// What is said of this environment in that project.
fn mistakes(text: &str) -> String {
    environment(text).mistakes()
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    assert_snapshot!(
        mistakes("[environment]\nconect_method = \"ssh\"\nzzz = 1\n[hots]\nweb01 = [\"app\"]\n"),
        @r#"
    error: unknown key `conect_method` in [environment]
     --> environments/prod/environment.toml:2:1
      |
    2 | conect_method = "ssh"
      | ^^^^^^^^^^^^^
      = help: did you mean `connect_method`?

    error: unknown key `zzz` in [environment]
     --> environments/prod/environment.toml:3:1
      |
    3 | zzz = 1
      | ^^^
      = help: the keys are branch, connect_method, host_domain, inherits, jobs, keep, platform, protected, require_sudo, require_v4, require_v6, service_user, target_directory, timeout

    error: unknown key `hots` in environment.toml
     --> environments/prod/environment.toml:4:2
      |
    4 | [hots]
      |  ^^^^
      = help: did you mean `host`?
    "#
    );
    assert_snapshot!(mistakes("[hosts]\nweb01 = []\n[host.web01]\nadress = \"10.0.0.1\"\n"), @r#"
    error: unknown key `adress` in [host.…]
     --> environments/prod/environment.toml:4:1
      |
    4 | adress = "10.0.0.1"
      | ^^^^^^
      = help: did you mean `address`?
    "#);
}

#[test]
fn a_mistake_in_a_pattern_is_one_mistake() {
    let text = "[hosts]\n\"web{01..12}\" = []\n[host.\"web{01..12}\"]\nadress = \"x\"\nplatform = 1\n[host.web03]\nplatform = \"y\"\n";
    let mistakes = environment(text).mistakes();
    assert_eq!(mistakes.matches("error:").count(), 2, "{mistakes}");
}

#[test]
fn wrong_types_and_values() {
    assert_snapshot!(
        "env_wrong_types",
        mistakes(
            "[environment]\nconnect_method = \"telnet\"\nkeep = 0\njobs = \"many\"\nprotected = 1\nrequire_v4 = \"maybe\"\n\
             service_user = \"-oProxyCommand=x\"\nhost_domain = \"a b\"\n[hosts]\nweb01 = 5\nweb02 = [1, \"App\"]\n"
        )
    );
    assert_snapshot!(mistakes("[environment\nkeep = 1\n[hosts]\nx = = 2\n"), @"
    error: not valid TOML: unclosed table, expected `]`
     --> environments/prod/environment.toml:1:13
      |
    1 | [environment
      |             ^

    error: not valid TOML: extra `=`, expected nothing
     --> environments/prod/environment.toml:4:5
      |
    4 | x = = 2
      |     ^

    error: not valid TOML: unexpected key or value, expected newline, `#`
     --> environments/prod/environment.toml:4:7
      |
    4 | x = = 2
      |       ^
    ");
    assert_snapshot!(
        mistakes("[environment]\ntarget_directory = \"/srv/../etc\"\n[hosts]\nweb01 = []\n"),
        @r#"
    error: `target_directory` must be an absolute path without `..`
     --> environments/prod/environment.toml:2:20
      |
    2 | target_directory = "/srv/../etc"
      |                    ^^^^^^^^^^^^^
      = help: write it as /srv/NAME
    "#
    );
    assert_snapshot!(
        mistakes("[environment]\ntarget_directory = \"~/x\"\n[hosts]\nweb01 = []\nweb02 = []\n"),
        @r#"
    error: `~` has no meaning without a service user
     --> environments/prod/environment.toml:2:20
      |
    2 | target_directory = "~/x"
      |                    ^^^^^
      = help: set service_user, or home in [host.X]
    "#
    );
    assert_snapshot!(
        mistakes(
            "[hosts]\nweb01 = []\n[resolver]\n\"www.example.net\" = [\"192.0.2.1\", \"x\"]\n\"WWW.example.net.\" = \"192.0.2.2\"\n"
        ),
        @r#"
    error: the name `www.example.net` is declared twice in [resolver]
     --> environments/prod/environment.toml:4:1
      |
    4 | "www.example.net" = ["192.0.2.1", "x"]
      | ^^^^^^^^^^^^^^^^^
      = help: keep one of the two

    error: `www.example.net` in [resolver] must be an IP address or a list of them
     --> environments/prod/environment.toml:4:35
      |
    4 | "www.example.net" = ["192.0.2.1", "x"]
      |                                   ^^^
    "#
    );
}

#[test]
fn later_features_are_not_supported_yet() {
    let sandbox = environment(
        "[environment]\nservice_manager = \"systemd\"\n[hosts]\nweb01 = []\n[vfs]\nsandbox = \"Developer\"\n",
    );
    sandbox.write("environments/prod/secrets.toml", "");
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: `service_manager` in [environment] is not supported yet
     --> environments/prod/environment.toml:2:1
      |
    2 | service_manager = "systemd"
      | ^^^^^^^^^^^^^^^
      = help: remove it for now

    error: `vfs` in environment.toml is not supported yet
     --> environments/prod/environment.toml:5:2
      |
    5 | [vfs]
      |  ^^^
      = help: remove it for now

    error: secrets.toml is not supported yet
     --> environments/prod/secrets.toml
    "#);
}

#[test]
fn hosts_and_patterns() {
    assert_snapshot!(mistakes("[hosts]\n\"web{01..03\" = [\"app\"]\n\"db{x}\" = [\"app\"]\n"), @r#"
    error: the host pattern `web{01..03` opens a `{` and never closes it
     --> environments/prod/environment.toml:2:1
      |
    2 | "web{01..03" = ["app"]
      | ^^^^^^^^^^^^
      = help: write `web{01..12}` for a range or `{a,b}` for a choice

    error: `{x}` in the host pattern `db{x}` is neither a range like {01..12} nor a choice like {a,b}
     --> environments/prod/environment.toml:3:1
      |
    3 | "db{x}" = ["app"]
      | ^^^^^^^
      = help: write `web{01..12}` for a range or `{a,b}` for a choice
    "#);
    assert_snapshot!(mistakes("[hosts]\nweb01 = [\"app\"]\n\"WEB01.\" = [\"app\"]\n"), @r#"
    error: the host `web01` is declared twice
     --> environments/prod/environment.toml:2:1
      |
    2 | web01 = ["app"]
      | ^^^^^
      = help: keep one of the two
    "#);
    assert_snapshot!(mistakes("[hosts]\nweb01 = [\"app\"]\nweb01 = [\"app\"]\n"), @r#"
    error: not valid TOML: duplicate key
     --> environments/prod/environment.toml:3:1
      |
    3 | web01 = ["app"]
      | ^^^^^
    "#);
    assert_snapshot!(mistakes("[hosts]\n\"web{01..03}\" = [\"app\"]\n\"web{03..04}\" = []\n"), @r#"
    error: the patterns `web{01..03}` and `web{03..04}` disagree
     --> environments/prod/environment.toml:3:1
      |
    3 | "web{03..04}" = []
      | ^^^^^^^^^^^^^
      = affects: web03
      = help: give each host that both match an entry of its own
    "#);
    assert_snapshot!(
        mistakes("[hosts]\n\"-oProxyCommand=touch x\" = []\n\"a\\u001B[31m\" = []\n\"ä\" = []\n"),
        @r#"
    error: `-oproxycommand=touch x` is not a host's name
     --> environments/prod/environment.toml:2:1
      |
    2 | "-oProxyCommand=touch x" = []
      | ^^^^^^^^^^^^^^^^^^^^^^^^
      = help: use letters, digits, `_` and `-`, with single dots between, and no leading dash

    error: `a^[[31m` is not a host's name
     --> environments/prod/environment.toml:3:1
      |
    3 | "a\u001B[31m" = []
      | ^^^^^^^^^^^^^
      = help: use letters, digits, `_` and `-`, with single dots between, and no leading dash

    error: `ä` is not a host's name
     --> environments/prod/environment.toml:4:1
      |
    4 | "ä" = []
      | ^^^
      = help: use letters, digits, `_` and `-`, with single dots between, and no leading dash
    "#
    );
    assert_snapshot!(
        mistakes(
            "[hosts]\n\"web01:22\" = []\nweb02 = []\n\"2001:db8::1\" = []\n[host.web02]\naddress = \"10.0.0.1:22\"\n"
        ),
        @r#"
    error: `web01:22` is not a host's name
     --> environments/prod/environment.toml:2:1
      |
    2 | "web01:22" = []
      | ^^^^^^^^^^
      = help: set the port in ssh_config; only an IPv6 address has colons

    error: `10.0.0.1:22` is not a host's name or address
     --> environments/prod/environment.toml:6:11
      |
    6 | address = "10.0.0.1:22"
      |           ^^^^^^^^^^^^^
      = help: set ports and users in ssh_config; write an IPv6 address without brackets
    "#
    );
    assert_snapshot!(
        mistakes("[hosts]\nweb01 = [\"app\"]\n[host.web10]\n[components.\"app@web02\"]\nport = 1\n"),
        @r#"
    error: there is no host `web10`
     --> environments/prod/environment.toml:3:7
      |
    3 | [host.web10]
      |       ^^^^^
      = help: declare it in [hosts], if only as `web10 = false` until it is retired, or remove this table

    error: there is no host `web02`
     --> environments/prod/environment.toml:4:13
      |
    4 | [components."app@web02"]
      |             ^^^^^^^^^^^
      = help: declare it in [hosts]
    "#
    );
}

#[test]
fn components_and_overrides() {
    assert_snapshot!(
        mistakes(
            "[hosts]\nweb01 = [\"ap\", \"app\", \"app\"]\nweb02 = \"app, -rf, ap\"\n[components.aap]\nport = 1\n"
        ),
        @r#"
    error: there is no component `ap`
     --> environments/prod/environment.toml:2:10
      |
    2 | web01 = ["ap", "app", "app"]
      |          ^^^^
      = help: did you mean `app`?

    error: the component `app` is declared twice for one host
     --> environments/prod/environment.toml:2:23
      |
    2 | web01 = ["ap", "app", "app"]
      |                       ^^^^^
      = help: keep one of the two

    error: `-rf` is not a component's name
     --> environments/prod/environment.toml:3:15
      |
    3 | web02 = "app, -rf, ap"
      |               ^^^
      = help: a name is a lower-case letter, then lower-case letters, digits, `_` and `-`; write `app:web` for a feature

    error: there is no component `aap`
     --> environments/prod/environment.toml:4:13
      |
    4 | [components.aap]
      |             ^^^
      = help: did you mean `app`?
    "#
    );
    assert_snapshot!(
        mistakes(
            "[hosts]\nweb01 = [\"app\"]\nweb02 = [\"app\"]\n[components.app]\nprot = 1\nport = \"x\"\n[components.\"app@web02\"]\nother = 1\n"
        ),
        @r#"
    error: the component `app` declares no attribute `prot`
     --> environments/prod/environment.toml:5:1
      |
    5 | prot = 1
      | ^^^^
      = help: did you mean `port`?

    error: the attribute `port` of `app` must be an integer, not "x"
     --> environments/prod/environment.toml:6:8
      |
    6 | port = "x"
      |        ^^^
      = affects: web01/app, web02/app

    error: the component `app` declares no attribute `other`
     --> environments/prod/environment.toml:8:1
      |
    8 | other = 1
      | ^^^^^
      = help: it declares `port`
    "#
    );
    assert_snapshot!(
        mistakes(
            "[hosts]\n\"web{01..03}\" = [\"app\"]\n[components.\"app@web{01..02}\"]\nport = 1\n[components.\"app@web{02..03}\"]\nport = 2\n"
        ),
        @"
    error: the patterns `web{01..02}` and `web{02..03}` disagree about `port`
     --> environments/prod/environment.toml:6:1
      |
    6 | port = 2
      | ^^^^
      = affects: web02
      = help: give each host that both match an entry of its own
    "
    );
}

#[test]
fn inheritance() {
    let sandbox = environment("[environment]\ninherits = \"base\"\n");
    sandbox.write("environments/base/environment.toml", "[environment]\ninherits = \"prod\"\n");
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: environments inherit from each other in a cycle: prod -> base -> prod
     --> environments/base/environment.toml:2:12
      |
    2 | inherits = "prod"
      |            ^^^^^^
    "#);
    assert_snapshot!(mistakes("[environment]\ninherits = \"prood\"\n"), @r#"
    error: there is no environment `prood`
     --> environments/prod/environment.toml:2:12
      |
    2 | inherits = "prood"
      |            ^^^^^^^
      = help: did you mean `prod`?
    "#);
    assert_snapshot!(mistakes("[environment]\ninherits = \"../../etc\"\n"), @r#"
    error: `../../etc` is not an environment's name
     --> environments/prod/environment.toml:2:12
      |
    2 | inherits = "../../etc"
      |            ^^^^^^^^^^^
    "#);
}

#[test]
fn mistakes_in_an_inherited_file_are_shown_there() {
    let sandbox = environment("[environment]\ninherits = \"base\"\n");
    sandbox
        .write("environments/base/environment.toml", "[environment]\nkep = 3\n[hosts]\nweb01 = [\"app\"]\n");
    assert_snapshot!(sandbox.mistakes(), @"
    error: unknown key `kep` in [environment]
     --> environments/base/environment.toml:2:1
      |
    2 | kep = 3
      | ^^^
      = help: did you mean `keep`?
    ");
}

#[test]
fn projects() {
    let sandbox = environment("[hosts]\n");
    let evaluate = |name| {
        let options = batou_environments::Options {
            dns: &batou_environments::Offline,
            user: "me".to_owned(),
            user_home: "/home/me".to_owned(),
            notes: None,
        };
        batou_environments::evaluate(&sandbox.project(), name, &options).unwrap_err().to_string()
    };
    assert_snapshot!(evaluate("prd"), @"
    error: there is no environment `prd`
      = help: did you mean `prod`?
    ");
    assert_snapshot!(evaluate("../prod"), @"
    error: there is no environment `../prod`
      = help: there are: prod
    ");
    sandbox.write("batou.toml", "[project]\nnam = \"shop\"\n[projekt]\n");
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: `name` is missing in [project]
     --> batou.toml:1:1
      |
    1 | [project]
      | ^^^^^^^^^

    error: unknown key `nam` in [project]
     --> batou.toml:2:1
      |
    2 | nam = "shop"
      | ^^^
      = help: did you mean `name`?

    error: unknown key `projekt` in batou.toml
     --> batou.toml:3:2
      |
    3 | [projekt]
      |  ^^^^^^^
      = help: did you mean `project`?
    "#);
    sandbox.write("batou.toml", "[project]\nname = \"../x\"\n");
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: `../x` is not a project's name
     --> batou.toml:2:8
      |
    2 | name = "../x"
      |        ^^^^^^
      = help: use letters, digits, `.`, `_` and `-`, beginning with a letter or digit
    "#);
    sandbox.write("batou.toml", b"[project]\nname = \"sh\xffop\"\n");
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: not UTF-8
     --> batou.toml:2:11
      |
    2 | name = "sh�op"
      |           ^
      = help: save the file as UTF-8
    "#);
    std::fs::remove_file(sandbox.root().join("batou.toml")).unwrap();
    let message = sandbox.mistakes().replace(&sandbox.root().to_string_lossy().into_owned(), "[ROOT]");
    assert_snapshot!(message, @"
    error: [ROOT] is not a batou project: there is no batou.toml
      = help: run `batou init` there, or name another folder with --project
    ");
}

/// Keys that are no templates say so, rather than making a folder of the name `{{ host.name }}`.
#[test]
fn what_looks_like_a_template_is_refused_where_none_is_evaluated() {
    let text = "[environment]\ninherits = \"{{ a }}\"\nconnect_method = \"{{ b }}\"\ntarget_directory = \"/srv/{{ host.name }}\"\n\
                platform = \"{% if x %}a{% endif %}\"\nbranch = \"{{ c }}\"\nservice_user = \"{{ d }}\"\nhost_domain = \"{# x #}\"\n\
                [hosts]\nweb01 = [\"app\", \"{{ e }}\"]\n[host.web01]\naddress = \"{{ f }}\"\nhome = \"/home/{{ g }}\"\n\
                platform = \"{{ h }}\"\nservice_user = \"{{ i }}\"\n[resolver]\nx = \"{{ j }}\"\n";
    let mistakes = environment(text).evaluate_with(&batou_environments::Offline).err().unwrap();
    let told = mistakes.iter().map(|mistake| {
        let place = mistake.location.as_ref().unwrap();
        format!("{}:{} {}\n", place.line, place.column, mistake.message)
    });
    assert_snapshot!(told.collect::<String>(), @"
    2:12 `{{ a }}` is not an environment's name
    3:19 `connect_method` in [environment] is no template: it is taken as it is written
    4:26 `target_directory` in [environment] is no template: it is taken as it is written
    5:13 `platform` in [environment] is no template: it is taken as it is written
    6:11 `branch` in [environment] is no template: it is taken as it is written
    7:17 `service_user` in [environment] is no template: it is taken as it is written
    8:16 `host_domain` in [environment] is no template: it is taken as it is written
    10:17 `{{ e }}` is not a component's name
    12:12 `address` in [host.…] is no template: it is taken as it is written
    13:15 `home` in [host.…] is no template: it is taken as it is written
    14:13 `platform` in [host.…] is no template: it is taken as it is written
    15:17 `service_user` in [host.…] is no template: it is taken as it is written
    17:5 `x` in [resolver] must be an IP address or a list of them
    ");
}

#[test]
fn data_and_settings_are_handed_on_as_they_are_written() {
    let text = "[hosts]\nweb01 = [\"app\"]\n[host.web01]\ndata-alias = \"{{ a }}\"\n[settings]\nmail = \"{{ b }}\"\n";
    let sandbox = environment(text);
    let shown = "[[file]]\npath = \"x\"\ncontent = \"{{ host.data.alias }} {{ settings.mail }}\"\n";
    sandbox.write("components/app/component.toml", shown);
    assert_eq!(super::common::text(&sandbox.evaluate(), "web01", "app", "x"), "{{ a }} {{ b }}");
}

/// Nesting that the parser refuses has no place of its own: the line that is nested is shown.
#[test]
fn a_key_that_is_too_deep_is_shown() {
    let deep = "a.".repeat(5000) + "a = 1";
    let mistakes = environment(&format!("[hosts]\nweb01 = [\"app\"]\n{deep}\n"))
        .evaluate_with(&batou_environments::Offline);
    let mistakes = mistakes.err().unwrap();
    let mistake = mistakes.iter().next().unwrap();
    assert_eq!(mistake.location.as_ref().map(|place| place.line), Some(3), "{}", mistake.message);
}

#[test]
fn the_keys_of_a_host_include_its_data() {
    let told = mistakes("[hosts]\nweb01 = [\"app\"]\n[host.web01]\nconnection = \"local\"\n");
    let help = "help: the keys are address, components, data-NAME, home, ignore, platform, require_sudo, service_user";
    assert!(told.ends_with(help), "{told}");
}
