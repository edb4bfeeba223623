//! Every kind of damage to the controller's store, met by every command that reads it. The store can be made again, so each
//! command does what it was to do, says once that it had to mend the store, and leaves it such that the next one need not.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use walkdir::WalkDir;

use crate::common::{Output, Sandbox, counted};

/// A project whose first release is in force on its host, and whose second one was built here.
struct Damaged {
    sandbox: Sandbox,
    /// What the command prints where nothing is damaged.
    undamaged: String,
}

/// Larger than what the index of source files leaves out.
const LARGE: usize = 40_000;

fn project(sandbox: &Sandbox, version: u32) {
    let large: String = format!("{version} ").chars().cycle().take(LARGE).collect();
    sandbox
        .write("batou.toml", "[project]\nname = \"shop\"\n")
        .write("components/app/large.bin", large)
        .write("components/app/same.txt", "the same in all releases\n")
        .write(
            "components/app/component.toml",
            format!(
                "[[file]]\npath = \"name\"\ncontent = \"{version} of {{{{ environment.name }}}}\\n\"\n\
                 [[file]]\npath = \"sub/large.bin\"\nsource = \"large.bin\"\ntemplate = false\n\
                 [[file]]\npath = \"same.txt\"\n"
            ),
        );
    for environment in ["dev", "prod"] {
        sandbox.write(
            &format!("environments/{environment}/environment.toml"),
            "[environment]\nconnect_method = \"local\"\n[hosts]\nlocalhost = [\"app\"]\n",
        );
    }
}

impl Damaged {
    fn by(command: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        project(&sandbox, 1);
        sandbox.batou(&["switch", "dev"]).success();
        project(&sandbox, 2);
        sandbox.batou(&["build"]).success();
        // Source files that have just been written are not remembered yet.
        sandbox.batou(&["build"]).success();
        let mut lane = Self { sandbox, undamaged: String::new() };
        lane.shell("cp -a project/work base-work; cp -a store base-store; cp -a project/result base-result");
        // A copied deployment is not as it was released: that is told with damage and without.
        lane.reset();
        lane.undamaged = lane.sandbox.batou(command).success().stdout;
        lane
    }

    fn reset(&self) {
        self.shell(
            "chmod -R u+w project/work store project/result; rm -rf project/work store project/result\n\
             cp -a base-work project/work; cp -a base-store store; cp -a base-result project/result",
        );
    }

    fn shell(&self, script: &str) {
        let home = self.sandbox.store();
        let ran = Command::new("sh").arg("-ec").arg(script).current_dir(home.parent().unwrap()).status();
        assert!(ran.unwrap().success(), "{script}");
    }
}

/// The files of the second release, below a folder that holds its component.
fn is_whole(folder: &Path, context: &str) {
    let read = |name: &str| fs::read_to_string(folder.join("app").join(name));
    let name = read("name").unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(name, "2 of dev\n", "{context}");
    assert_eq!(read("same.txt").unwrap(), "the same in all releases\n", "{context}");
    let large = read("sub/large.bin").unwrap();
    assert!(large.starts_with("2 2 2") && large.len() == LARGE, "{context}");
}

fn warnings(output: &Output) -> Vec<&str> {
    output.stderr.lines().filter(|line| line.starts_with("warning:")).collect()
}

/// What can become of a file or folder of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    Removed,
    Empty,
    OtherContent,
    OtherMode,
    /// A folder in place of a file, a file in place of a folder.
    OtherKind,
    /// A pipe, a socket or a device, in turn.
    Special,
    /// Something that does not belong there.
    Joined,
}

use Harm::{Empty, Joined, OtherContent, OtherKind, OtherMode, Removed, Special};

/// What is harmed: a path below the store, with one `*` for all of a folder, `?` for one of them, and `**` for all files below.
const ROWS: &[(&str, &[Harm])] = &[
    ("blobs/*", &[Removed, Empty, OtherContent, OtherMode, OtherKind, Special]),
    ("blobs/?", &[Removed, Empty, OtherContent, OtherMode, OtherKind]),
    ("blobs", &[Removed, OtherKind, Special, OtherMode, Joined]),
    ("trees/*", &[Removed, Empty, OtherContent, OtherMode, OtherKind, Special]),
    ("trees/?", &[Removed, Empty, OtherContent, OtherKind]),
    ("trees", &[Removed, OtherKind, OtherMode, Joined]),
    ("records/*", &[Removed, Empty, OtherContent, OtherMode, OtherKind, Special]),
    ("records/?", &[Removed, Empty, OtherContent, OtherKind]),
    ("records", &[Removed, OtherKind, OtherMode, Joined]),
    ("artifacts/*", &[Removed, OtherKind, OtherMode, Joined]),
    ("artifacts/**", &[Removed, Empty, OtherContent, OtherMode, OtherKind, Special]),
    ("artifacts", &[Removed, OtherKind, OtherMode]),
    ("stats/*", &[Removed, Empty, OtherContent, OtherMode, OtherKind, Special]),
    ("stats", &[Removed, OtherKind, OtherMode]),
    ("roots/*", &[Removed, Empty, OtherContent, OtherMode, OtherKind, Special]),
    ("roots", &[Removed, OtherKind, Joined]),
    ("leases", &[Removed, OtherKind, Special, Joined]),
    ("tmp", &[Removed, OtherKind, Special, Joined]),
    ("sources/*", &[Removed, Empty, OtherContent, OtherMode, OtherKind, Special]),
    ("sources", &[Removed, OtherKind]),
    ("releases/**", &[Removed, Empty, OtherContent, OtherMode, OtherKind, Special]),
    ("releases/shop/dev", &[Removed, OtherKind, Special]),
    ("releases/shop", &[Removed, OtherKind]),
    ("releases", &[Removed, OtherKind]),
    ("format", &[Removed, Empty, OtherContent, OtherMode, OtherKind, Special]),
    ("lock", &[Removed, OtherContent, OtherMode, OtherKind, Special]),
    ("publish", &[Removed, OtherContent, OtherMode, OtherKind, Special]),
    ("", &[Removed]),
];

/// The files and folders that are meant.
fn meant(store: &Path, pattern: &str) -> Vec<PathBuf> {
    let (folder, last) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    let all = |depth| {
        let entries = WalkDir::new(store.join(folder)).min_depth(1).max_depth(depth).sort_by_file_name();
        entries.into_iter().map(|entry| entry.unwrap().into_path())
    };
    match last {
        "*" => all(1).collect(),
        "?" => all(1).take(1).collect(),
        "**" => all(usize::MAX).filter(|path| path.is_file()).collect(),
        _ => vec![store.join(pattern)],
    }
}

fn harm(path: &Path, harm: Harm, place: usize) {
    let metadata = fs::symlink_metadata(path).unwrap();
    let open = |path: &Path| {
        Command::new("chmod").args(["-R", "u+rwx"]).arg(path).status().unwrap();
    };
    let remove = || {
        open(path);
        if metadata.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    };
    if metadata.is_file() {
        let above = path.parent().unwrap();
        fs::set_permissions(above, Permissions::from_mode(0o755)).unwrap();
    }
    let write = |bytes: &[u8]| {
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, metadata.permissions()).unwrap();
    };
    match harm {
        Removed => remove(),
        Empty => write(b""),
        OtherContent => write(&vec![b'x'; usize::try_from(metadata.len()).unwrap().max(1)]),
        OtherMode => fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap(),
        Joined => {
            open(path);
            fs::write(path.join("notes.txt"), "x").unwrap();
        }
        Special => {
            remove();
            match [FileType::Fifo, FileType::Socket, FileType::CharacterDevice][place % 3] {
                FileType::CharacterDevice => symlink("/dev/zero", path).unwrap(),
                kind => mknodat(CWD, path, kind, Mode::RWXU, 0).unwrap(),
            }
        }
        OtherKind => {
            remove();
            if metadata.is_dir() {
                fs::write(path, "x").unwrap();
            } else {
                fs::create_dir(path).unwrap();
                fs::write(path.join("in it"), "x").unwrap();
            }
        }
    }
}

/// Does all of this to the store, runs the command after each, and everything else after that.
fn table(command: &[&str]) {
    let lane = Damaged::by(command);
    let (mut rows, mut mended) = (0, 0);
    let mut failures = Vec::new();
    for (pattern, harms) in ROWS {
        for &kind in *harms {
            lane.reset();
            let row = format!("{} with {pattern:?} {kind:?}", command.join(" "));
            let meant = meant(&lane.sandbox.store(), pattern);
            assert!(!meant.is_empty(), "{row}");
            for (place, path) in meant.iter().enumerate() {
                harm(path, kind, place);
            }
            rows += 1;
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lane.check(command, &row))) {
                Ok(warned) => mended += warned,
                Err(_) => failures.push(row),
            }
        }
    }
    counted(&format!(
        "{rows} kinds of damage before `batou {}`: {mended} told and mended",
        command.join(" ")
    ));
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(mended >= rows / 4, "too little of it was noticed");
}

/// Damages the content of all files below a folder.
fn spoil(folder: &Path) {
    for path in meant(folder, "**") {
        harm(&path, OtherContent, 0);
    }
}

#[test]
fn what_disappears_between_build_and_staging_is_built_again() {
    let lane = Damaged::by(&["build"]);
    let sandbox = &lane.sandbox;
    project(sandbox, 3);
    // An agent that waits for the record of the build, and then removes what was built, as a gc may that came before it.
    let agents = sandbox.home().join("agents");
    fs::create_dir_all(&agents).unwrap();
    let store = sandbox.store().display().to_string();
    let script = format!(
        "#!/bin/sh\nuntil ls {store}/releases/shop/dev/00000003-* 2>&-; do sleep 0.01; done >&2\n\
         rm -rf {store}/records/* {store}/trees/* {store}/blobs/*\nexec '{}' \"$@\"\n",
        env!("CARGO_BIN_EXE_batou"),
    );
    for libc in ["gnu", "musl"] {
        let path = agents.join(format!("{}-unknown-linux-{libc}", std::env::consts::ARCH));
        fs::write(&path, &script).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    let output = Output::of(sandbox.command(&["switch", "dev"]).env("BATOU_AGENTS", &agents)).success();
    assert_eq!(warnings(&output).len(), 1, "{output:?}");
    let current = sandbox.project().join("work/dev/current/app/name");
    assert_eq!(fs::read_to_string(current).unwrap(), "3 of dev\n");
}

#[test]
fn what_is_damaged_on_the_host_and_here_is_made_again_and_sent() {
    let lane = Damaged::by(&["build"]);
    let sandbox = &lane.sandbox;
    sandbox.batou(&["switch", "dev"]).success();
    project(sandbox, 1);
    sandbox.batou(&["build", "dev"]).success();
    spoil(&sandbox.store().join("blobs"));
    spoil(&sandbox.project().join("work/dev/store/blobs"));
    let output = sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(warnings(&output).len(), 1, "{output:?}");
    sandbox.batou(&["verify", "dev"]).success();
    let current = sandbox.project().join("work/dev/current/app/name");
    assert_eq!(fs::read_to_string(current).unwrap(), "1 of dev\n");
}

#[test]
fn what_was_imported_and_cannot_be_made_again_is_named_with_what_to_do() {
    let lane = Damaged::by(&["build"]);
    let sandbox = &lane.sandbox;
    let id =
        sandbox.batou(&["store", "ls", "--json"]).success().json()[0]["release"].as_str().unwrap().to_owned();
    let archive = sandbox.home().join("release.tar.zst").display().to_string();
    sandbox.batou(&["store", "export", &id, "-o", &archive]).success();
    spoil(&sandbox.store().join("blobs"));
    let again = sandbox.home().join("again.tar.zst").display().to_string();
    for _ in 0..2 {
        let output = sandbox.batou(&["store", "export", &id, "-o", &again]).fails(1);
        assert!(
            output
                .stderr
                .contains("has lost 1 artifact, which cannot be made again from the project's files"),
            "{output:?}"
        );
        assert!(output.stderr.contains("`batou store import` the release again"), "{output:?}");
    }
    sandbox.batou(&["store", "import", &archive]).success();
    sandbox.batou(&["store", "export", &id, "-o", &again]).success();
    assert_eq!(fs::read(&archive).unwrap(), fs::read(&again).unwrap());
}

/// What was printed, but for files of the target directory that are not as released. That is a copy, and which of its files have
/// the recorded inode is chance.
fn without_drift(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with("  ! not as released")).collect()
}

impl Damaged {
    /// How many warnings there were.
    fn check(&self, command: &[&str], row: &str) -> usize {
        let output = self.sandbox.batou(command).success();
        let told = warnings(&output).len();
        assert!(told <= 1, "{row}: {output:?}");
        if command[0] == "switch" {
            is_whole(&self.sandbox.project().join("work/dev/current"), row);
        } else if command[0] == "build" {
            is_whole(&self.sandbox.project().join("result/dev/localhost"), row);
        }
        if command[0] != "build" {
            assert_eq!(without_drift(&output.stdout), without_drift(&self.undamaged), "{row}: {output:?}");
        }
        let again = self.sandbox.batou(command).success();
        assert_eq!(warnings(&again), [""; 0], "{row}: a second {command:?}");
        // What the other commands come to is the same whichever was first.
        if command[0] != "switch" {
            return told;
        }

        self.sandbox.batou(&["build"]).success();
        is_whole(&self.sandbox.project().join("result/dev/localhost"), row);
        self.sandbox.batou(&["switch", "dev"]).success();
        is_whole(&self.sandbox.project().join("work/dev/current"), row);
        self.sandbox.batou(&["gc"]).success();
        // What is left belongs to the first release, which the project's files do not make any more.
        self.sandbox.batou(&["store", "verify", "--repair"]).success();
        self.sandbox.batou(&["store", "verify"]).success();
        self.sandbox.batou(&["build"]).success();
        is_whole(&self.sandbox.project().join("result/dev/localhost"), row);
        told
    }
}

#[test]
fn a_build_with_a_damaged_store() {
    table(&["build"]);
}

#[test]
fn a_switch_with_a_damaged_store() {
    table(&["switch", "dev"]);
}

#[test]
fn a_plan_with_a_damaged_store() {
    table(&["plan", "dev"]);
}

#[test]
fn a_diff_with_a_damaged_store() {
    table(&["diff", "dev", "prod"]);
}
