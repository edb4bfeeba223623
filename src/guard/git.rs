//! The project's git repository, through the `git` program. Only what lies below the project's folder counts.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::CommandError;
use crate::ui::visible;

/// Folders that batou itself makes in a project.
const OURS: [&str; 2] = ["result", "work"];

/// A git repository that the project lies in.
pub(super) struct Repository<'p> {
    project: &'p Path,
}

/// Why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoRepository {
    /// There is no `git` on this machine.
    Program,
    /// The project lies in none.
    Repository,
}

impl<'p> Repository<'p> {
    /// The repository around the project's folder.
    pub(super) fn open(project: &'p Path) -> Result<Result<Self, NoRepository>, CommandError> {
        let repository = Self { project };
        let answer = match repository.run(&["rev-parse", "--is-inside-work-tree"]) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(NoRepository::Program)),
            other => other.map_err(|error| repository.failed().because(error))?,
        };
        if answer.status.success() {
            let inside = answer.stdout.trim_ascii() == b"true";
            return Ok(if inside { Ok(repository) } else { Err(NoRepository::Repository) });
        }
        if String::from_utf8_lossy(&answer.stderr).contains("not a git repository") {
            return Ok(Err(NoRepository::Repository));
        }
        if String::from_utf8_lossy(&answer.stderr).contains("dubious ownership") {
            return Err(repository.foreign());
        }
        Err(repository.refused(&answer))
    }

    /// git looks into no repository of another user.
    fn foreign(&self) -> CommandError {
        let project = self.project.display();
        CommandError::input(format!(
            "{project} is in a git repository of another user, into which git does not look: its state cannot be checked"
        ))
        .hint(format!(
            "if you trust that user, say so with `git config --global --add safe.directory FOLDER`, where FOLDER is that of the \
             repository (or {project}); or run batou as that user, or release without this check with --dirty"
        ))
    }

    /// The branch that is checked out; none with a detached HEAD. A tag of the same name makes no difference.
    pub(super) fn branch(&self) -> Result<Option<String>, CommandError> {
        let answer = self.answer(&["symbolic-ref", "--quiet", "HEAD"])?;
        match answer.status.code() {
            Some(0) => {
                let head = String::from_utf8_lossy(answer.stdout.trim_ascii()).into_owned();
                Ok(head.strip_prefix("refs/heads/").map(str::to_owned))
            }
            Some(1) => Ok(None),
            _ => Err(self.refused(&answer)),
        }
    }

    /// Whether the commit that is checked out is the tip of this branch, here or on a remote.
    pub(super) fn is_tip_of(&self, branch: &str) -> Result<bool, CommandError> {
        self.has_ref(branch, &["--points-at=HEAD"])
    }

    /// Whether there is such a branch, here or on a remote.
    pub(super) fn has_branch(&self, branch: &str) -> Result<bool, CommandError> {
        self.has_ref(branch, &[])
    }

    fn has_ref(&self, branch: &str, which: &[&str]) -> Result<bool, CommandError> {
        let arguments = [&["for-each-ref", "--format=%(refname)"], which, &["refs/heads", "refs/remotes"]];
        let (tips, remotes) = (self.answer(&arguments.concat())?, self.answer(&["remote"])?);
        if !tips.status.success() || !remotes.status.success() {
            // Where there is no commit yet, none is the tip of anything.
            return Ok(false);
        }
        let own = format!("refs/heads/{branch}");
        let remotes = String::from_utf8_lossy(&remotes.stdout).into_owned();
        let wanted: Vec<_> =
            remotes.lines().map(|remote| format!("refs/remotes/{remote}/{branch}")).collect();
        let tips = String::from_utf8_lossy(&tips.stdout);
        Ok(tips.lines().any(|tip| tip == own || wanted.iter().any(|wanted| wanted == tip)))
    }

    /// The paths that are changed, staged, or neither tracked nor ignored, relative to the repository.
    pub(super) fn changes(&self) -> Result<Vec<String>, CommandError> {
        let mut arguments =
            vec!["status", "--porcelain=v1", "-z", "--untracked-files=normal", "--no-renames"];
        arguments.extend(["--ignore-submodules=none", "--", "."]);
        let excluded =
            OURS.map(|folder| format!(":(exclude,top,literal){}{folder}", self.prefix().unwrap_or_default()));
        arguments.extend(excluded.iter().map(String::as_str));
        let answer = self.answer(&arguments)?;
        if !answer.status.success() {
            return Err(self.refused(&answer));
        }
        let entries = answer.stdout.split(|byte| *byte == 0).filter_map(|entry| entry.get(3..));
        Ok(entries.map(|path| String::from_utf8_lossy(path).into_owned()).collect())
    }

    /// How many commits that touch the project are not in the upstream branch; none without an upstream.
    pub(super) fn unpushed(&self) -> Result<Option<usize>, CommandError> {
        let upstream = self.answer(&["rev-parse", "--quiet", "--verify", "@{upstream}"])?;
        if !upstream.status.success() {
            return Ok(None);
        }
        let answer = self.answer(&["rev-list", "--count", "@{upstream}..HEAD", "--", "."])?;
        let count = String::from_utf8_lossy(answer.stdout.trim_ascii()).parse().ok();
        count.map(Some).ok_or_else(|| self.refused(&answer))
    }

    /// The project's folder in the repository, with a slash at its end.
    fn prefix(&self) -> Option<String> {
        let answer = self.run(&["rev-parse", "--show-prefix"]).ok()?;
        Some(String::from_utf8(answer.stdout).ok()?.trim_end_matches('\n').to_owned())
    }

    fn answer(&self, arguments: &[&str]) -> Result<Output, CommandError> {
        self.run(arguments).map_err(|error| self.failed().because(error))
    }

    /// Runs git so that neither its caller's environment (inside a hook it names another repository) nor the
    /// repository's configuration changes what is looked at, and without writing to the index.
    fn run(&self, arguments: &[&str]) -> io::Result<Output> {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.project).args(["-c", "core.fsmonitor=false", "-c", "core.quotePath=false"]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                git.env_remove(name);
            }
        }
        git.env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
        git.args(arguments).stdin(Stdio::null()).output()
    }

    fn failed(&self) -> CommandError {
        CommandError::failed(format!("{}: git cannot be run", self.project.display()))
    }

    fn refused(&self, answer: &Output) -> CommandError {
        let said = visible(String::from_utf8_lossy(&answer.stderr).trim());
        CommandError::failed(format!(
            "{}: git does not tell the state of the repository",
            self.project.display()
        ))
        .because(said)
        .hint("release without this check with --dirty")
    }
}
