//! What is said of mistakes in batou.toml and environment.toml. The texts stand in snapshots.

use super::common::Sandbox;

/// A project with one component `app` that has the attribute `port`, and this environment.
fn environment(text: &str) -> Sandbox {
    Sandbox::new(&[
        ("environments/prod/environment.toml", text),
        ("components/app/component.toml", "[attributes]\nport = 80\n"),
    ])
}

fn snapshot(name: &str, text: &str) {
    insta::assert_snapshot!(name, environment(text).mistakes());
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    snapshot(
        "env_unknown_keys",
        "[environment]\nconect_method = \"ssh\"\nzzz = 1\n[hots]\nweb01 = [\"app\"]\n",
    );
    snapshot("env_unknown_host_key", "[hosts]\nweb01 = []\n[host.web01]\nadress = \"10.0.0.1\"\n");
}

#[test]
fn a_mistake_in_a_pattern_is_one_mistake() {
    let text = "[hosts]\n\"web{01..12}\" = []\n[host.\"web{01..12}\"]\nadress = \"x\"\nplatform = 1\n[host.web03]\nplatform = \"y\"\n";
    let mistakes = environment(text).mistakes();
    assert_eq!(mistakes.matches("error:").count(), 2, "{mistakes}");
}

#[test]
fn wrong_types_and_values() {
    snapshot(
        "env_wrong_types",
        "[environment]\nconnect_method = \"telnet\"\nkeep = 0\njobs = \"many\"\nprotected = 1\nrequire_v4 = \"maybe\"\n\
         service_user = \"-oProxyCommand=x\"\nhost_domain = \"a b\"\n[hosts]\nweb01 = 5\nweb02 = [1, \"App\"]\n",
    );
    snapshot("env_toml_syntax", "[environment\nkeep = 1\n[hosts]\nx = = 2\n");
    snapshot(
        "env_target_directory",
        "[environment]\ntarget_directory = \"/srv/../etc\"\n[hosts]\nweb01 = []\n",
    );
    snapshot(
        "env_tilde_without_user",
        "[environment]\ntarget_directory = \"~/x\"\n[hosts]\nweb01 = []\nweb02 = []\n",
    );
    snapshot(
        "env_resolver",
        "[hosts]\nweb01 = []\n[resolver]\n\"www.example.net\" = [\"192.0.2.1\", \"x\"]\n\"WWW.example.net.\" = \"192.0.2.2\"\n",
    );
}

#[test]
fn later_features_are_not_supported_yet() {
    let sandbox = environment(
        "[environment]\nservice_manager = \"systemd\"\n[hosts]\nweb01 = []\n[vfs]\nsandbox = \"Developer\"\n",
    );
    sandbox.write("environments/prod/secrets.toml", "");
    insta::assert_snapshot!("env_later_features", sandbox.mistakes());
}

#[test]
fn hosts_and_patterns() {
    snapshot("env_pattern_without_end", "[hosts]\n\"web{01..03\" = [\"app\"]\n\"db{x}\" = [\"app\"]\n");
    snapshot("env_duplicate_hosts", "[hosts]\nweb01 = [\"app\"]\n\"WEB01.\" = [\"app\"]\n");
    snapshot("env_duplicate_key", "[hosts]\nweb01 = [\"app\"]\nweb01 = [\"app\"]\n");
    snapshot("env_patterns_disagree", "[hosts]\n\"web{01..03}\" = [\"app\"]\n\"web{03..04}\" = []\n");
    snapshot(
        "env_host_names",
        "[hosts]\n\"-oProxyCommand=touch x\" = []\n\"a\\u001B[31m\" = []\n\"ä\" = []\n",
    );
    snapshot(
        "env_ports",
        "[hosts]\n\"web01:22\" = []\nweb02 = []\n\"2001:db8::1\" = []\n[host.web02]\naddress = \"10.0.0.1:22\"\n",
    );
    snapshot(
        "env_unknown_hosts",
        "[hosts]\nweb01 = [\"app\"]\n[host.web10]\n[components.\"app@web02\"]\nport = 1\n",
    );
}

#[test]
fn components_and_overrides() {
    snapshot(
        "env_components",
        "[hosts]\nweb01 = [\"ap\", \"app\", \"app\"]\nweb02 = \"app, -rf, ap\"\n[components.aap]\nport = 1\n",
    );
    snapshot(
        "env_overrides",
        "[hosts]\nweb01 = [\"app\"]\nweb02 = [\"app\"]\n[components.app]\nprot = 1\nport = \"x\"\n[components.\"app@web02\"]\nother = 1\n",
    );
    snapshot(
        "env_override_patterns_disagree",
        "[hosts]\n\"web{01..03}\" = [\"app\"]\n[components.\"app@web{01..02}\"]\nport = 1\n[components.\"app@web{02..03}\"]\nport = 2\n",
    );
}

#[test]
fn inheritance() {
    let sandbox = environment("[environment]\ninherits = \"base\"\n");
    sandbox.write("environments/base/environment.toml", "[environment]\ninherits = \"prod\"\n");
    insta::assert_snapshot!("env_inherits_in_a_circle", sandbox.mistakes());
    snapshot("env_inherits_unknown", "[environment]\ninherits = \"prood\"\n");
    snapshot("env_inherits_outside", "[environment]\ninherits = \"../../etc\"\n");
}

#[test]
fn mistakes_in_an_inherited_file_are_shown_there() {
    let sandbox = environment("[environment]\ninherits = \"base\"\n");
    sandbox
        .write("environments/base/environment.toml", "[environment]\nkep = 3\n[hosts]\nweb01 = [\"app\"]\n");
    insta::assert_snapshot!("env_mistake_inherited", sandbox.mistakes());
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
    insta::assert_snapshot!("project_unknown_environment", evaluate("prd"));
    insta::assert_snapshot!("project_environment_outside", evaluate("../prod"));
    sandbox.write("batou.toml", "[project]\nnam = \"shop\"\n[projekt]\n");
    insta::assert_snapshot!("project_unknown_keys", sandbox.mistakes());
    sandbox.write("batou.toml", "[project]\nname = \"../x\"\n");
    insta::assert_snapshot!("project_name", sandbox.mistakes());
    sandbox.write("batou.toml", b"[project]\nname = \"sh\xffop\"\n");
    insta::assert_snapshot!("project_not_utf8", sandbox.mistakes());
    std::fs::remove_file(sandbox.root().join("batou.toml")).unwrap();
    let message = sandbox.mistakes().replace(&sandbox.root().to_string_lossy().into_owned(), "[ROOT]");
    insta::assert_snapshot!("project_missing", message);
}
