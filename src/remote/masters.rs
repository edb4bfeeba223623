//! The masters of a command: one for each host, all of which end with the command.

use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Handle, Runtime};

use super::alarm::{Alarm, until};
use super::channel::{Channel, Refusal};
use super::cut::{Cut, kill};
use super::error::StartError;
use super::master::{Log, Master};
use super::process::PipedProcess;
use super::sockets::SocketFolder;
use super::ssh::SshConfig;
use crate::interrupt::before_death;

/// What all SSH connections share.
#[derive(Debug)]
pub struct Masters {
    config: SshConfig,
    /// The runtime on which the crate waits for its channels. It has its own thread, since the command's may be
    /// busy.
    runtime: Option<Runtime>,
    live: Arc<Mutex<LiveMasters>>,
}

#[derive(Debug, Default)]
struct LiveMasters {
    /// `None` if there can be no sockets, and at the end.
    folder: Option<SocketFolder>,
    /// How many sockets have been given out.
    sockets: u32,
    connecting: Vec<(u32, Cut)>,
    masters: Vec<Weak<Master>>,
    ended: bool,
}

impl Masters {
    /// Connects to nothing yet. The folder for sockets is made in the first suitable place. If there is none,
    /// or no thread can be started, every process gets a connection of its own.
    pub fn new(config: SshConfig, places: &[PathBuf]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("channels")
            .enable_all()
            .build()
            .ok();
        raise_descriptors();
        let folder = SocketFolder::create(places).ok();
        let live = Arc::new(Mutex::new(LiveMasters { folder, ..LiveMasters::default() }));
        let dying = Arc::downgrade(&live);
        // If this thread cannot be started, the masters end by themselves some seconds after a signal.
        let _ = before_death(move || {
            dying.upgrade().inspect(|live| end(live));
        });
        Masters { config, runtime, live }
    }

    /// Connects to a host. Returns no master if there can be none, or if ssh failed without saying why. Blocks.
    pub(super) fn connect(
        &self,
        address: &str,
        deadline: Instant,
    ) -> Result<Option<Arc<Master>>, StartError> {
        let Some((runtime, number, socket)) = self.next_socket() else { return Ok(None) };
        let Ok((log, path)) = Log::new().and_then(|log| log.path().map(|path| (log, path))) else {
            return Ok(None);
        };
        let child = self.config.master(address, &socket, &path).spawn();
        let child = child.map_err(|error| StartError::spawn("ssh", error))?;
        match self.connected(child, number, deadline)? {
            Some(status) if status.success() => {}
            _ => return explain(&log.since(0)),
        }
        let Some(master) = Master::take_over(socket, log, &runtime).map(Arc::new) else { return Ok(None) };
        let mut live = self.live();
        live.masters.retain(|other| other.strong_count() > 0);
        live.masters.push(Arc::downgrade(&master));
        let ended = live.ended;
        drop(live);
        if ended {
            // The command has ended its masters already, so nobody else will tell this one to end.
            master.dismiss();
        }
        Ok(Some(master))
    }

    /// Starts a command at the other end of a master. Blocks.
    pub(super) fn open(
        &self,
        master: &Arc<Master>,
        command: &str,
        deadline: Instant,
    ) -> Result<PipedProcess, Refusal> {
        let runtime = self.runtime.as_ref().ok_or(Refusal::Refused)?;
        Channel::open(master, runtime.handle(), command, deadline).map(PipedProcess::channel)
    }

    /// Starts a command over a connection of its own.
    pub(super) fn plain(&self, address: &str, command: &str) -> Result<PipedProcess, StartError> {
        PipedProcess::child("ssh", self.config.plain(address, command))
    }

    /// Whether nothing is to be started any more.
    pub(super) fn have_ended(&self) -> bool {
        self.live().ended
    }

    /// Ends all masters, including those still connecting, and removes the folder.
    pub fn end(&self) {
        end(&self.live);
    }

    fn next_socket(&self) -> Option<(Handle, u32, PathBuf)> {
        let runtime = self.runtime.as_ref()?.handle().clone();
        let mut live = self.live();
        let number = live.sockets;
        let socket = live.folder.as_ref()?.socket(number);
        live.sockets += 1;
        Some((runtime, number, socket))
    }

    /// Waits until an ssh has connected and gone into the background, or has failed.
    fn connected(
        &self,
        mut child: Child,
        number: u32,
        deadline: Instant,
    ) -> Result<Option<ExitStatus>, StartError> {
        let alarm = Alarm::set(until(deadline), kill(&child)).inspect_err(|_| kill(&child).now())?;
        // Listed before the check: either `end` still finds the child in the list, or the check sees that `end`
        // has run.
        self.live().connecting.push((number, kill(&child)));
        if self.have_ended() {
            kill(&child).now();
        }
        let status = child.wait().ok();
        self.live().connecting.retain(|(other, _)| *other != number);
        if alarm.rang().yes() { Err(StartError::Patience(String::new())) } else { Ok(status) }
    }

    fn live(&self) -> MutexGuard<'_, LiveMasters> {
        lock(&self.live)
    }
}

fn lock(live: &Mutex<LiveMasters>) -> MutexGuard<'_, LiveMasters> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(live: &Mutex<LiveMasters>) {
    let mut live = lock(live);
    live.ended = true;
    live.connecting.drain(..).for_each(|(_, connecting)| connecting.now());
    let masters: Vec<_> = live.masters.drain(..).filter_map(|master| master.upgrade()).collect();
    let folder = live.folder.take();
    drop(live);
    // All are told to end before the first is waited for.
    let dismissed: Vec<_> = masters.iter().filter_map(|master| master.dismiss()).collect();
    drop(dismissed);
    drop(folder);
}

/// Raises the limit on this process's descriptors as far as allowed, since every host takes some. Done only if
/// hosts are reached by SSH: a local agent would pass the limit on to the steps that it runs.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    // If it cannot be raised, fewer hosts can be reached at once.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

impl Drop for Masters {
    fn drop(&mut self) {
        self.end();
        if let Some(runtime) = self.runtime.take() {
            // This may be dropped where waiting for a runtime is not allowed.
            runtime.shutdown_background();
        }
    }
}

/// What a failed master has said, if that tells why.
fn explain(said: &str) -> Result<Option<Arc<Master>>, StartError> {
    if tells_why(said) { Err(StartError::connection(said)) } else { Ok(None) }
}

/// Whether this is what ssh says when the host itself could not be connected to. For a connection through
/// another host (which shows neither address nor port here) a master does not know the cause: the `ssh` to the
/// jump host prints it, and ssh discards that.
fn tells_why(said: &str) -> bool {
    said.lines().map(str::trim).any(|line| {
        line == "Host key verification failed."
            || line.starts_with("ssh: connect to host ")
            || line.starts_with("ssh: Could not resolve hostname ")
            || line.contains(": Permission denied (")
            || (line.starts_with("Connection to ")
                && line.ends_with(" timed out")
                && !line.contains(" UNKNOWN "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_why_is_taken_for_the_reason() {
        let reasons = [
            "ssh: connect to host web01 port 22: Connection refused\r",
            "ssh: connect to host web01 port 22: No route to host\r",
            "ssh: Could not resolve hostname web01: Name or service not known\r",
            "No ED25519 host key is known for web01 and you have requested strict checking.\r\nHost key verification failed.\r",
            "root@web01: Permission denied (publickey).\r",
            "Connection timed out during banner exchange\r\nConnection to 10.1.2.3 port 22 timed out\r",
        ];
        for said in reasons {
            assert!(tells_why(said), "{said}");
        }
        let riddles = [
            "",
            "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535\r",
            "Connection timed out during banner exchange\r\nConnection to UNKNOWN port 65535 timed out\r",
            "/home/ann/.ssh/config: line 3: Bad configuration option: x\r\n/home/ann/.ssh/config: terminating, 1 bad",
            "ControlSocket /tmp/x already exists, disabling multiplexing\r",
        ];
        for said in riddles {
            assert!(!tells_why(said), "{said}");
        }
    }
}
