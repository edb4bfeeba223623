//! Requests and the types of their answers: whoever asks gets an answer of the right type, and an answer of another
//! kind is detected here, and nowhere else.

use std::collections::BTreeMap;

use batou_release::FactSources;
use batou_store::{Digest, Name, ObjectId};

use super::{
    Drift, Fact, Hello, Holder, JournalEntry, JournaledRelease, Reply, Request, State, Switch, UnitDecision,
    encode,
};

/// A request with the raw bytes that go with it, and the kind of its answer.
#[derive(Clone, Debug)]
pub struct Question<A> {
    request: Request,
    raw: Vec<u8>,
    prints: bool,
    read: fn(Reply, Vec<u8>) -> Option<A>,
}

impl<A> Question<A> {
    /// Its frame.
    pub fn encode(&self) -> Vec<u8> {
        encode(&self.request, &self.raw)
    }

    /// Whether [`Reply::Output`] may come before the answer.
    pub fn prints(&self) -> bool {
        self.prints
    }

    /// The answer in a reply; `None` if the reply answers something else.
    pub fn read(&self, reply: Reply, raw: Vec<u8>) -> Option<A> {
        (self.read)(reply, raw)
    }

    fn new(request: Request, read: fn(Reply, Vec<u8>) -> Option<A>) -> Self {
        Question { request, raw: Vec::new(), prints: false, read }
    }

    /// A question that lets a command run, which may print.
    fn printing(request: Request, read: fn(Reply, Vec<u8>) -> Option<A>) -> Self {
        Question { prints: true, ..Self::new(request, read) }
    }
}

/// A question whose answer is found in one variant of [`Reply`].
macro_rules! question {
    ($kind:ident, $request:expr, $reply:pat => $answer:expr) => {
        Question::$kind($request, |reply, _| match reply {
            $reply => Some($answer),
            _ => None,
        })
    };
}

/// The answer to [`lock`].
#[derive(Clone, Debug)]
pub enum LockAnswer {
    /// The controller has the lock; the state under it.
    Locked(Box<State>),
    /// Somebody else has it; who, if that could be read.
    Held(Option<Holder>),
}

/// The answer to [`manifest`]: a generation's manifest as it is stored.
#[derive(Clone, Debug)]
pub struct StoredManifest {
    /// Its canonical bytes.
    pub manifest: Vec<u8>,
    /// Why its files are as they are, in JSON.
    pub causes: Vec<u8>,
}

/// The answer to [`switch`].
#[derive(Clone, Debug)]
pub struct Switched {
    /// The generation.
    pub generation: u64,
    /// The components that have something to run, in the manifest's order.
    pub pending: Vec<Name>,
    /// The files that were mended for it.
    pub mended: Drift,
}

/// The answer to [`verify`].
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Each is a sentence; empty if all is as it should be.
    pub problems: Vec<String>,
    /// How many files were hashed.
    pub files: u64,
}

/// The answer to [`collect`]: how much was removed.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Generations.
    pub generations: u64,
    /// Objects of all kinds.
    pub objects: u64,
    /// Bytes.
    pub bytes: u64,
    /// Why no object was removed: the kept generations that cannot be read, each a sentence.
    pub unreadable: Vec<String>,
}

/// [`Request::Hello`].
pub fn hello(hello: Hello) -> Question<State> {
    question!(new, Request::Hello(hello), Reply::Hello(state) => *state)
}

/// [`Request::Lock`].
pub fn lock(holder: Holder) -> Question<LockAnswer> {
    Question::new(Request::Lock { holder }, |reply, _| match reply {
        Reply::Locked(state) => Some(LockAnswer::Locked(state)),
        Reply::Held { holder } => Some(LockAnswer::Held(holder)),
        _ => None,
    })
}

/// [`Request::Unlock`].
pub fn unlock() -> Question<()> {
    question!(new, Request::Unlock, Reply::Done => ())
}

/// [`Request::Missing`].
pub fn missing(objects: Vec<ObjectId>) -> Question<Vec<ObjectId>> {
    question!(new, Request::Missing { objects }, Reply::Missing { objects } => objects)
}

/// [`Request::DataEnd`]: the end of what was put.
pub fn data_end() -> Question<()> {
    question!(new, Request::DataEnd, Reply::Stored { .. } => ())
}

/// [`Request::Manifest`].
pub fn manifest(manifest: Option<Digest>) -> Question<Option<StoredManifest>> {
    Question::new(Request::Manifest { manifest }, |reply, mut raw| match reply {
        Reply::Manifest { manifest_size: 0 } => Some(None),
        Reply::Manifest { manifest_size } if manifest_size as usize <= raw.len() => {
            let causes = raw.split_off(manifest_size as usize);
            Some(Some(StoredManifest { manifest: raw, causes }))
        }
        _ => None,
    })
}

/// [`Request::Switch`], with the bytes of the manifest and of its causes.
pub fn switch(switch: Switch, raw: Vec<u8>) -> Question<Switched> {
    let question = question!(
        printing,
        Request::Switch(switch),
        Reply::Switched { generation, pending, mended } => Switched { generation, pending, mended }
    );
    Question { raw, ..question }
}

/// [`Request::Activate`].
pub fn activate(component: Name, recheck: bool) -> Question<Vec<UnitDecision>> {
    question!(printing, Request::Activate { component, recheck }, Reply::Activated { units } => units)
}

/// [`Request::Commit`].
pub fn commit(keep: u32) -> Question<()> {
    question!(new, Request::Commit { keep }, Reply::Done => ())
}

/// [`Request::Prepare`].
pub fn prepare() -> Question<()> {
    question!(new, Request::Prepare, Reply::Done => ())
}

/// [`Request::GoBack`]; the answer lists what failed on the way back, each as a sentence.
pub fn go_back(reason: String) -> Question<Vec<String>> {
    question!(new, Request::GoBack { reason }, Reply::WentBack { problems, .. } => problems)
}

/// [`Request::Confirm`].
pub fn confirm(record: JournaledRelease, keep: u32) -> Question<()> {
    question!(new, Request::Confirm { record, keep }, Reply::Done => ())
}

/// [`Request::Journal`].
pub fn journal() -> Question<Vec<JournalEntry>> {
    question!(new, Request::Journal, Reply::Journal { entries } => entries)
}

/// [`Request::Verify`].
pub fn verify() -> Question<Inspection> {
    question!(new, Request::Verify, Reply::Verified { problems, files } => Inspection { problems, files })
}

/// [`Request::Collect`].
pub fn collect(keep: u32) -> Question<Collection> {
    question!(
        new,
        Request::Collect { keep },
        Reply::Collected { generations, objects, bytes, unreadable } =>
            Collection { generations, objects, bytes, unreadable }
    )
}

/// [`Request::Retire`].
pub fn retire(purge: bool) -> Question<()> {
    question!(new, Request::Retire { purge }, Reply::Done => ())
}

/// [`Request::Exec`]; the answer is the exit status.
pub fn exec(command: Vec<String>) -> Question<i32> {
    question!(printing, Request::Exec { command }, Reply::Exited { status } => status)
}

/// [`Request::Facts`].
pub fn facts(facts: FactSources) -> Question<BTreeMap<String, Fact>> {
    question!(new, Request::Facts { facts }, Reply::Facts { facts } => facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reply_of_the_right_kind_is_an_answer() {
        assert_eq!(exec(Vec::new()).read(Reply::Exited { status: 3 }, Vec::new()), Some(3));
        assert_eq!(exec(Vec::new()).read(Reply::Done, Vec::new()), None);
        assert_eq!(unlock().read(Reply::Done, Vec::new()), Some(()));
        assert_eq!(unlock().read(Reply::Data, Vec::new()), None);
    }

    #[test]
    fn a_manifest_that_is_announced_longer_than_it_is_is_no_answer() {
        let read = |manifest_size| manifest(None).read(Reply::Manifest { manifest_size }, b"abc".to_vec());
        let parts = read(2).flatten().map(|stored| (stored.manifest, stored.causes));
        assert_eq!(parts, Some((b"ab".to_vec(), b"c".to_vec())));
        assert!(read(0).is_some_and(|stored| stored.is_none()));
        assert!(read(4).is_none());
    }
}
