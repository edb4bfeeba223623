//! Hosts that start in milliseconds: one sshd a host on a loopback port, run by the current user.
//!
//! They share the machine's file system, so each has a home folder of its own, set by sshd's `SetEnv`.
//! A project reaches them through the text of [`SshHosts::ssh_config`] and keeps them apart with
//! [`SshHosts::environment`] and a `target_directory` below `~`.

use std::fs::{self, File};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::processes::{self, Process};
use super::sandbox::Output;

/// How long a sshd may take to answer on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// Several hosts with one key pair to log in with; all end when this is dropped.
pub(crate) struct SshHosts {
    directory: TempDir,
    user: String,
    hosts: Vec<SshHost>,
}

impl SshHosts {
    /// Starts one host for each name.
    pub(crate) fn start(names: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("batou-ssh-").tempdir().unwrap();
        if rustix::process::getuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap(); // sshd refuses to start as root without it
        }
        keygen(&directory.path().join("key"));
        let hosts = names.iter().map(|name| SshHost::start(name, directory.path())).collect();
        let user = Output::of(Command::new("id").arg("-un")).success().stdout.trim().to_owned();
        Self { directory, user, hosts }
    }

    /// The host of this name.
    pub(crate) fn host(&self, name: &str) -> &SshHost {
        self.hosts.iter().find(|host| host.name == name).unwrap_or_else(|| panic!("no host {name}"))
    }

    /// A `ssh_config` that knows the hosts by their names, alone or with any domain, and their keys.
    pub(crate) fn ssh_config(&self) -> String {
        let directory = self.directory.path();
        let known_hosts = directory.join("known_hosts");
        fs::write(&known_hosts, self.hosts.iter().map(SshHost::known).collect::<String>()).unwrap();
        let hosts: String = self.hosts.iter().map(SshHost::config).collect();
        format!(
            "{hosts}Host *\n  User {}\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n",
            self.user,
            directory.join("key").display(),
            known_hosts.display()
        )
    }

    /// Lines for an environment.toml: the home folder of each host.
    pub(crate) fn environment(&self) -> String {
        let table = |host: &SshHost| format!("[host.{}]\nhome = \"{}\"\n", host.name, host.home().display());
        self.hosts.iter().map(table).collect()
    }

    /// Runs a shell command on a host as ssh does for a user.
    pub(crate) fn ssh(&self, name: &str, command: &str) -> Output {
        let config = self.directory.path().join("ssh_config");
        fs::write(&config, self.ssh_config()).unwrap();
        Output::of(Command::new("ssh").arg("-F").arg(config).args(["-n", name, command]))
    }
}

/// One host: a sshd with a folder.
pub(crate) struct SshHost {
    name: String,
    port: u16,
    directory: PathBuf,
    sshd: Mutex<Child>,
}

impl SshHost {
    fn start(name: &str, below: &Path) -> Self {
        let directory = below.join(name);
        fs::create_dir_all(directory.join("home")).unwrap();
        keygen(&directory.join("host_key"));
        fs::copy(below.join("key.pub"), directory.join("authorized_keys")).unwrap();
        // Between the choice of a free port and sshd's own bind another process may take it.
        let started = (0..20).find_map(|_| {
            let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
            fs::write(directory.join("sshd_config"), sshd_config(&directory, port)).unwrap();
            Some((port, spawn(&directory, port)?))
        });
        let (port, sshd) = started.unwrap_or_else(|| panic!("sshd does not start:\n{}", log(&directory)));
        Self { name: name.to_owned(), port, directory, sshd: Mutex::new(sshd) }
    }

    /// The home folder that a login finds in `HOME`.
    pub(crate) fn home(&self) -> PathBuf {
        self.directory.join("home")
    }

    /// Gives sshd settings that go before those it has, and starts it anew with them.
    pub(crate) fn set(&self, settings: &str) {
        let path = self.directory.join("sshd_config");
        let old = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{settings}\n{old}")).unwrap();
        self.crash();
        self.heal();
    }

    /// Lets nobody log in any more.
    pub(crate) fn deny(&self) {
        fs::write(self.directory.join("authorized_keys"), "").unwrap();
    }

    /// How many connections have logged in since the host started first.
    pub(crate) fn logins(&self) -> usize {
        log(&self.directory).matches("Accepted publickey").count()
    }

    /// Ends all connections and refuses new ones. What a connection had started sees the end of its input.
    pub(crate) fn cut(&self) {
        self.end(serves_connection);
    }

    /// Kills all that runs on the host, connections and what they started, and refuses new ones.
    pub(crate) fn crash(&self) {
        self.end(|_| true);
    }

    fn end(&self, which: impl Fn(&Process) -> bool) {
        let mut sshd = self.sshd.lock().unwrap();
        let listener = Pid::from_child(&sshd);
        processes::signal(listener, Signal::STOP); // no new connection while the others are counted
        let found = processes::below(listener);
        sshd.kill().unwrap();
        sshd.wait().unwrap();
        found
            .iter()
            .filter(|process| which(process))
            .for_each(|process| processes::signal(process.pid, Signal::KILL));
    }

    /// Lets connections in again after [`cut`](Self::cut) or [`crash`](Self::crash).
    pub(crate) fn heal(&self) {
        let end = Instant::now() + PATIENCE;
        let mut sshd = self.sshd.lock().unwrap();
        *sshd = loop {
            if let Some(child) = spawn(&self.directory, self.port) {
                break child;
            }
            assert!(
                Instant::now() < end,
                "sshd of {} does not come back:\n{}",
                self.name,
                log(&self.directory)
            );
        };
    }

    /// Stops answering without an end of any connection, as a lost network does; new ones hang.
    pub(crate) fn freeze(&self) {
        self.signal_sshd(Signal::STOP);
    }

    /// Ends a [`freeze`](Self::freeze).
    pub(crate) fn thaw(&self) {
        self.signal_sshd(Signal::CONT);
    }

    fn signal_sshd(&self, signal: Signal) {
        let listener = Pid::from_child(&self.sshd.lock().unwrap());
        processes::signal(listener, signal);
        let connections = processes::below(listener).into_iter().filter(serves_connection);
        connections.for_each(|process| processes::signal(process.pid, signal));
    }

    fn config(&self) -> String {
        format!("Host {0} {0}.*\n  HostName 127.0.0.1\n  Port {1}\n", self.name, self.port)
    }

    fn known(&self) -> String {
        let key = fs::read_to_string(self.directory.join("host_key.pub")).unwrap();
        format!("[127.0.0.1]:{} {key}", self.port)
    }
}

impl Drop for SshHost {
    fn drop(&mut self) {
        self.crash();
    }
}

/// Whether it is one of sshd's own processes ("sshd-session" since OpenSSH 9.8).
fn serves_connection(process: &Process) -> bool {
    process.name.starts_with("sshd")
}

fn sshd_config(directory: &Path, port: u16) -> String {
    let folder = directory.display();
    format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n\
         AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nUseDNS no\nPrintMotd no\nPrintLastLog no\nMaxStartups 1000\n\
         MaxSessions 1000\nSubsystem sftp internal-sftp\nLogLevel VERBOSE\nSetEnv HOME={folder}/home\n"
    )
}

/// Starts sshd and waits until it answers; `None` when it ends at once, as with a port that is taken.
fn spawn(directory: &Path, port: u16) -> Option<Child> {
    let log = File::options().append(true).create(true).open(directory.join("log")).unwrap();
    let mut child = Command::new(sshd())
        .args(["-D", "-e", "-f"])
        .arg(directory.join("sshd_config"))
        .args(penalties())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("sshd: {error} (package openssh-server)"));
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        if answers(port) {
            return Some(child);
        }
        sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

fn answers(port: u16) -> bool {
    let mut banner = [0; 4];
    let read = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.read_exact(&mut banner)
    });
    read.is_ok() && banner == *b"SSH-"
}

/// sshd 9.8 and newer shuts out an address whose connections break, which is what some tests do to theirs.
fn penalties() -> &'static [&'static str] {
    const OPTION: &[&str] = &["-o", "PerSourcePenalties=no"];
    let probe = Command::new(sshd()).args(["-G", "-f", "/dev/null"]).args(OPTION).output();
    if probe.is_ok_and(|output| output.status.success()) { OPTION } else { &[] }
}

/// sshd starts itself anew for each connection, and insists on an absolute path for that.
fn sshd() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found =
        folders.map(|folder| folder.join("sshd")).find(|program| program.is_absolute() && program.exists());
    found.expect("sshd is installed (package openssh-server)")
}

fn keygen(path: &Path) {
    Output::of(
        Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "batou-tests", "-f"])
            .arg(path),
    )
    .success();
}

fn log(directory: &Path) -> String {
    fs::read_to_string(directory.join("log")).unwrap_or_default()
}
