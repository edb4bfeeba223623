//! Checking what is on the host against what its manifest says.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use batou_system::fs::{self, File};

use batou_store::{Digest, FileHasher, Node, ObjectId, RelPath, Store};

use crate::activated::Activated;
use crate::command::Attention;
use crate::connection::Connection;
use crate::error::{Error, sentence};
use crate::journal::Journal;
use crate::protocol::{DriftKind, Reply};
use crate::release::{Installed, broken_links};
use crate::session::{About, Session, no_hello};
use crate::unit::{self, Convergence};
use batou_release::{Component, Manifest};

/// The most problems that are reported.
const TOLD: usize = 1000;

/// The objects that have to be sent again for these components: what is damaged or missing of what they need, and what
/// needs that.
pub(crate) fn to_be_sent(store: &Store, components: &[Component]) -> Result<HashSet<ObjectId>, Error> {
    let artifacts: Vec<_> =
        components.iter().map(|component| ObjectId::Artifact(component.artifact)).collect();
    Ok(store.unsound(&artifacts)?)
}

/// Checks the current generation: every file, every link, and every unit. Nothing is changed; under the
/// lock what is damaged counts as missing from then on.
pub(crate) fn verify(session: &mut Session) -> Result<Reply, Error> {
    let about = session.about.as_ref().ok_or_else(no_hello)?;
    let Some(current) = about.current(&about.generations()?)? else {
        return Ok(Reply::Verified { problems: Vec::new(), files: 0, damaged: false, unsettled: false });
    };
    let check = if let Some(store) = about.target.existing_store()? {
        FullCheck::of(&store, &current.manifest)
    } else {
        let path = about.target.store();
        let fault = FileFault { path, fault: "is not a store".to_owned(), kind: DriftKind::Changed };
        FullCheck { faults: vec![fault], ..FullCheck::default() }
    };
    let mut problems: Vec<_> = check.faults.iter().map(ToString::to_string).collect();
    let links = broken_links(&about.target, current.number, &current.manifest);
    let units = unsettled_units(about, &mut session.connection, &current)?;
    let (damaged, unsettled) = (!problems.is_empty(), !links.is_empty() || !units.is_empty());
    problems.extend(links.into_iter().map(|(_, problem)| problem));
    problems.extend(Journal::of(&about.target).unreadable()?);
    problems.extend(units);
    problems.truncate(TOLD);
    if let Some(locked) = session.locked.as_mut().filter(|_| !check.faults.is_empty()) {
        locked.damaged = to_be_sent(&locked.store, &current.manifest.components)?;
    }
    Ok(Reply::Verified { problems, files: check.files, damaged, unsettled })
}

fn unsettled_units(
    about: &About,
    connection: &mut Connection,
    current: &Installed,
) -> Result<Vec<String>, Error> {
    let mut activated = Activated::load(&about.target)?;
    let mut problems = Vec::new();
    for component in &current.manifest.components {
        for unit in &component.units {
            if !unit::holds(&about.target, &activated, component, unit) {
                problems.push(format!("{} has not converged", component.unit_id(unit)));
            }
            let attention = Attention::Quiet;
            let (activated, runs) = (&mut activated, &mut Vec::new());
            let mut convergence =
                Convergence { about, lock: None, connection, attention, activated, runs, sequence: 0 };
            problems.extend(convergence.verify(component, unit)?);
        }
    }
    Ok(problems)
}

/// A file that is not as it was released.
pub(crate) struct FileFault {
    pub(crate) path: PathBuf,
    fault: String,
    pub(crate) kind: DriftKind,
}

impl fmt::Display for FileFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.path.display(), self.fault)
    }
}

/// What a full check of checked-out artifacts found.
#[derive(Default)]
pub(crate) struct FullCheck {
    pub(crate) faults: Vec<FileFault>,
    files: u64,
}

impl FullCheck {
    /// Reads and hashes every file of a manifest's artifacts.
    fn of(store: &Store, manifest: &Manifest) -> Self {
        let mut check = Self::default();
        manifest.components.iter().for_each(|component| check.component(store, component));
        check
    }

    /// Reads and hashes every file of a component's artifact.
    pub(crate) fn component(&mut self, store: &Store, component: &Component) {
        let folder = store.artifact_path(&component.artifact, &component.name);
        let wanted = store.artifact(&component.artifact).and_then(|artifact| store.files(&artifact.tree));
        match wanted {
            Ok(wanted) => self.folder(&folder, &wanted),
            Err(error) => {
                let fault = format!("cannot be checked: {}", sentence(&error));
                self.faults.push(FileFault { path: folder, fault, kind: DriftKind::Changed });
            }
        }
    }

    fn folder(&mut self, folder: &Path, wanted: &BTreeMap<RelPath, Node>) {
        let known: BTreeSet<_> = wanted.keys().map(|path| folder.join(path.as_str())).collect();
        let found = walk(folder).into_iter().filter(|path| !known.contains(path));
        let foreign =
            |path| FileFault { path, fault: "does not belong there".to_owned(), kind: DriftKind::Foreign };
        self.faults.extend(found.map(foreign));
        for (path, node) in wanted {
            let path = folder.join(path.as_str());
            self.files += u64::from(matches!(node, Node::File { .. }));
            if let Some((fault, kind)) = fault(&path, node) {
                self.faults.push(FileFault { path, fault, kind });
            }
        }
    }
}

/// All files below a folder. A folder that cannot be read counts as empty: its files are reported as missing.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let is_folder = entry.file_type().is_ok_and(fs::FileType::is_dir);
            if is_folder { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort();
    files
}

/// How what is on the disk differs from what a node says.
fn fault(path: &Path, node: &Node) -> Option<(String, DriftKind)> {
    match examine(path, node) {
        Ok(fault) => fault.map(|fault| (fault.to_owned(), DriftKind::Changed)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some(("is missing".into(), DriftKind::Missing))
        }
        Err(error) => Some((format!("cannot be read: {error}"), DriftKind::Changed)),
    }
}

fn examine(path: &Path, node: &Node) -> io::Result<Option<&'static str>> {
    let metadata = fs::symlink_metadata(path)?;
    Ok(match node {
        Node::Directory { .. } => (!metadata.is_dir()).then_some("is not a folder"),
        Node::Symlink { target } => {
            let same = metadata.is_symlink() && fs::read_link(path)? == Path::new(target);
            (!same).then_some("is not the link that it should be")
        }
        Node::File { .. } if !metadata.is_file() => Some("is not a file"),
        Node::File { mode, .. } if metadata.mode() & 0o7777 != mode.bits() => Some("has another mode"),
        Node::File { digest, size, .. } => {
            let same = metadata.len() == *size && hash(path)? == *digest;
            (!same).then_some("has other content")
        }
    })
}

fn hash(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = FileHasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
