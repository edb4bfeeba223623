//! The journal: one JSON line for each release that ended on this host.
//!
//! It is only appended to. The line about a confirmed release is its commit: once that line is on the disk, the
//! release is in force; without it, the release is taken back. An incomplete last line, as a power cut leaves it,
//! does not count.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use batou_store::Digest;
use batou_store::fs::fsync_directory;

use crate::error::Error;
use crate::protocol::{JournalEntry, JournaledRelease, Outcome};
use crate::target::TargetDirectory;

/// The longest line that is read, in bytes.
const LINE: u64 = 8 << 20;
/// The longest line that is written, in bytes. If need be, what units printed is left out: a line that is too long to
/// be read would not be a commit.
const LONGEST: usize = 4 << 20;
/// How much is kept of a reason if the line would be too long with all of it, in bytes.
const REASON: usize = 64 << 10;
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
    /// The newest line about a confirmed release.
    pub(crate) confirmed: Option<JournalEntry>,
    /// The highest sequence; 0 for none.
    pub(crate) newest_sequence: u64,
}

impl Journal {
    pub(crate) fn of(target: &TargetDirectory) -> Self {
        Self { path: target.journal() }
    }

    /// Appends a line; it is on the disk when this returns. After an error there is no such line.
    pub(crate) fn append(&self, entry: &JournalEntry) -> Result<(), Error> {
        let is_new = !self.path.exists();
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .append(true)
            .create(true)
            .open(&self.path)
            .map_err(Error::io("open", &self.path))?;
        let length = file.metadata().map_err(Error::io("examine", &self.path))?.len();
        let mut line = shortened(entry);
        line.push(b'\n');
        if is_torn(&mut file, length).map_err(Error::io("read", &self.path))? {
            // Otherwise the new line would be part of the torn one.
            line.insert(0, b'\n');
        }
        if let Err(source) = file.write_all(&line).and_then(|()| file.sync_all()) {
            // It is not known whether the line would survive a power cut, so nobody may take it for a commit.
            let _ = file.set_len(length);
            return Err(Error::io("write to", &self.path)(source));
        }
        // The line is on the disk only if the file's name is.
        if is_new { Ok(self.path.parent().map_or(Ok(()), fsync_directory)?) } else { Ok(()) }
    }

    /// Calls `take` for each line that can be read, oldest first, with its length. One line is read at a time, since
    /// journals only grow.
    pub(crate) fn each(&self, mut take: impl FnMut(JournalEntry, usize)) -> Result<(), Error> {
        let Some(file) = self.open()? else { return Ok(()) };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.by_ref().take(LINE).read_until(b'\n', &mut line);
            if read.map_err(Error::io("read", &self.path))? == 0 {
                return Ok(());
            }
            if let Some(entry) = parse(&line) {
                take(entry, line.len());
            }
        }
    }

    /// The newest lines, oldest first: as many as one message holds.
    pub(crate) fn recent(&self) -> Result<Vec<JournalEntry>, Error> {
        let (mut kept, mut size) = (VecDeque::new(), 0);
        self.each(|entry, length| {
            kept.push_back((entry, length));
            size += length;
            while size > ANSWER
                && let Some((_, length)) = kept.pop_front()
            {
                size -= length;
            }
        })?;
        Ok(kept.into_iter().map(|(entry, _)| entry).collect())
    }

    /// Reads backwards from the end, only as far as needed.
    pub(crate) fn tail(&self) -> Result<JournalSummary, Error> {
        let Some(mut file) = self.open()? else { return Ok(JournalSummary::default()) };
        let length = file.metadata().map_err(Error::io("examine", &self.path))?.len();
        let mut size = PIECE;
        loop {
            let bytes = last_bytes(&mut file, length, size).map_err(Error::io("read", &self.path))?;
            let tail = JournalSummary::of(&bytes, size < length);
            if size >= length || tail.confirmed.is_some() {
                return Ok(tail);
            }
            size = size.saturating_mul(8);
        }
    }

    /// Whether this release is confirmed. The last line about it decides.
    pub(crate) fn confirms(&self, record: &JournaledRelease) -> Result<bool, Error> {
        let mut confirmed = false;
        self.each(|entry, _| {
            if entry.record.sequence == record.sequence {
                confirmed = entry.result == Outcome::Confirmed && entry.record == *record;
            }
        })?;
        Ok(confirmed)
    }

    /// Which generation was made for this manifest, as far as is known: numbers are given anew where generations were removed
    /// by hand.
    pub(crate) fn generation(&self, manifest: &Digest) -> Result<Option<u64>, Error> {
        let mut manifests = BTreeMap::new();
        self.each(|entry, _| {
            manifests.extend(entry.to.map(|number| (number, entry.manifest)));
        })?;
        Ok(manifests.into_iter().rev().find(|(_, made)| made == manifest).map(|(number, _)| number))
    }

    fn open(&self) -> Result<Option<File>, Error> {
        match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some).map_err(Error::io("open", &self.path)),
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
        for entry in lines.filter_map(parse) {
            tail.newest_sequence = tail.newest_sequence.max(entry.record.sequence);
            if entry.result == Outcome::Confirmed {
                tail.confirmed = Some(entry);
            }
        }
        tail
    }
}

/// The line, without some of its details if they would make it too long to be read again.
fn shortened(entry: &JournalEntry) -> Vec<u8> {
    let line = |entry: &JournalEntry| serde_json::to_vec(entry).expect("a journal line is plain data");
    let cuts: [fn(&mut JournalEntry); 3] = [
        |entry| {
            entry.runs.iter_mut().filter(|run| run.status == Some(0)).for_each(|run| run.output.clear());
        },
        |entry| entry.runs.iter_mut().for_each(|run| run.output.clear()),
        |entry| {
            entry.runs.clear();
            let end =
                |reason: &String| (0..=REASON.min(reason.len())).rfind(|at| reason.is_char_boundary(*at));
            entry.reason.iter_mut().for_each(|reason| reason.truncate(end(reason).unwrap_or(0)));
        },
    ];
    let (mut text, mut shorter) = (line(entry), entry.clone());
    for cut in cuts {
        if text.len() <= LONGEST {
            break;
        }
        cut(&mut shorter);
        text = line(&shorter);
    }
    text
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

fn is_torn(file: &mut File, length: u64) -> io::Result<bool> {
    Ok(last_bytes(file, length, 1)?.last().is_some_and(|last| *last != b'\n'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use batou_release::{UnitId, UnitKind};

    use crate::protocol::UnitRun;
    use batou_store::Digest;

    fn entry(sequence: u64, result: Outcome) -> JournalEntry {
        let who = "alice@laptop".to_owned();
        let record = JournaledRelease {
            release: Digest::of(&sequence.to_be_bytes()),
            sequence,
            restores: None,
            who,
            hosts: Vec::new(),
        };
        JournalEntry {
            record,
            when: "2026-11-22T17:00:00Z".into(),
            from: None,
            to: Some(1),
            manifest: Digest::of(b"manifest"),
            result,
            reason: None,
            runs: Vec::new(),
        }
    }

    fn journal() -> (tempfile::TempDir, Journal) {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal { path: folder.path().join("journal") };
        (folder, journal)
    }

    #[test]
    fn a_torn_line_is_no_line_and_the_next_one_is_whole() {
        let (_folder, journal) = journal();
        journal.append(&entry(1, Outcome::Confirmed)).unwrap();
        let whole = std::fs::read(&journal.path).unwrap();
        for cut in 1..whole.len() {
            let torn = [&whole[..], &whole[..cut]].concat();
            std::fs::write(&journal.path, &torn).unwrap();
            journal.append(&entry(2, Outcome::WentBack)).unwrap();
            let mut sequences = Vec::new();
            journal.each(|entry, _| sequences.push(entry.record.sequence)).unwrap();
            assert_eq!((sequences.first(), sequences.last()), (Some(&1), Some(&2)), "cut at {cut}");
            assert_eq!(journal.tail().unwrap().newest_sequence, 2);
        }
    }

    #[test]
    fn the_end_tells_the_confirmed_release_however_far_back() {
        let (_folder, journal) = journal();
        assert_eq!(journal.tail().unwrap(), JournalSummary::default());
        journal.append(&entry(1, Outcome::Confirmed)).unwrap();
        let mut long = entry(2, Outcome::WentBack);
        long.reason = Some("x".repeat(5000));
        for sequence in 2..60 {
            long.record.sequence = sequence;
            journal.append(&long).unwrap();
        }
        let tail = journal.tail().unwrap();
        assert_eq!(tail.confirmed.unwrap().record.sequence, 1);
        assert_eq!(tail.newest_sequence, 59);
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
        let mut loud = entry(1, Outcome::Confirmed);
        loud.runs = (0..200).map(|number| run(number, i32::from(number == 199))).collect();
        journal.append(&loud).unwrap();
        assert!(journal.confirms(&loud.record).unwrap());
        let found = journal.recent().unwrap().remove(0);
        assert_eq!(found.runs.len(), 200);
        assert!(found.runs[0].output.is_empty() && found.runs[199] == loud.runs[199], "what failed is kept");

        let mut wordy = entry(2, Outcome::WentBack);
        wordy.reason = Some("ä".repeat(5 << 20));
        journal.append(&wordy).unwrap();
        assert_eq!(journal.tail().unwrap().newest_sequence, 2);
        let reason = journal.recent().unwrap().remove(1).reason.unwrap();
        assert_eq!(reason.len(), REASON);
    }

    #[test]
    fn an_answer_holds_the_newest_lines() {
        let (_folder, journal) = journal();
        let mut long = entry(1, Outcome::WentBack);
        long.reason = Some("x".repeat(3 << 20));
        for sequence in 1..=5 {
            long.record.sequence = sequence;
            journal.append(&long).unwrap();
        }
        let sequences: Vec<_> = journal.recent().unwrap().iter().map(|entry| entry.record.sequence).collect();
        assert_eq!(sequences, [4, 5]);
    }

    #[test]
    fn a_release_that_went_back_later_is_not_confirmed() {
        let (_folder, journal) = journal();
        journal.append(&entry(1, Outcome::Confirmed)).unwrap();
        let record = entry(1, Outcome::Confirmed).record;
        assert!(journal.confirms(&record).unwrap());
        journal.append(&entry(1, Outcome::WentBack)).unwrap();
        assert!(!journal.confirms(&record).unwrap());
        assert!(!journal.confirms(&entry(2, Outcome::Confirmed).record).unwrap());
    }
}
