//! How long an evaluation of components in Starlark takes, and how much memory: ten components on each host, which
//! require each other over hosts. `cargo bench --bench code` measures 10, 100 and 1,000 hosts, each in a process of its
//! own; `cargo bench --bench code -- 50` that many.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]
#![allow(clippy::print_stdout, reason = "its result")]

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use batou_environments::{Offline, Options, evaluate, project};
use tempfile::TempDir;

/// Hosts that share a database and a load balancer.
const GROUP: usize = 10;

/// Nine numbered applications, each with its database, a configuration and a metric.
const APP: &str = r#"
def make(number):
    def configure(c):
        group = c.host.data["group"]
        database = c.require_one("db:" + group)
        c.provide("backend:" + group, c.address)
        c.provide("metric", {"name": c.name, "target": c.address, "labels": {"group": group}})
        c.file("app.conf", source = "app.conf", variables = {"database": database})
        c.file("env", content = "PORT={}\nDB={}\n".format(c.port, database))

    component(
        "app%d" % number,
        attributes = {
            "port": 8000 + number,
            "address": attribute("address", default = "{{ host.fqdn }}:{{ component.port }}"),
        },
        configure = configure,
    )

for number in range(1, 10):
    make(number)
"#;

const CONF: &str = "[app]\nname = {{ component.name }}\nlisten = {{ component.address.connect }}\n\
    database = {{ database.connect }}\n{% for worker in range(4) %}\n[worker:{{ worker }}]\nport = {{ component.port + worker }}\n{% endfor %}\n";

const DATABASE: &str = r#"
attributes = {"address": attribute("address", default = "{{ host.fqdn }}:5432")}
def configure(c):
    c.provide("db:" + c.host.data["group"], c.address)
    c.file("postgres.conf", content = "listen_addresses = {{ host.fqdn }}\n")
"#;

const BALANCER: &str = r#"
def configure(c):
    backends = sorted(c.require("backend:" + c.host.data["group"]), key = str)
    c.file("haproxy.cfg", content = "{% for one in backends %}server {{ one.connect }}\n{% endfor %}", variables = {"backends": backends})
"#;

const MONITOR: &str = r#"
def configure(c):
    c.file("targets.json", content = json.encode([m["name"] + str(m["target"]) for m in c.require("metric")]))
    c.provide("monitor", c.host.fqdn)
"#;

const AGENT: &str = "[[require]]\nkey = \"monitor\"\none = true\n[[file]]\npath = \"agent.conf\"\ncontent = \"report to {{ monitor }}\\n\"\n";

fn sandbox(hosts: usize) -> TempDir {
    let folder = TempDir::new().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("batou.toml", "[project]\nname = \"bench\"\n");
    write("components/app/component.star", APP);
    write("components/app/app.conf", CONF);
    write("components/db/component.star", DATABASE);
    write("components/lb/component.star", BALANCER);
    write("components/monitor/component.star", MONITOR);
    write("components/agent/component.toml", AGENT);
    write("environments/prod/environment.toml", &environment(hosts));
    folder
}

fn environment(hosts: usize) -> String {
    let mut text = String::from("[environment]\nhost_domain = \"example.net\"\n[hosts]\n");
    let apps: Vec<String> = (1..GROUP).map(|number| format!("\"app{number}\"")).collect();
    for host in 0..hosts {
        let special = match (host, host % GROUP) {
            (0, _) => ", \"db\", \"monitor\"",
            (_, 0) => ", \"db\"",
            (_, 1) => ", \"lb\"",
            _ => "",
        };
        writeln!(text, "h{host} = [\"agent\", {}{special}]", apps.join(", ")).unwrap();
    }
    for host in 0..hosts {
        writeln!(text, "[host.h{host}]\ndata-group = \"g{}\"", host / GROUP).unwrap();
    }
    text
}

/// Evaluates an environment of so many hosts, and says what it took.
fn measure(hosts: usize) {
    let folder = sandbox(hosts);
    let before = peak();
    let start = Instant::now();
    let components = run(folder.path());
    let took = start.elapsed();
    println!(
        "{hosts:>5} hosts {components:>6} components {:>8.3} s {:>6} MiB ({} MiB before)",
        took.as_secs_f64(),
        peak(),
        before
    );
}

fn run(root: &Path) -> usize {
    let project = project(root).unwrap();
    let options =
        Options { dns: &Offline, user: "me".to_owned(), user_home: "/home/me".to_owned(), notes: None };
    evaluate(&project, "prod", &options).unwrap_or_else(|problems| panic!("{problems}")).components.len()
}

/// The most memory that this process had, in MiB.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

fn main() {
    let own = std::env::current_exe().unwrap();
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    if let [hosts] = numbers[..] {
        return measure(hosts);
    }
    for hosts in [10, 100, 1000] {
        let status = Command::new(&own).arg(hosts.to_string()).status().unwrap();
        assert!(status.success());
    }
}
