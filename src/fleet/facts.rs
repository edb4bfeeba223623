//! What the hosts know of themselves. Every answer is checked before it is used.

use std::collections::BTreeMap;
use std::time::Duration;

use batou_release::{FactSource, FactSources, FactValue, Facts};

use super::{ByHost, Fleet, Member};
use batou_agent::protocol::{Fact, question};

/// How long a host may take beyond the time its commands may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// How many characters of a host's own message are shown.
const SENTENCE: usize = 1000;

/// What one host answered.
#[derive(Debug, Default)]
pub struct Told {
    /// The facts.
    pub facts: Facts,
    /// Why the other facts are missing.
    pub problems: BTreeMap<String, String>,
}

/// Asks all hosts of a fleet at once.
pub async fn gather(fleet: &mut Fleet, sources: &FactSources) -> ByHost<Told> {
    let seconds = sources.values().map(|source| match source {
        FactSource::Command { timeout, .. } => u64::from(*timeout),
        _ => 10,
    });
    let patience = PATIENCE + Duration::from_secs(seconds.sum());
    fleet
        .each(async |member: &mut Member| {
            member.state().await?;
            let question = question::facts(sources.clone()).within(patience);
            Ok(checked(sources, member.ask(&question).await?))
        })
        .await
}

/// Keeps a host's answers to what it was asked and drops everything else.
fn checked(sources: &FactSources, mut answers: BTreeMap<String, Fact>) -> Told {
    let mut told = Told::default();
    for name in sources.keys() {
        let value = match answers.remove(name) {
            Some(Fact::Known(value)) => FactValue::from_json(value),
            Some(Fact::Unknown(reason)) => Err(reason.chars().take(SENTENCE).collect()),
            None => Err("the host did not answer it".to_owned()),
        };
        match value {
            Ok(value) => drop(told.facts.insert(name.clone(), value)),
            Err(reason) => drop(told.problems.insert(name.clone(), reason)),
        }
    }
    told
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use batou_release::Builtin;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_asked_and_is_sound_is_taken() {
        let names = ["deep", "good", "no", "silent"];
        let source = |name: &str| (name.to_owned(), FactSource::Builtin(Builtin::Memory));
        let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
        let answers = BTreeMap::from([
            ("deep".to_owned(), Fact::Known(deep)),
            ("good".to_owned(), Fact::Known(json!("\u{1b}[31m"))),
            ("no".to_owned(), Fact::Unknown("x".repeat(5000))),
            ("../../unasked".to_owned(), Fact::Known(json!(1))),
        ]);
        let told = checked(&names.map(source).into(), answers);
        assert_eq!(told.facts, Facts::from([("good".to_owned(), FactValue::Text("\u{1b}[31m".into()))]));
        assert_eq!(told.problems.keys().collect::<Vec<_>>(), ["deep", "no", "silent"]);
        assert_eq!(told.problems["no"].len(), SENTENCE);
        assert!(told.problems["deep"].contains("nested"));
    }
}
