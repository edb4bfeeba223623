//! The way to one host, over which its agent is started and other commands are run.
//!
//! With SSH, everything goes over one connection, with a channel for each process: a second channel costs a
//! tenth of what a second connection costs. If a host allows no further channel (`MaxSessions` in its sshd's
//! configuration), or there can be no master for it, an `ssh` with one command is run for each process instead.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use batou_release::HostName;

use super::binary::Binaries;
use super::channel::Refusal;
use super::error::{RemoteError, StartError};
use super::link::Link;
use super::master::Master;
use super::masters::Masters;
use super::process::PipedProcess;
use super::start::{COMMAND, Delivery, Start};

/// How long a host may take until its agent runs, beyond ssh's own time-out.
const STARTING: Duration = Duration::from_secs(30);

/// The way to one host.
#[derive(Clone, Debug)]
pub struct Route {
    /// The host's name, for messages.
    pub host: HostName,
    /// Where ssh connects; `None` for the controller itself.
    pub address: Option<String>,
    /// The service user, if it is not the login user.
    pub user: Option<String>,
    /// Where the deployment is.
    pub target_directory: PathBuf,
}

/// What all connections of a command share.
#[derive(Debug)]
pub struct Dialer {
    /// What is needed for hosts that are reached by SSH.
    pub masters: Option<Masters>,
    /// Agents to be copied.
    pub binaries: Binaries,
    /// How long ssh may take to connect, and how long the login may then take until it runs the command.
    pub timeout: Duration,
    /// How hosts are reached that are simulated.
    #[cfg(test)]
    pub simulated: Option<SimulatedWays>,
}

/// Starts the agent of a host that is simulated.
#[cfg(test)]
pub type SimulatedWay = dyn Fn(&Route) -> Result<Link, RemoteError> + Send + Sync;

/// The way to each host that is simulated.
#[cfg(test)]
pub struct SimulatedWays(pub Box<SimulatedWay>);

#[cfg(test)]
impl std::fmt::Debug for SimulatedWays {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SimulatedWays")
    }
}

impl Dialer {
    /// How long a host may take until its agent runs, not counting the agent's upload.
    fn patience(&self) -> Duration {
        self.timeout + STARTING
    }

    /// Ends all connections, including those that are still being made.
    pub fn end(&self) {
        self.masters.as_ref().inspect(|masters| masters.end());
    }
}

/// The connection to one host, made when it is first needed, and again after it was lost.
#[derive(Debug)]
pub struct HostConnection {
    dialer: Arc<Dialer>,
    route: Route,
    carrier: Mutex<Carrier>,
}

#[derive(Debug)]
enum Carrier {
    /// Nobody has connected yet, or the connection was lost.
    None,
    Master(Arc<Master>),
    /// There can be no master, so each process has a connection of its own.
    Plain,
}

impl HostConnection {
    /// The way to a host; it is not contacted yet.
    pub fn new(dialer: Arc<Dialer>, route: Route) -> Self {
        HostConnection { dialer, route, carrier: Mutex::new(Carrier::None) }
    }

    /// Starts the host's agent, copying it there if it is missing or damaged. Blocks.
    pub fn dial(&self) -> Result<Link, RemoteError> {
        #[cfg(test)]
        if let Some(dial) = &self.dialer.simulated {
            return dial.0(&self.route);
        }
        if self.route.address.is_none() && self.route.user.is_none() {
            return self.spawn();
        }
        let mut how = Delivery { anew: false, packed: true };
        loop {
            match self.reach(how) {
                Err(RemoteError::Start(StartError::Ended { .. })) if !how.anew => how.anew = true,
                // The host's gzip may not work, so try again without it.
                Err(RemoteError::Start(StartError::Upload { packed: true, .. })) => how.packed = false,
                other => return other,
            }
        }
    }

    /// Makes the target directory for the service user, with sudo if needed. Blocks.
    pub fn make_target(&self) -> Result<(), RemoteError> {
        let directory = self.route.target_directory.to_str().ok_or(StartError::Preparation(String::new()))?;
        self.start()?.make_target(directory)
    }

    fn reach(&self, how: Delivery) -> Result<Link, RemoteError> {
        let mut start = self.start()?;
        start.agent(&self.dialer.binaries, how)?;
        start.into_link(self.route.address.is_none())
    }

    /// Starts the agent as a child of this process.
    fn spawn(&self) -> Result<Link, RemoteError> {
        let path = self.dialer.binaries.own_path().map_err(StartError::from)?;
        let mut command = Command::new(&path);
        command.arg("agent");
        let process = PipedProcess::child("the local agent", command).map_err(|error| match error {
            StartError::Spawn { program, source } => match self.dialer.binaries.not_run(path.clone(), source)
            {
                Ok(foreign) => foreign.into(),
                Err(source) => StartError::Spawn { program, source },
            },
            other => other,
        })?;
        let patience = self.dialer.patience();
        let start = Start::new(process, None, Instant::now() + patience, patience)?;
        start.into_link(true).map_err(|error| match error.no_agent() {
            Some(problem) => {
                self.dialer.binaries.no_agent(path, problem).map_or(error, |it| StartError::from(it).into())
            }
            None => error,
        })
    }

    /// Starts the script that does everything else.
    fn start(&self) -> Result<Start, RemoteError> {
        let deadline = Instant::now() + self.dialer.patience();
        let process = if let (Some(address), Some(masters)) = (&self.route.address, &self.dialer.masters) {
            match self.channel(masters, address, deadline)? {
                Some(process) => process,
                None if masters.have_ended() => return Err(StartError::Connection(String::new()).into()),
                None => masters.plain(address, COMMAND)?,
            }
        } else {
            let mut shell = Command::new("sh");
            shell.args(["-c", COMMAND]);
            PipedProcess::child("sh", shell)?
        };
        Ok(Start::new(process, self.route.user.clone(), deadline, self.dialer.timeout)?)
    }

    /// A channel of the existing connection, or of a new one; `None` if there can be none.
    fn channel(
        &self,
        masters: &Masters,
        address: &str,
        deadline: Instant,
    ) -> Result<Option<PipedProcess>, StartError> {
        // The second caller waits here, and then uses the first one's connection.
        let mut carrier = self.carrier.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = match &*carrier {
            Carrier::Plain => return Ok(None),
            Carrier::Master(master) if master.is_trusted() => masters.open(master, COMMAND, deadline),
            Carrier::Master(_) | Carrier::None => Err(Refusal::Gone),
        };
        if !matches!(opened, Err(Refusal::Gone)) {
            return served(opened);
        }
        *carrier = Carrier::None;
        let Some(master) = masters.connect(address, deadline)? else {
            *carrier = Carrier::Plain;
            return Ok(None);
        };
        let opened = masters.open(&master, COMMAND, deadline);
        *carrier = Carrier::Master(master);
        served(opened)
    }
}

fn served(opened: Result<PipedProcess, Refusal>) -> Result<Option<PipedProcess>, StartError> {
    match opened {
        Ok(process) => Ok(Some(process)),
        Err(Refusal::Late) => Err(StartError::Patience(String::new())),
        Err(Refusal::Refused | Refusal::Gone) => Ok(None),
    }
}
