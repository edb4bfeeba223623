//! Each project below `examples/` works as its README says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use walkdir::WalkDir;

use crate::common::{Lacking, Output, Sandbox, SshHosts, left_out};
use crate::shop::{Target, names, says};

const HAPROXY: &str = "/usr/sbin/haproxy";

/// Whether the website's load balancer can be checked; where not, that is noted.
fn haproxy(test: &str) -> bool {
    let found = Path::new(HAPROXY).exists();
    if !found {
        assert!(!rustix::process::geteuid().is_root(), "haproxy is missing: `make tools` installs it");
        left_out(test, Lacking::Root);
    }
    found
}

#[test]
fn every_example_is_checked() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    assert_eq!(
        names(&examples),
        ["per-developer", "plone-like", "quickstart", "website"],
        "each has a test here"
    );
    for example in names(&examples) {
        let sandbox = Sandbox::example(&example);
        let lines = sandbox.batou(&["check", "--json"]).success().json();
        let environments = names(&examples.join(&example).join("environments"));
        assert_eq!(lines.len(), environments.len());
        for (line, name) in lines.iter().zip(environments) {
            assert_eq!((&line["environment"], &line["warnings"]), (&name.into(), &0.into()), "{example}");
        }
    }
}

/// Whose checkout it is, and what their machine is like, is no part of a release.
#[test]
fn a_release_has_one_id_wherever_it_is_built() {
    for example in ["plone-like", "website"] {
        let build = |is_other: bool| {
            let sandbox = Sandbox::example(example);
            let mut command = sandbox.command(&["build", "prod", "--json"]);
            if is_other {
                for entry in WalkDir::new(sandbox.project()) {
                    let path = entry.unwrap().into_path();
                    let mode = fs::metadata(&path).unwrap().permissions().mode();
                    fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o700)).unwrap();
                    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30);
                    fs::File::open(&path).unwrap().set_modified(then).unwrap();
                }
                command.env("USER", "other").env("LANG", "tr_TR.UTF-8").env("TZ", "Pacific/Apia");
            }
            let lines = Output::of(&mut command).success().json();
            lines.last().unwrap()["release"].as_str().unwrap().to_owned()
        };
        assert_eq!(build(false), build(true), "{example}");
    }
}

#[test]
fn quickstart() {
    let sandbox = Sandbox::example("quickstart");
    says(&sandbox.batou(&["switch", "dev"]).success().stderr, &["localhost/hello: ran first greeting"]);
    let script = sandbox.project().join("work/dev/current/hello/hello.sh");
    let greeting = || Output::of(&mut sandbox.program(&script)).success().stdout;
    assert_eq!(greeting(), "Good morning from localhost\n");
    assert_eq!(sandbox.read("work/dev/state/hello/greeted"), "Good morning from localhost\n");

    let path = "environments/dev/environment.toml";
    sandbox.write(path, sandbox.read(path).replace("Good morning", "Good evening"));
    says(&sandbox.batou(&["plan", "dev"]).success().stdout, &["because attribute hello.greeting changed"]);
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(greeting(), "Good evening from localhost\n");
    says(&sandbox.batou(&["switch", "dev"]).success().stdout, &["nothing to do"]);
    sandbox.batou(&["rollback", "dev"]).success();
    assert_eq!(greeting(), "Good morning from localhost\n");
    assert_eq!(sandbox.read("work/dev/state/hello/greeted"), "Good morning from localhost\n");
    assert_eq!(sandbox.batou(&["history", "dev"]).success().stdout.lines().count(), 3);
}

#[test]
fn per_developer() {
    let sandbox = Sandbox::example("per-developer");
    for environment in ["base", "alice", "bob"] {
        sandbox.batou(&["switch", environment]).success();
    }
    let file = |environment: &str| sandbox.read(&format!("work/{environment}/current/app/app.ini"));
    assert_eq!(
        file("alice"),
        "[server]\nhost = localhost\nport = 8001\n\n[mail]\nfrom = alice@example.net\n\n[log]\nlevel = info\n"
    );
    says(&file("base"), &["port = 8000", "from = app@example.net"]);
    says(&file("bob"), &["port = 8002", "level = debug", "[plugins]\nprofiler = on\ntoolbar = on\n"]);
    let diff = sandbox.batou(&["diff", "alice", "bob"]).success().stdout;
    says(&diff, &["-port = 8001", "+port = 8002", "+toolbar = on"]);
}

#[test]
fn website_on_this_machine() {
    if !haproxy("examples/website on this machine") {
        return;
    }
    let sandbox = Sandbox::example("website");
    says(&sandbox.batou(&["switch", "dev"]).success().stderr, &["ran check the configuration"]);
    says(&sandbox.read("work/dev/current/web/site/index.html"), &["Served by localhost."]);
}

#[test]
fn website_on_four_hosts() {
    if !haproxy("examples/website on four hosts") {
        return;
    }
    let hosts = SshHosts::start(&["lb01", "web01", "web02", "web03"]);
    let sandbox = Sandbox::example("website");
    sandbox.batou(&["build", "prod"]).success();
    says(&sandbox.read("result/prod/web02/web/nginx.conf"), &["server_name web02.example.net;"]);
    // The hosts of this test have no user www, and share the machine's /srv.
    let path = "environments/prod/environment.toml";
    let environment =
        sandbox.read(path).replace("service_user = \"www\"", "target_directory = \"~/website\"");
    sandbox.write(path, environment + "\n" + &hosts.environment());
    sandbox.write("ssh_config_prod", hosts.ssh_config());
    says(
        &sandbox.batou(&["switch", "prod"]).success().stderr,
        &["lb01/haproxy: ran check the configuration"],
    );

    let target = |host: &str| Target(hosts.host(host).home().join("website"));
    let config = target("lb01").file("haproxy/haproxy.cfg");
    let servers =
        ["web01", "web02", "web03"].map(|host| format!("    server {host} {host}.example.net:8080\n"));
    assert!(config.ends_with(&servers.concat()), "{config}");
    says(&target("web01").file("web/nginx.conf"), &["worker_processes 1;"]);
    says(&target("web02").file("web/nginx.conf"), &["worker_processes 4;"]);
    says(&target("web03").file("web/site/index.html"), &["Served by web03."]);

    let haproxy = "components/haproxy/component.toml";
    sandbox.write(haproxy, sandbox.read(haproxy).replace("port = 8000", "port = 800000"));
    let index = "components/web/site/index.html";
    sandbox.write(index, sandbox.read(index).replace("Served", "Brought"));
    let output = sandbox.batou(&["switch", "prod"]).fails(1);
    says(&output.stderr, &["step haproxy/check the configuration", "800000", "4 hosts went back"]);
    assert_eq!(target("lb01").file("haproxy/haproxy.cfg"), config);
    for host in ["web01", "web02", "web03"] {
        says(&target(host).file("web/site/index.html"), &["Served by"]);
        assert!(fs::read_link(target(host).0.join("current")).unwrap().ends_with("1"));
    }
}

#[test]
fn plone_like_on_this_machine() {
    let sandbox = Sandbox::example("plone-like");
    sandbox.batou(&["switch", "dev"]).success();
    says(
        &sandbox.read("work/dev/current/zope/instance1/zope.conf"),
        &["address localhost:8081", "threads 2"],
    );
    says(&sandbox.read("work/dev/current/haproxy/haproxy.cfg"), &["bind 127.0.0.1:8000\n"]);
    says(&sandbox.batou(&["switch", "dev"]).success().stdout, &["nothing to do"]);
}

/// A third instance brings files of its own, and changes the two configurations that list it, and no other file.
#[test]
fn plone_like_on_two_hosts() {
    let hosts = SshHosts::start(&["app01", "web01"]);
    let sandbox = Sandbox::example("plone-like");
    // The hosts of this test have no user plone, and share the machine's /srv.
    let path = "environments/prod/environment.toml";
    let environment =
        sandbox.read(path).replace("service_user = \"plone\"", "target_directory = \"~/plone\"");
    sandbox.write(path, environment + "\n" + &hosts.environment());
    sandbox.write("ssh_config_prod", hosts.ssh_config());
    sandbox.batou(&["switch", "prod"]).success();

    let target = |host: &str| Target(hosts.host(host).home().join("plone"));
    let config = target("web01").file("haproxy/haproxy.cfg");
    let server = |number: u16| format!("    server app01-instance{number} app01.example.net:808{number}\n");
    assert!(config.contains("    bind 192.0.2.10:8000\n    bind [2001:db8::10]:8000\n"), "{config}");
    assert!(config.ends_with(&[server(1), server(2)].concat()), "{config}");
    says(&target("app01").file("zope/instance2/zope.conf"), &["threads 4", "server app01.example.net:9100"]);

    let environment = sandbox.read(path);
    let third = environment.replace("\"zope:instance2\"]", "\"zope:instance2\", \"zope:instance3\"]");
    assert_ne!(environment, third);
    sandbox.write(path, third);
    let changes: Vec<(String, String, String)> =
        sandbox.batou(&["plan", "prod", "--json"]).success().json().iter().flat_map(files).collect();
    let expected = [
        ("app01/zope", "instance3/run", "added"),
        ("app01/zope", "instance3/zope.conf", "added"),
        ("web01/haproxy", "haproxy.cfg", "changed"),
        ("web01/varnish", "default.vcl", "changed"),
    ];
    let expected = expected.map(|(component, path, kind)| (component.into(), path.into(), kind.into()));
    assert_eq!(changes, expected);
    sandbox.batou(&["switch", "prod"]).success();
    assert!(
        target("web01").file("haproxy/haproxy.cfg").ends_with(&[server(1), server(2), server(3)].concat())
    );
    says(&target("web01").file("varnish/default.vcl"), &["app01-instance3"]);
}

/// Component, path and change of each file of a plan's line.
fn files(line: &serde_json::Value) -> Vec<(String, String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let components = line["components"].as_array().into_iter().flatten();
    let of = |component: &serde_json::Value| {
        let name = format!("{}/{}", text(&line["host"]), text(&component["component"]));
        let files = component["files"].as_array().into_iter().flatten();
        files.map(|file| (name.clone(), text(&file["path"]), text(&file["change"]))).collect::<Vec<_>>()
    };
    components.flat_map(of).collect()
}
