//! The user that the agent runs as.
//!
//! A static program has no name service switch, so `/etc/passwd` is read, and `getent` is asked about users who are
//! not in it.

use batou_system::fs;
use std::process::{Command, Stdio};

/// The agent's user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// Its number.
    pub(crate) uid: u32,
    /// The login name, or `uid N` if none is known.
    pub(crate) name: String,
    /// The home directory, or `/` if none is known.
    pub(crate) home: String,
}

impl User {
    /// Looks up the user that this process runs as.
    pub(crate) fn current() -> Self {
        Self::of(rustix::process::geteuid().as_raw())
    }

    /// Looks up a user.
    pub(crate) fn of(uid: u32) -> Self {
        let passwd = fs::read("/etc/passwd").unwrap_or_default();
        Self::find(&String::from_utf8_lossy(&passwd), uid)
            .or_else(|| Self::find(&asked(uid)?, uid))
            .unwrap_or_else(|| Self {
                uid,
                name: format!("uid {uid}"),
                home: environment_home(uid).unwrap_or("/".into()),
            })
    }

    /// Whether `home` is this user's home: by the user database, or by the `HOME` that the agent was started with, if
    /// that folder belongs to the user.
    pub(crate) fn lives_in(&self, home: &str) -> bool {
        self.homes().iter().any(|other| other.trim_end_matches('/') == home.trim_end_matches('/'))
    }

    /// The homes of which [`User::lives_in`] knows, one at least.
    pub(crate) fn homes(&self) -> Vec<String> {
        let other = environment_home(rustix::process::geteuid().as_raw());
        other.into_iter().chain([self.home.clone()]).collect()
    }

    fn find(passwd: &str, uid: u32) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let (name, id, home) = (fields.next()?, fields.nth(1)?, fields.nth(2)?);
            let found = id.parse() == Ok(uid) && !home.is_empty();
            found.then(|| Self { uid, name: name.to_owned(), home: home.to_owned() })
        })
    }
}

fn asked(uid: u32) -> Option<String> {
    let output = Command::new("getent")
        .args(["passwd", &uid.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn environment_home(uid: u32) -> Option<String> {
    let home = std::env::var("HOME").ok().filter(|home| home.starts_with('/'))?;
    fs::metadata(&home).is_ok_and(|metadata| metadata.uid() == uid).then_some(home)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nshop:x:990:990::/home/shop:/bin/false\n";
        let shop = User { uid: 990, name: "shop".into(), home: "/home/shop".into() };
        assert_eq!(User::find(passwd, 990), Some(shop));
        assert_eq!(User::find(passwd, 99), None);
    }
}
