//! Source files, hashed and remembered.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use batou_store::{Digest, Error, Silent, SourceHasher};
use tempfile::TempDir;

/// Large enough to be remembered.
const LARGE: usize = 40 << 10;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file of one byte, many times.
    fn write(&self, name: &str, byte: u8) -> Digest {
        let bytes = vec![byte; LARGE];
        fs::write(self.path(name), &bytes).unwrap();
        Digest::of(&bytes)
    }

    /// Hashes files as one build does: their digests, and how many bytes were read.
    fn build(&self, names: &[&str]) -> (Vec<Digest>, u64) {
        let sources = SourceHasher::open(&self.path("cache/sources"));
        let digest = |name: &&str| sources.digest(&self.path(name), &Silent).unwrap().0;
        let digests = names.iter().map(digest).collect();
        let read = sources.bytes_read();
        sources.save().unwrap();
        (digests, read)
    }
}

/// Long enough that the clock of the filesystem moves on.
fn wait() {
    std::thread::sleep(Duration::from_millis(60));
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let folder = Folder::new();
    let digests = vec![folder.write("a", 1), folder.write("b", 2)];
    wait();
    assert_eq!(folder.build(&["a", "b"]), (digests.clone(), 2 * LARGE as u64));
    let cache = folder.path("cache/sources");
    let written = fs::metadata(&cache).unwrap().modified().unwrap();
    assert_eq!(folder.build(&["a", "b"]), (digests.clone(), 0));
    assert_eq!(fs::metadata(&cache).unwrap().modified().unwrap(), written, "nothing new to remember");
    assert_eq!(folder.build(&["a"]), (vec![digests[0]], 0));
    assert_eq!(
        folder.build(&["b"]),
        (vec![digests[1]], 0),
        "what a part of a build did not see is not forgotten"
    );
    fs::write(&cache, "rubbish").unwrap();
    assert_eq!(folder.build(&["a", "b"]), (digests, 2 * LARGE as u64));
}

#[test]
fn a_file_of_the_same_size_whose_time_was_set_back_is_read_again() {
    let folder = Folder::new();
    folder.write("a", 1);
    wait();
    folder.build(&["a"]);
    let time = fs::metadata(folder.path("a")).unwrap().modified().unwrap();
    let changed = folder.write("a", 2);
    fs::File::open(folder.path("a")).unwrap().set_modified(time).unwrap();
    wait();
    assert_eq!(folder.build(&["a"]), (vec![changed], LARGE as u64));
}

#[test]
fn a_file_that_takes_another_ones_place_is_read_again() {
    let folder = Folder::new();
    folder.write("a", 1);
    let other = folder.write("b", 2);
    wait();
    folder.build(&["a"]);
    fs::rename(folder.path("b"), folder.path("a")).unwrap();
    assert_eq!(folder.build(&["a"]), (vec![other], LARGE as u64));
}

#[test]
fn a_file_changed_within_the_clocks_grain_is_read_again() {
    let folder = Folder::new();
    folder.write("a", 1);
    folder.build(&["a"]);
    let changed = folder.write("a", 2);
    assert_eq!(folder.build(&["a"]), (vec![changed], LARGE as u64));
    wait();
    assert_eq!(folder.build(&["a"]).1, LARGE as u64, "old enough now, but not remembered before");
    assert_eq!(folder.build(&["a"]), (vec![changed], 0));
}

#[test]
fn files_that_are_gone_are_forgotten() {
    let folder = Folder::new();
    for (name, byte) in [("a", 1), ("b", 2)] {
        folder.write(name, byte);
    }
    wait();
    folder.build(&["a", "b"]);
    let size = || fs::metadata(folder.path("cache/sources")).unwrap().len();
    let before = size();
    fs::remove_file(folder.path("b")).unwrap();
    folder.build(&["a"]);
    assert!(size() < before);
}

#[test]
fn small_files_are_not_worth_remembering() {
    let folder = Folder::new();
    fs::write(folder.path("a"), "x").unwrap();
    wait();
    folder.build(&["a"]);
    assert_eq!(folder.build(&["a"]), (vec![Digest::of(b"x")], 1));
    assert!(!folder.path("cache").exists());
}

#[test]
fn what_is_no_file_is_an_error_that_names_it() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let folder = Folder::new();
    mknodat(CWD, folder.path("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let sources = SourceHasher::open(&folder.path("cache"));
    for (name, reason) in [("pipe", "it is not a file"), (".", "it is not a file"), ("absent", "absent")] {
        let error = sources.digest(&folder.path(name), &Silent).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. } | Error::Io { .. }));
        assert!(error.to_string().contains(reason), "{error}");
    }
}
