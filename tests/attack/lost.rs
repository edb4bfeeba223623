//! Two hosts of which one is lost, at each reply of a release: before batou hears it, and after, while the other one works.
//! Status 0 is that both have the new release, 1 that both have the old one. Only once the commit was sent can it be 3. And
//! the next switch puts right whatever was left. So it does where batou itself is lost.

use std::fs::File;

use serde_json::{Value, json};

use super::between::{Between, HOSTS, Outcomes, try_each, verb};
use super::tries_all;
use crate::common::{Strace, counted, left_out, until};

/// What happens to the agent. One that is stopped is given up after half a minute only.
const HARMS: [&str; 3] = ["kill", "close", "stop"];

/// A loss at a reply.
#[derive(Clone, Copy, Debug)]
struct Loss<'r> {
    reply: usize,
    verb: &'r str,
    harm: &'static str,
    when: &'static str,
    /// The commit has been sent by then.
    is_late: bool,
}

/// All losses at the replies of a switch.
fn losses(replies: &[Value]) -> Vec<Loss<'_>> {
    let mut losses = Vec::new();
    let harms = if tries_all() { &HARMS[..] } else { &HARMS[..2] };
    for (reply, message) in replies.iter().enumerate() {
        let verb = verb(message);
        for &harm in harms {
            for when in ["before", "after"] {
                // The last reply is that to the commit. After the one before it, the commit may have been sent.
                let is_late = reply + 1 == replies.len() || reply + 2 == replies.len() && when == "after";
                losses.push(Loss { reply, verb, harm, when, is_late });
            }
        }
    }
    losses
}

impl Loss<'_> {
    /// The exit status, or what is wrong.
    fn befall(&self, fleet: &mut Between) -> Result<Option<i32>, String> {
        fleet.change();
        let old = HOSTS.map(|host| fleet.in_force(host));
        let new = HOSTS.map(|host| format!("{} on {host}\n", fleet.release));
        let order = json!({"reply": self.reply, "harm": self.harm, "when": self.when});
        let output = fleet.run_with(&["switch", "dev"], &order);
        let found = HOSTS.map(|host| fleet.in_force(host));
        let is_true = match output.status {
            Some(0) => found == new,
            Some(1) => found == old,
            Some(3) => self.is_late,
            _ => false,
        };
        let next = fleet.run(&["switch", "dev"]);
        let mended = HOSTS.map(|host| fleet.in_force(host));
        if is_true && next.status == Some(0) && mended == new {
            return Ok(output.status);
        }
        Err(format!(
            "{} {} the reply {}, which is {:?}\n{output:?}\n{old:?}, then {found:?}, and after the next switch \
             {mended:?}: {next:?}",
            self.harm, self.when, self.reply, self.verb
        ))
    }
}

#[test]
fn a_host_that_is_lost_at_any_reply_leaves_both_hosts_as_the_exit_status_says() {
    let mut first = Between::new();
    first.change();
    let replies = first.replies(&["switch", "dev"]);
    let verbs: Vec<_> = replies.iter().map(verb).collect();
    let losses = losses(&replies);
    let Outcomes { statuses, faults } =
        try_each(first, Between::new, &losses, |fleet, loss| loss.befall(fleet));
    counted(&format!(
        "{} losses of one of two hosts, at {verbs:?}: exit statuses {statuses:?}",
        losses.len()
    ));
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), losses.len(), faults.join("\n\n"));
    assert!(verbs.len() >= 7, "a switch has more replies: {verbs:?}");
}

/// The calls at which the controller is killed, and up to which of each thread. Each thread is counted by itself.
const CALLS: &[(&str, usize, usize)] =
    &[("write", 25, 4), ("read", 120, 24), ("futex", 60, 15), ("rename", 5, 1), ("wait4", 4, 1)];

#[test]
fn a_controller_that_is_killed_at_any_call_leaves_hosts_that_are_whole_and_a_next_switch_that_succeeds() {
    if let Some(lacking) = Strace::lacking() {
        return left_out("controllers of two hosts killed at their system calls", lacking);
    }
    let mut fleet = Between::new();
    let (mut kills, mut tried, mut mixed) = (0, 0, 0);
    for &(call, last, stride) in CALLS {
        for nth in (1..=last).step_by(if tries_all() { 1 } else { stride }) {
            fleet.change();
            let old = HOSTS.map(|host| fleet.in_force(host));
            let new = HOSTS.map(|host| format!("{} on {host}\n", fleet.release));
            let inject = format!("inject={call}:signal=KILL:when={nth}");
            let trace = format!("trace={call}");
            // Only batou itself is killed: what it starts is left to itself.
            let strace =
                ["strace", "-f", "-qq", "-b", "execve", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let output = fleet.run_under(&strace, &["switch", "dev"]);
            let context = format!("killed at call {nth} of {call}: {output:?}");
            tried += 1;
            kills += usize::from(output.status != Some(0));
            for host in HOSTS {
                let lock = fleet.hosts.host(host).home().join("shop/lock");
                until("the agent has ended", || File::open(&lock).unwrap().try_lock().is_ok());
            }
            let found = HOSTS.map(|host| fleet.in_force(host));
            for (place, text) in found.iter().enumerate() {
                assert!(*text == old[place] || *text == new[place], "{found:?}\n{context}");
            }
            mixed += usize::from(found != old && found != new);
            let next = fleet.run(&["switch", "dev"]).success();
            let mended = HOSTS.map(|host| fleet.in_force(host));
            assert_eq!(mended, new, "{next:?}\n{context}");
        }
    }
    counted(&format!(
        "{kills} controllers of two hosts killed in {tried} runs; {mixed} times one host had committed"
    ));
    assert!(kills >= tried / 3, "most runs made no such call");
}
