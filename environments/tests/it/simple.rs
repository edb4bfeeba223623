//! The plain way: one project, its values, its files.

use batou_environments::{ConnectMethod, Content, Entry, ExplainedEnvironment, Offline, Options, Typed};
use batou_release::ARTIFACT_TOKEN;

use super::common::{Sandbox, component, step, text};

const COMPONENT: &str = r#"
[attributes]
sleep = 1
address = { type = "address", default = "{{ host.fqdn }}:8080" }
greeting = "every {{ component.sleep }} s"

[[file]]
path = "tick.sh"
mode = "0755"

[[file]]
path = "motd"
content = "on {{ host.fqdn }} {{ component.greeting }} from {{ settings.mail }}\n"

[[symlink]]
path = "data"
to = "{{ component.state }}"

[[step]]
name = "touch"
verify = "test -e {{ component.artifact }}/x"
update = "touch {{ component.path }}"
"#;

fn sandbox() -> Sandbox {
    let environment = r#"
[environment]
host_domain = "example.net"
service_user = "shop"
[hosts]
"web{01..02}" = ["app"]
[settings]
mail = "ops@example.net"
[components.app]
sleep = "2"
[components."app@web02"]
sleep = 5
"#;
    Sandbox::new(&[
        ("environments/prod/environment.toml", environment),
        ("components/app/component.toml", COMPONENT),
        (
            "components/app/tick.sh",
            "#!/bin/sh\nsleep {{ component.sleep }}\necho {{ component.address.connect }}\n",
        ),
    ])
}

#[test]
fn files_are_rendered_for_each_host() {
    let evaluation = sandbox().evaluate();
    assert_eq!(
        text(&evaluation, "web01", "app", "tick.sh"),
        "#!/bin/sh\nsleep 2\necho web01.example.net:8080\n"
    );
    assert_eq!(
        text(&evaluation, "web02", "app", "motd"),
        "on web02.example.net every 5 s from ops@example.net\n"
    );
    let app = component(&evaluation, "web01", "app");
    assert!(matches!(app.entries["tick.sh"], Entry::File { mode: 0o755, .. }));
    assert!(matches!(app.entries["motd"], Entry::File { mode: 0o644, content: Content::Bytes(_) }));
    assert_eq!(app.entries["data"], Entry::Symlink { target: "/srv/shop/state/app".to_owned() });
}

#[test]
fn the_policy_and_hosts_have_their_defaults() {
    let sandbox = sandbox();
    let (policy, hosts) = batou_environments::policy(&sandbox.project(), "prod").unwrap();
    assert_eq!(policy.connect_method, ConnectMethod::Ssh);
    assert_eq!((policy.keep, policy.jobs, policy.timeout, policy.protected), (10, 20, 10, false));
    assert_eq!(hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["web01", "web02"]);
    assert_eq!(hosts[0].home, None, "nothing depends on it");
    assert_eq!(batou_environments::environment_names(&sandbox.project()).unwrap(), ["prod"]);
}

fn explained(sandbox: &Sandbox, host: &str, component: &str) -> ExplainedEnvironment {
    let options = Options { dns: &Offline, user: String::new(), user_home: String::new(), notes: None };
    let typed = Typed { host: host.to_owned(), component: component.to_owned() };
    batou_environments::explain(&sandbox.project(), "prod", &options, &typed).unwrap()
}

fn values(explained: &ExplainedEnvironment) -> Vec<String> {
    let attributes = explained.explanation.iter().flat_map(|explanation| &explanation.attributes);
    attributes.map(|one| format!("{}={}", one.name, one.value.as_deref().unwrap_or("?"))).collect()
}

#[test]
fn attributes_are_explained() {
    for host in ["web01", "WEB01.example.net"] {
        let explained = explained(&sandbox(), host, "app");
        assert_eq!(values(&explained), ["address=web01.example.net:8080", "greeting=every 2 s", "sleep=2"]);
        assert_eq!((explained.mistakes.len(), explained.elsewhere), (0, 0));
    }
    for (host, component) in [("web09", "app"), ("web01", "other")] {
        assert!(explained(&sandbox(), host, component).explanation.is_none());
    }
}

/// What has a value is explained, with the mistakes that concern it; others are counted.
#[test]
fn attributes_are_explained_in_spite_of_mistakes() {
    let hosts = "[hosts]\nweb01 = [\"app\", \"bad\", \"broken\"]\nweb02 = [\"bad\"]\n[components.app]\nnumber = \"x\"\n";
    let sandbox = Sandbox::new(&[
        ("batou.toml", "[project]\nname = \"shop\"\n"),
        ("environments/prod/environment.toml", hosts),
        (
            "components/app/component.toml",
            "[attributes]\nnumber = 1\nport = 80\nsame = \"{{ component.number }}\"\n",
        ),
        ("components/bad/component.toml", "[[file]]\npath = \"a\"\ncontent = \"{{ nope }}\"\n"),
        ("components/broken/component.toml", "[atributes]\n"),
    ]);
    let told = |host: &str, component: &str| {
        let explained = explained(&sandbox, host, component);
        let mistakes: Vec<_> = explained.mistakes.iter().map(|mistake| mistake.message.clone()).collect();
        format!("{:?} {mistakes:?} {}", values(&explained), explained.elsewhere)
    };
    insta::assert_snapshot!(told("web01", "app"), @r#"["number=?", "port=80", "same=?"] ["the attribute `number` of `app` must be an integer, not \"x\""] 2"#);
    insta::assert_snapshot!(told("web02", "bad"), @r#"[] ["`nope` is undefined"] 2"#);
    insta::assert_snapshot!(told("web01", "broken"), @r#"[] ["unknown key `atributes` in component.toml"] 2"#);
    let declared = explained(&sandbox, "web01", "broken").declared;
    assert_eq!(declared.len(), 4);
}

#[test]
fn steps_know_the_artifact() {
    let evaluation = sandbox().evaluate();
    let step = step(&evaluation, "web01", "app");
    assert_eq!(step.verify.unwrap(), format!("test -e {ARTIFACT_TOKEN}/x"));
    assert_eq!(step.update.unwrap(), "touch /srv/shop/current/app");
    assert_eq!((step.timeout, step.irreversible), (300, false));
}

#[test]
fn causes_name_what_was_used() {
    let evaluation = sandbox().evaluate();
    let causes = &component(&evaluation, "web01", "app").causes;
    let names = |path: &str| causes[path].keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        names("tick.sh"),
        ["attribute app.address", "attribute app.sleep", "file components/app/tick.sh", "host fqdn"]
    );
    assert_eq!(
        names("motd"),
        [
            "attribute app.greeting",
            "attribute app.sleep",
            "file components/app/component.toml",
            "host fqdn",
            "setting mail"
        ]
    );
    assert!(causes["motd"].values().all(|digest| digest.len() == 12));
    let other = component(&evaluation, "web02", "app");
    assert_ne!(causes["tick.sh"]["attribute app.sleep"], other.causes["tick.sh"]["attribute app.sleep"]);
}
