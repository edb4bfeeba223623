//! The journal: one JSON line for each release that ended on this host.
//!
//! It is only appended to. The line about a committed release is its commit: once that line is on the disk, the
//! release is in force; without it, the host goes back. An incomplete last line, as a power cut leaves it,
//! does not count.

mod fault;
mod line;

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;

use batou_store::Digest;
use batou_system::fs::{self, File};

use crate::error::Error;
use crate::protocol::question::bad_field;
use crate::protocol::{JournalEntry, JournaledRelease, Outcome};
use crate::target::{TargetDirectory, check_file};
pub(crate) use line::JournalLine;

/// The longest line that is read, in bytes.
const LINE: u64 = 8 << 20;
/// How many bytes of lines an answer holds at most.
const ANSWER: usize = 8 << 20;
/// The first piece that is read from the end; each further one is larger.
const PIECE: u64 = 64 << 10;

/// The journal of a host.
pub(crate) struct Journal {
    path: PathBuf,
}

/// What is known from the end of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct JournalSummary {
    /// The newest line about a committed release.
    pub(crate) committed: Option<JournalEntry>,
    /// The highest sequence that counts; 0 for none.
    pub(crate) newest_sequence: u64,
    /// Whether a line that cannot be read follows: it may have been about a newer one. A torn line does not count.
    pub(crate) is_obscured: bool,
}

impl Journal {
    pub(crate) fn of(target: &TargetDirectory) -> Self {
        Self { path: target.journal() }
    }

    /// Opens it for one more line.
    pub(crate) fn line(&self) -> Result<JournalLine, Error> {
        JournalLine::open(&self.path)
    }

    /// Calls `take` for each line that can be read, oldest first, with its length. One line is read at a time, since
    /// journals only grow.
    pub(crate) fn each(&self, mut take: impl FnMut(JournalEntry, usize)) -> Result<(), Error> {
        self.lines(|line| {
            if let Some(entry) = parse(line) {
                take(entry, line.len());
            }
        })
    }

    /// A sentence for each line that cannot be read although it is whole: what it says counts for nothing.
    pub(crate) fn unreadable(&self) -> Result<Vec<String>, Error> {
        let (mut told, mut number) = (Vec::new(), 0);
        self.lines(|line| {
            number += 1;
            let error = serde_json::from_slice::<JournalEntry>(line).err();
            if let Some(error) = error.filter(|error| !is_torn(line, error)) {
                let field = bad_field(line).map_or(String::new(), |field| format!(" (`{field}`)"));
                let path = self.path.display();
                told.push(format!(
                    "{path}: line {number} cannot be read{field}, so it counts for nothing: mend it, or remove that line ({error})"
                ));
            }
        })?;
        Ok(told)
    }

    fn lines(&self, mut take: impl FnMut(&[u8])) -> Result<(), Error> {
        let Some(file) = self.open()? else { return Ok(()) };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.by_ref().take(LINE).read_until(b'\n', &mut line);
            if read.map_err(Error::io("read", &self.path))? == 0 {
                return Ok(());
            }
            take(&line);
        }
    }

    /// The newest lines, oldest first: as many as one message holds. What units printed would leave room for a few lines only.
    /// Where it is wanted, it is told of the newest runs, and of older ones as far as no line has to give way to it.
    pub(crate) fn recent(&self, output: bool) -> Result<Vec<JournalEntry>, Error> {
        let mut kept = RecentLines::default();
        self.each(|entry, length| kept.add(entry, length, output))?;
        Ok(kept.lines.into_iter().map(|line| line.entry).collect())
    }

    /// Reads backwards from the end, only as far as needed.
    pub(crate) fn tail(&self) -> Result<JournalSummary, Error> {
        let Some(mut file) = self.open()? else { return Ok(JournalSummary::default()) };
        let length = file.metadata().map_err(Error::io("examine", &self.path))?.len();
        let mut size = PIECE;
        loop {
            let bytes = last_bytes(&mut file, length, size).map_err(Error::io("read", &self.path))?;
            let tail = JournalSummary::of(&bytes, size < length);
            if size >= length || tail.committed.is_some() {
                return Ok(tail);
            }
            size = size.saturating_mul(8);
        }
    }

    /// Whether this release is committed. The last line about it decides.
    pub(crate) fn has_committed(&self, record: &JournaledRelease) -> Result<bool, Error> {
        let mut committed = false;
        self.each(|entry, _| {
            if entry.record.sequence == record.sequence {
                committed = entry.result == Outcome::Committed && entry.record == *record;
            }
        })?;
        Ok(committed)
    }

    /// Whether there is a line about a release of this number that still counts.
    pub(crate) fn has(&self, sequence: u64) -> Result<bool, Error> {
        let mut found = false;
        self.each(|entry, _| {
            found &= entry.record.disregards.is_none_or(|far| sequence < far);
            found |= entry.record.sequence == sequence;
        })?;
        Ok(found)
    }

    /// Which generation was made for this manifest, as far as is known: numbers are given anew where generations were removed
    /// by hand.
    pub(crate) fn generation(&self, manifest: &Digest) -> Result<Option<u64>, Error> {
        Ok(self.manifests()?.into_iter().rev().find(|(_, made)| made == manifest).map(|(number, _)| number))
    }

    /// The manifest that each generation was made for, as far as is known.
    pub(crate) fn manifests(&self) -> Result<BTreeMap<u64, Digest>, Error> {
        let mut manifests = BTreeMap::new();
        self.each(|entry, _| {
            manifests.extend(entry.to.map(|number| (number, entry.manifest)));
        })?;
        Ok(manifests)
    }

    fn open(&self) -> Result<Option<File>, Error> {
        check_file(&self.path)?;
        match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && fs::is_symlink(&self.path) => {
                Err(Error::Target { path: self.path.clone(), problem: "is a link to nothing: remove it" })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some).map_err(Error::io("open", &self.path)),
        }
    }
}

/// The newest lines of a journal, within the limit of an answer.
#[derive(Default)]
struct RecentLines {
    lines: VecDeque<RecentLine>,
    size: usize,
    /// How many of the oldest no longer have what was printed.
    quiet: usize,
}

struct RecentLine {
    entry: JournalEntry,
    /// In bytes, as it was written.
    length: usize,
    /// In bytes, of what its runs printed.
    printed: usize,
}

impl RecentLines {
    fn add(&mut self, entry: JournalEntry, length: usize, output: bool) {
        // As JSON has it, in which one character can become six.
        let printed =
            entry.runs.iter().map(|run| serde_json::to_vec(&run.output).map_or(0, |text| text.len()));
        let printed = printed.sum::<usize>().min(length);
        self.lines.push_back(RecentLine { entry, length, printed });
        self.size += length;
        let last = self.lines.len();
        while self.quiet < last && (!output || self.size > ANSWER) {
            if let Some(line) = self.lines.get_mut(self.quiet) {
                line.entry.runs.iter_mut().for_each(|run| run.output.clear());
                self.size -= line.printed;
                line.length -= line.printed;
            }
            self.quiet += 1;
        }
        while self.size > ANSWER
            && let Some(line) = self.lines.pop_front()
        {
            self.size -= line.length;
            self.quiet = self.quiet.saturating_sub(1);
        }
    }
}

impl JournalSummary {
    fn of(bytes: &[u8], cut: bool) -> Self {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        // The first of these may be the end of a longer line.
        if cut {
            lines.next();
        }
        let mut tail = Self::default();
        let mut sequences = Vec::new();
        for line in lines {
            let entry: JournalEntry = match serde_json::from_slice(line) {
                Ok(entry) => entry,
                Err(error) => {
                    tail.is_obscured |= !is_torn(line, &error);
                    continue;
                }
            };
            if let Some(far) = entry.record.disregards {
                sequences.retain(|sequence| *sequence < far);
            }
            sequences.push(entry.record.sequence);
            if entry.result == Outcome::Committed {
                tail.committed = Some(entry);
                tail.is_obscured = false;
            }
        }
        tail.newest_sequence = sequences.into_iter().max().unwrap_or(0);
        tail
    }
}

/// Whether a power cut has left this of a line that was being written: its beginning, perhaps with zeros behind it. Such a line
/// has committed nothing.
fn is_torn(line: &[u8], error: &serde_json::Error) -> bool {
    let written = line.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let ends_early = |error: serde_json::Error| error.is_eof();
    error.is_eof() || serde_json::from_slice::<JournalEntry>(&line[..written]).is_err_and(ends_early)
}

fn parse(line: &[u8]) -> Option<JournalEntry> {
    serde_json::from_slice(line).ok()
}

fn last_bytes(file: &mut File, length: u64, size: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(length.saturating_sub(size)))?;
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use batou_release::{UnitId, UnitKind};

    use crate::protocol::{HostNames, UnitRun};
    use batou_store::Digest;

    pub(crate) fn entry(sequence: u64, result: Outcome) -> JournalEntry {
        let who = "alice@laptop".to_owned();
        let record = JournaledRelease {
            release: Digest::of(&sequence.to_be_bytes()),
            sequence,
            restores: None,
            forgets: None,
            disregards: None,
            who,
            attempt: 7,
            hosts: HostNames::default(),
            without: HostNames::default(),
        };
        JournalEntry {
            record,
            when: "2026-11-22T17:00:00Z".parse().unwrap(),
            from: None,
            to: Some(1),
            manifest: Digest::of(b"manifest"),
            result,
            reason: None,
            runs: Vec::new(),
            unreverted: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub(super) fn journal() -> (tempfile::TempDir, Journal) {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal { path: folder.path().join("journal") };
        (folder, journal)
    }

    #[test]
    fn a_torn_line_is_no_line_and_the_next_one_is_whole() {
        let (_folder, journal) = journal();
        journal.line().unwrap().append(&entry(1, Outcome::Committed)).unwrap();
        let whole = std::fs::read(&journal.path).unwrap();
        for cut in 1..whole.len() {
            let torn = [&whole[..], &whole[..cut]].concat();
            std::fs::write(&journal.path, &torn).unwrap();
            journal.line().unwrap().append(&entry(2, Outcome::WentBack)).unwrap();
            let mut sequences = Vec::new();
            journal.each(|entry, _| sequences.push(entry.record.sequence)).unwrap();
            assert_eq!((sequences.first(), sequences.last()), (Some(&1), Some(&2)), "cut at {cut}");
            assert_eq!(journal.tail().unwrap().newest_sequence, 2);
        }
    }

    #[test]
    fn the_end_tells_the_committed_release_however_far_back() {
        let (_folder, journal) = journal();
        assert_eq!(journal.tail().unwrap(), JournalSummary::default());
        journal.line().unwrap().append(&entry(1, Outcome::Committed)).unwrap();
        let mut long = entry(2, Outcome::WentBack);
        long.reason = Some("x".repeat(5000));
        for sequence in 2..60 {
            long.record.sequence = sequence;
            journal.line().unwrap().append(&long).unwrap();
        }
        let tail = journal.tail().unwrap();
        assert_eq!(tail.committed.unwrap().record.sequence, 1);
        assert_eq!(tail.newest_sequence, 59);
    }

    #[test]
    fn a_line_that_was_changed_by_hand_is_named_and_a_torn_one_is_not() {
        let (_folder, journal) = journal();
        for number in 1..=3 {
            journal.line().unwrap().append(&entry(number, Outcome::Committed)).unwrap();
        }
        let text = std::fs::read_to_string(&journal.path).unwrap();
        std::fs::write(&journal.path, text.replace("\"sequence\":2", "\"sequence\":-2") + "{\"release\":")
            .unwrap();
        let [told] = &journal.unreadable().unwrap()[..] else { panic!() };
        let said = format!(
            "{}: line 2 cannot be read (`sequence`), so it counts for nothing",
            journal.path.display()
        );
        assert!(told.starts_with(&said), "{told}");
    }

    #[test]
    fn a_number_that_a_later_release_disregards_counts_no_more() {
        let (_folder, journal) = journal();
        let mut disregarding = entry(4, Outcome::WentBack);
        disregarding.record.disregards = Some(2000);
        for line in [entry(3, Outcome::Committed), entry(5000, Outcome::Committed), disregarding] {
            journal.line().unwrap().append(&line).unwrap();
        }
        assert_eq!(journal.tail().unwrap().newest_sequence, 4);
        assert!(journal.has(3).unwrap() && !journal.has(5000).unwrap());
        // The numbers get there one day, and then count.
        journal.line().unwrap().append(&entry(5000, Outcome::Committed)).unwrap();
        assert_eq!(journal.tail().unwrap().newest_sequence, 5000);
        assert!(journal.has(5000).unwrap());
    }

    #[test]
    fn however_much_steps_print_the_line_can_be_read_again() {
        let (_folder, journal) = journal();
        let run = |number: usize, status: i32| UnitRun {
            unit: UnitId::new("db".parse().unwrap(), UnitKind::Step, format!("step {number}")),
            command: "update".into(),
            status: Some(status),
            output: "\u{1}".repeat(16 << 10),
        };
        let mut loud = entry(1, Outcome::Committed);
        loud.runs = (0..200).map(|number| run(number, i32::from(number == 199))).collect();
        journal.line().unwrap().append(&loud).unwrap();
        assert!(journal.has_committed(&loud.record).unwrap());
        let found = journal.recent(true).unwrap().remove(0);
        assert_eq!(found.runs.len(), 200);
        assert!(found.runs[0].output.is_empty() && found.runs[199] == loud.runs[199], "what failed is kept");

        let mut wordy = entry(2, Outcome::WentBack);
        wordy.reason = Some("ä".repeat(5 << 20));
        journal.line().unwrap().append(&wordy).unwrap();
        assert_eq!(journal.tail().unwrap().newest_sequence, 2);
        let reason = journal.recent(true).unwrap().remove(1).reason.unwrap();
        assert_eq!(reason.len(), 8 << 10);
    }

    #[test]
    fn an_answer_holds_the_newest_lines() {
        let (_folder, journal) = journal();
        let mut long = entry(1, Outcome::WentBack);
        long.reason = Some("x".repeat(3 << 20));
        for sequence in 1..=5 {
            long.record.sequence = sequence;
            journal.line().unwrap().append(&long).unwrap();
        }
        let sequences: Vec<_> =
            journal.recent(true).unwrap().iter().map(|entry| entry.record.sequence).collect();
        assert_eq!(sequences, [4, 5]);
    }

    /// Four of these are more than an answer holds.
    #[test]
    fn loud_releases_do_not_hide_older_ones() {
        let (_folder, journal) = journal();
        for sequence in 1..=8 {
            let mut loud = entry(sequence, Outcome::Committed);
            loud.runs = vec![UnitRun {
                unit: UnitId::new("db".parse().unwrap(), UnitKind::Step, "loud"),
                command: "update".into(),
                status: Some(1),
                output: "\u{1}x".repeat(500 << 10),
            }];
            journal.line().unwrap().append(&loud).unwrap();
        }
        let printed = |output| -> Vec<_> {
            let lines = journal.recent(output).unwrap();
            lines.iter().map(|entry| (entry.record.sequence, entry.runs[0].output.is_empty())).collect()
        };
        assert_eq!(printed(false), (1..=8).map(|sequence| (sequence, true)).collect::<Vec<_>>());
        assert_eq!(printed(true), (1..=8).map(|sequence| (sequence, sequence < 7)).collect::<Vec<_>>());
    }

    #[test]
    fn a_release_that_went_back_later_is_not_committed() {
        let (_folder, journal) = journal();
        journal.line().unwrap().append(&entry(1, Outcome::Committed)).unwrap();
        let record = entry(1, Outcome::Committed).record;
        assert!(journal.has_committed(&record).unwrap());
        journal.line().unwrap().append(&entry(1, Outcome::WentBack)).unwrap();
        assert!(!journal.has_committed(&record).unwrap());
        assert!(!journal.has_committed(&entry(2, Outcome::Committed).record).unwrap());
    }
}
