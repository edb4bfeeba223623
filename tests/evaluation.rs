//! Evaluations are made by a child process: what it gives, and an error where it runs out of memory, stack or time.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use batou_environments::Typed;
use rustix::process::{Pid, Signal};

use crate::common::{Output, Sandbox, below, found, signal, until};
use crate::shop::says;

/// Two hosts with a component in Starlark, whose `configure` is this.
fn project(configure: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("batou.toml", "[project]\nname = \"shop\"\n");
    sandbox.write("environments/dev/environment.toml", "[hosts]\nweb01 = [\"plain\", \"zope\"]\n");
    sandbox.write(
        "components/plain/component.toml",
        "[[file]]\npath = \"host\"\ncontent = \"{{ host.name }}\"\n",
    );
    sandbox.write("components/zope/component.star", format!("def configure(c):\n{configure}"));
    sandbox
}

/// It must end with status 2 and this in its message, and leave no store behind.
#[track_caller]
fn refused(sandbox: &Sandbox, variables: &[(&str, &str)], message: &str) {
    let output = Output::of(sandbox.command(&["build", "dev"]).envs(variables.iter().copied())).fails(2);
    says(&output.stderr, &[message]);
    assert!(!sandbox.store().join("artifacts").exists() && !sandbox.project().join("result").exists());
}

/// A project without code, with this template.
fn plain(template: &str) -> Sandbox {
    let sandbox = project("");
    fs::remove_dir_all(sandbox.project().join("components/zope")).unwrap();
    sandbox.write("environments/dev/environment.toml", "[hosts]\nweb01 = [\"plain\"]\n");
    sandbox.write("components/plain/component.toml", "[[file]]\npath = \"host\"\n");
    sandbox.write("components/plain/host", template);
    sandbox
}

/// Others may inherit from it, so it is no mistake; but nothing can be done with hosts that are not there.
#[test]
fn an_environment_without_hosts_is_told_in_one_voice() {
    const SAID: &str = "an environment without hosts can only be checked, built, and inherited from";
    let sandbox = plain("x");
    sandbox.write("environments/dev/environment.toml", "[environment]\nconnect_method = \"local\"\n");
    for command in ["check", "build"] {
        let output = Output::of(&mut sandbox.command(&[command, "dev"])).success();
        says(&output.stdout, &[SAID]);
    }
    for command in ["plan", "switch", "status", "history", "rollback", "verify", "gc", "retire"] {
        let more: &[&str] = if command == "retire" { &["web01"] } else { &[] };
        let output = Output::of(&mut sandbox.command(&[&[command, "dev"], more].concat())).fails(2);
        says(&output.stderr, &["environment dev has no hosts", SAID]);
    }
}

#[test]
fn a_project_without_environments_has_nothing_to_check_or_build() {
    let sandbox = Sandbox::new();
    sandbox.write("batou.toml", "[project]\nname = \"shop\"\n");
    for command in [&["check"][..], &["build"], &["check", "--json"], &["build", "--json"]] {
        let output = sandbox.batou(command).fails(2);
        says(
            &(output.stdout + &output.stderr),
            &["there are no environments", "environments/NAME/environment.toml"],
        );
    }
}

/// The engine charges for the work of a template, but neither for lists that are joined nor for what is compared in depth.
#[test]
fn templates_that_take_what_is_not_counted_are_given_up() {
    let joined =
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";
    refused(
        &plain(joined),
        &[("BATOU_EVALUATION_MEMORY", "300")],
        "evaluating web01/plain used more than 300 MiB of memory",
    );
    let twice = "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}";
    let compared = format!(
        "{{% set ns = namespace(a=[1], b=[1]) %}}{{% for i in range(60) %}}{twice}{{% endfor %}}{{{{ ns.a == ns.b }}}}"
    );
    refused(
        &plain(&compared),
        &[("BATOU_EVALUATION_SECONDS", "2")],
        "evaluating web01/plain took more than 2 s of processor time",
    );
    let nested = "{% set ns = namespace(x=[]) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}{% endfor %}\
                  {% for i in range(30000) %}{% set ns.x = [[[[[[[[[[ns.x]]]]]]]]]] %}{% endfor %}{{ {ns.x: 1} | length }}";
    refused(&plain(nested), &[], "evaluating web01/plain overflowed the stack");
}

#[test]
fn mistakes_come_from_the_child_with_their_places() {
    let sandbox =
        project("    c.file(\"a\", content = \"{{ nothing }}\", mod = \"0644\")\n    c.nothing()\n");
    let shown = sandbox.batou(&["check"]).fails(2).stderr;
    says(&shown, &["components/zope/component.star:", "c.nothing()", "affects: web01/zope"]);
}

/// What a parent asks, as `src/evaluation/message.rs` has it.
#[derive(serde::Serialize)]
struct Request {
    root: PathBuf,
    environment: &'static str,
    lookup: bool,
    user: &'static str,
    user_home: &'static str,
    limits: Limits,
    explain: Option<Typed>,
}

#[derive(serde::Serialize)]
struct Limits {
    memory: u64,
    seconds: u64,
    threads: usize,
}

/// One request, one answer: it does not wait for its parent to say more, nor to close the pipe.
#[test]
fn a_child_ends_with_its_answer() {
    let typed = Typed { host: "web01".to_owned(), component: "zope".to_owned() };
    for explain in [None, Some(typed)] {
        let sandbox = project("    c.file(\"x\", content = \"1\")\n");
        let explains = explain.is_some();
        let request = Request {
            root: sandbox.project(),
            environment: "dev",
            lookup: false,
            user: "me",
            user_home: "/home/me",
            limits: Limits { memory: 1024, seconds: 60, threads: 1 },
            explain,
        };
        let mut child = sandbox.command(&["evaluate"]);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let request = rmp_serde::to_vec_named(&request).unwrap();
        let mut to = child.stdin.take().unwrap();
        to.write_all(&[&(request.len() as u64).to_be_bytes()[..], &request].concat()).unwrap();
        assert!(child.wait().unwrap().success());
        let mut answer = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut answer).unwrap();
        let says = |word: &[u8]| answer.windows(word.len()).any(|part| part == word);
        assert!(says(b"plain") && says(b"zope") && !says(b"Mistakes"));
        assert_eq!((says(b"Explained"), says(b"attributes"), says(b"Rest")), (explains, explains, !explains));
        drop(to);
    }
}

#[test]
fn steps_are_rendered_by_the_child() {
    let sandbox = project(concat!(
        "    c.file(\"x\", content = \"1\")\n",
        "    c.step(\"cat\", update = \"cat {{ component.artifact }}/x > found\")\n"
    ));
    sandbox.write(
        "environments/dev/environment.toml",
        "[environment]\nconnect_method = \"local\"\n[hosts]\nlocalhost = [\"zope\"]\n",
    );
    sandbox.batou(&["switch", "dev"]).success();
    assert_eq!(sandbox.read("work/dev/state/zope/found"), "1");
}

#[test]
fn memory_is_bounded() {
    let about = "evaluating web01/zope (components/zope/component.star) used more than 1 GiB of memory";
    for expression in ["\"x\" * (500000000 * len(c.name))", "[0] * 1000000000"] {
        refused(&project(&format!("    x = {expression}\n")), &[], about);
    }
    let less = [("BATOU_EVALUATION_MEMORY", "64")];
    refused(&project("    x = \"x\" * 2000000000\n"), &less, "used more than 64 MiB of memory");
}

#[test]
fn what_runs_out_of_memory_is_found_among_others() {
    let sandbox = project("    x = [i for i in range(1000000)]\n");
    let hosts: String = (1..9).map(|number| format!("web{number:02} = [\"zope\"]\n")).collect();
    sandbox.write("environments/dev/environment.toml", format!("[hosts]\n{hosts}big = [\"bad\"]\n"));
    sandbox.write("components/bad/component.star", "def configure(c):\n    x = [0] * 1000000000\n");
    refused(
        &sandbox,
        &[],
        "evaluating big/bad (components/bad/component.star) used more than 1 GiB of memory",
    );
}

#[test]
fn a_file_that_is_loaded_is_named_too() {
    let sandbox = project("    pass\n");
    sandbox.write("components/zope/component.star", "X = [0] * 1000000000\ndef configure(c):\n    pass\n");
    let about = "evaluating components/zope/component.star used more than 1 GiB of memory";
    refused(&sandbox, &[], about);
    // A constant, which the interpreter makes when it compiles the function.
    let constant = "def text():\n    return \"x\" * 1000000000\n\ndef configure(c):\n    text()\n";
    sandbox.write("components/zope/component.star", constant);
    refused(&sandbox, &[], about);
}

#[test]
fn time_is_bounded() {
    let loops = "    for i in range(1000000):\n        x = sorted(range(1000000))\n";
    refused(
        &project(loops),
        &[("BATOU_EVALUATION_SECONDS", "1")],
        "evaluating web01/zope (components/zope/component.star) took more than 1 s of processor time",
    );
}

#[test]
fn limits_are_numbers() {
    let output = Output::of(project("    pass\n").command(&["check"]).env("BATOU_EVALUATION_MEMORY", "1G"));
    says(&output.fails(2).stderr, &["BATOU_EVALUATION_MEMORY must be a number of MiB, not `1G`"]);
}

#[test]
fn a_child_ends_with_its_parent() {
    for end in [Signal::KILL, Signal::INT, Signal::TERM] {
        let sandbox = project("    for i in range(1000000):\n        x = sorted(range(1000000))\n");
        let mut parent = sandbox.command(&["check", "dev"]).spawn().unwrap();
        let id = Pid::from_child(&parent);
        let child = found("the child runs", || below(id).pop()).pid;
        signal(id, end);
        parent.wait().unwrap();
        let path = format!("/proc/{}/stat", child.as_raw_nonzero());
        let gone = || fs::read_to_string(&path).map_or(true, |stat| stat.contains(") Z "));
        until("the child has ended", gone);
    }
}

#[test]
fn the_stack_is_bounded() {
    let nested = "    x = ()\n    for i in range(1900000):\n        x = ((x,),)\n    hash(x)\n";
    let about = "evaluating web01/zope (components/zope/component.star) overflowed the stack";
    refused(&project(nested), &[], about);
}

/// No text is searched for what is nested too deeply before it is parsed: this is what stands in for it.
#[test]
fn a_text_that_nests_deeper_than_the_stack_is_named() {
    let sandbox = project("    pass\n");
    for nested in ["(".repeat(500_000), format!("x = {}1", "-".repeat(500_000))] {
        sandbox.write("components/zope/component.star", nested);
        refused(&sandbox, &[], "evaluating components/zope/component.star overflowed the stack");
    }
    let chain = format!("{{{{ 1{} }}}}", "+1".repeat(200_000));
    let sandbox = plain(&chain);
    refused(&sandbox, &[], "evaluating web01/plain overflowed the stack");
    // One that several hosts have is compiled once for all of them.
    sandbox.write("environments/dev/environment.toml", "[hosts]\nweb01 = [\"plain\"]\nweb02 = [\"plain\"]\n");
    refused(&sandbox, &[], "evaluating components/plain/host overflowed the stack");
    sandbox.write("components/plain/other", chain);
    sandbox.write("components/plain/host", "{% include 'other' %}");
    refused(&sandbox, &[], "/plain overflowed the stack");
}

#[test]
fn a_child_that_is_killed_is_no_mistake_of_the_project() {
    let sandbox = project("    for i in range(1000000):\n        x = sorted(range(1000000))\n");
    // On a busy machine it may take long until the child has got to the component.
    let mut wait = Duration::from_millis(300);
    loop {
        let parent = sandbox.command(&["check", "dev"]).stderr(Stdio::piped()).spawn().unwrap();
        let id = Pid::from_child(&parent);
        until("the child runs", || !below(id).is_empty());
        std::thread::sleep(wait);
        signal(below(id).pop().unwrap().pid, Signal::KILL);
        let output = parent.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        says(&said, &["was killed from outside"]);
        if said.contains("evaluating web01/zope") {
            return;
        }
        wait *= 2;
    }
}
