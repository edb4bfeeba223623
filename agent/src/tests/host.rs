//! A host with its target directory, the controller's store, and a controller that speaks frames.

use std::io::{BufReader, PipeReader, PipeWriter};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use batou_release::{Step, Unit};
use batou_store::{Artifact, ArtifactId, Digest, Durability, Mode, Name, ObjectId, Store, Tree};
use tempfile::TempDir;

use crate::intent::Intent;
use crate::objects::ObjectEncoder;
use crate::protocol::{
    AgentError, DATA_CHUNK, ErrorKind, Hello, Holder, HostNames, JournalEntry, JournaledRelease, PROTOCOL,
    Reply, Request, State, Switch, WantedRelease, question, read_frame, write_frame,
};
use crate::serve::serve_within;
use batou_release::{Component, MANIFEST_FORMAT, Manifest};

/// The controller's store and a target directory.
pub(super) struct Host {
    pub(super) folder: TempDir,
    pub(super) store: Store,
}

impl Host {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("controller"), Durability::Cache).unwrap();
        Self { folder, store }
    }

    pub(super) fn target(&self) -> PathBuf {
        self.folder.path().join("srv/shop")
    }

    /// What a reader sees through `current`.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.target().join("current").join(path)).ok()
    }

    /// A component with one file, `file`, of this content.
    pub(super) fn component(&self, name: &str, content: &str, steps: Vec<Step>) -> Component {
        self.component_of(name, &[("file", content, Mode::PLAIN)], steps)
    }

    /// A component with these files.
    pub(super) fn component_of(
        &self,
        name: &str,
        files: &[(&str, &str, Mode)],
        steps: Vec<Step>,
    ) -> Component {
        let batch = self.store.batch().unwrap();
        let mut tree = Tree::new();
        for (file, content, mode) in files {
            let node = batch.bytes(content.as_bytes(), *mode).unwrap();
            tree.insert(Name::new(*file).unwrap(), node).unwrap();
        }
        let tree = batch.tree(&tree).unwrap();
        let name = Name::new(name).unwrap();
        let artifact = Artifact { name: name.clone(), tree, references: [].into() };
        let artifact = batch.artifact(&artifact).unwrap();
        batch.commit().unwrap();
        Component { name, artifact, after: [].into(), units: steps.into_iter().map(Unit::Step).collect() }
    }

    #[expect(clippy::unused_self, reason = "it is the manifest of this host")]
    pub(super) fn manifest(&self, components: Vec<Component>) -> Manifest {
        Manifest {
            format: MANIFEST_FORMAT,
            project: "shop".into(),
            environment: "prod".into(),
            host: "web1".parse().unwrap(),
            components,
        }
    }

    pub(super) fn hello(&self) -> Hello {
        Hello {
            protocol: PROTOCOL,
            project: "shop".into(),
            environment: "prod".into(),
            host: "web1".parse().unwrap(),
            target_directory: self.target().to_str().unwrap().into(),
            home: None,
            wanted: None,
        }
    }

    /// A controller that has said hello.
    pub(super) fn connect(&self) -> Controller {
        let mut controller = Controller::start();
        controller.hello(self.hello());
        controller
    }

    /// A controller that has the lock.
    pub(super) fn locked(&self) -> Controller {
        let mut controller = self.connect();
        let reply = controller.ask(&Request::Lock { holder: holder("alice") });
        assert!(matches!(reply, Reply::Locked(_)), "{reply:?}");
        controller
    }

    /// Sends the host those objects of a manifest that it lacks; returns how many.
    pub(super) fn stage(&self, controller: &mut Controller, manifest: &Manifest) -> u64 {
        let objects = self.store.closure(&manifest.artifacts()).unwrap().objects();
        let Reply::Missing { objects } = controller.ask(&Request::Missing { objects }) else { panic!() };
        let stream = self.stream(&objects);
        match controller.put(&stream) {
            Reply::Stored { objects } => objects,
            other => panic!("{other:?}"),
        }
    }

    /// Objects as they travel.
    pub(super) fn stream(&self, objects: &[ObjectId]) -> Vec<u8> {
        let mut writer = ObjectEncoder::new(Vec::new()).unwrap();
        for object in objects {
            writer.object(object, &mut self.store.object(object).unwrap()).unwrap();
        }
        writer.finish().unwrap()
    }

    /// Stages, switches and activates a release, and does not commit it.
    pub(super) fn switch(&self, controller: &mut Controller, manifest: &Manifest, sequence: u64) -> Reply {
        self.stage(controller, manifest);
        let pending = match controller.switch(manifest, record(sequence)) {
            Reply::Switched { pending, .. } => pending,
            other => return other,
        };
        for component in pending {
            let reply = controller.ask(&Request::Activate { component, recheck: false });
            if !matches!(reply, Reply::Activated { .. }) {
                return reply;
            }
        }
        Reply::Done
    }

    /// A whole release on a connection of its own.
    pub(super) fn release(&self, manifest: &Manifest, sequence: u64) {
        let mut controller = self.locked();
        let reply = self.switch(&mut controller, manifest, sequence);
        assert!(matches!(reply, Reply::Done), "{reply:?}");
        assert!(matches!(controller.ask(&Request::Commit { keep: 10 }), Reply::Done));
        assert_eq!(controller.end(), 0);
    }

    /// The state that a new connection sees, where this manifest is wanted as release `sequence`.
    pub(super) fn state(&self, manifest: &Manifest, sequence: u64) -> State {
        let mut controller = Controller::start();
        let wanted = WantedRelease {
            release: record(sequence).release,
            manifest: manifest.digest(),
            artifacts: manifest.artifacts(),
        };
        let state = controller.hello(Hello { wanted: Some(wanted), ..self.hello() });
        assert_eq!(controller.end(), 0);
        state
    }

    /// The blob in the host's store that has this content.
    pub(super) fn blob(&self, content: &str) -> PathBuf {
        let digest = Digest::of(content.as_bytes()).to_string();
        let blobs = std::fs::read_dir(self.target().join("store/blobs")).unwrap();
        let mut paths = blobs.map(|entry| entry.unwrap().path());
        paths.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&digest)).unwrap()
    }

    pub(super) fn artifact_on_host(&self, id: &ArtifactId) -> bool {
        let store = Store::open_existing(&self.target().join("store"), Durability::Host).unwrap().unwrap();
        store.contains(&ObjectId::Artifact(*id)).unwrap()
    }

    /// The host's journal, as a controller reads it.
    pub(super) fn journal(&self) -> Vec<JournalEntry> {
        let mut controller = self.connect();
        controller.send(&Request::Journal { output: true }, &[]);
        let (reply, raw) = controller.answer();
        question::journal(true).read(reply, raw).unwrap()
    }
}

/// A controller at the other end of an agent.
pub(super) struct Controller {
    to: Option<PipeWriter>,
    from: BufReader<PipeReader>,
    agent: Option<JoinHandle<i32>>,
    /// What steps printed.
    pub(super) output: Vec<u8>,
    expected: Option<Digest>,
    /// In milliseconds.
    patience: Arc<AtomicU64>,
}

impl Controller {
    /// Starts an agent that is as patient as no test takes long.
    pub(super) fn start() -> Self {
        let patience = Arc::new(AtomicU64::new(3_600_000));
        let theirs = Arc::clone(&patience);
        let silence = move || Duration::from_millis(theirs.load(Ordering::Relaxed));
        let (input, to) = std::io::pipe().unwrap();
        let (from, output) = std::io::pipe().unwrap();
        let agent = std::thread::spawn(move || serve_within(input, output, silence));
        Self {
            to: Some(to),
            from: BufReader::new(from),
            agent: Some(agent),
            output: Vec::new(),
            expected: None,
            patience,
        }
    }

    /// From the next request on, the agent's patience is at its end after a moment.
    pub(super) fn is_given_a_moment(&self) {
        self.patience.store(50, Ordering::Relaxed);
    }

    /// Says that it lives, and then no more.
    pub(super) fn falls_silent(&mut self) {
        self.is_given_a_moment();
        self.send(&Request::Heartbeat, &[]);
    }

    pub(super) fn send(&mut self, request: &Request, raw: &[u8]) {
        write_frame(self.to.as_mut().unwrap(), request, raw).unwrap();
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        std::io::Write::write_all(self.to.as_mut().unwrap(), bytes).unwrap();
    }

    /// The next answer; output on the way is kept.
    pub(super) fn answer(&mut self) -> (Reply, Vec<u8>) {
        loop {
            match read_frame(&mut self.from).unwrap() {
                (Reply::Output { .. }, raw) => self.output.extend(raw),
                (Reply::Heartbeat, _) => {}
                answer => return answer,
            }
        }
    }

    pub(super) fn ask(&mut self, request: &Request) -> Reply {
        self.send(request, &[]);
        self.answer().0
    }

    pub(super) fn error(&mut self, request: &Request) -> AgentError {
        match self.ask(request) {
            Reply::Error(error) => error,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn refused(&mut self, request: &Request, kind: ErrorKind) -> String {
        let error = self.error(request);
        assert_eq!(error.kind, kind, "{error}");
        error.message
    }

    pub(super) fn hello(&mut self, hello: Hello) -> State {
        match self.ask(&Request::Hello(hello)) {
            Reply::Hello(state) => {
                self.expected = state.current.as_ref().map(|current| current.manifest);
                *state
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn put(&mut self, stream: &[u8]) -> Reply {
        self.send(&Request::Put, &[]);
        for chunk in stream.chunks(DATA_CHUNK) {
            self.send(&Request::Data, chunk);
        }
        self.send(&Request::DataEnd, &[]);
        self.answer().0
    }

    pub(super) fn order(&self, manifest: &Manifest, record: JournaledRelease) -> (Switch, Vec<u8>) {
        let bytes = manifest.encode();
        let order = Switch {
            record,
            expected: self.expected,
            manifest: manifest.digest(),
            manifest_size: u32::try_from(bytes.len()).unwrap(),
            recheck: false,
        };
        (order, [bytes, b"{\"why\":{}}".to_vec()].concat())
    }

    pub(super) fn switch(&mut self, manifest: &Manifest, record: JournaledRelease) -> Reply {
        let (order, raw) = self.order(manifest, record);
        self.send(&Request::Switch(order), &raw);
        self.answer().0
    }

    /// Ends the connection and returns the agent's exit status.
    pub(super) fn end(mut self) -> i32 {
        self.to = None;
        self.agent.take().unwrap().join().unwrap()
    }

    /// Waits for an agent that ends by itself.
    pub(super) fn wait(mut self) -> i32 {
        self.agent.take().unwrap().join().unwrap()
    }
}

/// The agent has ended, and released its lock, when its controller is gone.
impl Drop for Controller {
    fn drop(&mut self) {
        self.to = None;
        if let Some(agent) = self.agent.take().filter(|_| !std::thread::panicking()) {
            agent.join().unwrap();
        }
    }
}

pub(super) fn holder(user: &str) -> Holder {
    let since = "2026-11-22T17:00:00Z".parse().unwrap();
    Holder { user: user.into(), machine: "laptop".into(), since, attempt: 7 }
}

/// What a host writes down before it switches from one generation to another, for the release of this number.
pub(super) fn intent(from: Option<u64>, (to, manifest): (u64, &Manifest), sequence: u64) -> Intent {
    let since = "2026-11-22T17:00:00Z".parse().unwrap();
    Intent { from, to, manifest: manifest.digest(), record: record(sequence), since, unreverted: Vec::new() }
}

/// Fleet release number `sequence`.
pub(super) fn record(sequence: u64) -> JournaledRelease {
    let release = Digest::of(&sequence.to_be_bytes());
    JournaledRelease {
        release,
        sequence,
        restores: None,
        forgets: None,
        disregards: None,
        who: "alice@laptop".into(),
        attempt: 7,
        hosts: HostNames::default(),
        without: HostNames::default(),
    }
}

/// A step with an update only.
pub(super) fn step(name: &str, update: &str) -> Step {
    Step { timeout: 20, ..Step::updating(name, update) }
}

/// Waits until something holds, for a minute at most.
pub(super) fn eventually(holds: impl Fn() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not come to hold");
}
