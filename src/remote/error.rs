//! Why a host could not be served, or its agent not be started.

use super::binary::BinaryError;
use batou_agent::protocol::{AgentError, FrameError};
use batou_release::HostName;

/// Why a host could not be served. The host's name is added by whoever knows it.
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
    /// The controller's own store failed, or what came from the host is not what it should be.
    #[error(transparent)]
    Store(#[from] batou_store::Error),
    /// The host has a manifest that this program does not understand.
    #[error(transparent)]
    Manifest(#[from] batou_release::FormatError),
    /// The manifest is that of another host, project or environment.
    #[error("it answers with a manifest of project {project}, environment {environment}, host {host}")]
    ForeignManifest {
        /// Of which project it is.
        project: String,
        /// Of which environment.
        environment: String,
        /// Of which host.
        host: HostName,
    },
    /// A component waits for itself, over others.
    #[error("it waits for itself: the dependencies in the hosts' manifests go round in a circle")]
    Stuck,
    /// The agent's answer does not fit the question.
    #[error("the agent gave an answer of another kind than asked for")]
    Protocol,
}

impl RemoteError {
    /// Whether it says that there is nobody to speak to, and nothing of what the host has.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, RemoteError::Start(_) | RemoteError::Lost { .. })
    }
}

/// Why an agent could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// `ssh` or the agent cannot be run here.
    #[error("cannot start ssh or the local agent")]
    Spawn(#[source] std::io::Error),
    /// ssh gave up.
    #[error("cannot connect{}", after(_0))]
    Connection(String),
    /// The host let us in and then said nothing.
    #[error("the host took too long to answer")]
    Patience,
    /// The login shell prints without end.
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
    /// Neither the home nor /var/tmp take the agent.
    #[error(
        "there is no place for the agent: neither ~/.cache/batou/agents nor /var/tmp can be written{}",
        after(_0)
    )]
    NoPlace(String),
    /// The agent's bytes did not arrive.
    #[error("the agent could not be stored on the host{}", after(_0))]
    Upload(String),
    /// The target directory is somebody else's, and not ours to give away.
    #[error(
        "{directory} is not for {user} to write to: choose another target_directory, or, if nobody else needs that \
         folder, give it away with `chown {user} {directory}`"
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
    /// Something else speaks there.
    #[error("the host answered {_0:?}, which is not of this protocol")]
    Unexpected(String),
    /// No shell ran what it was to run: an account without one, or with a forced command.
    #[error("the login ended before anything was run there{}{}", with(*status), after(said))]
    Shell {
        /// The exit status.
        status: Option<i32>,
        /// The end of what it printed.
        said: String,
    },
    /// It ended by itself.
    #[error("the agent ended as it started{}{}", with(*status), after(noise))]
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

fn with(status: Option<i32>) -> String {
    status.map_or(String::new(), |status| format!(" (status {status})"))
}

fn after(noise: &str) -> String {
    let lines: Vec<_> = noise.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { String::new() } else { format!(": {}", lines.join("; ")) }
}
