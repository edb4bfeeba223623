//! What is fuzzed: small projects of which one file is arbitrary. The test `corpus` replays the corpora through the
//! same functions. They tell whether the project was in order.
#![allow(dead_code, reason = "each target uses one of them")]

use std::fs;
use std::path::Path;

use batou_environments::{Dependency, Diagnostic, Evaluation, Offline, Options};
use miette::Diagnostic as _;
use tempfile::TempDir;

const ENVIRONMENT: &str = "\
[environment]
host_domain = \"example.net\"
platform = \"debian12\"
[hosts]
web01 = [\"app\", \"db:all\"]
web02 = [\"app\"]
[host.web01]
data-alias = \"alias\"
[resolver]
\"web01.example.net\" = [\"10.0.0.1\", \"2001:db8::1\"]
[settings]
domain = \"example.net\"
limits = { memory = 1024, cpu = 1.5 }
";

const DB: &str = "\
features = [\"all\"]
[attributes]
address = { type = \"address\", default = \"web01.example.net:5432\" }
[[provide]]
key = \"db\"
value = \"{{ component.address.connect }}\"
";

const TEMPLATE: &str = "\
[attributes]
label = \"web01\"
count = 7
minus = -7
ratio = 2.5
big = 9007199254740993
yes = true
no = false
nothing = { type = \"literal\", default = \"{{ none }}\" }
empty_text = \"\"
empty_list = []
empty_map = { type = \"dict\", default = {} }
names = [\"b\", \"a\", \"C\"]
nums = [3, 1, 2, 2]
paths = [\"/srv/bin\", \"/usr/bin\", \"/bin\"]
text = \"Hello World, this is a longer text\\nand a second line\\n\\nfourth\"
uni = \"Grüße aus Köln 日本 😀\"
html = '<a href=\"x\">A & B</a>'
quoted = \"it's \\\"q\\\" \\\\ \\n\\t\"
tree = { type = \"dict\", default = { b = 1, a = { x = [1, \"y\", true, 1.5] }, C = \"z\" } }
hosts = { type = \"dict\", default = { web = [\"w1\", \"w2\"], db = [\"d1\"] } }
limits = { type = \"dict\", default = { memory = 536870912, cpu = 1.5, files = 65536 } }
settings_map = { type = \"dict\", default = { debug = false, workers = 4, dsn = \"pg://a@db/s\", tags = [\"a\"] } }
users = [{ login = \"anna\", age = 30, admin = true, city = \"Köln\" }, { login = \"Bob\", age = 25, admin = false, city = \"Ulm\" }]
backends = [{ host = \"app01\", port = 8080, weight = 10 }, { host = \"app02\", port = 8081, weight = 20 }]
jobs = [{ at = \"0 3 * * 0\", run = \"backup\", user = \"root\" }]
vhosts = [{ domain = \"example.net\", aliases = [\"a\"], tls = true, locations = [{ path = \"/\", to = \"b\" }] }]
menu = [{ title = \"Root\", children = [{ title = \"A\", children = [] }] }]
address = { type = \"address\", default = \"web01.example.net:80\" }
[[require]]
key = \"db\"
[[file]]
path = \"main\"
";

/// A template as a file, and what it may include.
pub fn template(data: &[u8]) -> bool {
    evaluate(&[
        ("environments/prod/environment.toml", ENVIRONMENT.as_bytes()),
        ("components/db/component.toml", DB.as_bytes()),
        ("components/app/component.toml", TEMPLATE.as_bytes()),
        ("components/app/part", b"part {{ component.label }} {{ x | default('no x') }}\n"),
        (
            "components/app/macros",
            b"{% macro opt(k, v=none) %}{{ k }}={{ v }}{% endmacro %}{% set const = 42 %}",
        ),
        ("components/app/base", b"<{% block head %}H{% endblock %}|{% block body %}base{% endblock %}>\n"),
        ("components/app/main", data),
    ])
}

/// A component.toml.
pub fn component_toml(data: &[u8]) -> bool {
    evaluate(&[
        ("environments/prod/environment.toml", ENVIRONMENT.as_bytes()),
        ("components/db/component.toml", DB.as_bytes()),
        ("components/app/component.toml", data),
        ("components/app/app.conf", b"{{ component.name }} on {{ host.fqdn }}\n"),
        ("components/app/folder/file", b"{{ host.name }}\n"),
    ])
}

/// A component.star.
pub fn component_star(data: &[u8]) -> bool {
    evaluate(&[
        ("environments/prod/environment.toml", ENVIRONMENT.as_bytes()),
        ("components/db/component.toml", DB.as_bytes()),
        ("components/app/component.star", data),
        ("components/app/lib.star", b"def double(x):\n    return 2 * x\n"),
        ("components/app/app.conf", b"{{ component.name }} on {{ host.fqdn }}\n"),
        ("components/app/folder/file", b"{{ host.name }}\n"),
    ])
}

/// An environment.toml, which may inherit from another.
pub fn environment_toml(data: &[u8]) -> bool {
    let app = "[attributes]\na = 1\nb = \"x\"\nc = [\"y\"]\n[[require]]\nkey = \"db\"\nstrict = false\n\
               [[file]]\npath = \"x\"\ncontent = \"{{ component.a }} {{ host.name }} {{ settings | length }}\"\n";
    evaluate(&[
        ("environments/base/environment.toml", ENVIRONMENT.as_bytes()),
        ("environments/prod/environment.toml", data),
        ("components/db/component.toml", DB.as_bytes()),
        ("components/app/component.toml", app.as_bytes()),
    ])
}

/// Evaluates a project with these files. Whatever is wrong with them, it can be told.
fn evaluate(files: &[(&str, &[u8])]) -> bool {
    let folder = folder();
    write(folder.path(), "batou.toml", b"[project]\nname = \"shop\"\n");
    for (path, content) in files {
        write(folder.path(), path, content);
    }
    let project = batou_environments::project(folder.path()).expect("batou.toml is valid");
    let options =
        Options { dns: &Offline, user: "me".to_owned(), user_home: "/home/me".to_owned(), notes: None };
    let evaluated = batou_environments::evaluate(&project, "prod", &options);
    match &evaluated {
        Ok(evaluation) => look_at(evaluation),
        Err(diagnostics) => {
            assert!(!diagnostics.to_string().is_empty());
            diagnostics.iter().for_each(show);
        }
    }
    evaluated.is_ok()
}

/// Memory is faster than a disk.
fn folder() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a temporary folder")
}

fn write(folder: &Path, path: &str, content: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().expect("a path with a folder")).expect("a folder");
    fs::write(path, content).expect("a file");
}

fn look_at(evaluation: &Evaluation) {
    evaluation.warnings.iter().for_each(show);
    for component in &evaluation.components {
        for path in component.entries.keys() {
            assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path:?}");
        }
        for declared in &component.units {
            for dependency in declared.unit.dependencies().into_values() {
                let Dependency::Entries(paths) = dependency else { continue };
                assert!(paths.iter().all(|path| component.entries.contains_key(path)), "{paths:?}");
            }
        }
    }
}

/// Shows a mistake in each of the ways in which it is shown.
fn show(diagnostic: &Diagnostic) {
    assert!(!diagnostic.message.is_empty());
    assert!(format!("{diagnostic:#}").contains(": "));
    if let (Some(source), Some(labels)) = (diagnostic.source_code(), diagnostic.labels()) {
        for label in labels {
            source.read_span(label.inner(), 1, 1).expect("the place is in the file");
        }
    }
}
