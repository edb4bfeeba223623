//! A program that reads files through `current` while an agent switches between two releases.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use batou_agent::protocol::question::{self, LockAnswer};
use batou_agent::protocol::{
    Hello, Holder, HostNames, JournaledRelease, MAGIC, PROTOCOL, Question, Reply, State, Switch, read_frame,
};
use batou_store::Digest;
use rustix::fs::{Mode, OFlags};

use super::lane::BATOU;
use crate::common::{Sandbox, counted};

const SWITCHES: u64 = 500;
const READERS: usize = 2;

/// What one reader found.
#[derive(Default)]
struct Found {
    reads: u64,
    changes: u64,
}

#[test]
fn a_reader_sees_whole_releases_while_an_agent_switches() {
    let sandbox = Sandbox::new();
    let target = sandbox.project().join("work/dev");
    let mut agent = Agent::start(&target);
    let manifests = [release(&sandbox, &mut agent, 0), release(&sandbox, &mut agent, 1)];
    agent.lock();
    let done = AtomicBool::new(false);
    let found: Vec<Found> = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(|| read(&target, &done))).collect();
        for sequence in 1..=SWITCHES {
            // The second release is in force at first.
            let [from, to] = if sequence % 2 == 1 { [1, 0] } else { [0, 1] };
            agent.switch(2 + sequence, manifests[from], manifests[to]);
        }
        done.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    let reads: u64 = found.iter().map(|found| found.reads).sum();
    let changes: u64 = found.iter().map(|found| found.changes).sum();
    counted(&format!(
        "{SWITCHES} switches, {reads} reads of two files each, {changes} times another release than before"
    ));
    assert!(reads > SWITCHES && changes > SWITCHES / 10, "the readers hardly met a switch");
}

/// Opens the component once and reads two files in it, again and again: both are of one release.
fn read(target: &Path, done: &AtomicBool) -> Found {
    let mut found = Found::default();
    let mut last = String::new();
    while !done.load(Ordering::Relaxed) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(target.join("current/app"), flags, Mode::empty()).unwrap();
        let text = |name: &str| {
            let file = rustix::fs::openat(&folder, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            let mut text = String::new();
            File::from(file.unwrap()).read_to_string(&mut text).unwrap();
            text
        };
        let one = text("one");
        // A switch that comes between the two makes no difference.
        thread::sleep(Duration::from_micros(found.reads % 200));
        assert_eq!(one, text("two"), "a mix of two releases");
        found.reads += 1;
        found.changes += u64::from(one != last);
        last = one;
    }
    found
}

/// Releases a version with the command, and says which manifest that is.
fn release(sandbox: &Sandbox, agent: &mut Agent, version: usize) -> Digest {
    let text = "[environment]\nconnect_method = \"local\"\n[hosts]\nlocalhost = [\"app\"]\n";
    sandbox
        .write("batou.toml", "[project]\nname = \"crash\"\n")
        .write("environments/dev/environment.toml", text);
    let file = |name| format!("[[file]]\npath = \"{name}\"\ncontent = \"version {version}\\n\"\n");
    sandbox.write("components/app/component.toml", file("one") + &file("two"));
    sandbox.batou(&["switch", "dev"]).success();
    agent.hello().current.unwrap().manifest
}

/// A conversation with an agent, without the command around it.
struct Agent {
    process: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    hello: Hello,
}

impl Agent {
    fn start(target: &Path) -> Self {
        let mut process =
            Command::new(BATOU).arg("agent").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (process.stdin.take(), process.stdout.take().unwrap());
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while !line.ends_with(b"ready\n") {
            line.clear();
            assert_ne!(from.read_until(b'\n', &mut line).unwrap(), 0, "no {}", MAGIC.escape_ascii());
        }
        let hello = Hello {
            protocol: PROTOCOL,
            project: "crash".into(),
            environment: "dev".into(),
            host: "localhost".parse().unwrap(),
            target_directory: target.display().to_string(),
            home: None,
            wanted: None,
        };
        Self { process, to, from, hello }
    }

    fn ask<A>(&mut self, question: &Question<A>) -> A {
        std::io::Write::write_all(self.to.as_mut().unwrap(), &question.encode()).unwrap();
        loop {
            match read_frame(&mut self.from).unwrap() {
                (Reply::Heartbeat, _) => {}
                (reply, raw) => {
                    let text = format!("{reply:?}");
                    return question.read(reply, raw).expect(&text);
                }
            }
        }
    }

    fn hello(&mut self) -> State {
        self.ask(&question::hello(self.hello.clone()))
    }

    fn lock(&mut self) {
        let (user, machine, since) =
            ("tester".into(), "here".into(), "2026-11-22T17:00:00Z".parse().unwrap());
        let answer = self.ask(&question::lock(Holder { user, machine, since, attempt: 1 }));
        assert!(matches!(answer, LockAnswer::Locked(_)), "{answer:?}");
    }

    /// Switches to a manifest that the host has, and commits it.
    fn switch(&mut self, sequence: u64, from: Digest, to: Digest) {
        let record = JournaledRelease {
            release: to,
            sequence,
            restores: None,
            forgets: None,
            disregards: None,
            who: "tester@here".into(),
            attempt: 1,
            hosts: HostNames::default(),
            without: HostNames::default(),
        };
        let order = Switch { record, expected: Some(from), manifest: to, manifest_size: 0, recheck: false };
        self.ask(&question::switch(order, Vec::new()));
        self.ask(&question::commit(10));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.to.take());
        let _ = self.process.wait();
    }
}
