//! A man in the middle who changes what a controller says to an agent: every field of every request, the bytes of frames and of
//! the stream of objects, and the order of it all.
//!
//! Whatever arrives: the agent does not panic, what is in force is a manifest that a controller has made and is as that says,
//! the store holds what it says it holds, nothing is written beside the target directory, and an honest controller can
//! release afterwards. With `BATOU_TEST_ATTACK=all` every change is tried, else a sample that has each field.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, PipeWriter, Write};
use std::panic;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use batou_release::{Builtin, FactSource, Manifest};
use batou_store::{Digest, Durability, ObjectId, Silent, Store};
use serde_json::{Value, json};

use super::host::{Host, holder, record, step};
use crate::protocol::samples::tampered;
use crate::protocol::{
    AgentError, DATA_CHUNK, Hello, JournaledRelease, MAX_HEADER, MAX_RAW, Reply, Request, Switch,
    WantedRelease, encode, read_frame,
};
use crate::serve::serve_within;

/// How many threads of whatever kind have panicked.
static PANICS: AtomicUsize = AtomicUsize::new(0);
/// The status of the command that ends each conversation.
const LAST: i32 = 77;

/// A request and the raw bytes behind it.
type Sent = (Value, Vec<u8>);
/// Makes a conversation.
type Script = fn(&Target, &Wanted) -> Vec<Sent>;
/// Objects as they are sent: what each is called, how long it is said to be, and its bytes.
type Objects = Vec<(Value, u64, Vec<u8>)>;
/// What is done to one of many, with its name.
type Way<T> = (&'static str, fn(&mut T, usize));
/// What is done to the frame that begins there and has a header of that length, with its name.
type FrameWay = (&'static str, Box<dyn Fn(&mut Vec<u8>, usize, u32)>);

/// What a controller says in one conversation, changed.
struct Trial {
    what: String,
    said: Said,
}

enum Said {
    /// Requests, each of which the agent may answer before the next one: what it runs would be cut short by more.
    Requests(Vec<Sent>),
    /// Bytes of which the agent may not know where a frame ends. Then the connection ends.
    Bytes(Vec<u8>),
}

/// A host, and all that may be found there.
struct Target {
    host: Host,
    /// The content of the file in each manifest that was made.
    made: BTreeMap<Digest, String>,
    /// The manifest in force when a conversation begins.
    current: Option<Digest>,
    trials: u64,
    /// How many conversations led to what they were about, or to no release at all; the others left what was there.
    released: usize,
    emptied: usize,
}

/// What a conversation is about.
struct Wanted {
    manifest: Manifest,
    record: JournaledRelease,
    objects: Vec<ObjectId>,
}

impl Target {
    fn new() -> Self {
        let default = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            default(info);
        }));
        let mut target = Self {
            host: Host::new(),
            made: BTreeMap::new(),
            current: None,
            trials: 0,
            released: 0,
            emptied: 0,
        };
        target.release();
        target
    }

    /// The next release.
    fn want(&mut self) -> Wanted {
        self.trials += 1;
        let content = self.trials.to_string();
        let ran = step("log", &format!("echo {content} >> log"));
        let manifest = self.host.manifest(vec![self.host.component("web", &content, vec![ran])]);
        self.made.insert(manifest.digest(), content);
        let objects = self.host.store.closure(&manifest.artifacts()).unwrap().objects();
        Wanted { manifest, record: record(10 * self.trials), objects }
    }

    /// An honest release.
    fn release(&mut self) {
        let Wanted { manifest, record, .. } = self.want();
        self.host.release(&manifest, record.sequence);
        self.current = Some(manifest.digest());
    }

    fn begin(&self, wanted: &Wanted) -> Vec<Sent> {
        let release = WantedRelease {
            release: wanted.record.release,
            manifest: wanted.manifest.digest(),
            artifacts: wanted.manifest.artifacts(),
        };
        let hello = Hello { wanted: Some(release), home: None, ..self.host.hello() };
        vec![
            plain(&Request::Hello(hello)),
            plain(&Request::Heartbeat),
            plain(&Request::Lock { holder: holder("alice") }),
            plain(&Request::Missing { objects: wanted.objects.clone() }),
        ]
    }

    fn switch(&self, wanted: &Wanted) -> Sent {
        let bytes = wanted.manifest.encode();
        let order = Switch {
            record: wanted.record.clone(),
            expected: self.current,
            manifest: wanted.manifest.digest(),
            manifest_size: u32::try_from(bytes.len()).unwrap(),
            recheck: false,
        };
        let (header, _) = plain(&Request::Switch(order));
        (header, [bytes, b"{\"why\":{}}".to_vec()].concat())
    }

    /// Everything that can be asked, in an order in which all of it succeeds.
    fn conversation(&self, wanted: &Wanted) -> Vec<Sent> {
        let mut said = self.begin(wanted);
        said.extend(put(&self.host.stream(&wanted.objects)));
        let next = JournaledRelease { sequence: wanted.record.sequence + 1, ..wanted.record.clone() };
        let facts = [
            ("arch".to_owned(), FactSource::Builtin(Builtin::Architecture)),
            ("none".to_owned(), FactSource::Files { pattern: "/nonexistent/*".into() }),
        ];
        said.push(plain(&Request::Get { objects: wanted.objects.clone() }));
        said.push(self.switch(wanted));
        said.extend(
            [
                Request::Activate { component: "web".parse().unwrap(), recheck: false },
                Request::Prepare,
                Request::Commit { keep: 3 },
                Request::Prepare,
                Request::CommitUnchanged { record: next, keep: 3 },
                Request::Manifest { manifest: None },
                Request::Journal { output: true },
                Request::Verify,
                Request::Collect { keep: 3 },
                Request::Facts { facts: facts.into() },
                Request::Exec { command: vec!["true".into(), "x".into()] },
                Request::Unlock,
            ]
            .iter()
            .map(plain),
        );
        said
    }

    /// A release that is taken back, and a host that is then retired.
    fn withdrawal(&self, wanted: &Wanted) -> Vec<Sent> {
        let mut said = self.begin(wanted);
        said.extend(put(&self.host.stream(&wanted.objects)));
        said.push(self.switch(wanted));
        let component = "web".parse().unwrap();
        said.push(plain(&Request::Activate { component, recheck: true }));
        said.push(plain(&Request::GoBack { reason: "another host failed".into() }));
        said.push(plain(&Request::Retire { purge: false }));
        said
    }

    /// Has an agent hear this, and says what is wrong afterwards, if anything is.
    fn hear(&mut self, wanted: &Wanted, trial: &Trial) -> Result<(), String> {
        let answers = self.converse(&trial.said);
        let fault = |text: String| Err(format!("{}: {text}\n{answers:#?}", trial.what));
        if PANICS.load(Ordering::Relaxed) > 0 {
            return fault("the agent panicked".into());
        }
        if let Err(text) = self.check() {
            return fault(text);
        }
        self.current = self.host.connect().hello(self.host.hello()).current.map(|current| current.manifest);
        self.released += usize::from(self.current == Some(wanted.manifest.digest()));
        self.emptied += usize::from(self.current.is_none());
        if self.trials.is_multiple_of(10) {
            self.release();
        }
        Ok(())
    }

    /// Says all of this to an agent, and ends the connection; returns the answers.
    fn converse(&self, said: &Said) -> Vec<Reply> {
        let mut controller = Talker::start();
        match said {
            Said::Bytes(bytes) => controller.say(bytes),
            Said::Requests(requests) => {
                for sent in requests {
                    controller.ask(sent);
                }
                // Once an honest controller is answered, everything is.
                let command = ["/bin/sh", "-c", &format!("exit {LAST}")].map(str::to_owned).to_vec();
                controller.ask(&plain(&Request::Hello(self.host.hello())));
                controller.ask(&plain(&Request::Exec { command }));
                controller.hear(|answers| answers.last().is_some_and(is_last));
            }
        }
        controller.end()
    }

    fn check(&self) -> Result<(), String> {
        let names = |path: &Path| {
            let entries = std::fs::read_dir(path).into_iter().flatten();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<BTreeSet<_>>()
        };
        let (all, srv) = (names(self.host.folder.path()), names(&self.host.folder.path().join("srv")));
        if all.iter().any(|name| !["controller", "srv"].contains(&name.as_str())) || srv.len() > 1 {
            return Err(format!("something was made beside the target directory: {all:?}, {srv:?}"));
        }
        let generations = names(&self.host.target().join("generations"));
        for number in generations.iter().filter(|name| !name.starts_with('.')) {
            let manifest = self.host.target().join("generations").join(number).join("manifest.json");
            let digest = batou_release::manifest_digest(&std::fs::read(manifest).unwrap());
            let Some(content) = self.made.get(&digest) else {
                return Err(format!("generation {number} is nobody's: {}", digest.short()));
            };
            let in_force = std::fs::read_link(self.host.target().join("current"))
                .is_ok_and(|link| link.ends_with(number));
            let found = self.host.read("web/file");
            if in_force && found.as_ref() != Some(content) {
                return Err(format!("{content:?} is in force, and the file says {found:?}"));
            }
        }
        let log = std::fs::read_to_string(self.host.target().join("state/web/log")).unwrap_or_default();
        if let Some(line) = log.lines().find(|line| !self.made.values().any(|content| content == line)) {
            return Err(format!("a step has run that no manifest has: {line:?}"));
        }
        let store = Store::open_existing(&self.host.target().join("store"), Durability::Host);
        let Some(store) = store.map_err(|error| error.to_string())? else { return Ok(()) };
        let problems = store.verify(&Silent).map_err(|error| error.to_string())?;
        if problems.is_empty() { Ok(()) } else { Err(format!("{problems:?}")) }
    }
}

fn plain(request: &Request) -> Sent {
    (serde_json::to_value(request).unwrap(), Vec::new())
}

/// A stream, in pieces that are smaller than they need be.
fn put(stream: &[u8]) -> Vec<Sent> {
    let piece = stream.len().div_ceil(3).clamp(1, DATA_CHUNK);
    let data = stream.chunks(piece).map(|chunk| (json!("data"), chunk.to_vec()));
    [(json!("put"), Vec::new())].into_iter().chain(data).chain([(json!("data-end"), Vec::new())]).collect()
}

fn bytes(said: &[Sent]) -> Vec<u8> {
    said.iter().flat_map(|(header, raw)| encode(header, raw)).collect()
}

/// Whether this answers the last command: it has run, or could not.
fn is_last(reply: &Reply) -> bool {
    match reply {
        Reply::Exited { status } => *status == LAST,
        // Where the target directory is gone, or nothing was said of one, nothing can be run.
        Reply::Error(AgentError { message, .. }) => {
            message.ends_with("a release is under way")
                || message.contains("/bin/sh")
                || message.contains("has to be a hello")
        }
        _ => false,
    }
}

/// What an agent has said so far, and whether it has ended.
type Answers = (Mutex<(Vec<Reply>, bool)>, Condvar);

/// A controller that says anything.
struct Talker {
    to: Option<PipeWriter>,
    answers: Arc<Answers>,
    threads: Vec<JoinHandle<()>>,
    /// How many answers there were when the newest stream began.
    before: usize,
}

impl Talker {
    fn start() -> Self {
        let (input, to) = std::io::pipe().unwrap();
        let (from, output) = std::io::pipe().unwrap();
        let answers = Arc::new(Answers::default());
        let heard = Arc::clone(&answers);
        let agent = thread::spawn(move || {
            let _ = serve_within(input, output, || Duration::from_hours(1));
        });
        let reader = thread::spawn(move || {
            let mut from = BufReader::new(from);
            while let Ok((reply, _)) = read_frame::<Reply>(&mut from) {
                if !matches!(reply, Reply::Data | Reply::Heartbeat | Reply::Output { .. }) {
                    heard.0.lock().unwrap().0.push(reply);
                    heard.1.notify_all();
                }
            }
            heard.0.lock().unwrap().1 = true;
            heard.1.notify_all();
        });
        Self { to: Some(to), answers, threads: vec![agent, reader], before: 0 }
    }

    fn say(&mut self, bytes: &[u8]) {
        // An agent that has ended hears no more.
        let _ = self.to.as_mut().unwrap().write_all(bytes);
    }

    /// Sends a request, and waits for an answer if it has one.
    fn ask(&mut self, (header, raw): &Sent) {
        let before = self.answers.0.lock().unwrap().0.len();
        self.say(&encode(header, raw));
        match header.as_str() {
            Some("heartbeat" | "data") => {}
            Some("put") => self.before = before,
            // If the stream was refused, that was said before it ended.
            Some("data-end") => self.hear(|answers| answers.len() > self.before),
            _ => self.hear(|answers| answers.len() > before),
        }
    }

    /// Waits for an answer, or for the agent's end.
    fn hear(&self, holds: impl Fn(&[Reply]) -> bool) {
        let (answers, changed) = &*self.answers;
        let heard = answers.lock().unwrap();
        drop(changed.wait_while(heard, |(answers, ended)| !*ended && !holds(answers)).unwrap());
    }

    fn end(mut self) -> Vec<Reply> {
        self.to = None;
        for thread in self.threads.drain(..) {
            // That one has panicked was counted.
            let _ = thread.join();
        }
        std::mem::take(&mut self.answers.0.lock().unwrap().0)
    }
}

fn tries_all() -> bool {
    std::env::var_os("BATOU_TEST_ATTACK").is_some_and(|value| value == "all")
}

/// Tries all changes that are made of a conversation, each on what the ones before have left.
fn try_each(what: &str, count: usize, change: impl Fn(&Target, &Wanted, usize) -> Trial) {
    let mut target = Target::new();
    let faults: Vec<_> = (0..count)
        .filter_map(|place| {
            let wanted = target.want();
            let trial = change(&target, &wanted, place);
            target.hear(&wanted, &trial).err()
        })
        .take(5)
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    target.release();
    target.check().unwrap();
    let (released, emptied) = (target.released, target.emptied);
    let rest = count - released - emptied;
    let told = format!(
        "{count} {what}: {released} led to the release, {emptied} to none, {rest} changed nothing, and none did harm\n"
    );
    std::io::stderr().write_all(told.as_bytes()).unwrap();
    assert!(released > 0 && rest > 0, "it is tried before and after what decides");
}

/// Where to change, and the how-manieth way. With a sample, it is another way at each place.
fn places(ways: &[usize]) -> Vec<(usize, usize)> {
    let all = |(place, ways): (usize, &usize)| (0..*ways).map(move |way| (place, way)).collect::<Vec<_>>();
    let one = |(place, ways): (usize, &usize)| (*ways > 0).then(|| (place, place * 7 % ways.max(&1)));
    if tries_all() {
        ways.iter().enumerate().flat_map(all).collect()
    } else {
        ways.iter().enumerate().filter_map(one).collect()
    }
}

#[test]
fn the_conversation_succeeds_if_nobody_changes_it_and_asks_everything_that_can_be_asked() {
    let mut target = Target::new();
    let wanted = target.want();
    let mut asked = BTreeSet::new();
    let verb = |header: &Value| match header {
        Value::String(verb) => verb.clone(),
        other => other.as_object().unwrap().keys().next().unwrap().clone(),
    };
    for said in [target.conversation(&wanted), target.withdrawal(&wanted)] {
        asked.extend(said.iter().map(|(header, _)| verb(header)));
    }
    // serde names all there are where it knows none.
    let unknown = serde_json::from_value::<Request>(json!("x")).unwrap_err().to_string();
    let known: BTreeSet<_> = unknown.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert!(known.len() > 15, "{unknown}");
    assert_eq!(asked, known);

    let answers = target.converse(&Said::Requests(target.conversation(&wanted)));
    assert!(!answers.iter().any(|reply| matches!(reply, Reply::Error(_))), "{answers:#?}");
    assert_eq!(target.host.read("web/file").as_ref(), target.made.get(&wanted.manifest.digest()));
    target.check().unwrap();
    target.current = Some(wanted.manifest.digest());
    let wanted = target.want();
    let answers = target.converse(&Said::Requests(target.withdrawal(&wanted)));
    assert!(!answers.iter().any(|reply| matches!(reply, Reply::Error(_))), "{answers:#?}");
    assert!(matches!(answers[answers.len() - 3], Reply::Retired { removed: true, .. }), "{answers:#?}");
}

#[test]
fn whatever_a_field_of_a_request_says_no_harm_is_done() {
    let mut target = Target::new();
    let wanted = target.want();
    let scripts: [Script; 2] = [Target::conversation, Target::withdrawal];
    let mut trials = Vec::new();
    for (script, said) in scripts.map(|script| script(&target, &wanted)).iter().enumerate() {
        for (place, (header, _)) in said.iter().enumerate().filter(|(_, (header, _))| header.is_object()) {
            // As many ways for each field, one after the other.
            let ways: Vec<_> = (0..tampered(header).len()).collect();
            let some = if tries_all() { ways.len() } else { ways.len().div_ceil(13) };
            let stride = ways.len() / some;
            trials.extend(ways.iter().skip(place % stride).step_by(stride).map(|way| (script, place, *way)));
        }
    }
    try_each("changed fields of requests", trials.len(), |target, wanted, trial| {
        let (script, place, way) = trials[trial];
        let mut said = scripts[script](target, wanted);
        let changed = tampered(&said[place].0);
        said[place].0 = changed[way.min(changed.len() - 1)].clone();
        let what: String = said[place].0.to_string().chars().take(300).collect();
        Trial { what, said: Said::Requests(said) }
    });
}

#[test]
fn in_whatever_order_requests_arrive_no_harm_is_done() {
    let ways: [Way<Vec<Sent>>; 6] = [
        ("left out", |said, place| drop(said.remove(place))),
        ("said twice", |said, place| said.insert(place, said[place].clone())),
        ("said one later", |said, place| {
            let next = (place + 1).min(said.len() - 1);
            said.swap(place, next);
        }),
        ("said first", |said, place| said[..=place].rotate_right(1)),
        ("said last", |said, place| said[place..].rotate_left(1)),
        ("the last that is said", |said, place| said.truncate(place + 1)),
    ];
    let mut target = Target::new();
    let wanted = target.want();
    let length = target.conversation(&wanted).len();
    let trials: Vec<_> = (0..length).flat_map(|place| (0..ways.len()).map(move |way| (place, way))).collect();
    let trials: Vec<_> =
        trials.into_iter().filter(|(place, way)| tries_all() || (place + way) % 2 == 0).collect();
    try_each("changes of the order of requests", trials.len(), |target, wanted, trial| {
        let (place, way) = trials[trial];
        let mut said = target.conversation(wanted);
        let (name, change) = ways[way];
        let what = format!("request {place}, {:.60}, {name}", said[place].0.to_string());
        change(&mut said, place);
        Trial { what, said: Said::Requests(said) }
    });
}

#[test]
fn whatever_becomes_of_frames_no_harm_is_done() {
    let set = |bytes: &mut Vec<u8>, at: usize, length: u32| {
        bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
    };
    let ways: Vec<FrameWay> = vec![
        ("a header one longer", Box::new(move |bytes, at, length| set(bytes, at, length + 1))),
        ("a header one shorter", Box::new(move |bytes, at, length| set(bytes, at, length - 1))),
        ("no header", Box::new(move |bytes, at, _| set(bytes, at, 0))),
        ("the longest header", Box::new(move |bytes, at, _| set(bytes, at, MAX_HEADER))),
        ("too long a header", Box::new(move |bytes, at, _| set(bytes, at, u32::MAX))),
        ("cut in its length", Box::new(|bytes, at, _| bytes.truncate(at + 2))),
        ("cut in its header", Box::new(|bytes, at, length| bytes.truncate(at + 4 + length as usize / 2))),
        ("cut behind its header", Box::new(|bytes, at, length| bytes.truncate(at + 4 + length as usize))),
        ("garbage before it", Box::new(|bytes, at, _| drop(bytes.splice(at..at, [0xff; 7])))),
        ("no text", Box::new(|bytes, at, length| bytes[at + 4..at + 4 + length as usize].fill(0xfe))),
        (
            "deep",
            Box::new(move |bytes, at, length| {
                let deep = [&b"{\"message\":"[..], &vec![b'['; 100_000]].concat();
                bytes.splice(at + 4..at + 4 + length as usize, deep.iter().copied());
                set(bytes, at, u32::try_from(deep.len()).unwrap());
            }),
        ),
        (
            "more raw bytes",
            Box::new(move |bytes, at, length| {
                let raw = format!("{{\"raw\":{MAX_RAW},");
                bytes.splice(at + 4..at + 5, raw.bytes());
                set(bytes, at, length - 1 + u32::try_from(raw.len()).unwrap());
            }),
        ),
        (
            "too many raw bytes",
            Box::new(move |bytes, at, length| {
                let raw = format!("{{\"raw\":{},", u32::MAX);
                bytes.splice(at + 4..at + 5, raw.bytes());
                set(bytes, at, length - 1 + u32::try_from(raw.len()).unwrap());
            }),
        ),
    ];
    let mut target = Target::new();
    let wanted = target.want();
    let frames = target.conversation(&wanted).len();
    let trials = places(&vec![ways.len(); frames]);
    try_each("damaged frames", trials.len(), |target, wanted, trial| {
        let (place, way) = trials[trial];
        let said = target.conversation(wanted);
        let at = bytes(&said[..place]).len();
        let mut bytes = bytes(&said);
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let (name, change) = &ways[way];
        change(&mut bytes, at, length);
        Trial { what: format!("frame {place}: {name}"), said: Said::Bytes(bytes) }
    });
}

#[test]
fn whatever_the_raw_bytes_are_no_harm_is_done() {
    let mut target = Target::new();
    let wanted = target.want();
    let stream = target.host.stream(&wanted.objects).len();
    let (_, manifest) = target.switch(&wanted);
    let stride = if tries_all() { 1 } else { 11 };
    let in_stream = (0..stream).step_by(stride).map(|at| (true, at));
    let in_manifest = (0..manifest.len()).step_by(stride).map(|at| (false, at));
    let trials: Vec<_> = in_stream.chain(in_manifest).collect();
    let ways: [Way<Vec<u8>>; 5] = [
        ("another bit", |raw, at| raw[at] ^= 1 << (at % 8)),
        ("cut off", |raw, at| raw.truncate(at)),
        ("one missing", |raw, at| drop(raw.drain(at..=at))),
        ("one more", |raw, at| raw.insert(at, 0)),
        ("once more", |raw, at| raw.extend(raw.clone().into_iter().skip(at))),
    ];
    let made = trials.len();
    try_each("changes of raw bytes", made, |target, wanted, trial| {
        let (streamed, at) = trials[trial];
        let (name, change) = ways[trial % ways.len()];
        let mut said = target.conversation(wanted);
        let at = |raw: &Vec<u8>| at.min(raw.len() - 1);
        if streamed {
            let mut raw = target.host.stream(&wanted.objects);
            let at = at(&raw);
            change(&mut raw, at);
            let first = said.iter().position(|(header, _)| header == "put").unwrap();
            let last = said.iter().position(|(header, _)| header == "data-end").unwrap();
            said.splice(first..=last, put(&raw));
        } else {
            let raw = &mut said.iter_mut().find(|(header, _)| header.get("switch").is_some()).unwrap().1;
            let at = at(raw);
            change(raw, at);
        }
        let what =
            format!("{} bytes: {name} at {}", if streamed { "stream" } else { "manifest" }, trials[trial].1);
        Trial { what, said: Said::Requests(said) }
    });
}

#[test]
fn whatever_objects_are_sent_only_those_are_stored_that_are_what_they_are_called() {
    let ways: [Way<Objects>; 12] = [
        ("another content", |all, at| all[at].2.iter_mut().for_each(|byte| *byte ^= 1)),
        ("no content", |all, at| (all[at].1, all[at].2) = (0, Vec::new())),
        ("longer", |all, at| {
            all[at].1 += 1;
            all[at].2.push(b' ');
        }),
        ("shorter", |all, at| {
            all[at].1 -= 1;
            all[at].2.pop();
        }),
        ("said to be longer", |all, at| all[at].1 += 1),
        ("said to be shorter", |all, at| all[at].1 -= 1),
        ("said to be endless", |all, at| all[at].1 = u64::MAX),
        ("left out", |all, at| drop(all.remove(at))),
        ("sent twice", |all, at| all.push(all[at].clone())),
        ("sent last", |all, at| all[at..].rotate_left(1)),
        ("sent first", |all, at| all[..=at].rotate_right(1)),
        ("called as another", |all, at| {
            let other = (at + 1) % all.len();
            all[at].0 = all[other].0.clone();
        }),
    ];
    let mut target = Target::new();
    let wanted = target.want();
    let count = wanted.objects.len();
    let renamings = |object: &ObjectId| tampered(&serde_json::to_value(object).unwrap()).len();
    let names: Vec<_> = wanted.objects.iter().map(renamings).collect();
    let mut trials: Vec<_> =
        (0..count).flat_map(|at| (0..ways.len()).map(move |way| (at, Some(way), 0))).collect();
    trials.extend(names.iter().enumerate().flat_map(|(at, names)| {
        (0..*names).step_by(if tries_all() { 1 } else { 5 }).map(move |name| (at, None, name))
    }));
    try_each("changes of objects on their way", trials.len(), |target, wanted, trial| {
        let (at, way, name) = trials[trial];
        let mut all: Objects = Vec::new();
        for object in &wanted.objects {
            let mut content = Vec::new();
            std::io::copy(&mut target.host.store.object(object).unwrap(), &mut content).unwrap();
            all.push((serde_json::to_value(object).unwrap(), content.len() as u64, content));
        }
        let what = if let Some(way) = way {
            ways[way].1(&mut all, at);
            format!("object {at} {}", ways[way].0)
        } else {
            let others = tampered(&all[at].0);
            all[at].0 = others[name.min(others.len() - 1)].clone();
            format!("object {at} called {:.200}", all[at].0.to_string())
        };
        let mut stream = Vec::new();
        for (object, size, content) in &all {
            let header = serde_json::to_vec(&json!({"object": object, "size": size})).unwrap();
            stream.extend(u32::try_from(header.len()).unwrap().to_be_bytes());
            stream.extend(header);
            stream.extend(content);
        }
        let mut said = target.conversation(wanted);
        let first = said.iter().position(|(header, _)| header == "put").unwrap();
        let last = said.iter().position(|(header, _)| header == "data-end").unwrap();
        said.splice(first..=last, put(&zstd::encode_all(&stream[..], 1).unwrap()));
        Trial { what, said: Said::Requests(said) }
    });
}
