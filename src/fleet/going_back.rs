//! Having all hosts go back: after a failure, or for somebody who has interrupted the release.

use std::collections::{BTreeMap, BTreeSet};

use super::aftermath::AskedFor;
use super::order::{Event, Failed, HostEnding, ReleaseOrder, ReleasePhase, Subject, Why};
use super::release::Rollout;
use super::{Failures, Fleet, Member};
use crate::interrupt::Interrupts;
use crate::remote::RemoteError;
use batou_agent::protocol::question::{self, Return};
use batou_release::HostName;

/// How many failures the hosts are told about.
const TOLD: usize = 20;
/// How many characters of each failure they are told.
const SENTENCE: usize = 1000;

impl Fleet {
    /// Has every host that may have been switched go back.
    pub(super) async fn back(
        &mut self,
        rollout: Rollout<'_>,
        phase: ReleasePhase,
        failures: Failures<Subject>,
        interrupts: &mut Interrupts,
    ) -> Failed {
        rollout.tell(Event::GoingBack(Why::Failure));
        let back = self.take_back(rollout.order, phase, reason(&failures));
        let warn = || rollout.tell(Event::Interrupted(phase));
        let endings = if phase == ReleasePhase::Commit {
            interrupts.insistent(back, warn).await
        } else if let Some(endings) = interrupts.unless(back).await {
            Some(endings)
        } else {
            warn();
            self.ask_all(rollout.order, phase, interrupts).await
        };
        match endings {
            Some(endings) => Failed { phase, failures, endings },
            None => self.leave(rollout.order, phase, failures),
        }
    }

    /// Has every host go back after an interrupt: agents that lose their controller finish what is running, and then go
    /// back.
    pub(super) async fn interrupted(
        &mut self,
        rollout: Rollout<'_>,
        phase: ReleasePhase,
        interrupts: &mut Interrupts,
    ) -> Failed {
        rollout.tell(Event::GoingBack(Why::Interrupt));
        let failures = Failures::new();
        match self.ask_all(rollout.order, phase, interrupts).await {
            Some(endings) => Failed { phase, failures, endings },
            None => self.leave(rollout.order, phase, failures),
        }
    }

    /// What has become of all hosts, for somebody who does not want to wait; none after another interrupt.
    async fn ask_all(
        &mut self,
        order: &ReleaseOrder,
        phase: ReleasePhase,
        interrupts: &mut Interrupts,
    ) -> Option<BTreeMap<HostName, HostEnding>> {
        let hosts = order.hosts.keys().cloned().collect();
        interrupts.unless(self.ask_again(&hosts, order, phase, AskedFor::Interruption)).await
    }

    /// Gives up without waiting for any host.
    pub(super) fn leave(
        &mut self,
        order: &ReleaseOrder,
        phase: ReleasePhase,
        failures: Failures<Subject>,
    ) -> Failed {
        self.cut_off();
        let why = "batou was interrupted before it could ask".to_owned();
        let ending = |host: &HostName| (host.clone(), HostEnding::without_word(phase, why.clone()));
        Failed { phase, failures, endings: order.hosts.keys().map(ending).collect() }
    }

    async fn take_back(
        &mut self,
        order: &ReleaseOrder,
        phase: ReleasePhase,
        reason: String,
    ) -> BTreeMap<HostName, HostEnding> {
        let question = question::go_back(reason);
        let answers = self.each(async |member: &mut Member| {
            if !member.is_connected() {
                return Ok(None);
            }
            let Return { generation, problems, unreverted } = member.ask(&question).await?;
            Ok(Some(HostEnding::WentBack { problems, unreverted, had_release: generation.is_some() }))
        });
        let (mut endings, mut lost) = (BTreeMap::new(), BTreeSet::new());
        for (host, answer) in answers.await {
            match answer {
                Ok(Some(ending)) => drop(endings.insert(host, ending)),
                _ => drop(lost.insert(host)),
            }
        }
        endings.extend(self.ask_again(&lost, order, phase, AskedFor::Certainty).await);
        endings
    }
}

/// What failed, as all hosts are told for their journals: bounded text on one line, whatever a host said.
fn reason(failures: &Failures<Subject>) -> String {
    let told = |(subject, error): (&Subject, &RemoteError)| {
        let error = error.to_string();
        let harmless = error.chars().map(|character| if character.is_control() { ' ' } else { character });
        format!("{subject}: {}", harmless.take(SENTENCE).collect::<String>())
    };
    failures.iter().take(TOLD).map(told).collect::<Vec<_>>().join("; ")
}
