//! What all hosts are asked: their states, what they have, and what they have had.

use std::collections::BTreeMap;

use batou_agent::protocol::{State, question};
use batou_release::{HostName, HostRelease};
use batou_store::Digest;

use super::Deployment;
use super::failure::{advice, chain, failed, has_new_key, not_reached, refuse_own};
use crate::cli::options::LeaveOut;
use crate::error::CommandError;
use crate::fleet::history::History;
use crate::fleet::{Failures, Member, all, sort};
use crate::remote::RemoteError;

impl Deployment<'_> {
    /// Every host's state. A host that cannot be reached is an error unless it may be left out.
    pub async fn states(&mut self, leave_out: &LeaveOut) -> Result<BTreeMap<HostName, State>, CommandError> {
        let (states, failures) = sort(self.fleet.states().await);
        refuse_one_place(&states)?;
        self.name_behind(&states);
        self.name_faults(&states);
        if failures.is_empty() {
            return Ok(states);
        }
        let (unreachable, others): (Failures, Failures) =
            failures.into_iter().partition(|(_, error)| error.is_unreachable());
        if !others.is_empty() {
            return Err(failed("cannot be asked", &others));
        }
        if !leave_out.skip_unreachable {
            return Err(not_reached(&unreachable, self.unchanged(), advice(&unreachable)));
        }
        for (host, error) in &unreachable {
            self.context.ui.warn(&format!("{host} is left out: {}", chain(error)));
        }
        self.fleet.leave_out(unreachable.into_keys());
        if states.is_empty() {
            return Err(CommandError::failed(format!("no host of {} can be reached", self.policy.name)));
        }
        Ok(states)
    }

    /// Every host's state, for commands that leave no host out.
    pub async fn all_states(&mut self) -> Result<BTreeMap<HostName, State>, CommandError> {
        let (states, failures) = sort(self.fleet.states().await);
        refuse_one_place(&states)?;
        self.name_behind(&states);
        self.name_faults(&states);
        if failures.is_empty() {
            return Ok(states);
        }
        if !failures.values().all(RemoteError::is_unreachable) {
            return Err(failed("cannot be asked", &failures));
        }
        Err(not_reached(&failures, self.unchanged(), self.advise_on_keys(&failures)))
    }

    /// What to do about hosts that show a new key, for commands that accept none themselves.
    pub fn advise_on_keys(&self, failures: &Failures) -> Option<String> {
        let plan = format!("`batou plan {} --accept-new`", self.policy.name);
        has_new_key(failures).then(|| format!("accept the keys of new hosts with {plan}, once"))
    }

    /// The states of the hosts that can be asked, and why the others cannot, which are left out from then on.
    pub async fn states_of_some(&mut self) -> Result<(BTreeMap<HostName, State>, Failures), CommandError> {
        let (states, failures) = sort(self.fleet.states().await);
        refuse_own(&failures)?;
        refuse_one_place(&states)?;
        self.name_behind(&states);
        self.name_faults(&states);
        self.fleet.leave_out(failures.keys().cloned());
        Ok((states, failures))
    }

    /// What all hosts answer. If some do not, the error says what could not be done.
    pub async fn all<T>(
        &mut self,
        what: &str,
        work: impl AsyncFn(&mut Member) -> Result<T, RemoteError>,
    ) -> Result<BTreeMap<HostName, T>, CommandError> {
        all(self.fleet.each(work).await).map_err(|failures| self.failed(what, &failures))
    }

    /// What the hosts have now.
    pub async fn current_manifests(
        &mut self,
        states: &BTreeMap<HostName, State>,
    ) -> Result<BTreeMap<HostName, HostRelease>, CommandError> {
        let fetch = async |member: &mut Member| match states.get(&member.route.host) {
            Some(State { current: Some(current), .. }) => member.manifest(Some(current.manifest)).await,
            _ => Ok(None),
        };
        let found = self.all("cannot tell what is there", fetch).await?;
        Ok(found.into_iter().filter_map(|(host, release)| Some((host, release?))).collect())
    }

    /// The journals of all hosts, up to the release with the number `newest`; with the output of units if
    /// `output` is set.
    pub async fn history(&mut self, newest: u64, output: bool) -> Result<History, CommandError> {
        let ask = async |member: &mut Member| member.ask(&question::journal(output)).await;
        self.all("cannot show the journal", ask).await.map(|journals| History::read(journals, newest))
    }
}

/// Refuses two host names for one target directory: they would wait for each other's lock and overwrite each
/// other's release.
fn refuse_one_place(states: &BTreeMap<HostName, State>) -> Result<(), CommandError> {
    let mut places: BTreeMap<Digest, Vec<&str>> = BTreeMap::new();
    for (host, state) in states {
        if let Some(place) = state.place {
            places.entry(place).or_default().push(host);
        }
    }
    let Some(names) = places.into_values().find(|names| names.len() > 1) else { return Ok(()) };
    let names = names.join(" and ");
    let error = CommandError::input(format!("{names} are the same target directory on the same machine"));
    Err(error.hint(
        "leave one of them out of [hosts], or set its `address` in [host.NAME] if it is another machine",
    ))
}
