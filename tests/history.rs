//! What the hosts' journals tell when they are read together, and what a rollback means then.

use crate::common::{Output, Sandbox, SshHosts};
use crate::shop::{self, Target, greet, says};

/// The lines about releases, without times and ids: `* 2 two`.
fn releases(output: &Output) -> Vec<String> {
    let line = |line: &str| {
        let (mark, rest) = (line.starts_with('*'), line.trim_start_matches('*'));
        let (number, hosts) = (rest.split_whitespace().next()?, rest.rsplit("  ").next()?);
        number.parse::<u64>().ok()?;
        Some(format!("{}{number} {hosts}", if mark { "* " } else { "" }))
    };
    output.stdout.lines().filter_map(line).collect()
}

/// Release 1 everywhere, then one release of its own for each host: both have the number 2.
fn parted() -> (SshHosts, Sandbox) {
    let hosts = SshHosts::start(&["one", "two"]);
    let sandbox = shop::remote(&hosts, &["one", "two"]);
    sandbox.batou(&["switch", "dev"]).success();
    for (greeting, left_out) in [("two", "two"), ("three", "one")] {
        greet(&sandbox, greeting);
        sandbox.batou(&["switch", "dev", "--skip", left_out]).success();
    }
    (hosts, sandbox)
}

#[test]
fn releases_that_left_out_each_others_hosts_are_told_apart() {
    let (hosts, sandbox) = parted();
    let history = sandbox.batou(&["history", "dev"]).success();
    let mut told = releases(&history);
    // The two are in the order of their times, which journals tell in seconds.
    told.sort();
    assert_eq!(told, ["* 2 one", "* 2 two", "1 one two"]);

    let output = sandbox.batou(&["rollback", "dev", "--to", "2"]).fails(2);
    says(&output.stderr, &["2 is the number of 2 releases", "--host"]);
    sandbox.batou(&["rollback", "dev", "--to", "2", "--host", "one"]).success();
    sandbox.batou(&["rollback", "dev"]).success();
    for name in ["one", "two"] {
        assert_eq!(Target::remote(&hosts, name).file("app/app.conf"), format!("one on {name}\n"));
    }
}
