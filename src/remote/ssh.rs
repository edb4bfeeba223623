//! How a host is reached: the system's OpenSSH, with the user's own configuration below a few settings of ours.
//!
//! Each host has one connection, an `ssh` in the background that is started here ([`SshConfig::master`]), with
//! a channel for each process that is wanted on the host. A master outlives a killed controller by as long as
//! [`PERSIST`] says. It must not make an agent believe meanwhile that the controller is still there, and it
//! does not: a channel belongs to its controller's connection to the master's socket. When the controller is
//! killed, the kernel closes that connection, and the master then closes the channel. The agent reads the end
//! of its input within milliseconds, just as it would with an `ssh` of its own.
//!
//! A master of the user's own is not used: it may run with settings other than ours, and with a configuration
//! other than this project's. If there can be no master, or one fails without saying why, an `ssh` with one
//! command is run instead ([`SshConfig::plain`]).

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use batou_system::fs::{is_taken, open_file};
use rustix::fs::{MemfdFlags, memfd_create};

use super::master::path_of;
use super::sockets::escaped;

/// How many seconds a master lives on when nobody has a channel. A living controller always has one, or opens
/// the next at once.
const PERSIST: u32 = 5;

/// A generated configuration file. It lies in no folder, so nothing of it remains, however this process ends.
#[derive(Debug)]
pub struct SshConfig {
    /// The path by which ssh, and the ssh that it starts for a jump host, find the file while this process
    /// lives.
    path: PathBuf,
    /// The file itself, and the files that it includes by such a path.
    _files: Vec<File>,
}

/// What the generated configuration depends on.
#[derive(Clone, Debug)]
pub struct SshOptions<'a> {
    /// The project's folder, which may contain `ssh_config_<environment>` or `ssh_config`.
    pub project: &'a Path,
    /// The environment's name.
    pub environment: &'a str,
    /// How many seconds a connection attempt may take.
    pub timeout: u32,
    /// Whether the key of a host seen for the first time is accepted.
    pub accept_new: bool,
}

impl SshConfig {
    /// Writes the configuration into memory.
    pub fn write(options: &SshOptions<'_>) -> std::io::Result<Self> {
        let mut file = File::from(memfd_create("batou-ssh", MemfdFlags::CLOEXEC)?);
        let own = own(options)?;
        let open = own.as_deref().filter(|path| !is_plain(path)).map(File::open).transpose()?;
        let own = open.as_ref().map(path_of).transpose()?.or(own);
        file.write_all(text(options, own.as_deref()).as_bytes())?;
        Ok(SshConfig { path: path_of(&file)?, _files: open.into_iter().chain([file]).collect() })
    }

    /// The command that connects to the host at `address`, goes into the background as the master at `socket`,
    /// and writes its messages to `log`. It has its own process group, because the controller itself handles an
    /// interrupt at the terminal.
    pub(super) fn master(&self, address: &str, socket: &Path, log: &Path) -> Command {
        let mut command = self.ssh();
        command.arg("-E").arg(log).arg("-S").arg(escaped(socket)).args(["-M", "-f", "-N", "-T"]);
        command.arg("-o").arg(format!("ControlPersist={PERSIST}")).arg("--").arg(address);
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// The command that runs `remote` on the host at `address`, over a connection of its own.
    pub(super) fn plain(&self, address: &str, remote: &str) -> Command {
        let mut command = self.ssh();
        // ssh's output is reported if the command fails. At this level it contains errors but not the host's
        // banner, which could be written to look like an error.
        command.args(["-o", "LogLevel=ERROR", "-T", "--"]).arg(address).arg(remote);
        command
    }

    fn ssh(&self) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(&self.path);
        command
    }
}

/// In OpenSSH's configuration the first value of a keyword wins: ours come first, then the project's `own` if
/// it has one, else the user's and the system's.
fn text(options: &SshOptions<'_>, own: Option<&Path>) -> String {
    let strict = if options.accept_new { "accept-new" } else { "yes" };
    let mut text = format!(
        "Host *\n  BatchMode yes\n  ClearAllForwardings yes\n  ConnectTimeout {timeout}\n  ControlMaster no\n  \
         ControlPath none\n  ControlPersist no\n  EscapeChar none\n  ForkAfterAuthentication no\n  ForwardAgent no\n  ForwardX11 no\n  ForwardX11Trusted no\n  \
         PermitLocalCommand no\n  RemoteCommand none\n  RequestTTY no\n  ServerAliveCountMax 3\n  \
         ServerAliveInterval 5\n  SessionType default\n  StdinNull no\n  StrictHostKeyChecking {strict}\n  Tunnel no\n",
        timeout = options.timeout,
    );
    let others = [Path::new("~/.ssh/config"), Path::new("/etc/ssh/ssh_config")];
    for include in own.as_slice().iter().chain(others.iter().filter(|_| own.is_none())) {
        text.push_str(&format!("  Include \"{}\"\n", include.display()));
    }
    text
}

/// The project's own configuration. ssh would wait for a pipe.
fn own(options: &SshOptions<'_>) -> std::io::Result<Option<PathBuf>> {
    let names = [format!("ssh_config_{}", options.environment), "ssh_config".to_owned()];
    let Some(name) = names.iter().find(|name| is_taken(options.project.join(name))) else { return Ok(None) };
    let path = options.project.join(name);
    match open_file(&path) {
        Ok(_) => Ok(Some(path)),
        Err(error) => Err(std::io::Error::new(error.kind(), format!("{name}: {error}"))),
    }
}

/// Whether a configuration takes this path literally. It does not if ssh sees a pattern, variable or quote in
/// it, and which of these ssh knows depends on its version.
fn is_plain(path: &Path) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+,:@= ".contains(byte) || !byte.is_ascii();
    path.to_str().is_some_and(|text| text.as_bytes().iter().all(plain))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn options(project: &Path) -> SshOptions<'_> {
        SshOptions { project, environment: "prod", timeout: 7, accept_new: false }
    }

    fn included(project: &Path) -> String {
        text(&options(project), own(&options(project)).unwrap().as_deref())
    }

    #[test]
    fn a_projects_folder_may_have_any_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            &b"100% [sure]* $HOME"[..],
            b"a \"quoted\" 'one'\\",
            b"~",
            b"\xff latin",
            "plain \u{e4}".as_bytes(),
        ] {
            let project = folder.path().join(std::ffi::OsStr::from_bytes(name));
            std::fs::create_dir(&project).unwrap();
            std::fs::write(project.join("ssh_config"), "User found\n").unwrap();
            let config = SshConfig::write(&options(&project)).unwrap();
            let plain = config.plain("web01", "true");
            let output = Command::new("ssh").arg("-G").args(plain.get_args()).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(text.lines().any(|line| line == "user found"), "{name:?}: {output:?}");
        }
    }

    #[test]
    fn the_environments_configuration_beats_the_projects_and_the_users() {
        let folder = tempfile::tempdir().unwrap();
        assert!(included(folder.path()).contains("Include \"~/.ssh/config\""));
        std::fs::write(folder.path().join("ssh_config"), "").unwrap();
        assert!(included(folder.path()).contains("/ssh_config\""));
        std::fs::write(folder.path().join("ssh_config_prod"), "").unwrap();
        let text = included(folder.path());
        assert!(text.contains("/ssh_config_prod\"") && !text.contains("~/.ssh"));
    }

    #[test]
    fn what_is_no_file_configures_nothing() {
        for name in ["ssh_config", "ssh_config_prod"] {
            let folder = tempfile::tempdir().unwrap();
            mknodat(CWD, folder.path().join(name), FileType::Fifo, Mode::RWXU, 0).unwrap();
            let refused = SshConfig::write(&options(folder.path())).unwrap_err().to_string();
            assert_eq!(refused, format!("{name}: it is a pipe, a socket or a device, and no file"));
        }
    }

    #[test]
    fn openssh_takes_our_values_over_the_users() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = "Host *\n  ForwardAgent yes\n  StrictHostKeyChecking no\n  User somebody\n  ControlMaster auto\n  \
                      ControlPath ~/%C\n  ControlPersist yes\n";
        std::fs::write(folder.path().join("ssh_config"), theirs).unwrap();
        let config = SshConfig::write(&options(folder.path())).unwrap();
        let options = |command: &Command| {
            let output = Command::new("ssh").arg("-G").args(command.get_args()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let plain = options(&config.plain("web01", "true"));
        let ours = ["forwardagent no", "stricthostkeychecking true", "user somebody", "connecttimeout 7"];
        for line in ours.into_iter().chain(["controlmaster false", "controlpersist no", "loglevel ERROR"]) {
            assert!(plain.lines().any(|found| found == line), "{line} is not in\n{plain}");
        }
        assert!(!plain.contains("controlpath"), "{plain}");

        let master = options(&config.master("web01", Path::new("/run/batou/0"), Path::new("/dev/null")));
        let its_own =
            ["controlmaster true", "controlpath /run/batou/0", "controlpersist 5", "sessiontype none"];
        for line in ours.into_iter().chain(its_own) {
            assert!(master.lines().any(|found| found == line), "{line} is not in\n{master}");
        }
    }
}
