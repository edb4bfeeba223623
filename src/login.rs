//! The user that runs this program. A static binary has no name service, so /etc/passwd is read and `getent`
//! asked.

use std::path::Path;
use std::process::{Command, Stdio};

/// A login on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user's name, or number if there is no name.
    pub user: String,
    /// The user's home directory.
    pub home: String,
}

/// The user that runs this process.
pub fn current() -> Login {
    let uid = rustix::process::geteuid().as_raw();
    let database = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    find(&database, uid).or_else(|| find(&getent(uid)?, uid)).unwrap_or_else(|| Login {
        user: uid.to_string(),
        home: std::env::var("HOME").unwrap_or_else(|_| "/".to_owned()),
    })
}

/// This machine's name, according to its kernel.
pub fn machine() -> String {
    // Every deployer of a simulated world has a machine of its own, so that journals tell them apart.
    #[cfg(test)]
    if batou_system::simulation::is_on() {
        return format!("desk{}", batou_system::random::process());
    }
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn getent(uid: u32) -> Option<String> {
    let program = ["/usr/bin/getent", "/bin/getent"].into_iter().find(|path| Path::new(path).exists())?;
    let answer = Command::new(program)
        .args(["passwd", &uid.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(answer.stdout).ok()
}

fn find(database: &str, uid: u32) -> Option<Login> {
    database.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let [user, _, number, _, _, home, ..] = fields[..] else { return None };
        (number.parse() == Ok(uid)).then(|| Login { user: user.to_owned(), home: home.to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_searched_by_number() {
        let database = "root:x:0:0:root:/root:/bin/sh\nbroken\nshop:x:1000:1000::/home/shop:/bin/sh\n";
        let shop = Login { user: "shop".to_owned(), home: "/home/shop".to_owned() };
        assert_eq!(find(database, 1000), Some(shop));
        assert_eq!(find(database, 1001), None);
    }
}
