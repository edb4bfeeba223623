//! Locking all hosts, and what precedes it.

use std::collections::BTreeMap;
use std::time::Duration;

use batou_agent::protocol::{Holder, State};
use batou_release::HostName;

use super::Deployment;
use super::failure::failed;
use crate::error::CommandError;
use crate::fleet::Member;
use crate::fleet::lock::LockError;
use crate::login;
use crate::ui::visible_name;

impl Deployment<'_> {
    /// Makes target directories that the service user may not make.
    pub async fn make_targets(&mut self, states: &BTreeMap<HostName, State>) -> Result<(), CommandError> {
        let make = async |member: &mut Member| match states.get(&member.route.host) {
            Some(state) => member.make_target(state).await,
            None => Ok(()),
        };
        self.all("cannot be prepared; nothing was changed", make).await.map(drop)
    }

    /// Locks all hosts, and says whom it waits for, at most `patience`.
    pub async fn lock(
        &mut self,
        holder: &Holder,
        patience: Duration,
    ) -> Result<BTreeMap<HostName, State>, CommandError> {
        let ui = &self.context.ui;
        let told = |host: &str, holder: Option<&Holder>| {
            ui.notice(&format!("waiting: {} is releasing to {host}", person(holder)));
        };
        match self.fleet.lock(holder, patience, &told).await {
            Ok(states) => Ok(states),
            Err(LockError::Held { host, holder }) => {
                let message = format!(
                    "{} is releasing to {host} and did not finish in {} s; nothing was changed",
                    person(holder.as_ref()),
                    patience.as_secs()
                );
                Err(CommandError::failed(message).hint("try again, or wait longer with --lock-wait SECONDS"))
            }
            Err(LockError::Failed(failures)) => {
                Err(failed("cannot be locked; nothing was changed", &failures))
            }
        }
    }
}

/// How many characters a deployer's name, and that of his machine, may have: both together are a label.
const LONGEST_NAME: usize = 100;

/// How the deployer introduces himself to whoever waits for him.
pub fn holder() -> Holder {
    let now = jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default();
    // Names that nobody else would take, of a user database or a kernel that has odd ones, are made plain.
    let plain = |name: String| visible_name(&name).chars().take(LONGEST_NAME).collect();
    Holder { user: plain(login::current().user), machine: plain(login::machine()), since: now }
}

/// Who holds a lock, for people.
fn person(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { user, machine, since }) => visible_name(&format!("{user}@{machine} (since {since})")),
        None => "somebody".to_owned(),
    }
}
