//! What a path leads to.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::io::Errno;

use super::{Disk, ENTER, InodeContent, TOP};

/// How many links are followed.
const MOST_LINKS: usize = 40;
/// The longest name, in bytes.
pub(super) const LONGEST_NAME: usize = 255;
/// The longest path, in bytes, with the zero behind it.
const LONGEST_PATH: usize = 4096;

/// Where a path leads.
pub(super) struct Place {
    pub(super) folder: u64,
    /// Empty where it ends with `..`, or is the top.
    pub(super) name: OsString,
    /// What is there.
    pub(super) found: Option<u64>,
}

impl Disk {
    /// Where a path leads; the folder of its last name must be there. With `follow`, a link of the last name is followed.
    pub(super) fn resolve(&self, path: &Path, follow: bool) -> Result<Place, Errno> {
        let length = path.as_os_str().len();
        if length == 0 {
            return Err(Errno::NOENT);
        }
        if length >= LONGEST_PATH {
            return Err(Errno::NAMETOOLONG);
        }
        let mut left = Vec::new();
        push(&mut left, path);
        let mut place = top();
        let mut links = 0;
        while let Some(part) = left.pop() {
            let folder = place.found.ok_or(Errno::NOENT)?;
            let InodeContent::Folder { entries, parent, .. } = &self.inode(folder)?.content else {
                return Err(Errno::NOTDIR);
            };
            self.check(folder, ENTER)?;
            if part == ".." {
                place = Place { folder: *parent, name: OsString::new(), found: Some(*parent) };
                continue;
            }
            if part.len() > LONGEST_NAME {
                return Err(Errno::NAMETOOLONG);
            }
            let found = entries.get(&part).copied();
            let target = found.map(|found| self.inode(found)).transpose()?;
            if let Some(InodeContent::Link(target)) = target.map(|inode| &inode.content)
                && (follow || !left.is_empty())
            {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP);
                }
                push(&mut left, target);
                if target.is_absolute() {
                    place = top();
                }
                continue;
            }
            place = Place { folder, name: part, found };
        }
        Ok(place)
    }

    /// What a path leads to.
    pub(super) fn find(&self, path: &Path, follow: bool) -> Result<u64, Errno> {
        self.resolve(path, follow)?.found.ok_or(Errno::NOENT)
    }

    pub(crate) fn real_path(&self, path: &Path) -> Result<PathBuf, Errno> {
        let Place { folder, name, found } = self.resolve(path, true)?;
        let found = found.ok_or(Errno::NOENT)?;
        let (mut at, mut names) = if self.is_folder(found) { (found, vec![]) } else { (folder, vec![name]) };
        while at != TOP {
            let InodeContent::Folder { parent, .. } = &self.inode(at)?.content else {
                return Err(Errno::NOTDIR);
            };
            let is_it = |(_, number): &(&OsString, &u64)| **number == at;
            let (name, _) = self.entries(*parent)?.iter().find(is_it).ok_or(Errno::NOENT)?;
            names.push(name.clone());
            at = *parent;
        }
        Ok(Path::new("/").join(names.iter().rev().collect::<PathBuf>()))
    }

    /// Whether `inner` is `outer`, or below it.
    pub(super) fn is_within(&self, mut inner: u64, outer: u64) -> bool {
        loop {
            if inner == outer {
                return true;
            }
            match self.inode(inner).map(|inode| &inode.content) {
                Ok(InodeContent::Folder { parent, .. }) if *parent != inner => inner = *parent,
                _ => return false,
            }
        }
    }
}

fn top() -> Place {
    Place { folder: TOP, name: OsString::new(), found: Some(TOP) }
}

/// Adds the names of a path to a stack of those that are left.
fn push(left: &mut Vec<OsString>, path: &Path) {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::from_bytes(b"..")),
        _ => None,
    });
    let parts: Vec<_> = parts.map(OsStr::to_owned).collect();
    left.extend(parts.into_iter().rev());
}
