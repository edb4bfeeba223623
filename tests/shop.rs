//! The project that most tests release, and what they look at on the hosts afterwards.
//!
//! It has two components: `app` has two files, of which `app.conf` shows the attribute `greeting`; `db` has one
//! file and a step that is run once and leaves a file in its state.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use walkdir::WalkDir;

use crate::common::{Sandbox, SshHosts};

const APP: &str = r##"[attributes]
greeting = "one"

[[file]]
path = "app.conf"
content = "{{ component.greeting }} on {{ host.name }}\n"

[[file]]
path = "run.sh"
mode = "0755"
content = "#!/bin/sh\ncat {{ component.path }}/app.conf\n"
"##;

const DB: &str = r#"[[file]]
path = "db.conf"
content = "data = {{ component.state }}\n"

[[step]]
name = "initialise"
verify = "test -e initialised"
update = "touch initialised"
"#;

/// The shop on this machine.
pub(crate) fn local() -> Sandbox {
    let sandbox = components();
    sandbox.write(
        "environments/dev/environment.toml",
        "[environment]\nconnect_method = \"local\"\n\n[hosts]\nlocalhost = [\"app\", \"db\"]\n",
    );
    sandbox
}

/// The shop on hosts that are reached by SSH; everyone has both components.
pub(crate) fn remote(hosts: &SshHosts, names: &[&str]) -> Sandbox {
    let sandbox = components();
    sandbox.write("ssh_config", hosts.ssh_config());
    sandbox.write("environments/dev/environment.toml", environment(hosts, names, "[\"app\", \"db\"]"));
    sandbox
}

/// The shop, released to the hosts `one` and `two`.
pub(crate) fn released_to_two() -> (SshHosts, Sandbox, [Target; 2]) {
    let hosts = SshHosts::start(&["one", "two"]);
    let sandbox = remote(&hosts, &["one", "two"]);
    sandbox.batou(&["switch", "dev"]).success();
    let targets = ["one", "two"].map(|name| Target::remote(&hosts, name));
    (hosts, sandbox, targets)
}

/// An environment.toml that gives each of these hosts these components, below `~/shop`.
pub(crate) fn environment(hosts: &SshHosts, names: &[&str], components: &str) -> String {
    let listed: Vec<_> = names.iter().map(|name| format!("{name} = {components}\n")).collect();
    let homes: Vec<_> = names
        .iter()
        .map(|name| format!("[host.{name}]\nhome = \"{}\"\n", hosts.host(name).home().display()))
        .collect();
    format!(
        "[environment]\nconnect_method = \"ssh\"\ntarget_directory = \"~/shop\"\n\n[hosts]\n{}\n{}",
        listed.concat(),
        homes.concat()
    )
}

fn components() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .write("batou.toml", "[project]\nname = \"shop\"\n")
        .write("components/app/component.toml", APP)
        .write("components/db/component.toml", DB);
    sandbox
}

/// Sets the attribute `greeting`, which changes one file of `app`.
pub(crate) fn greet(sandbox: &Sandbox, greeting: &str) {
    let component = APP.replace("\"one\"", &format!("\"{greeting}\""));
    sandbox.write("components/app/component.toml", component);
}

/// Adds a line to the table `[environment]`.
pub(crate) fn set(sandbox: &Sandbox, line: &str) {
    let path = "environments/dev/environment.toml";
    let text = sandbox.read(path).replacen("[environment]\n", &format!("[environment]\n{line}\n"), 1);
    sandbox.write(path, text);
}

/// Adds text to a file of the project.
pub(crate) fn append(sandbox: &Sandbox, path: &str, text: &str) {
    let text = sandbox.read(path) + text;
    sandbox.write(path, text);
}

/// What batou left in a target directory.
pub(crate) struct Target(pub(crate) PathBuf);

impl Target {
    /// That of the local host.
    pub(crate) fn local(sandbox: &Sandbox) -> Self {
        Self(sandbox.project().join("work/dev"))
    }

    /// That of a host in [`remote`].
    pub(crate) fn remote(hosts: &SshHosts, name: &str) -> Self {
        Self(hosts.host(name).home().join("shop"))
    }

    /// The text of a file through `current`.
    #[track_caller]
    pub(crate) fn file(&self, path: &str) -> String {
        let path = self.0.join("current").join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Where a component's files are in the store.
    pub(crate) fn artifact(&self, component: &str) -> PathBuf {
        fs::canonicalize(self.0.join("current").join(component)).unwrap()
    }

    /// The number of the generation in force.
    pub(crate) fn generation(&self) -> Option<u64> {
        let target = fs::read_link(self.0.join("current")).ok()?;
        Some(target.to_str().unwrap().strip_prefix("generations/").unwrap().parse().unwrap())
    }

    /// The numbers of all generations.
    pub(crate) fn generations(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> =
            names(&self.0.join("generations")).into_iter().map(|name| name.parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The journal's entries.
    pub(crate) fn journal(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.0.join("journal")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Each entry of the journal as `sequence result`.
    pub(crate) fn results(&self) -> Vec<String> {
        let shown = |entry: &Value| format!("{} {}", entry["sequence"], entry["result"].as_str().unwrap());
        self.journal().iter().map(shown).collect()
    }

    /// Everything there is.
    pub(crate) fn listing(&self) -> Listing {
        listing(&self.0)
    }
}

/// What is in a folder, as exactly as the file system tells: nothing that is written leaves it the same.
pub(crate) type Listing = BTreeMap<PathBuf, (u64, u32, u64, i64, i64)>;

/// All entries below a folder, with inode, mode, size, and the times of change.
pub(crate) fn listing(folder: &Path) -> Listing {
    let describe = |entry: walkdir::DirEntry| {
        let metadata = entry.path().symlink_metadata().unwrap();
        let times = (metadata.mtime_nsec(), metadata.ctime_nsec());
        (entry.into_path(), (metadata.ino(), metadata.mode(), metadata.size(), times.0, times.1))
    };
    WalkDir::new(folder).into_iter().filter_map(Result::ok).map(describe).collect()
}

/// The names in a folder; none where there is no folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// How many files are below a folder.
pub(crate) fn count(folder: &Path) -> usize {
    WalkDir::new(folder).into_iter().filter(|entry| entry.as_ref().unwrap().file_type().is_file()).count()
}

/// What nobody is to be shown: a value as Rust writes it, a panic, colours that were not asked for.
const NEVER: [&str; 7] = ["Some(", "Err(", "Error {", "Os {", "panicked at", "RUST_BACKTRACE", "\x1b["];

/// The text holds each of these, and nothing that no message may hold.
#[track_caller]
pub(crate) fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    for never in NEVER {
        assert!(!text.contains(never), "{never:?} is in:\n{text}");
    }
}
