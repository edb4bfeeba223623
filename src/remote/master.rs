//! The connection to a host itself: an `ssh` in the background, a master in OpenSSH's words, which opens
//! channels for whoever asks at its socket.
//!
//! Its messages go into a file in the controller's memory, including those from after it went into the
//! background, such as that the host no longer answers. A pipe would not do: reading it to its end would mean
//! waiting for the master to end. A host's banner is not among the messages, so it is never taken for one.
//! Neither is what a jump host's `ssh` says, since ssh discards it for a master.
//!
//! A socket's existence says little about who listens there, so it is checked before it is used: it must be a
//! socket, be ours, and answer as a master. If ssh finds something already at the socket's place, it runs on
//! without a socket and never ends. Such a process is found by the path in its command line, and killed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openssh::Session;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::noise::NOISE;
use super::sockets::escaped;

/// How long a master may take to answer at its socket.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a master may take to end after it is told to.
const FAREWELL: Duration = Duration::from_secs(1);
/// A greeting and the request to end, in the protocol of masters (OpenSSH's PROTOCOL.mux). Each consists of its
/// length, its number, and the protocol's version or the request's number.
const TERMINATE: [u32; 6] = [8, 1, 4, 8, 0x1000_0005, 0];

/// A connection that channels can be opened over. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Master {
    socket: PathBuf,
    log: Log,
    session: Arc<Session>,
    doubted: AtomicBool,
    dismissed: AtomicBool,
}

/// What a master says, in memory.
#[derive(Debug)]
pub(super) struct Log(File);

impl Log {
    /// An empty log.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(File::from(memfd_create("batou-ssh-log", MemfdFlags::CLOEXEC)?)))
    }

    /// The path by which ssh finds it while this process lives.
    pub(super) fn path(&self) -> io::Result<PathBuf> {
        path_of(&self.0)
    }

    /// The end of what was said after the first `mark` bytes.
    pub(super) fn since(&self, mark: u64) -> String {
        let end = self.length();
        let start = mark.max(end.saturating_sub(NOISE as u64));
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or(0)];
        match self.0.read_exact_at(&mut bytes, start) {
            Ok(()) => String::from_utf8_lossy(&bytes).trim().to_owned(),
            Err(_) => String::new(),
        }
    }

    fn length(&self) -> u64 {
        self.0.metadata().map_or(0, |metadata| metadata.len())
    }
}

/// The path by which other processes of this user find a file that lies in no folder.
pub(super) fn path_of(file: &File) -> io::Result<PathBuf> {
    // In a PID namespace, /proc may show other process numbers than this process is given.
    let process = Path::new("/proc").join(fs::read_link("/proc/self")?);
    Ok(process.join("fd").join(file.as_raw_fd().to_string()))
}

impl Master {
    /// Takes over an ssh that has connected and gone into the background; `None` if no master answers at the
    /// socket.
    pub(super) fn take_over(socket: PathBuf, log: Log, runtime: &Handle) -> Option<Self> {
        let session = Session::resume_mux(socket.clone().into_boxed_path(), None);
        if !is_ours(&socket) || !runtime.block_on(answers(&session)) {
            kill_those_with(&socket);
            return None;
        }
        let (doubted, dismissed) = (AtomicBool::new(false), AtomicBool::new(false));
        Some(Master { socket, log, session: Arc::new(session), doubted, dismissed })
    }

    /// The crate's session for it.
    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Notes that the host has fallen silent: no further channel is to be opened over this connection.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::SeqCst);
    }

    /// Whether further channels may be opened.
    pub(super) fn is_trusted(&self) -> bool {
        !self.doubted.load(Ordering::SeqCst)
    }

    /// How many bytes it has printed so far.
    pub(super) fn said(&self) -> u64 {
        self.log.length()
    }

    /// What it has printed since then.
    pub(super) fn words_since(&self, mark: u64) -> String {
        self.log.since(mark)
    }

    /// Tells it to end, unless it was told before. Dropping the returned value waits for the end.
    pub(super) fn dismiss(&self) -> Option<Dismissed> {
        if self.dismissed.swap(true, Ordering::SeqCst) {
            return None;
        }
        // If nobody listens any more, it has ended.
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        let words = TERMINATE.map(u32::to_be_bytes).concat();
        // If it does not even read the request, it is killed later.
        let _ = stream.set_write_timeout(Some(FAREWELL)).and_then(|()| stream.write_all(&words));
        Some(Dismissed { stream, socket: self.socket.clone() })
    }
}

/// Whether a master still serves its connection.
pub(super) async fn answers(session: &Session) -> bool {
    matches!(timeout(ANSWER, session.check()).await, Ok(Ok(())))
}

impl Drop for Master {
    fn drop(&mut self) {
        self.dismiss();
    }
}

/// A master that was told to end. Dropping this waits for it, and kills it if it does not end.
#[derive(Debug)]
pub(super) struct Dismissed {
    stream: UnixStream,
    socket: PathBuf,
}

impl Drop for Dismissed {
    fn drop(&mut self) {
        let mut rest = Vec::new();
        let limited = self.stream.set_read_timeout(Some(FAREWELL));
        let ended = limited.and_then(|()| (&self.stream).take(1 << 10).read_to_end(&mut rest));
        // The master may also close the connection without having read the request.
        if ended.is_err_and(|error| error.kind() != io::ErrorKind::ConnectionReset) {
            kill_those_with(&self.socket);
        }
    }
}

/// Whether it is a socket and belongs to this user.
fn is_ours(path: &Path) -> bool {
    let user = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket() && found.uid() == user)
}

/// Kills the processes of this user that have this path in their command lines. No other process can have it.
fn kill_those_with(socket: &Path) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else { continue };
        // Opened before its command line is read: the number may since have been given to another process.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let escaped = escaped(socket);
        let has = |wanted: &[u8]| line.windows(wanted.len()).any(|words| words == wanted);
        if has(socket.as_os_str().as_bytes()) || has(escaped.as_bytes()) {
            // The only possible failure is that it has already ended.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }
}
