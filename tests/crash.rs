//! Releases that are killed: at every single system call that changes something, and at any moment.

mod controller;
pub(crate) mod kill;
pub(crate) mod lane;
mod order;
mod reader;

use kill::{Controller, kill_everywhere};
use lane::Scenario;

#[test]
fn a_first_switch_killed_anywhere_leaves_nothing_or_all_of_it() {
    kill_everywhere(Scenario::First, Controller::Dies);
}

#[test]
fn a_switch_killed_anywhere_leaves_the_old_release_or_the_new_one() {
    kill_everywhere(Scenario::Switch, Controller::Dies);
}

#[test]
fn a_rollback_killed_anywhere_leaves_the_old_release_or_the_new_one() {
    kill_everywhere(Scenario::Rollback, Controller::Dies);
}

#[test]
fn a_controller_whose_agent_is_killed_anywhere_knows_what_became_of_the_release() {
    kill_everywhere(Scenario::Switch, Controller::Lives);
}
