//! The way to one host, over which its agent is started and whatever else is wanted there.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use batou_release::HostName;

use super::binary::Binaries;
use super::link::Link;
use super::process::Process;
use super::ssh::SshConfig;
use super::start::{COMMAND, Start};
use super::{RemoteError, StartError};

/// The way to one host.
#[derive(Clone, Debug)]
pub struct Route {
    /// The host's name, for messages.
    pub host: HostName,
    /// Where ssh connects; none for the controller itself.
    pub address: Option<String>,
    /// The service user, where it is not whoever logs in.
    pub user: Option<String>,
    /// Where the deployment is.
    pub target_directory: PathBuf,
}

/// What all connections of a command share.
#[derive(Debug)]
pub struct Dialer {
    /// The generated configuration, where there are hosts to be reached by SSH.
    pub ssh: Option<SshConfig>,
    /// Agents to be copied.
    pub binaries: Binaries,
    /// How long a host may take until its agent runs, beside the agent's upload.
    pub patience: Duration,
}

/// The way to one host, along which processes are started there.
#[derive(Debug)]
pub struct Connection {
    dialer: Arc<Dialer>,
    route: Route,
}

impl Connection {
    /// The way to a host; it is not contacted yet.
    pub fn new(dialer: Arc<Dialer>, route: Route) -> Self {
        Connection { dialer, route }
    }

    /// Starts the host's agent, copying it there where it is missing or damaged. Blocks.
    pub fn dial(&self) -> Result<Link, RemoteError> {
        if self.route.address.is_none() && self.route.user.is_none() {
            return self.spawn();
        }
        match self.reach(false) {
            Err(RemoteError::Start(StartError::Ended { .. })) => self.reach(true),
            other => other,
        }
    }

    /// Makes the target directory for the service user, through sudo where it must be. Blocks.
    pub fn prepare(&self) -> Result<(), RemoteError> {
        let directory = self.route.target_directory.to_str().ok_or(StartError::Preparation(String::new()))?;
        self.start()?.prepare(directory)
    }

    fn reach(&self, anew: bool) -> Result<Link, RemoteError> {
        let mut start = self.start()?;
        start.agent(&self.dialer.binaries, anew)?;
        start.into_link(self.route.address.is_none())
    }

    /// The agent as a child, with nothing between.
    fn spawn(&self) -> Result<Link, RemoteError> {
        let mut command = Command::new(self.dialer.binaries.own_path());
        command.arg("agent");
        let process = Process::child(command).map_err(StartError::Spawn)?;
        Start::new(process, None, self.dialer.patience).into_link(true)
    }

    /// Starts the script that does all else.
    fn start(&self) -> Result<Start, RemoteError> {
        let command = if let (Some(address), Some(ssh)) = (&self.route.address, &self.dialer.ssh) {
            ssh.command(address, COMMAND)
        } else {
            let mut shell = Command::new("sh");
            shell.args(["-c", COMMAND]);
            shell
        };
        let process = Process::child(command).map_err(StartError::Spawn)?;
        Ok(Start::new(process, self.route.user.clone(), self.dialer.patience))
    }
}
