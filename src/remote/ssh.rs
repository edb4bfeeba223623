//! How a host is reached: the system's OpenSSH, with the user's own configuration below a few of ours.
//!
//! One connection is one `ssh` process with one command, and ends with the controller: a shared master in the
//! background (as `ControlMaster` makes it) would outlive a controller that is killed, and with it would the agent's
//! belief that somebody is still there.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{MemfdFlags, memfd_create};

/// A generated configuration file. It lies in no folder: however this process ends, nothing of it stays.
#[derive(Debug)]
pub struct SshConfig {
    /// Where ssh, and the ssh that it starts for a jump host, find the file while this process lives.
    path: PathBuf,
    _file: File,
}

/// What the generated configuration depends on.
#[derive(Clone, Debug)]
pub struct SshOptions<'a> {
    /// The project's folder, where `ssh_config_<environment>` or `ssh_config` may stand.
    pub project: &'a Path,
    /// The environment's name.
    pub environment: &'a str,
    /// Seconds until a connection attempt is given up.
    pub timeout: u32,
    /// Whether the key of a host seen for the first time is accepted.
    pub accept_new: bool,
}

impl SshConfig {
    /// Writes the configuration into memory.
    pub fn write(options: &SshOptions<'_>) -> std::io::Result<Self> {
        let mut file = File::from(memfd_create("batou-ssh", MemfdFlags::CLOEXEC)?);
        file.write_all(text(options).as_bytes())?;
        // /proc may count processes otherwise than this process is told.
        let process = Path::new("/proc").join(std::fs::read_link("/proc/self")?);
        let path = process.join("fd").join(file.as_raw_fd().to_string());
        Ok(SshConfig { path, _file: file })
    }

    /// The command that runs `remote` on the host at `address`.
    pub fn command(&self, address: &str, remote: &str) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(&self.path).args(["-T", "--"]).arg(address).arg(remote);
        command
    }
}

/// In OpenSSH's configuration the first value of a keyword wins: ours come first.
fn text(options: &SshOptions<'_>) -> String {
    let strict = if options.accept_new { "accept-new" } else { "yes" };
    let mut text = format!(
        "Host *\n  BatchMode yes\n  ClearAllForwardings yes\n  ConnectTimeout {timeout}\n  ControlMaster no\n  \
         EscapeChar none\n  ForkAfterAuthentication no\n  ForwardAgent no\n  ForwardX11 no\n  ForwardX11Trusted no\n  \
         PermitLocalCommand no\n  RemoteCommand none\n  RequestTTY no\n  ServerAliveCountMax 3\n  \
         ServerAliveInterval 5\n  SessionType default\n  StdinNull no\n  StrictHostKeyChecking {strict}\n  Tunnel no\n",
        timeout = options.timeout,
    );
    for include in includes(options) {
        text.push_str("  Include \"");
        text.push_str(&include);
        text.push_str("\"\n");
    }
    text
}

/// The project's own configuration where it has one, else the user's and the system's.
fn includes(options: &SshOptions<'_>) -> Vec<String> {
    let own: [PathBuf; 2] = [
        options.project.join(format!("ssh_config_{}", options.environment)),
        options.project.join("ssh_config"),
    ];
    match own.iter().find(|path| path.is_file()) {
        Some(path) => vec![path.display().to_string()],
        None => vec!["~/.ssh/config".into(), "/etc/ssh/ssh_config".into()],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn options(project: &Path) -> SshOptions<'_> {
        SshOptions { project, environment: "prod", timeout: 7, accept_new: false }
    }

    #[test]
    fn the_environments_configuration_beats_the_projects_and_the_users() {
        let folder = tempfile::tempdir().unwrap();
        assert!(text(&options(folder.path())).contains("Include \"~/.ssh/config\""));
        std::fs::write(folder.path().join("ssh_config"), "").unwrap();
        assert!(text(&options(folder.path())).contains("/ssh_config\""));
        std::fs::write(folder.path().join("ssh_config_prod"), "").unwrap();
        let text = text(&options(folder.path()));
        assert!(text.contains("/ssh_config_prod\"") && !text.contains("~/.ssh"));
    }

    #[test]
    fn openssh_takes_our_values_over_the_users() {
        let folder = tempfile::tempdir().unwrap();
        let theirs = "Host *\n  ForwardAgent yes\n  StrictHostKeyChecking no\n  User somebody\n";
        std::fs::write(folder.path().join("ssh_config"), theirs).unwrap();
        let config = SshConfig::write(&options(folder.path())).unwrap();
        let output = Command::new("ssh").arg("-F").arg(&config.path).args(["-G", "web01"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for line in ["forwardagent no", "stricthostkeychecking true", "user somebody", "connecttimeout 7"] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
