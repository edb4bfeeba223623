//! Names given on the command line: read in the same way as the environment's own. If there is no such name,
//! the error suggests the nearest one.

use batou_release::HostName;
use std::collections::BTreeSet;

use batou_environments::Policy;

use crate::error::CommandError;
use crate::ui::{some_of, visible_name};

/// What all commands say about an environment without hosts.
pub const NO_HOSTS: &str = "an environment without hosts can only be checked, built, and inherited from";

/// The error of a command that needs hosts.
pub fn no_hosts(environment: &str) -> CommandError {
    let message = format!("environment {} has no hosts", visible_name(environment));
    CommandError::usage(message).hint(format!("declare them in [hosts]: {NO_HOSTS}"))
}

/// Refuses names given on the command line that are not among the known ones.
pub fn known(what: &str, wanted: &[String], known: &BTreeSet<&str>) -> Result<(), CommandError> {
    let Some(unknown) = wanted.iter().find(|name| !known.contains(name.as_str())) else { return Ok(()) };
    Err(nearest(CommandError::input(format!("there is no {what} {}", visible_name(unknown))), unknown, known))
}

/// The named hosts, under the environment's names for them. They may be typed in upper case, with a trailing
/// dot, and with the environment's domain, as in environment.toml.
pub fn hosts(
    policy: &Policy,
    typed: &[String],
    known: &BTreeSet<HostName>,
) -> Result<BTreeSet<HostName>, CommandError> {
    let one = |typed: &String| {
        let name = policy.host_name(typed);
        if let Some(known) = known.get(name.as_str()) {
            return Ok(known.clone());
        }
        let message = format!("environment {} has no host {}", policy.name, visible_name(typed));
        let known = known.iter().map(HostName::as_str).collect();
        Err(nearest(CommandError::usage(message), &name, &known))
    };
    typed.iter().map(one).collect()
}

/// A host that neither the environment nor any of its hosts has.
pub fn unheard_of(policy: &Policy, name: &str, known: &BTreeSet<&str>) -> CommandError {
    let (environment, host) = (visible_name(&policy.name), visible_name(name));
    let message = format!("{environment} has no host `{host}`, and none of its hosts knows of one");
    nearest(CommandError::input(message), name, known)
}

fn nearest(error: CommandError, unknown: &str, known: &BTreeSet<&str>) -> CommandError {
    let nearest = |word: &str| batou_environments::nearest(word, known.iter().copied());
    // Of a host, often only the domain is wrong.
    let label = || unknown.split_once('.').and_then(|(label, _)| nearest(label));
    match nearest(unknown).or_else(label) {
        Some(nearest) => error.hint(format!("did you mean `{}`?", visible_name(nearest))),
        None if known.is_empty() => error,
        None => {
            let names: Vec<_> = known.iter().map(|name| visible_name(name)).collect();
            error.hint(format!("known: {}", some_of(&names)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_refused_with_the_nearest_one() {
        let components = BTreeSet::from(["nginx", "postgres"]);
        assert!(known("component", &["nginx".to_owned()], &components).is_ok());
        let error = known("component", &["postgres".to_owned(), "ngnix".to_owned()], &components).err();
        let error = error.map(|error| (error.to_string(), error.hints().to_vec()));
        let hint = vec!["did you mean `nginx`?".to_owned()];
        assert_eq!(error, Some(("there is no component ngnix".to_owned(), hint)));
        let error = known("component", &["redis".to_owned()], &components).err();
        let hints = error.map(|error| error.hints().to_vec());
        assert_eq!(hints, Some(vec!["known: nginx, postgres".to_owned()]), "neither is like it");
    }
}
