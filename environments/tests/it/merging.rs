//! `inherits`, hosts, features and the precedence of overrides.

use insta::assert_snapshot;

use super::common::{Sandbox, text};

const COMPONENT: &str = "[attributes]\nport = 1\nmap = { type = \"dict\", default = { a = 1, b = 1 } }\n\
    [[file]]\npath = \"out\"\ncontent = \"{{ component.port }} {{ component.map.a }}{{ component.map.b }} {{ component.features | join('+') }}\"\n";

fn sandbox(prod: &str, base: &str) -> Sandbox {
    Sandbox::new(&[
        ("environments/prod/environment.toml", prod),
        ("environments/base/environment.toml", base),
        ("components/app/component.toml", COMPONENT),
    ])
}

#[test]
fn a_host_beats_a_pattern_beats_the_general() {
    let sandbox = sandbox(
        "[hosts]\n\"web{01..04}\" = [\"app\"]\n[components.app]\nport = 2\nmap = { b = 2 }\n[components.\"app@web{02..03}\"]\nport = 3\n\
         [components.\"app@WEB03\"]\nport = 4\nmap = { a = 4 }\n",
        "",
    );
    let evaluation = sandbox.evaluate();
    let out = |host| text(&evaluation, host, "app", "out");
    assert_eq!(
        [out("web01"), out("web02"), out("web03"), out("web04")],
        ["2 12 ", "3 12 ", "4 42 ", "2 12 "]
    );
}

#[test]
fn an_environment_lies_over_the_one_it_inherits() {
    let sandbox = sandbox(
        "[environment]\ninherits = \"base\"\nkeep = 3\n[hosts]\nweb02 = false\n\"!WEB03\" = [\"app\"]\ndb01 = \"app:x, app:y\"\n\
         [components.app]\nmap = { b = 9 }\n",
        "[environment]\nkeep = 5\njobs = 7\n[hosts]\n\"web{01..02}\" = [\"app\"]\nweb03 = []\n[components.app]\nport = 5\nmap = { a = 5 }\n\
         [components.\"app@web02\"]\nport = 6\n",
    );
    let evaluation = sandbox.evaluate();
    assert_eq!((evaluation.policy.keep, evaluation.policy.jobs), (3, 7));
    let hosts: Vec<_> = evaluation.hosts.iter().map(|host| (host.name.as_str(), host.ignored)).collect();
    assert_eq!(hosts, [("db01", false), ("web01", false), ("web03", true)]);
    assert_eq!(text(&evaluation, "db01", "app", "out"), "5 59 x+y");
    assert_eq!(evaluation.ignored.iter().map(ToString::to_string).collect::<Vec<_>>(), ["web03/app"]);
    assert!(evaluation.components.iter().all(|component| component.host != "web03"));
}

#[test]
fn an_inherited_host_may_be_spelled_otherwise() {
    let sandbox = sandbox(
        "[environment]\ninherits = \"base\"\n[hosts]\n\"!web01.example.net\" = [\"app\"]\n[host.WEB02]\ndata-b = \"prod\"\n\
         [components.\"app@web02.example.net.\"]\nport = 3\n[resolver]\n\"WWW.example.net.\" = \"192.0.2.2\"\n",
        "[environment]\nhost_domain = \"example.net\"\n[hosts]\nweb01 = [\"app\"]\n\"WEB02.example.net\" = [\"app\"]\n\
         [host.\"web02.example.net\"]\ndata-a = \"base\"\ndata-b = \"base\"\n[components.\"app@Web02\"]\nport = 2\nmap = { a = 2 }\n\
         [resolver]\n\"www.example.net\" = \"192.0.2.1\"\n",
    );
    let address = "a = { type = \"address\", default = \"www.example.net:80\" }";
    sandbox.write(
        "components/app/component.toml",
        COMPONENT.replace("[[file]]", &format!("{address}\n[[file]]")).replace(
            "component.port }}",
            "component.port }} {{ component.a.listen.host }} {{ host.data.a }}{{ host.data.b }}",
        ),
    );
    let evaluation = sandbox.evaluate();
    assert_eq!(evaluation.ignored.iter().map(ToString::to_string).collect::<Vec<_>>(), ["web01/app"]);
    assert_eq!(text(&evaluation, "web02", "app", "out"), "3 192.0.2.2 baseprod 21 ");
}

#[test]
fn what_one_file_says_twice_is_found_below_another() {
    let twice =
        "[hosts]\nweb01 = [\"app\"]\n[host.WEB01]\ndata-a = \"1\"\n[host.\"web01.\"]\ndata-a = \"2\"\n";
    let mistakes =
        sandbox("[environment]\ninherits = \"base\"\n[host.web01]\ndata-b = \"3\"\n", twice).mistakes();
    assert!(mistakes.contains("the host `web01` is declared twice"), "{mistakes}");
}

#[test]
fn more_about_a_host() {
    let sandbox = sandbox(
        "[environment]\nhost_domain = \"Example.net.\"\nservice_user = \"shop\"\nplatform = \"debian12\"\ntarget_directory = \"~/deploy/\"\n\
         [hosts]\nweb01 = []\nweb02 = []\n[host.\"web{01..02}\"]\nplatform = \"arm\"\ndata-alias = \"x\"\n\
         [host.web02]\naddress = \"10.0.0.2\"\nservice_user = \"root\"\ndata-alias = \"y\"\nrequire_sudo = true\nignore = true\ncomponents = [\"app\"]\n\
         [host.db01]\ncomponents = [\"app\"]\nhome = \"/srv/home\"\n",
        "",
    );
    let evaluation = sandbox.evaluate();
    let [db, first, second] = evaluation.hosts.as_slice() else { panic!("{:?}", evaluation.hosts) };
    assert_eq!((first.fqdn.as_str(), first.address.as_str()), ("web01.example.net", "web01.example.net"));
    assert_eq!((first.platform.as_deref(), first.data["alias"].as_str()), (Some("arm"), "x"));
    assert_eq!(first.target_directory, "/home/shop/deploy");
    assert_eq!((second.address.as_str(), second.data["alias"].as_str()), ("10.0.0.2", "y"));
    assert_eq!((second.home.as_deref(), second.target_directory.as_str()), (Some("/root"), "/root/deploy"));
    assert_eq!((second.require_sudo, second.ignored), (Some(true), true));
    assert_eq!(
        (db.target_directory.as_str(), db.platform.as_deref()),
        ("/srv/home/deploy", Some("debian12"))
    );
    assert_eq!(evaluation.components.len(), 1);
}

#[test]
fn local_hosts_belong_to_whoever_runs_batou() {
    let sandbox = sandbox("[environment]\nconnect_method = \"local\"\n[hosts]\nlocalhost = [\"app\"]\n", "");
    let evaluation = sandbox.evaluate();
    let host = &evaluation.hosts[0];
    assert_eq!((host.service_user.as_deref(), host.home.as_deref()), (Some("me"), None));
    assert_eq!(host.target_directory, format!("{}/work/prod", sandbox.root().display()));
    sandbox.write(
        "environments/prod/environment.toml",
        "[environment]\nconnect_method = \"local\"\n[hosts]\na = []\nb = []\n",
    );
    let evaluation = sandbox.evaluate();
    assert_ne!(evaluation.hosts[0].target_directory, evaluation.hosts[1].target_directory);
}

#[test]
fn patterns_may_agree() {
    let sandbox = sandbox(
        "[hosts]\n\"web{01..02}\" = [\"app\"]\n\"web{02,03}\" = [\"app\"]\n[components.\"app@web{01..02}\"]\nport = 3\n\
         [components.\"app@web{02..03}\"]\nport = 3\nmap = { a = 2 }\n",
        "",
    );
    assert_eq!(text(&sandbox.evaluate(), "web02", "app", "out"), "3 21 ");
}

#[test]
fn every_key_together() {
    let sandbox = sandbox(
        r#"
[environment]
inherits = "base"
connect_method = "ssh"
service_user = "shop"
require_sudo = false
host_domain = "example.net"
platform = "debian12"
target_directory = "/srv/shop"
branch = "production"
protected = true
keep = 12
jobs = 30
timeout = 5
require_v4 = true
require_v6 = "optional"

[hosts]
"web{01..03}" = ["app:web"]
"!old" = ["app"]
db01 = "!app:worker, backup"

[host.db01]
address = "10.1.2.3"
platform = "debian12-arm64"
service_user = "postgres"
data-alias = "db.example.net"
ignore = false

[settings]
mail_from = "ops@example.net"

[components.app]
port = 8
[components."app@web01"]
port = 2

[resolver]
"www.example.net" = ["192.0.2.10", "2001:db8::1"]
"#,
        "",
    );
    sandbox.write("components/backup/component.toml", "");
    let evaluation = sandbox.evaluate();
    let policy = &evaluation.policy;
    assert_eq!((policy.branch.as_deref(), policy.protected, policy.timeout), (Some("production"), true, 5));
    let placed: Vec<String> =
        evaluation.components.iter().map(|one| format!("{}/{}", one.host, one.component)).collect();
    assert_eq!(placed, ["db01/backup", "web01/app", "web02/app", "web03/app"]);
    let ignored: Vec<String> = evaluation.ignored.iter().map(ToString::to_string).collect();
    assert_eq!(ignored, ["db01/app", "old/app"]);
    assert_eq!(text(&evaluation, "web01", "app", "out"), "2 11 web");
    assert_eq!(evaluation.hosts[0].service_user.as_deref(), Some("postgres"));
}

#[test]
fn selected_features_replace_the_default_which_is_all() {
    let component = "features = [\"web\", \"cron\", \"mail\"]\n[[file]]\npath = \"out\"\ncontent = \"{{ component.features | join(' ') }}\"\n";
    let environment = |hosts: &str| format!("[hosts]\n{hosts}\n");
    let sandbox = Sandbox::new(&[
        ("components/app/component.toml", component),
        (
            "environments/prod/environment.toml",
            &environment("a = \"app\"\nb = \"app:mail, app:web\"\nc = \"app:cron\""),
        ),
    ]);
    let evaluation = sandbox.evaluate();
    assert_eq!(text(&evaluation, "a", "app", "out"), "web cron mail");
    assert_eq!(text(&evaluation, "b", "app", "out"), "web mail");
    assert_eq!(text(&evaluation, "c", "app", "out"), "cron");
    sandbox.write("environments/prod/environment.toml", environment("a = \"app:mial\"\nb = \"app:other\""));
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: the component `app` has no feature `mial`
     --> environments/prod/environment.toml:2:6
      |
    2 | a = "app:mial"
      |      ^^^^^^^^
      = help: did you mean `mail`?

    error: the component `app` has no feature `other`
     --> environments/prod/environment.toml:3:6
      |
    3 | b = "app:other"
      |      ^^^^^^^^^
      = help: it has `web`, `cron` and `mail`
    "#);
}

#[test]
fn what_is_said_of_a_dropped_host_tells_what_it_was() {
    let environment = "[environment]\nhost_domain = \"example.net\"\nservice_user = \"shop\"\ntarget_directory = \"~/shop\"\n\
         [hosts]\nweb01 = [\"app\"]\nweb02 = false\nweb03 = false\nweb04 = false\n\
         [host.web02]\naddress = \"192.0.2.7\"\nservice_user = \"old\"\n[host.web03]\nunknown = 1\n";
    let sandbox = Sandbox::new(&[("environments/prod/environment.toml", environment)]);
    let project = sandbox.project();
    let former = |name: &str| {
        let host = batou_environments::former_host(&project, "prod", &name.parse().unwrap()).unwrap()?;
        Some(format!("{} {} {}", host.address, host.service_user?, host.target_directory))
    };
    assert_eq!(former("web02").as_deref(), Some("192.0.2.7 old /home/old/shop"));
    assert_eq!(former("web04").as_deref(), Some("web04.example.net shop /home/shop/shop"));
    assert_eq!(former("web03"), None, "what is said of it makes no host");
    assert_eq!([former("web01"), former("web05")], [None, None], "they are not dropped");
}
