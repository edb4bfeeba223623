//! What a session may limit (`ulimit`): batou does its work all the same, or says in a sentence what it lacks.

use std::fs;

use crate::common::{Output, Sandbox};
use crate::shop::{self, Target, append, greet, says};

/// batou in a session with this limit.
fn limited(sandbox: &Sandbox, limit: &str, arguments: &str) -> Output {
    let line = format!("ulimit {limit} && exec {} {arguments}", env!("CARGO_BIN_EXE_batou"));
    Output::of(sandbox.program("sh").args(["-c", &line]))
}

#[test]
fn a_small_stack_is_enough() {
    let sandbox = shop::local();
    limited(&sandbox, "-s 64", "switch dev").success();
    limited(&sandbox, "-s 64", "switch dev --no-such-option").fails(2);
    assert_eq!(Target::local(&sandbox).file("app/app.conf"), "one on localhost\n");
}

#[test]
fn a_file_that_may_not_become_large_enough_is_an_error_with_its_name() {
    let sandbox = shop::local();
    sandbox.batou(&["switch", "dev"]).success();
    greet(&sandbox, &"long ".repeat(200_000));
    let refused = limited(&sandbox, "-f 1500", "switch dev").fails(1);
    says(&refused.stderr, &["error: ", "File too large", "`ulimit -f`"]);
    assert!(refused.stderr.contains("/store/") || refused.stderr.contains("/work/"), "{}", refused.stderr);
    assert_eq!(Target::local(&sandbox).file("app/app.conf"), "one on localhost\n");
    sandbox.batou(&["switch", "dev"]).success();
    // So little that nothing can be evaluated.
    let refused = limited(&sandbox, "-f 1", "switch dev").fails(1);
    says(&refused.stderr, &["error: ", "File too large", "`ulimit -f`"]);
}

#[test]
fn what_batou_starts_has_the_signals_that_programs_expect() {
    let sandbox = shop::local();
    let step = "\n[[step]]\nname = \"look\"\nupdate = \"grep SigIgn: /proc/self/status >signals\"\n";
    append(&sandbox, "components/app/component.toml", step);
    sandbox.batou(&["switch", "dev"]).success();
    let found = fs::read_to_string(Target::local(&sandbox).0.join("state/app/signals")).unwrap();
    let ignored = u64::from_str_radix(found.trim_start_matches("SigIgn:").trim(), 16).unwrap();
    // SIGXFSZ is 25 on all processors that batou runs on.
    assert_eq!(ignored >> 24 & 1, 0, "{found}");
}

#[test]
fn too_little_memory_for_threads_is_one_sentence() {
    let sandbox = shop::local();
    let refused = limited(&sandbox, "-v 200000", "switch dev").fails(1);
    says(
        &refused.stderr,
        &["error: this machine lets batou start no more threads or processes (", "`ulimit -v`"],
    );
    assert_eq!(refused.stderr.matches("error: ").count(), 1, "{}", refused.stderr);
}
