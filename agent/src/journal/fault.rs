//! What is wrong with a journal that does not tell how the generation in force came to be there.
//!
//! Then it is not known what was in force before, so that nothing can be rolled back to. The next release that is committed
//! on the host puts that right: its line is about the generation in force.

use batou_store::Digest;

use super::{Journal, JournalSummary};
use crate::error::Error;
use crate::protocol::{JournalEntry, Outcome, RecordFault};
use batou_system::fs;

impl Journal {
    /// What is wrong with it where there are generations and no release is under way; `tail` is its own. The generation in
    /// force is given by its number and, if that can be read, its manifest.
    pub(crate) fn fault(
        &self,
        tail: &JournalSummary,
        in_force: Option<(u64, Option<Digest>)>,
    ) -> Result<Option<RecordFault>, Error> {
        match (&tail.committed, in_force) {
            (Some(_), _) if tail.is_obscured => self.emptiness(),
            (Some(entry), Some((number, manifest))) => {
                let is_known = entry.to == Some(number) || self.knows(number, manifest)?;
                let sequence = entry.record.sequence;
                Ok((!is_known).then_some(RecordFault::JournalOlder { sequence }))
            }
            (Some(_), None) => Ok(None),
            (None, Some(_)) => Ok(self.emptiness()?.or(Some(RecordFault::JournalSilent))),
            // Releases that failed leave generations, too.
            (None, None) => self.emptiness(),
        }
    }

    /// Why it tells nothing of the newest release; none if all its lines can be read.
    fn emptiness(&self) -> Result<Option<RecordFault>, Error> {
        if !fs::exists(&self.path) {
            return Ok(Some(RecordFault::JournalMissing));
        }
        let (mut number, mut is_empty, mut unreadable) = (0, true, None);
        self.lines(|line| {
            number += 1;
            if line.trim_ascii().is_empty() {
                return;
            }
            is_empty = false;
            match serde_json::from_slice::<JournalEntry>(line) {
                Ok(entry) if entry.result == Outcome::Committed => unreadable = None,
                Ok(_) => {}
                Err(_) => unreadable = unreadable.or(Some(number)),
            }
        })?;
        let unreadable = unreadable.map(|line| RecordFault::JournalUnreadable { line });
        Ok(if is_empty { Some(RecordFault::JournalEmpty) } else { unreadable })
    }

    /// Whether any line is about this generation.
    fn knows(&self, number: u64, manifest: Option<Digest>) -> Result<bool, Error> {
        let mut is_known = false;
        self.each(|entry, _| {
            is_known |=
                entry.to == Some(number) && manifest.is_none_or(|manifest| manifest == entry.manifest);
        })?;
        Ok(is_known)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::tests::{entry, journal};
    use super::*;

    /// A line of the release with this number, which made a generation of the same number.
    fn line(number: u64, result: Outcome) -> String {
        let entry = JournalEntry { to: Some(number), ..entry(number, result) };
        serde_json::to_string(&entry).unwrap() + "\n"
    }

    /// What is wrong with a journal that has this text, where this generation is in force.
    fn fault(text: Option<&str>, number: Option<u64>) -> Option<RecordFault> {
        let (_folder, journal) = journal();
        if let Some(text) = text {
            std::fs::write(&journal.path, text).unwrap();
        }
        let in_force = number.map(|number| (number, Some(Digest::of(b"manifest"))));
        journal.fault(&journal.tail().unwrap(), in_force).unwrap()
    }

    #[test]
    fn a_journal_that_does_not_tell_of_the_generation_in_force_is_told_as_what_it_is() {
        let [one, two, three] = [1, 2, 3].map(|number| line(number, Outcome::Committed));
        let failed = line(3, Outcome::WentBack);
        let unreadable = |line| Some(RecordFault::JournalUnreadable { line });
        assert_eq!(fault(None, Some(2)), Some(RecordFault::JournalMissing));
        assert_eq!(fault(None, None), Some(RecordFault::JournalMissing));
        assert_eq!(fault(Some(""), Some(2)), Some(RecordFault::JournalEmpty));
        assert_eq!(fault(Some("\n \n"), Some(2)), Some(RecordFault::JournalEmpty));
        for junk in ["somebody's\n", "somebody's", "\0\0\0\0", "{\n", "{}\n", "[]"] {
            assert_eq!(fault(Some(junk), Some(2)), unreadable(1), "{junk:?}");
            assert!(fault(Some(&format!("{one}{two}{junk}")), Some(3)).is_some(), "{junk:?}");
        }
        assert_eq!(fault(Some(&format!("{one}junk\n{failed}")), Some(2)), unreadable(2));
        assert_eq!(fault(Some(&format!("{one}junk\n{two}junk\n")), Some(2)), unreadable(4));
        assert_eq!(fault(Some(&failed), Some(2)), Some(RecordFault::JournalSilent));
        let older = Some(RecordFault::JournalOlder { sequence: 2 });
        assert_eq!(fault(Some(&format!("{one}{two}")), Some(3)), older);
        assert_eq!(fault(Some(&format!("{one}{two}{three}")), Some(3)), None);
    }

    #[test]
    fn a_journal_is_no_older_copy_where_somebody_moved_the_pointer_or_a_power_cut_tore_a_line() {
        let [one, two] = [1, 2].map(|number| line(number, Outcome::Committed));
        assert_eq!(fault(Some(&format!("{one}{two}")), Some(1)), None);
        for torn in ["{\"release\":", "{\"release\":\0\0\0", "\0\0\0"] {
            assert_eq!(fault(Some(&format!("{one}{two}{torn}")), Some(2)), None, "{torn:?}");
        }
        assert_eq!(fault(Some(&format!("{one}junk\n{two}")), Some(2)), None, "only history lacks that line");
        assert_eq!(fault(Some(&line(3, Outcome::WentBack)), None), None, "a first release that failed");
    }
}
