//! How long an evaluation takes: the size of a no-op deployment, and the largest that is built for.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use batou_environments::{Offline, Options, evaluate, project};
use criterion::{Criterion, criterion_group, criterion_main};
use tempfile::TempDir;

/// A project of components with 10 templates of 2 KiB each, all on every one of the hosts.
fn sandbox(components: usize, hosts: usize) -> TempDir {
    let folder = TempDir::new().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("batou.toml", "[project]\nname = \"bench\"\n");
    let names: Vec<String> = (0..components).map(|index| format!("\"c{index}\"")).collect();
    let placed = names.join(", ");
    write(
        "environments/prod/environment.toml",
        &format!(
            "[environment]\nhost_domain = \"example.net\"\n[hosts]\n\"web{{1..{hosts}}}\" = [{placed}]\n"
        ),
    );
    for index in 0..components {
        write(&format!("components/c{index}/component.toml"), &component(index));
        for file in 0..10 {
            write(&format!("components/c{index}/f{file}.conf"), &template(file));
        }
    }
    folder
}

fn component(index: usize) -> String {
    let mut text = format!(
        "[attributes]\nport = {}\naddress = {{ type = \"address\", default = \"{{{{ host.fqdn }}}}:{{{{ component.port }}}}\" }}\n\
         [[provide]]\nkey = \"k{index}\"\nvalue = \"{{{{ component.address }}}}\"\n",
        8000 + index
    );
    if index > 0 {
        write!(text, "[[require]]\nkey = \"k{}\"\nas = \"before\"\none = true\nhost = \"same\"\n", index - 1)
            .unwrap();
    } else {
        text.push_str("[[require]]\nkey = \"k0\"\nas = \"before\"\none = true\nhost = \"same\"\n");
    }
    for file in 0..10 {
        write!(text, "[[file]]\npath = \"f{file}.conf\"\n").unwrap();
    }
    text
}

fn template(file: usize) -> String {
    let mut text = format!("# file {file} on {{{{ host.fqdn }}}}\n");
    while text.len() < 2048 - 120 {
        let line = text.len();
        writeln!(text, "listen{line} {{{{ component.address.connect }}}} after {{{{ before.connect.port }}}} # some words more").unwrap();
    }
    text
}

fn run(root: &Path) {
    let project = project(root).unwrap();
    let options =
        Options { dns: &Offline, user: "me".to_owned(), user_home: "/home/me".to_owned(), notes: None };
    let evaluation = evaluate(&project, "prod", &options).unwrap();
    assert!(!evaluation.components.is_empty());
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("evaluate");
    group.sample_size(10);
    for (components, hosts) in [(20, 4), (1000, 1), (20, 50)] {
        let folder = sandbox(components, hosts);
        group.bench_function(format!("{components} components on {hosts} hosts"), |bencher| {
            bencher.iter(|| run(folder.path()));
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
