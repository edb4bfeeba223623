//! Locking all hosts, and what has to happen before.

use std::collections::BTreeMap;
use std::time::Duration;

use batou_agent::protocol::bounded::LAST_NUMBER;
use batou_agent::protocol::{Holder, State};
use batou_agent::time;
use batou_release::HostName;
use batou_system::random;

use super::Deployment;
use crate::error::CommandError;
use crate::fleet::Member;
use crate::fleet::lock::LockError;
use crate::login;
use crate::ui::line::Line;
use crate::ui::line::host::LockHolder;
use crate::ui::{one_line, visible_name};

impl Deployment<'_> {
    /// Makes the target directories that the service user may not make.
    pub async fn make_targets(&mut self, states: &BTreeMap<HostName, State>) -> Result<(), CommandError> {
        let make = async |member: &mut Member| match states.get(&member.route.host) {
            Some(state) => member.make_target(state).await,
            None => Ok(()),
        };
        let what = format!("cannot be prepared; {}", self.unchanged());
        self.all(&what, make).await.map(drop)
    }

    /// Locks all hosts, waiting at most `patience`, and says for whom it waits, and what had to be put right on a host first.
    pub async fn lock(
        &mut self,
        holder: &Holder,
        patience: Duration,
    ) -> Result<BTreeMap<HostName, State>, CommandError> {
        let ui = &self.context.ui;
        let told = |host: &str, holder: Option<&Holder>| {
            if ui.is_json() {
                ui.json(&Line::Waiting { host, holder: holder.map(LockHolder::from) });
            } else {
                ui.notice(&format!("waiting: {} holds the lock of {host}", person(holder)));
            }
        };
        match self.fleet.lock(holder, patience, &told).await {
            Ok(states) => {
                for (host, state) in &states {
                    for recovered in &state.recovered {
                        ui.warn(&format!("{host}: {}", one_line(recovered)));
                    }
                }
                Ok(states)
            }
            Err(LockError::Held { host, holder }) => {
                let message = format!(
                    "{} still holds the lock of {host} after {} s; {}",
                    person(holder.as_ref()),
                    patience.as_secs(),
                    self.unchanged()
                );
                Err(CommandError::failed(message).hint("try again, or wait longer with --lock-wait SECONDS"))
            }
            Err(LockError::Failed(failures)) => {
                Err(self.failed(&format!("cannot be locked; {}", self.unchanged()), &failures))
            }
        }
    }
}

/// How many characters a deployer's name and the name of their machine may have. Together they form a label.
const LONGEST_NAME: usize = 100;

/// How we introduce ourselves to other deployers that wait for us.
pub fn holder() -> Holder {
    // User databases and kernels may hold odd names, which the hosts would refuse: reduce them to plain ones.
    let plain = |name: String| visible_name(&name).chars().take(LONGEST_NAME).collect();
    Holder {
        user: plain(login::current().user),
        machine: plain(login::machine()),
        since: time::now(),
        attempt: random::number() & LAST_NUMBER,
    }
}

/// Who holds a lock, as shown to people.
fn person(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder { user, machine, since, .. }) => {
            visible_name(&format!("{user}@{machine} (since {since})"))
        }
        None => "somebody".to_owned(),
    }
}
