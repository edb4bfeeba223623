//! What a child is doing, readable even after the child was killed: a file in memory, which is the child's
//! standard error. Its first part says at fixed places what each thread evaluates. After that comes what was
//! printed by a panic or a failed allocation. The file cannot grow.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// How many threads are noted at a time; any others are not noted.
const PLACES: u64 = 256;
/// Bytes for each note.
const WIDTH: usize = 256;
const PRINTED: u64 = PLACES * WIDTH as u64;
/// How many bytes can be printed.
const MOST: u64 = 64 * 1024;

/// The parent's side.
#[derive(Debug)]
pub(super) struct NotesFile(File);

/// What one thread was evaluating.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// The kernel's number of the thread.
    pub(super) thread: String,
    pub(super) subject: String,
}

impl NotesFile {
    /// An empty file.
    pub(super) fn new() -> io::Result<Self> {
        let mut file = File::from(memfd_create("batou", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        file.set_len(PRINTED + MOST)?;
        fcntl_add_seals(&file, SealFlags::GROW | SealFlags::SHRINK)?;
        file.seek(SeekFrom::Start(PRINTED))?;
        Ok(NotesFile(file))
    }

    /// The same file, as a child's standard error.
    pub(super) fn stdio(&self) -> io::Result<Stdio> {
        Ok(self.0.try_clone()?.into())
    }

    /// What was being evaluated.
    pub(super) fn subjects(&self) -> Vec<Note> {
        (0..PLACES).filter_map(|place| self.note(place)).collect()
    }

    fn note(&self, place: u64) -> Option<Note> {
        let mut bytes = [0; WIDTH];
        self.0.read_exact_at(&mut bytes, place * WIDTH as u64).ok()?;
        let text = String::from_utf8_lossy(until_nul(&bytes)).into_owned();
        let (thread, subject) = text.split_once(' ')?;
        Some(Note { thread: thread.to_owned(), subject: subject.trim_end_matches('\u{fffd}').to_owned() })
    }

    /// What was printed.
    pub(super) fn printed(&self) -> String {
        let mut bytes = vec![0; usize::try_from(MOST).unwrap_or(0)];
        match self.0.read_exact_at(&mut bytes, PRINTED) {
            Ok(()) => String::from_utf8_lossy(until_nul(&bytes)).trim().to_owned(),
            Err(_) => String::new(),
        }
    }
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The child's side: the places that no thread is using.
#[derive(Debug)]
pub(super) struct NotePlaces(Mutex<Vec<u64>>);

thread_local! {
    static OWN: Cell<Option<u64>> = const { Cell::new(None) };
    static THREAD: i32 = rustix::thread::gettid().as_raw_nonzero().get();
}

impl NotePlaces {
    pub(super) fn new() -> Self {
        NotePlaces(Mutex::new((0..PLACES).rev().collect()))
    }

    /// Notes in `file` what this thread starts to evaluate, or that it has finished.
    pub(super) fn note(&self, file: impl std::os::fd::AsFd, subject: Option<&str>) {
        let free = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = OWN.get().or_else(|| free().pop()) else { return };
        // It ends with the first NUL: what was noted before may be longer.
        let mut text =
            subject.map_or_else(String::new, |subject| THREAD.with(|thread| format!("{thread} {subject}")));
        text.push('\0');
        let bytes = &text.as_bytes()[..text.len().min(WIDTH)];
        // If this cannot be noted, an error message will be less exact.
        let _ = rustix::io::pwrite(file, bytes, place * WIDTH as u64);
        OWN.set(subject.map(|_| place));
        if subject.is_none() {
            free().push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_evaluated_is_noted_for_each_thread() {
        let notes = NotesFile::new().unwrap();
        let places = NotePlaces::new();
        places.note(&notes.0, Some("web01/app"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                places.note(&notes.0, Some("web02/app"));
                places.note(&notes.0, Some(&"ä".repeat(300)));
                assert!(notes.subjects()[1].subject.chars().all(|c| c == 'ä'), "{:?}", notes.subjects());
                places.note(&notes.0, Some("web03/app"));
            });
        });
        let subjects: Vec<_> = notes.subjects().into_iter().map(|note| note.subject).collect();
        assert_eq!(subjects, ["web01/app", "web03/app"]);
        places.note(&notes.0, None);
        assert_eq!(notes.subjects().len(), 1);
    }

    #[test]
    fn places_are_used_again() {
        let notes = NotesFile::new().unwrap();
        let places = NotePlaces::new();
        for _ in 0..3 * PLACES {
            places.note(&notes.0, Some("x"));
            places.note(&notes.0, None);
        }
        places.note(&notes.0, Some("y"));
        assert_eq!(notes.subjects().len(), 1);
    }

    #[test]
    fn what_is_printed_stands_behind_the_notes_and_is_bounded() {
        let mut notes = NotesFile::new().unwrap();
        notes.0.write_all(b"memory allocation of 5 bytes failed\n").unwrap();
        assert_eq!(notes.printed(), "memory allocation of 5 bytes failed");
        assert!(notes.subjects().is_empty());
        let error = notes.0.write_all(&vec![b'x'; 1 << 20]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "it is sealed at its size");
        assert_eq!(notes.printed().len() as u64, MOST);
    }
}
