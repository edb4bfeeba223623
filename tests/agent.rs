//! The agent's program: what it is made of, and how it comes to hosts that have few other programs.

use std::fs;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::common::{Output, Sandbox, SshHosts};
use crate::shop::{self, Target, names};
use crate::ssh::{agents, wrap_logins, wrapped_agent};

/// What a host needs; `cksum` and `gzip` are used where they are there.
const PROGRAMS: [&str; 19] = [
    "sh", "id", "uname", "cat", "head", "wc", "mkdir", "chmod", "sync", "mv", "ls", "tail", "rm", "true",
    "touch", "test", "mktemp", "grep", "printf",
];

/// A folder with these programs of this machine only.
fn programs(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var_os("PATH").unwrap();
    for name in names {
        let program = std::env::split_paths(&path).map(|path| path.join(name)).find(|path| path.is_file());
        symlink(program.unwrap(), folder.path().join(name)).unwrap();
    }
    folder
}

#[test]
fn the_agent_is_made_of_little_and_of_no_language() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "tree",
        "--locked",
        "--offline",
        "--package",
        "batou-agent",
        "--edges",
        "normal",
        "--prefix",
        "none",
    ]);
    cargo.args(["--format", "{p}"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let tree = Output::of(&mut cargo).success().stdout;
    let mut crates: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    crates.sort_unstable();
    crates.dedup();
    assert!(crates.contains(&"batou-store") && crates.len() < 80, "{crates:?}");
    let engines = ["starlark", "minijinja", "clap", "hickory-resolver", "miette", "regex", "regex-automata"];
    // What machines are simulated with.
    let simulation = ["tokio", "generator", "fastrand"];
    for not_there in engines.into_iter().chain(simulation) {
        assert!(!crates.contains(&not_there), "{not_there}");
    }
}

/// A host whose logins have only the programs of this folder.
fn host_with(programs: &Path) -> (SshHosts, Sandbox) {
    let hosts = SshHosts::start(&["one"]);
    let sandbox = shop::remote(&hosts, &["one"]);
    let script = format!("PATH={}; export PATH; eval \"$SSH_ORIGINAL_COMMAND\"\n", programs.display());
    wrap_logins(&hosts, "one", &script);
    (hosts, sandbox)
}

/// Releases to a host that has these programs, once with this program as agent, which is sent as it is, and once with one from
/// a folder, which is packed where the host can unpack it.
fn is_served(programs: &Path) {
    let (hosts, sandbox) = host_with(programs);
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(Target::remote(&hosts, "one").file("app/app.conf"), "one on one\n");
    let agent = wrapped_agent(&sandbox, std::env::consts::ARCH, "");
    let agents_folder = agent.parent().unwrap();
    Output::of(sandbox.command(&["status", "dev"]).env("BATOU_AGENTS", agents_folder)).success();
    let stored = agents(&hosts, "one").join(blake3::hash(&fs::read(&agent).unwrap()).to_hex().as_str());
    assert_eq!(fs::read(stored).unwrap(), fs::read(&agent).unwrap());
    assert_eq!(names(&agents(&hosts, "one")).len(), 2);
}

#[test]
fn a_host_with_neither_gzip_nor_cksum_is_served() {
    is_served(programs(&PROGRAMS).path());
}

#[test]
fn a_host_without_gzip_is_served() {
    is_served(programs(&[&PROGRAMS[..], &["cksum"]].concat()).path());
}

#[test]
fn a_host_without_cksum_is_served() {
    is_served(programs(&[&PROGRAMS[..], &["gzip"]].concat()).path());
}

#[test]
fn a_host_with_busybox_alone_is_served() {
    let list = Command::new("busybox").arg("--list").output().expect("busybox, which `make tools` installs");
    let busybox = programs(&["busybox"]);
    for name in String::from_utf8(list.stdout).unwrap().lines().filter(|name| *name != "busybox") {
        symlink("busybox", busybox.path().join(name)).unwrap();
    }
    is_served(busybox.path());
}

/// What is sent to the script that starts agents, after the word that wants one.
struct Parcel {
    size: usize,
    sum: u32,
    form: &'static str,
    bytes: Vec<u8>,
}

const AGENT: &[u8] =
    b"#!/bin/sh\nprintf '\\nbatou-agent-1 ready\\n'\n# an agent that ends as soon as it has begun\n";

impl Parcel {
    fn plain() -> Self {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(AGENT).unwrap();
        file.rewind().unwrap();
        let output = Command::new("cksum").stdin(file).output().unwrap();
        let sum = String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().parse().unwrap();
        Parcel { size: AGENT.len(), sum, form: "plain", bytes: AGENT.to_vec() }
    }

    fn packed() -> Self {
        let mut packing = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packing.write_all(AGENT).unwrap();
        Parcel { form: "gzip", bytes: packing.finish().unwrap(), ..Parcel::plain() }
    }

    /// The last word of the script, of a host that has these programs only, and what is then in the folder of agents.
    fn send(&self, programs: &Path) -> (String, Vec<String>) {
        let home = tempfile::tempdir().unwrap();
        let (word, _) = self.send_to(home.path(), programs);
        (word, names(&home.path().join(".cache/batou/agents")))
    }

    /// The last word of the script, and what it printed as errors, of a host with this home; `/var/tmp` is a folder in that.
    fn send_to(&self, home: &Path, programs: &Path) -> (String, String) {
        let script = include_str!("../src/remote/start.sh").trim_end();
        let script = script.replace("/var/tmp", &home.join("var").display().to_string());
        let mut input = tempfile::tempfile().unwrap();
        let Parcel { size, sum, form, bytes } = self;
        write!(input, "batou\nagent\n-\nwanted\nname\n{size}\n{sum}\n{}\n{form}\n", bytes.len()).unwrap();
        input.write_all(bytes).unwrap();
        input.rewind().unwrap();
        let mut pipe = Command::new("cat").stdin(input).stdout(Stdio::piped()).spawn().unwrap();
        let mut host = Command::new(programs.join("sh"));
        host.args(["-c", &script]).env_clear();
        host.env("PATH", programs).env("HOME", home).stdin(pipe.stdout.take().unwrap());
        let output = host.output().unwrap();
        pipe.wait().unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        let word = words.lines().rev().find_map(|line| line.strip_prefix("batou-agent-1 ")).unwrap();
        (word.to_owned(), String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn a_folder_at_the_agents_place_is_replaced_and_dead_uploads_are_removed() {
    let programs = programs(&[&PROGRAMS[..], &["cksum"]].concat());
    let home = tempfile::tempdir().unwrap();
    let agents = home.path().join(".cache/batou/agents");
    fs::create_dir_all(agents.join("name/within")).unwrap();
    let machine = rustix::system::uname().nodename().to_str().unwrap().to_owned();
    let (dead, alive) = (format!(".x.{machine}.999999999"), format!(".x.{machine}.{}", std::process::id()));
    let elsewhere = ".x.another-host.999999999".to_owned();
    for name in [&dead, &alive, &elsewhere] {
        fs::write(agents.join(name), "").unwrap();
    }
    assert_eq!(Parcel::plain().send_to(home.path(), programs.path()).0, "ready");
    let mut expected = vec![alive, elsewhere, "name".to_owned()];
    expected.sort();
    assert_eq!(names(&agents), expected);
    assert_eq!(fs::read(agents.join("name")).unwrap(), AGENT);
}

#[test]
fn an_agent_lies_where_it_can_be_run_and_nobody_else_can_write() {
    let programs = programs(&[&PROGRAMS[..], &["cksum"]].concat());
    // As on a filesystem that is mounted noexec.
    let chmod =
        "#!/bin/sh\ncase $2 in */.cache/*) exec /bin/chmod 0400 \"$2\";; esac\nexec /bin/chmod \"$@\"\n";
    let noexec = self::programs(&[&PROGRAMS[..], &["cksum"]].concat());
    fs::remove_file(noexec.path().join("chmod")).unwrap();
    fs::write(noexec.path().join("chmod"), chmod).unwrap();
    fs::set_permissions(noexec.path().join("chmod"), fs::Permissions::from_mode(0o755)).unwrap();
    let user = rustix::process::getuid().as_raw();
    for (programs, mode, why) in [
        (&noexec, 0o700, "agents takes files, and runs no program (is it mounted noexec?)\n"),
        (&programs, 0o770, "agents does not belong to this user alone\n"),
        (&programs, 0o702, "agents does not belong to this user alone\n"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let (agents, var) = (home.path().join(".cache/batou/agents"), home.path().join("var"));
        fs::create_dir_all(&agents).unwrap();
        fs::set_permissions(&agents, fs::Permissions::from_mode(mode)).unwrap();
        fs::create_dir(&var).unwrap();
        let (word, errors) = Parcel::plain().send_to(home.path(), programs.path());
        assert_eq!(word, "ready", "{errors}");
        assert!(errors.ends_with(why), "{errors}");
        assert_eq!(names(&agents), [""; 0]);
        let other = var.join(format!("batou-agents-{user}"));
        assert_eq!(names(&other), ["name"]);
        // Where neither will do, both are named.
        fs::set_permissions(&other, fs::Permissions::from_mode(0o777)).unwrap();
        let (word, errors) = Parcel::plain().send_to(home.path(), programs.path());
        assert_eq!(word, "no-place");
        assert!(errors.contains(why) && errors.lines().count() == 2, "{errors}");
    }
}

#[test]
fn what_was_compared_is_told_and_a_host_whose_gzip_is_none_gets_a_plain_agent() {
    let programs = programs(&[&PROGRAMS[..], &["cksum"]].concat());
    let home = tempfile::tempdir().unwrap();
    let other = Parcel { sum: 7, ..Parcel::plain() };
    let (word, errors) = other.send_to(home.path(), programs.path());
    assert_eq!(word, "failed");
    let (sum, size) = (Parcel::plain().sum, AGENT.len());
    let wanted = format!(
        "agents/name: checksum and size of what arrived as plain: {sum} {size}; of what was sent: 7 {size}\n"
    );
    assert!(errors.ends_with(&wanted), "{errors}");

    symlink("cat", programs.path().join("gzip")).unwrap();
    let (hosts, sandbox) = host_with(programs.path());
    let agent = wrapped_agent(&sandbox, std::env::consts::ARCH, "");
    Output::of(sandbox.command(&["switch", "dev"]).env("BATOU_AGENTS", agent.parent().unwrap())).success();
    assert_eq!(Target::remote(&hosts, "one").file("app/app.conf"), "one on one\n");
}

#[test]
fn what_does_not_arrive_whole_gets_no_name() {
    let checked = programs(&[&PROGRAMS[..], &["gzip", "cksum"]].concat());
    let by_gzip = programs(&[&PROGRAMS[..], &["gzip"]].concat());
    let by_size = programs(&PROGRAMS);
    let cut = |mut parcel: Parcel| {
        // The connection ends in the middle.
        let half = parcel.bytes.len() / 2;
        parcel.bytes.truncate(half);
        parcel
    };
    let spoilt = |mut parcel: Parcel| {
        let middle = parcel.bytes.len() / 2;
        parcel.bytes[middle] ^= 0x20;
        parcel
    };
    let other = |parcel: Parcel| Parcel { sum: parcel.sum ^ 1, ..parcel };
    let longer = |parcel: Parcel| Parcel { size: parcel.size + 1, ..parcel };
    for (host, parcel) in [
        (&checked, Parcel::packed()),
        (&checked, Parcel::plain()),
        (&by_gzip, Parcel::packed()),
        (&by_size, Parcel::plain()),
        (&by_size, other(Parcel::plain())),
    ] {
        assert_eq!(parcel.send(host.path()), ("ready".to_owned(), vec!["name".to_owned()]));
    }
    let refused = [
        (
            &checked,
            [
                cut(Parcel::packed()),
                spoilt(Parcel::packed()),
                other(Parcel::packed()),
                longer(Parcel::packed()),
            ],
        ),
        (
            &checked,
            [cut(Parcel::plain()), spoilt(Parcel::plain()), other(Parcel::plain()), longer(Parcel::plain())],
        ),
        (
            &by_gzip,
            [
                cut(Parcel::packed()),
                spoilt(Parcel::packed()),
                longer(Parcel::packed()),
                longer(Parcel::plain()),
            ],
        ),
    ];
    for (host, parcels) in refused {
        for parcel in parcels {
            let sent = parcel.send(host.path());
            assert_eq!(sent, ("failed".to_owned(), Vec::new()), "{} of {}", parcel.form, parcel.size);
        }
    }
    assert_eq!(longer(Parcel::plain()).send(by_size.path()).0, "failed");
}

#[test]
fn a_host_says_whether_it_has_gzip() {
    for (more, wanted) in [(&["gzip"][..], " gzip"), (&[], "")] {
        let programs = programs(&[&PROGRAMS[..], more].concat());
        let home = tempfile::tempdir().unwrap();
        let mut host = Command::new(programs.path().join("sh"));
        host.args(["-c", include_str!("../src/remote/start.sh").trim_end()]).env_clear();
        host.env("PATH", programs.path())
            .env("HOME", home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut host = host.spawn().unwrap();
        host.stdin.take().unwrap().write_all(b"batou\nagent\n-\nwanted\n").unwrap();
        let mut said = String::new();
        host.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        host.wait().unwrap();
        let machine = rustix::system::uname().machine().to_str().unwrap().to_owned();
        assert!(
            said.starts_with(&format!("\nbatou-agent-1 here\n\nbatou-agent-1 want {machine}{wanted}\n")),
            "{said}"
        );
    }
}
