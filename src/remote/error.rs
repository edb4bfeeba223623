//! Why a host could not be served, or its agent could not be started.

use std::time::Duration;

use super::binary::BinaryError;
use batou_agent::protocol::question::AnswerError;
use batou_agent::protocol::{AgentError, FrameError};
use batou_agent::shell::word;
use batou_release::HostName;
use batou_system::limits::no_thread;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// Why a host could not be served. The caller adds the host's name.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// There is no agent to speak to.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The agent could not do what it was asked.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The connection ended.
    #[error("the connection to the agent was lost{}", after(noise))]
    Lost {
        /// The end of what the other side said on standard error.
        noise: String,
        /// How it ended.
        source: FrameError,
    },
    /// The host is alive but does not answer.
    #[error("its agent is alive, but did not answer within {} s ({verb})", limit.as_secs())]
    Late {
        /// What it was asked.
        verb: &'static str,
        /// How long it had.
        limit: Duration,
    },
    /// What the agent says cannot be read, and so neither can anything after it.
    #[error("the answer of its agent cannot be understood")]
    Garbled(#[source] FrameError),
    /// The controller's own store failed, or what came from the host is not what it should be.
    #[error(transparent)]
    Store(#[from] batou_store::Error),
    /// The host has a manifest that this program does not understand.
    #[error(transparent)]
    Manifest(#[from] batou_release::FormatError),
    /// The manifest is that of another host, project or environment.
    #[error("it answers with a manifest of project {project}, environment {environment}, host {host}")]
    ForeignManifest {
        /// The project it belongs to.
        project: String,
        /// The environment it belongs to.
        environment: String,
        /// The host it belongs to.
        host: HostName,
    },
    /// A component waits for itself, through others.
    #[error("it would wait for itself: the hosts' manifests depend on each other in a circle")]
    Stuck,
    /// The agent's answer does not fit the question.
    #[error("the agent gave an answer of another kind than asked for")]
    Protocol,
    /// Its journal cannot be read.
    #[error(transparent)]
    Journal(AnswerError),
}

impl From<AnswerError> for RemoteError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Kind => RemoteError::Protocol,
            AnswerError::Journal { .. } => RemoteError::Journal(error),
        }
    }
}

impl RemoteError {
    /// Whether it means that nobody could be spoken to, so that nothing is known of what the host has.
    pub fn is_unreachable(&self) -> bool {
        !self.is_own()
            && matches!(self, RemoteError::Start(_) | RemoteError::Lost { .. } | RemoteError::Late { .. })
    }

    /// Whether it was this machine that failed. It then says nothing about the host, which may not even have
    /// been called.
    pub fn is_own(&self) -> bool {
        let RemoteError::Start(error) = self else { return false };
        matches!(
            error,
            StartError::NoSsh
                | StartError::Descriptors
                | StartError::Threads(_)
                | StartError::Spawn { .. }
                | StartError::Binary(
                    BinaryError::Unusable { .. }
                        | BinaryError::Foreign { .. }
                        | BinaryError::NoAgent { .. }
                        | BinaryError::Io { .. }
                )
        )
    }

    /// What a program did that was started as an agent, without a login or a script before it, and did not answer as one.
    pub(super) fn no_agent(&self) -> Option<String> {
        match self {
            RemoteError::Start(StartError::Shell { status, said }) => {
                Some(format!("ended{}{}", with(*status), after(said)))
            }
            RemoteError::Start(StartError::Patience(said)) => {
                Some(format!("did not answer in time{}", after(said)))
            }
            RemoteError::Start(StartError::Unexpected(said)) => Some(format!("answered {said:?}")),
            RemoteError::Start(StartError::Preamble) => Some("printed more than 64 KiB".to_owned()),
            _ => None,
        }
    }

    /// Whether nothing more can be asked over this connection.
    pub fn ends_conversation(&self) -> bool {
        matches!(self, RemoteError::Lost { .. } | RemoteError::Late { .. } | RemoteError::Garbled(_))
    }
}

/// Why an agent could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no ssh on this machine.
    #[error("there is no `ssh` in PATH: install OpenSSH's client (Debian's package openssh-client)")]
    NoSsh,
    /// This process can have no more descriptors.
    #[error(
        "this machine lets batou have no more than {} files and connections open at once, and that is too few: raise the limit \
         with `ulimit -n`",
        limit()
    )]
    Descriptors,
    /// This process can start no more threads or processes.
    #[error("{}", no_thread("this machine", _0))]
    Threads(std::io::Error),
    /// A program cannot be run on this machine.
    #[error("cannot start {program}")]
    Spawn {
        /// Which program.
        program: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The host shows a key other than the one known for it.
    #[error(
        "the host shows another key than the one that is known of it, in {file}, line {line}: if it was changed on purpose, \
         remove the old one with `ssh-keygen -f {} -R {}`",
        word(file),
        word(host)
    )]
    KeyChanged {
        /// The file with the known key.
        file: String,
        /// The line in that file.
        line: String,
        /// What ssh calls the host in that file.
        host: String,
    },
    /// ssh gave up.
    #[error("cannot connect{}", after(_0))]
    Connection(String),
    /// The host accepted the login and then said nothing.
    #[error("the host took too long to answer{}", printed(_0))]
    Patience(String),
    /// The host accepted the login, but the command was not run.
    #[error(
        "the login shell did not run the command that ssh gave it within {} s: look at the startup files of the user who logs \
         in (such as ~/.bashrc), which must not wait for input or start another shell{}",
        limit.as_secs(),
        printed(said)
    )]
    Shy {
        /// How long it had.
        limit: Duration,
        /// The end of what it printed.
        said: String,
    },
    /// Something else read the lines that were sent to the script on the host.
    #[error(
        "the login shell read input that was meant for the command that ssh gave it: look at the startup files of the \
         user who logs in (such as ~/.bashrc), which must not read from standard input"
    )]
    Eaten,
    /// The login shell does not stop printing.
    #[error("the login shell printed more than 64 KiB before the agent started")]
    Preamble,
    /// The service user does not exist.
    #[error("there is no user {_0} on the host: create it with `useradd --create-home {_0}`")]
    NoUser(String),
    /// sudo refused.
    #[error("sudo does not let the login user become {user} without a password{}", after(noise))]
    Sudo {
        /// The service user.
        user: String,
        /// What sudo said.
        noise: String,
    },
    /// Neither the home directory nor /var/tmp can hold the agent.
    #[error("the host has no folder for the agent{}", after(_0))]
    NoPlace(String),
    /// The agent's bytes did not arrive.
    #[error("the agent could not be stored on the host{}", after(noise))]
    Upload {
        /// Whether it was sent gzipped.
        packed: bool,
        /// What was compared, and what else went wrong on the host.
        noise: String,
    },
    /// The target directory belongs to somebody else, so we cannot give it to the agent's user.
    #[error(
        "{user} may not write to {directory}: choose another target_directory, or, if nobody else needs that \
         folder, give it away with `chown -R {} {}`",
        word(user),
        word(directory)
    )]
    Taken {
        /// The target directory.
        directory: String,
        /// The agent's user.
        user: String,
    },
    /// The target directory is on a filesystem that cannot be written to.
    #[error("{_0} is on a filesystem that is mounted read-only")]
    ReadOnly(String),
    /// The target directory could not be made.
    #[error("the target directory cannot be created{}", after(_0))]
    Preparation(String),
    /// Something other than the script answers.
    #[error("the host answered {_0:?}, which is not part of the protocol")]
    Unexpected(String),
    /// No shell ran the command: the account has none, or has a forced command.
    #[error("the login ended before anything was run there{}{}", with(*status), after(said))]
    Shell {
        /// The exit status.
        status: Option<i32>,
        /// The end of what it printed.
        said: String,
    },
    /// It ended by itself.
    #[error("the agent ended as soon as it had started{}{}", with(*status), after(noise))]
    Ended {
        /// The exit status.
        status: Option<i32>,
        /// The end of what it said.
        noise: String,
    },
    /// No agent for the host's kind.
    #[error(transparent)]
    Binary(#[from] BinaryError),
}

impl StartError {
    /// Why a program could not be started here.
    pub(super) fn spawn(program: &'static str, source: std::io::Error) -> Self {
        match Errno::from_io_error(&source) {
            Some(Errno::MFILE | Errno::NFILE) => StartError::Descriptors,
            Some(Errno::NOENT) if program == "ssh" => StartError::NoSsh,
            Some(Errno::AGAIN) => StartError::Threads(source),
            _ => StartError::Spawn { program, source },
        }
    }

    /// What ssh says when it cannot connect. Its fourteen lines about a changed key become one.
    pub(super) fn connection(said: &str) -> Self {
        let offending =
            said.lines().find_map(|line| line.trim().strip_prefix("Offending ")?.split_once(" key in "));
        let place = offending.and_then(|(_, place)| place.rsplit_once(':'));
        let host = said.lines().find_map(|line| {
            let (host, _) = line
                .trim()
                .strip_prefix("Host key for ")?
                .split_once(" has changed and you have requested")?;
            Some(host)
        });
        match (place, host) {
            (Some((file, line)), Some(host)) => {
                StartError::KeyChanged { file: file.into(), line: line.into(), host: host.into() }
            }
            _ => StartError::Connection(without_accepted(said)),
        }
    }
}

/// Leaves out the lines about newly accepted keys: those are not what went wrong.
fn without_accepted(said: &str) -> String {
    let others = said.lines().filter(|line| !line.starts_with("Warning: Permanently added "));
    others.collect::<Vec<_>>().join("\n")
}

/// How many descriptors this process may have.
fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn printed(said: &str) -> String {
    let said = after(said);
    said.strip_prefix(": ").map_or(String::new(), |said| format!("; until then it had printed: {said}"))
}

fn with(status: Option<i32>) -> String {
    status.map_or(String::new(), |status| format!(" (status {status})"))
}

fn after(noise: &str) -> String {
    let lines: Vec<_> = noise.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { String::new() } else { format!(": {}", lines.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fourteen_lines_about_a_changed_key_become_one() {
        let said = "@@@@@@@@@@@\r
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r
@@@@@@@@@@@\r
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r
Add correct host key in /home/ann/my hosts to get rid of this message.\r
Offending ED25519 key in /home/ann/my hosts:17\r
  remove with:\r
  ssh-keygen -f \"/home/ann/my hosts\" -R \"[10.0.0.1]:2222\"\r
Host key for [10.0.0.1]:2222 has changed and you have requested strict checking.\r
Host key verification failed.\r
";
        assert_eq!(
            StartError::connection(said).to_string(),
            "the host shows another key than the one that is known of it, in /home/ann/my hosts, line 17: if it was \
             changed on purpose, remove the old one with `ssh-keygen -f '/home/ann/my hosts' -R '[10.0.0.1]:2222'`"
        );
        let unknown = "No ED25519 host key is known for web01 and you have requested strict checking.";
        assert_eq!(StartError::connection(unknown).to_string(), format!("cannot connect: {unknown}"));
        let accepted = "Warning: Permanently added 'h1' (ED25519) to the list of known hosts.\nroot@h1: Permission denied (publickey).";
        assert_eq!(
            StartError::connection(accepted).to_string(),
            "cannot connect: root@h1: Permission denied (publickey)."
        );
    }

    #[test]
    fn what_is_missing_here_is_told_from_what_is_wrong_there() {
        let spawn = |error: Errno| StartError::spawn("ssh", error.into()).to_string();
        assert!(spawn(Errno::NOENT).contains("install OpenSSH's client"));
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let descriptors = spawn(Errno::MFILE);
        assert!(descriptors.starts_with(&format!("this machine lets batou have no more than {limit} files")));
        assert!(descriptors.contains("`ulimit -n`"), "{descriptors}");
        assert_eq!(spawn(Errno::ACCESS), "cannot start ssh");
    }

    #[test]
    fn what_fails_here_is_no_word_about_a_host() {
        let here = [Errno::NOENT, Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::ACCESS];
        for error in here.map(|error| RemoteError::from(StartError::spawn("ssh", error.into()))) {
            assert!(error.is_own() && !error.is_unreachable(), "{error}");
        }
        let there = RemoteError::from(StartError::Connection("Connection refused".into()));
        assert!(there.is_unreachable() && !there.is_own());
    }

    #[test]
    fn a_late_host_tells_what_it_had_printed() {
        let late = |said: &str| StartError::Patience(said.to_owned()).to_string();
        assert_eq!(late("\n"), "the host took too long to answer");
        assert_eq!(
            late("Welcome\nPress Enter\n"),
            "the host took too long to answer; until then it had printed: Welcome; Press Enter"
        );
    }
}
