//! What keeps a release from happening by mistake: the project's git repository must be in a state that others
//! can get, and the name of a protected environment has to be typed.

mod git;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use batou_environments::{ConnectMethod, Policy};

use crate::error::CommandError;
use crate::ui::{Ui, plural, visible, visible_name};
use git::{NoRepository, Repository};

/// How many changed files an error names.
const NAMED: usize = 5;

/// Refuses a release over ssh from a branch other than the environment's, or with changes that are not
/// committed or, if there is an upstream, not pushed. `dirty` allows all of this.
pub fn check_repository(project: &Path, policy: &Policy, dirty: bool, ui: &Ui) -> Result<(), CommandError> {
    if dirty || policy.connect_method == ConnectMethod::Local {
        return Ok(());
    }
    let repository = match Repository::open(project)? {
        Ok(repository) => repository,
        Err(absent) => {
            let why = match absent {
                NoRepository::Program => "git is not installed",
                NoRepository::Repository => "the project's folder is in no git repository",
            };
            if let Some(branch) = &policy.branch {
                let (name, branch) = (visible_name(&policy.name), visible_name(branch));
                let message =
                    format!("{name} is released from branch {branch}, and that cannot be checked: {why}");
                return Err(CommandError::input(message)
                    .hint("release from a git repository, or anyway with --dirty"));
            }
            ui.notice(&format!("{why}, so that nobody can tell later what exactly was released"));
            return Ok(());
        }
    };
    check_branch(&repository, policy)?;
    check_changes(&repository)?;
    check_pushed(&repository)
}

/// Checks the commit, not the branch's name: a clone made for one commit has no branch, but may still be at the
/// tip of the right one.
fn check_branch(repository: &Repository<'_>, policy: &Policy) -> Result<(), CommandError> {
    let Some(wanted) = &policy.branch else { return Ok(()) };
    let branch = repository.branch()?;
    if branch.as_ref() == Some(wanted) || repository.is_tip_of(wanted)? {
        return Ok(());
    }
    let is_there = repository.has_branch(wanted)?;
    let wanted = visible_name(wanted);
    let hint = if is_there {
        format!("switch to {wanted}, or release anyway with --dirty")
    } else {
        format!(
            "there is no branch {wanted} in this repository, here or on a remote: fetch it, set `branch` to the one that is \
             released, or release anyway with --dirty"
        )
    };
    let here = match branch {
        Some(branch) => format!("branch {} is checked out", visible_name(&branch)),
        None => {
            "the commit that is checked out is not the tip of that branch, here or on a remote".to_owned()
        }
    };
    Err(CommandError::input(format!(
        "{} is released from branch {wanted}, and {here}",
        visible_name(&policy.name)
    ))
    .hint(hint))
}

fn check_changes(repository: &Repository<'_>) -> Result<(), CommandError> {
    let changes = repository.changes()?;
    if changes.is_empty() {
        return Ok(());
    }
    let mut named: Vec<_> = changes.iter().take(NAMED).map(|path| visible_name(path)).collect();
    if changes.len() > NAMED {
        named.push(format!("and {} more", changes.len() - NAMED));
    }
    Err(CommandError::input(format!(
        "the project has {} that {} not committed: {}",
        plural(changes.len(), "change"),
        if changes.len() == 1 { "is" } else { "are" },
        named.join(", ")
    ))
    .hint("commit them, or release anyway with --dirty"))
}

fn check_pushed(repository: &Repository<'_>) -> Result<(), CommandError> {
    match repository.unpushed()? {
        None | Some(0) => Ok(()),
        Some(count) => Err(CommandError::input(format!(
            "the project has {} that {} not pushed",
            plural(count, "commit"),
            if count == 1 { "is" } else { "are" }
        ))
        .hint("push, or release anyway with --dirty")),
    }
}

/// Asks for the name of a protected environment.
pub fn confirm(policy: &Policy, yes: bool, ui: &Ui) -> Result<(), CommandError> {
    if !policy.protected || yes {
        return Ok(());
    }
    let name = visible_name(&policy.name);
    if !io::stdin().is_terminal() {
        return Err(CommandError::input(format!("{name} is protected, and there is no terminal to ask at"))
            .hint("confirm it with --yes"));
    }
    ui.warn(&format!("{name} is protected"));
    let mut prompt = io::stderr().lock();
    let asked = write!(prompt, "Type its name to go on: ").and_then(|()| prompt.flush());
    drop(prompt);
    let unreadable = |error| CommandError::failed("the answer cannot be read").because(error);
    asked.map_err(unreadable)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(unreadable)?;
    answered(policy, &answer)
}

fn answered(policy: &Policy, answer: &str) -> Result<(), CommandError> {
    if answer.trim() == policy.name {
        return Ok(());
    }
    let (name, answer) = (visible_name(&policy.name), visible(answer.trim()));
    Err(CommandError::failed(format!("nothing was done: {answer:?} is not {name:?}")))
}

#[cfg(test)]
mod tests;
