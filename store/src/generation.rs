//! Generations: the numbered states of a target folder, and the one pointer to the state in force.
//!
//! ```text
//! <target>/generations/12/manifest.json   and more records, and links ../../store/artifacts/<id>-<name>
//! <target>/current -> generations/12
//! ```
//!
//! A generation is written under a temporary name, synced, and renamed to its number, so every numbered generation is
//! complete. Switching replaces one symbolic link by `rename`: a reader sees either the old generation or the new
//! one, and a reader that has opened `current` as a folder keeps the generation it opened. Writers take turns: the
//! caller holds the target folder's [`crate::Lock`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use batou_system::fs::FileType;

use crate::{Error, Name, fs};

/// The last number of a generation: a larger one is a stranger's, and every reader of JSON has this one exactly.
const LAST: u64 = (1 << 53) - 1;
/// The name of the record that tells generations apart.
const MANIFEST: &str = "manifest.json";
/// The longest record that is read, in bytes.
const MAX_RECORD: u64 = 256 << 20;

/// The generations below one target folder.
#[derive(Debug)]
pub struct Generations {
    target: PathBuf,
    folder: PathBuf,
}

impl Generations {
    /// The generations of a target folder. Nothing is read or created yet.
    pub fn open(target_directory: &Path) -> Result<Self, Error> {
        let target = std::path::absolute(target_directory).map_err(Error::io("find", target_directory))?;
        let folder = target.join("generations");
        Ok(Self { target, folder })
    }

    /// The generation in force; `None` if there is no `current`. A `current` that batou did not make is an error.
    pub fn current(&self) -> Result<Option<u64>, Error> {
        let path = self.pointer();
        let Some(metadata) = fs::lstat(&path)? else { return Ok(None) };
        if !metadata.is_symlink() {
            return Err(Error::Foreign {
                path,
                reason: "it is not a symbolic link to a generation; move it away",
            });
        }
        let target = batou_system::fs::read_link(&path).map_err(Error::io("read the link", &path))?;
        let number = target.to_str().and_then(|target| number(target.strip_prefix("generations/")?));
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(Error::Foreign { path, reason: "it does not point to a generation" }),
        }
    }

    /// The numbers of all generations, sorted.
    pub fn list(&self) -> Result<Vec<u64>, Error> {
        let entries = fs::entries(&self.folder)?;
        let folders = entries.iter().filter(|entry| entry.file_type().is_ok_and(FileType::is_dir));
        let mut numbers: Vec<_> = folders.filter_map(|e| number(e.file_name().to_str()?)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// A generation's manifest.
    pub fn manifest(&self, n: u64) -> Result<Vec<u8>, Error> {
        self.file(n, MANIFEST)?.ok_or_else(|| self.unknown(n))
    }

    /// A record beside the manifest; `None` if there is none of that name. What is no file, or is too large, is an empty one.
    pub fn file(&self, n: u64, name: &str) -> Result<Option<Vec<u8>>, Error> {
        fs::read_or_damaged(&self.folder_of(n).join(Name::new(name)?), MAX_RECORD)
    }

    /// A generation with exactly this manifest: the current one if it has it, otherwise the newest that has.
    pub fn find(&self, manifest: &[u8]) -> Result<Option<u64>, Error> {
        let candidates = self.current()?.into_iter().chain(self.list()?.into_iter().rev());
        for n in candidates {
            if self.file(n, MANIFEST)?.is_some_and(|bytes| bytes == manifest) {
                return Ok(Some(n));
            }
        }
        Ok(None)
    }

    /// Writes the next generation: its manifest, other records, and a link for each name to a checkout in
    /// the store beside `generations/`. Nothing points to it yet.
    pub fn create(
        &self,
        manifest: &[u8],
        records: &[(&str, &[u8])],
        links: &[(Name, String)],
    ) -> Result<u64, Error> {
        check_names(records, links)?;
        fs::create_directories(&self.folder)?;
        self.remove_unfinished()?;
        let next = self.next()?;
        let temporary = self.folder.join(fs::unique(".batou-"));
        let written = write(&temporary, manifest, records, links).and_then(|()| {
            batou_system::fs::rename(&temporary, self.folder_of(next))
                .map_err(Error::io("create", self.folder_of(next)))
        });
        if let Err(error) = written {
            let _ = fs::remove_tree(&temporary);
            return Err(error);
        }
        fs::fsync_directory(&self.folder)?;
        fs::fsync_directory(&self.target)?;
        Ok(next)
    }

    /// The number after every one that is taken, also by what is no generation.
    fn next(&self) -> Result<u64, Error> {
        let entries = fs::entries(&self.folder)?;
        let last = entries.iter().filter_map(|entry| number(entry.file_name().to_str()?)).max().unwrap_or(0);
        if last == LAST {
            let reason = "it has the last number that a generation can have; move it away";
            return Err(Error::Foreign { path: self.folder_of(last), reason });
        }
        Ok(last + 1)
    }

    /// Makes a generation the current one, durably.
    pub fn switch(&self, n: u64) -> Result<(), Error> {
        if fs::lstat(&self.folder_of(n).join(MANIFEST))?.is_none() {
            return Err(self.unknown(n));
        }
        // Fails if batou did not make `current`: that is not replaced.
        self.current()?;
        self.remove_stale_links()?;
        fs::swap_symlink(&self.pointer(), &Path::new("generations").join(n.to_string()), true)
    }

    /// Makes a generation the current one again, whatever has become of its manifest: its files may still be there.
    /// Returns whether they are: without the generation's folder, no generation is in force afterwards.
    pub fn switch_back(&self, n: u64) -> Result<bool, Error> {
        if !batou_system::fs::is_dir(self.folder_of(n)) {
            self.clear()?;
            return Ok(false);
        }
        self.current()?;
        self.remove_stale_links()?;
        fs::swap_symlink(&self.pointer(), &Path::new("generations").join(n.to_string()), true)?;
        Ok(true)
    }

    /// Removes `current`: no generation is in force afterwards.
    pub fn clear(&self) -> Result<(), Error> {
        if self.current()?.is_some() {
            fs::remove_file(&self.pointer())?;
            fs::fsync_directory(&self.target)?;
        }
        Ok(())
    }

    /// Removes a generation, which must not be the current one. It is not an error if there is none.
    pub fn remove(&self, n: u64) -> Result<(), Error> {
        if self.current()? == Some(n) {
            return Err(Error::CurrentGeneration(n));
        }
        let folder = self.folder_of(n);
        if fs::lstat(&folder)?.is_none() {
            return Ok(());
        }
        // Renamed first, so that an interrupted removal leaves no incomplete generation under a number.
        let temporary = self.folder.join(fs::unique(".batou-"));
        batou_system::fs::rename(&folder, &temporary).map_err(Error::io("remove", &folder))?;
        fs::fsync_directory(&self.folder)?;
        fs::remove_tree(&temporary)
    }

    /// Removes everything with a temporary name that killed processes left, in the target folder too.
    pub fn tidy(&self) -> Result<(), Error> {
        self.remove_unfinished()?;
        self.remove_stale_links()
    }

    /// The folder of a generation.
    pub fn path(&self, n: u64) -> PathBuf {
        self.folder_of(n)
    }

    fn pointer(&self) -> PathBuf {
        self.target.join("current")
    }

    fn folder_of(&self, n: u64) -> PathBuf {
        self.folder.join(n.to_string())
    }

    fn unknown(&self, number: u64) -> Error {
        Error::NoGeneration { path: self.folder.clone(), number }
    }

    fn remove_unfinished(&self) -> Result<(), Error> {
        remove_temporary(&self.folder)
    }

    /// Links that a killed switch left beside `current`.
    fn remove_stale_links(&self) -> Result<(), Error> {
        remove_temporary(&self.target)
    }
}

fn remove_temporary(folder: &Path) -> Result<(), Error> {
    let entries = fs::entries(folder)?;
    let stale = entries.iter().filter(|entry| fs::is_temporary(&entry.file_name()));
    stale.map(batou_system::fs::DirEntry::path).try_for_each(|path| fs::remove_tree(&path))
}

/// A generation's number as it is written: decimal, not 0, without leading zeros, and at most [`LAST`].
fn number(text: &str) -> Option<u64> {
    let canonical = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical { text.parse().ok().filter(|number| *number <= LAST) } else { None }
}

/// Checks that every name is used only once, and the manifest's not at all.
fn check_names(records: &[(&str, &[u8])], links: &[(Name, String)]) -> Result<(), Error> {
    let mut names = BTreeSet::from([Name::new(MANIFEST)?]);
    let records = records.iter().map(|(name, _)| Name::new(*name)).collect::<Result<Vec<_>, _>>()?;
    for name in records.into_iter().chain(links.iter().map(|(name, _)| name.clone())) {
        if !names.insert(name.clone()) {
            let source = crate::tree::TreeError::Duplicate(name);
            return Err(Error::Encoding { subject: "the generation's names".to_owned(), source });
        }
    }
    links.iter().try_for_each(|(_, checkout)| Name::new(checkout).map(drop).map_err(Error::from))
}

fn write(
    folder: &Path,
    manifest: &[u8],
    records: &[(&str, &[u8])],
    links: &[(Name, String)],
) -> Result<(), Error> {
    batou_system::fs::create_dir(folder).map_err(Error::io("create the folder", folder))?;
    for (name, bytes) in records {
        fs::write_new(&folder.join(name), bytes, fs::PRIVATE, true)?;
    }
    for (name, checkout) in links {
        let link = folder.join(name);
        let target = Path::new("../../store/artifacts").join(checkout);
        batou_system::fs::symlink(target, &link).map_err(Error::io("create the link", &link))?;
    }
    fs::write_new(&folder.join(MANIFEST), manifest, fs::PRIVATE, true)?;
    fs::fsync_directory(folder)
}
