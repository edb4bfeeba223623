//! The line that a release is going to have in the journal: open before anything changes on the host, and with room on the
//! disk, so that neither committing nor going back can fail for want of either.

use batou_system::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use batou_store::fs::{PRIVATE, fsync_directory};

use crate::error::Error;
use crate::protocol::{JournalEntry, JournaledRelease};
use crate::target::check_file;

/// The longest line that is written, in bytes. A longer one could not be read again, and its release would not count as
/// committed; so a line is shortened, beginning with the output of units.
const LONGEST: usize = 4 << 20;
/// How many bytes are reserved for a release beside its record. On a full disk, output beyond that is left out.
const RESERVED: usize = 128 << 10;
/// How many bytes of a failure's reason are kept if the line would be too long. Escaped in JSON, a byte can take six.
const REASON: usize = 8 << 10;

/// The end of a journal that is open for one more line.
pub(crate) struct JournalLine {
    file: File,
    path: PathBuf,
}

impl JournalLine {
    /// Opens the journal, made where it is absent, and ends a line that is torn.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let is_new = !fs::exists(path);
        if is_new && fs::is_symlink(path) {
            return Err(Error::Target { path: path.to_owned(), problem: "is a link to nothing: remove it" });
        }
        check_file(path)?;
        let mut options = OpenOptions::new();
        let options = options.read(true).append(true).create(true).mode(PRIVATE);
        let file = options.open(path).map_err(Error::io("open", path))?;
        let found = file.metadata().map_err(Error::io("examine", path))?;
        if found.mode() & 0o077 != 0 {
            file.set_mode(PRIVATE).map_err(Error::io("set the mode of", path))?;
        }
        if is_new {
            path.parent().map_or(Ok(()), fsync_directory)?;
        }
        Ok(Self { file, path: path.to_owned() })
    }

    /// Whether it is still the end of the journal at its path, which somebody may have removed or replaced.
    pub(crate) fn is_in_place(&self) -> bool {
        let place = |found: fs::Metadata| (found.dev(), found.ino());
        let (open, at_path) = (self.file.metadata().map(place), fs::metadata(&self.path).map(place));
        matches!((open, at_path), (Ok(open), Ok(at_path)) if open == at_path)
    }

    /// Has the filesystem set room aside, for a line about this release where it is known. One that cannot do that gives none,
    /// and says so only when the line is written.
    pub(crate) fn reserve(&self, record: Option<&JournaledRelease>) -> Result<(), Error> {
        self.allocate(record.map_or(RESERVED, reserved)).map_err(Error::io("reserve room in", &self.path))
    }

    /// Appends the line; it is on the disk when this returns. After an error there is no such line.
    pub(crate) fn append(&mut self, entry: &JournalEntry) -> Result<(), Error> {
        let length = self.length()?;
        let mut line = text(entry, LONGEST);
        // A piece of a long line must not use up the room that a short one has.
        let reserved = reserved(&entry.record);
        if line.len() > reserved && self.allocate(line.len()).is_err() {
            line = text(entry, reserved);
        }
        line.push(b'\n');
        if self.is_torn(length).map_err(Error::io("read", &self.path))? {
            line.insert(0, b'\n');
        }
        if let Err(source) = self.file.write_all(&line).and_then(|()| self.file.sync_all()) {
            // A line of which it is not known whether it will last must not be read as a commit, nor come back with a power
            // cut: the host goes back from here on. This syncs that the file is shorter, not once more what failed.
            let _ = self.file.set_len(length).and_then(|()| self.file.sync_all());
            return Err(Error::io("write to", &self.path)(source));
        }
        Ok(())
    }

    fn length(&self) -> Result<u64, Error> {
        Ok(self.file.metadata().map_err(Error::io("examine", &self.path))?.len())
    }

    /// Allocates blocks behind the end of the file, which keeps its length.
    fn allocate(&self, size: usize) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        // A line break before a line and one behind it come on top.
        match self.file.reserve(length, size as u64 + 2) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
            other => other,
        }
    }

    fn is_torn(&mut self, length: u64) -> io::Result<bool> {
        let mut last = Vec::new();
        self.file.seek(SeekFrom::Start(length.saturating_sub(1)))?;
        (&self.file).take(1).read_to_end(&mut last)?;
        Ok(last.last().is_some_and(|last| *last != b'\n'))
    }
}

/// How much room there is for a line about this release, which names all hosts of its environment.
fn reserved(record: &JournaledRelease) -> usize {
    RESERVED + serde_json::to_vec(record).expect("a record is plain data").len()
}

/// The line, with less of what else it tells where it would be longer than `limit` bytes.
fn text(entry: &JournalEntry, limit: usize) -> Vec<u8> {
    let line = |entry: &JournalEntry| serde_json::to_vec(entry).expect("a journal line is plain data");
    let cuts: [fn(&mut JournalEntry); 3] = [
        |entry| {
            entry.runs.iter_mut().filter(|run| run.status == Some(0)).for_each(|run| run.output.clear());
        },
        |entry| entry.runs.iter_mut().for_each(|run| run.output.clear()),
        |entry| {
            entry.runs.clear();
            entry.problems.clear();
            let end =
                |reason: &String| (0..=REASON.min(reason.len())).rfind(|at| reason.is_char_boundary(*at));
            entry.reason.iter_mut().for_each(|reason| reason.truncate(end(reason).unwrap_or(0)));
        },
    ];
    let (mut text, mut shorter) = (line(entry), entry.clone());
    for cut in cuts {
        if text.len() <= limit {
            break;
        }
        cut(&mut shorter);
        text = line(&shorter);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::super::tests::entry;
    use super::*;
    use crate::protocol::Outcome;

    #[test]
    fn a_journal_is_its_owners_only_also_one_that_was_open_to_all() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().mode() & 0o7777;
        std::fs::write(folder.path().join("old"), "").unwrap();
        std::fs::set_permissions(folder.path().join("old"), PermissionsExt::from_mode(0o644)).unwrap();
        for name in ["old", "new"] {
            drop(JournalLine::open(&folder.path().join(name)).unwrap());
            assert_eq!(mode(name), 0o600, "{name}");
        }
    }

    #[test]
    fn reserved_room_is_on_the_disk_and_not_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut line = JournalLine::open(&path).unwrap();
        line.reserve(None).unwrap();
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!(found.len(), 0);
        assert!(found.blocks() * 512 >= RESERVED as u64, "{} blocks", found.blocks());
        line.append(&entry(1, Outcome::Committed)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1);
        assert!(text.ends_with("}\n"), "{text}");
    }

    #[test]
    fn a_shortened_line_fits_into_the_room_however_it_is_written() {
        let mut wordy = entry(1, Outcome::WentBack);
        wordy.reason = Some("\u{1}".repeat(5 << 20));
        assert!(text(&wordy, RESERVED).len() <= RESERVED);
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .unwrap();
        assert!(matches!(JournalLine::open(&path), Err(Error::Target { .. })));
    }
}
