//! A project in a temporary folder, and the batou binary run in it with an environment of its own, so that
//! neither the machine's configuration nor another test is seen.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use walkdir::WalkDir;

use super::schema::validate_output;

pub(super) const BATOU: &str = env!("CARGO_BIN_EXE_batou");

/// A temporary folder with `project/`, `home/` and the controller's `store/`; removed at its end.
pub(crate) struct Sandbox {
    directory: TempDir,
}

impl Sandbox {
    /// An empty project folder: not even a batou.toml.
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("batou-").tempdir().unwrap();
        for folder in ["project", "home", "tmp"] {
            fs::create_dir(directory.path().join(folder)).unwrap();
        }
        Self { directory }
    }

    /// A project that is a copy of `examples/NAME`, without what runs of it left there.
    pub(crate) fn example(name: &str) -> Self {
        let sandbox = Self::new();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        let entries = WalkDir::new(&source).min_depth(1).into_iter();
        for entry in
            entries.filter_entry(|entry| !["work", "result"].map(OsStr::new).contains(&entry.file_name()))
        {
            let entry = entry.unwrap();
            let target = sandbox.project().join(entry.path().strip_prefix(&source).unwrap());
            if entry.file_type().is_dir() {
                fs::create_dir(&target).unwrap();
            } else {
                fs::copy(entry.path(), &target).unwrap();
            }
        }
        sandbox
    }

    /// The project's folder, in which batou runs.
    pub(crate) fn project(&self) -> PathBuf {
        self.directory.path().join("project")
    }

    /// The controller's store.
    pub(crate) fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// The home folder of whoever runs batou here.
    pub(crate) fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// Where programs that run here put what is temporary.
    pub(crate) fn tmp(&self) -> PathBuf {
        self.directory.path().join("tmp")
    }

    /// Writes a file of the project, with the folders above it.
    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.project().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// The text of a file of the project.
    pub(crate) fn read(&self, path: &str) -> String {
        let path = self.project().join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Runs batou to its end.
    pub(crate) fn batou(&self, arguments: &[&str]) -> Output {
        Output::of(&mut self.command(arguments))
    }

    /// batou, to be run by the caller: to signal it, to write to it, to look at it while it runs.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_under::<&str>(&[], arguments)
    }

    /// batou as the argument of another program, such as strace.
    pub(crate) fn command_under<S: AsRef<OsStr>>(&self, prefix: &[S], arguments: &[&str]) -> Command {
        let mut words = prefix.iter().map(AsRef::as_ref).chain([OsStr::new(BATOU)]);
        let mut command = self.program(words.next().unwrap());
        command.args(words).args(arguments);
        command
    }

    /// Any program, run in the project's folder with the sandbox's environment and without input.
    pub(crate) fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", format!("{path}:/usr/sbin:/sbin"))
            .env("HOME", self.home())
            .env("TMPDIR", self.tmp())
            .env("XDG_CACHE_HOME", self.home().join(".cache"))
            .env("XDG_CONFIG_HOME", self.home().join(".config"))
            .env("BATOU_STORE", self.store())
            .env("NO_COLOR", "1")
            .env("LANG", "C.UTF-8")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .current_dir(self.project())
            .stdin(Stdio::null());
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Tester");
            command.env(format!("GIT_{role}_EMAIL"), "tester@example.net");
        }
        command
    }

    /// Runs git in the project, which must succeed.
    pub(crate) fn git(&self, arguments: &[&str]) -> Output {
        Output::of(self.program("git").args(arguments)).success()
    }

    /// Makes the project a git repository, on branch `main`, with everything in it committed.
    pub(crate) fn commit_all(&self) -> &Self {
        if !self.project().join(".git").exists() {
            self.git(&["init", "--quiet", "--initial-branch=main"]);
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message=a change"]);
        self
    }
}

impl Drop for Sandbox {
    /// Stores are read-only, and whoever is not root can remove only what they may write to.
    fn drop(&mut self) {
        // What fails here leaves a temporary folder, and hides no failure of the test.
        let _ = Command::new("chmod").args(["-R", "u+w"]).arg(self.directory.path()).output();
    }
}

/// What a program said and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    command: String,
    /// The exit status; `None` when a signal ended it.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Runs a command to its end. What batou prints with `--json` must be what its schema has.
    pub(crate) fn of(command: &mut Command) -> Self {
        let shown = format!("{command:?}");
        let output = loop {
            match command.output() {
                // A program that was just written: a process that another test starts may still hold it open.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                output => break output.unwrap_or_else(|error| panic!("{shown}: {error}")),
            }
        };
        let output = Self {
            command: shown,
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        validate_output(command, &output.stdout, output.status.is_none());
        output
    }

    /// It must have ended with status 0.
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        self.ended(Some(0))
    }

    /// It must have ended with this status.
    #[track_caller]
    pub(crate) fn fails(self, status: i32) -> Self {
        self.ended(Some(status))
    }

    #[track_caller]
    fn ended(self, status: Option<i32>) -> Self {
        let Self { command, status: actual, stdout, stderr } = &self;
        assert!(
            *actual == status,
            "{command}\nended with {actual:?} instead of {status:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        );
        self
    }

    /// The lines of `--json`.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        self.stdout.lines().map(parse).collect()
    }
}
