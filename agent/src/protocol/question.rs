//! Requests and the types of their answers: whoever asks gets an answer of the right type, and an answer of another
//! kind is detected here, and nowhere else.

use std::collections::BTreeMap;
use std::time::Duration;

use batou_release::{FactSources, UnitId};
use batou_store::{Digest, Name, ObjectId};
use serde_json::{Map, Value};

use super::{
    Drift, Fact, Hello, Holder, JournalEntry, JournaledRelease, Obstacle, Reply, Request, State, Switch,
    Terms, UnitDecision, encode,
};

/// Why a reply is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It answers something else.
    #[error("the agent gave an answer of another kind than asked for")]
    Kind,
    /// A journal has a line that is none.
    #[error("line {line} of the journal cannot be read{field}")]
    Journal {
        /// Its place among the lines that were sent, from 1.
        line: usize,
        /// In parentheses, the field that is to blame, where that is known.
        field: String,
        /// Why.
        source: serde_json::Error,
    },
}

/// A request with the raw bytes that go with it, and the kind of its answer.
#[derive(Clone, Debug)]
pub struct Question<A> {
    request: Request,
    raw: Vec<u8>,
    prints: bool,
    terms: Terms,
    read: fn(Reply, Vec<u8>) -> Result<A, AnswerError>,
}

impl<A> Question<A> {
    /// Its frame.
    pub fn encode(&self) -> Vec<u8> {
        encode(&self.request, &self.raw)
    }

    /// What may be expected of its answer.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// The same question, of which the answer may take any time.
    #[must_use]
    pub fn patiently(self) -> Self {
        Question { terms: Terms { patience: None, ..self.terms }, ..self }
    }

    /// The same question, to be answered within this time.
    #[must_use]
    pub fn within(self, patience: Duration) -> Self {
        Question { terms: Terms { patience: Some(patience), ..self.terms }, ..self }
    }

    /// Whether [`Reply::Output`] may come before the answer.
    pub fn prints(&self) -> bool {
        self.prints
    }

    /// The answer in a reply.
    pub fn read(&self, reply: Reply, raw: Vec<u8>) -> Result<A, AnswerError> {
        (self.read)(reply, raw)
    }

    fn new(request: Request, read: fn(Reply, Vec<u8>) -> Result<A, AnswerError>) -> Self {
        let terms = request.terms();
        Question { request, raw: Vec::new(), prints: false, terms, read }
    }

    /// A question that lets a command run, which may print.
    fn printing(request: Request, read: fn(Reply, Vec<u8>) -> Result<A, AnswerError>) -> Self {
        Question { prints: true, ..Self::new(request, read) }
    }
}

/// A question whose answer is found in one variant of [`Reply`].
macro_rules! question {
    ($kind:ident, $request:expr, $reply:pat => $answer:expr) => {
        Question::$kind($request, |reply, _| match reply {
            $reply => Ok($answer),
            _ => Err(AnswerError::Kind),
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
    /// Whether files are among them that can be sent again.
    pub damaged: bool,
    /// Whether links are among them, or units, which a release puts right.
    pub unsettled: bool,
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
    /// Why no object was removed.
    pub obstacles: Vec<Obstacle>,
}

/// The answer to [`retire`].
#[derive(Clone, Debug)]
pub struct Retirement {
    /// Whether there was anything to remove.
    pub removed: bool,
    /// The removed links behind which data of components is kept, each with where it led.
    pub links: Vec<String>,
    /// The folders that stay, empty, since they cannot be removed: each with why not.
    pub stays: Vec<String>,
}

/// [`Request::Hello`].
pub fn hello(hello: Hello) -> Question<State> {
    question!(new, Request::Hello(hello), Reply::Hello(state) => *state)
}

/// [`Request::Lock`].
pub fn lock(holder: Holder) -> Question<LockAnswer> {
    Question::new(Request::Lock { holder }, |reply, _| match reply {
        Reply::Locked(state) => Ok(LockAnswer::Locked(state)),
        Reply::Held { holder } => Ok(LockAnswer::Held(holder)),
        _ => Err(AnswerError::Kind),
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
        Reply::Manifest { manifest_size: 0 } => Ok(None),
        Reply::Manifest { manifest_size } if manifest_size as usize <= raw.len() => {
            let causes = raw.split_off(manifest_size as usize);
            Ok(Some(StoredManifest { manifest: raw, causes }))
        }
        _ => Err(AnswerError::Kind),
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

/// The answer to [`go_back`].
#[derive(Clone, Debug)]
pub struct Return {
    /// The generation that is in force again, if there was one.
    pub generation: Option<u64>,
    /// What failed while the host went back, each as a sentence.
    pub problems: Vec<String>,
    /// Units that were updated and are left as they are: they have no revert.
    pub unreverted: Vec<UnitId>,
}

/// [`Request::GoBack`].
pub fn go_back(reason: String) -> Question<Return> {
    question!(
        new,
        Request::GoBack { reason },
        Reply::WentBack { generation, problems, unreverted } => Return { generation, problems, unreverted }
    )
}

/// [`Request::CommitUnchanged`].
pub fn commit_unchanged(record: JournaledRelease, keep: u32) -> Question<()> {
    question!(new, Request::CommitUnchanged { record, keep }, Reply::Done => ())
}

/// [`Request::Journal`], with what units printed where that is wanted.
pub fn journal(output: bool) -> Question<Vec<JournalEntry>> {
    Question::new(Request::Journal { output }, |reply, raw| match reply {
        Reply::Journal => entries(&raw),
        _ => Err(AnswerError::Kind),
    })
}

/// The lines of a journal.
fn entries(raw: &[u8]) -> Result<Vec<JournalEntry>, AnswerError> {
    let lines = raw.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let entry = |(place, line)| {
        serde_json::from_slice(line).map_err(|source| AnswerError::Journal {
            line: place + 1,
            field: bad_field(line).map_or(String::new(), |field| format!(" (`{field}`)")),
            source,
        })
    };
    lines.enumerate().map(entry).collect()
}

/// A line of a journal that can be read, with all fields that one may have.
const WHOLE: &str = r#"{"release":"0000000000000000000000000000000000000000000000000000000000000000","sequence":1,
"restores":1,"forgets":"a","disregards":1,"who":"","attempt":1,"hosts":[],"without":[],"when":"2026-01-01T00:00:00Z","from":1,"to":1,
"manifest":"0000000000000000000000000000000000000000000000000000000000000000","result":"committed","reason":"","runs":[],
"unreverted":[]}"#;

/// The field for which a line cannot be read, if it is a single one: with that of another line in its place it can.
pub(crate) fn bad_field(line: &[u8]) -> Option<String> {
    let bad: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let whole: Map<String, Value> = serde_json::from_str(WHOLE).ok()?;
    let is_readable = |(key, value): &(String, Value)| {
        let mut mended = bad.clone();
        mended.insert(key.clone(), value.clone());
        serde_json::from_value::<JournalEntry>(Value::Object(mended)).is_ok()
    };
    whole.into_iter().find(is_readable).map(|(key, _)| key)
}

/// [`Request::Verify`].
pub fn verify() -> Question<Inspection> {
    question!(
        new,
        Request::Verify,
        Reply::Verified { problems, files, damaged, unsettled } =>
            Inspection { problems, files, damaged, unsettled }
    )
}

/// [`Request::Collect`].
pub fn collect(keep: u32) -> Question<Collection> {
    question!(
        new,
        Request::Collect { keep },
        Reply::Collected { generations, objects, bytes, obstacles } =>
            Collection { generations, objects, bytes, obstacles }
    )
}

/// [`Request::Retire`].
pub fn retire(purge: bool) -> Question<Retirement> {
    question!(new, Request::Retire { purge }, Reply::Retired { removed, links, stays } => Retirement { removed, links, stays })
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
    #![allow(clippy::unwrap_used)]
    use batou_release::UnitKind;
    use serde_json::json;

    use super::super::bounded::{LAST_NUMBER, LONGEST_LABEL};
    use super::super::samples::{samples, tampered};
    use super::super::{FrameError, HostNames, UnitRun, read_limited_frame};
    use super::*;

    #[test]
    fn only_a_reply_of_the_right_kind_is_an_answer() {
        assert_eq!(exec(Vec::new()).read(Reply::Exited { status: 3 }, Vec::new()).unwrap(), 3);
        assert!(matches!(exec(Vec::new()).read(Reply::Done, Vec::new()), Err(AnswerError::Kind)));
        unlock().read(Reply::Done, Vec::new()).unwrap();
        assert!(matches!(unlock().read(Reply::Data, Vec::new()), Err(AnswerError::Kind)));
    }

    #[test]
    fn a_manifest_that_is_announced_longer_than_it_is_is_no_answer() {
        let read = |manifest_size| manifest(None).read(Reply::Manifest { manifest_size }, b"abc".to_vec());
        let parts = read(2).unwrap().map(|stored| (stored.manifest, stored.causes));
        assert_eq!(parts, Some((b"ab".to_vec(), b"c".to_vec())));
        assert!(read(0).unwrap().is_none());
        assert!(read(4).is_err());
    }

    #[test]
    fn a_line_of_a_journal_that_cannot_be_read_is_named_with_its_field() {
        let line = |key: &str, value: &str| {
            let mut line: Map<String, Value> = serde_json::from_str(WHOLE).unwrap();
            line.insert(key.to_owned(), serde_json::from_str(value).unwrap());
            Value::Object(line).to_string()
        };
        let (good, beyond) = (line("sequence", "3"), line("sequence", "9007199254740992"));
        let read = |text: String| journal(false).read(Reply::Journal, text.into_bytes());
        assert_eq!(read(format!("{good}\n{good}\n")).unwrap().len(), 2);
        let told = read(format!("{good}\n{beyond}\n")).unwrap_err().to_string();
        assert_eq!(told, "line 2 of the journal cannot be read (`sequence`)");
        for (key, value) in [("when", "\"soon\""), ("hosts", "[\"a b\"]"), ("runs", "7"), ("result", "\"x\"")]
        {
            let told = read(line(key, value)).unwrap_err().to_string();
            assert_eq!(told, format!("line 1 of the journal cannot be read (`{key}`)"));
        }
        let keys = |entry: &Value| entry.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let mut entry = read(WHOLE.replace('\n', "")).unwrap().remove(0);
        let unit = UnitId::new("app".parse().unwrap(), UnitKind::Step, "x");
        let run =
            UnitRun { unit: unit.clone(), command: "update".into(), status: None, output: String::new() };
        (entry.runs, entry.unreverted) = (vec![run], vec![unit]);
        let names = || HostNames::new(vec!["a".parse().unwrap()]).unwrap();
        (entry.record.hosts, entry.record.without) = (names(), names());
        let whole: Value = serde_json::from_str(WHOLE).unwrap();
        assert_eq!(keys(&serde_json::to_value(entry).unwrap()), keys(&whole), "a field is missing in WHOLE");
    }

    #[test]
    fn an_answer_may_be_as_large_as_what_was_asked_for_and_no_larger() {
        let hello = Reply::Exited { status: 0 };
        for (terms, raw) in
            [(prepare().terms(), 0), (journal(true).terms(), 1 << 20), (manifest(None).terms(), 1 << 20)]
        {
            let size = |frame: &[u8]| u32::from_be_bytes(frame[..4].try_into().unwrap());
            let read = |frame: Vec<u8>| {
                read_limited_frame::<Reply>(&mut &frame[..], || terms.limits).map(|(_, raw)| raw.len())
            };
            let allowed = encode(&hello, &vec![0; raw]);
            assert!(size(&allowed) < terms.limits.header);
            assert_eq!(read(allowed).unwrap(), raw);
            let beyond = read(encode(&hello, &vec![0; terms.limits.raw as usize + 1]));
            assert!(matches!(beyond, Err(FrameError::TooLarge { .. })), "{beyond:?}");
            let beyond = read((terms.limits.header + 1).to_be_bytes().to_vec());
            assert!(matches!(beyond, Err(FrameError::TooLarge { .. })), "{beyond:?}");
        }
    }

    /// Texts that may be anything: whoever shows them makes them harmless.
    const FREE: [&str; 11] = [
        "path",
        "recovered",
        "problems",
        "links",
        "message",
        "reason",
        "output",
        "command",
        "name",
        "component",
        "pending",
    ];

    /// What of a value that was taken is out of bounds.
    fn outrage(key: &str, value: &Value) -> Option<String> {
        match value {
            Value::Number(number) if key != "status" && number.as_u64().is_none_or(|n| n > LAST_NUMBER) => {
                Some(format!("{key}: {number}"))
            }
            Value::String(_) if FREE.contains(&key) => None,
            Value::String(text) if text.len() > LONGEST_LABEL || text.chars().any(char::is_control) => {
                Some(format!("{key}: {text:.40?}"))
            }
            Value::Array(items) if key == "hosts" && items.len() > 10_000 => {
                Some(format!("{} hosts", items.len()))
            }
            Value::Array(items) => items.iter().find_map(|item| outrage(key, item)),
            Value::Object(fields) => fields.iter().find_map(|(key, field)| outrage(key, field)),
            _ => None,
        }
    }

    #[test]
    fn whatever_a_host_says_in_a_field_it_is_refused_or_within_bounds() {
        let (mut tried, mut taken) = (0, 0);
        for sample in samples() {
            for tampered in tampered(&sample) {
                tried += 1;
                let read = match tampered.get("entry") {
                    Some(entry) => serde_json::from_value::<JournalEntry>(entry.clone()).map(|e| json!(e)),
                    None => serde_json::from_value::<Reply>(tampered).map(|reply| json!(reply)),
                };
                let Ok(read) = read else { continue };
                taken += 1;
                assert_eq!(outrage("", &read), None);
            }
        }
        assert!(tried > 1500 && taken > 100, "{tried} tried, {taken} taken");
    }
}
