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
use crate::drift;
use crate::error::{Error, sentence};
use crate::faults;
use crate::intent::Intent;
use crate::journal::Journal;
use crate::pointer::{self, InForce};
use crate::protocol::{DriftKind, DriftedFile, Reply};
use crate::release::{Installed, broken_links};
use crate::session::{About, Session, no_hello};
use crate::unit::{self, Convergence};
use batou_release::{Component, Manifest};

/// The most problems that are reported.
const TOLD: usize = 1000;
/// The folder of checkouts in a store.
const ARTIFACTS: &str = "artifacts";

/// The objects that have to be sent again for these components: what is damaged or missing of what they need, and what
/// needs that.
pub(crate) fn to_be_sent(store: &Store, components: &[Component]) -> Result<HashSet<ObjectId>, Error> {
    let artifacts: Vec<_> =
        components.iter().map(|component| ObjectId::Artifact(component.artifact)).collect();
    Ok(store.unsound(&artifacts)?)
}

/// Checks the current generation: every file, every link, and every unit, and whether it is the one that the journal has in
/// force. Nothing is changed; under the lock what is damaged counts as missing from then on. What is wrong with the host's
/// records is in its [state](crate::protocol::State), too, and is told from there.
pub(crate) fn verify(session: &mut Session) -> Result<Reply, Error> {
    let about = session.about.as_ref().ok_or_else(no_hello)?;
    let in_force = about.in_force(&about.generations()?)?;
    let (unreadable, astray) = (Journal::of(&about.target).unreadable()?, astray(about, &in_force)?);
    let Some(current) = in_force.installed else {
        let unsettled = !astray.is_empty();
        let problems = astray.into_iter().chain(unreadable).collect();
        return Ok(Reply::Verified { problems, files: 0, damaged: false, unsettled });
    };
    let store = about.target.existing_store()?;
    let (check, looks) = if let Some(store) = &store {
        let check = FullCheck::of(store, &current.manifest);
        let looks = check.looks(store, &current.manifest)?;
        (check, looks)
    } else {
        let path = about.target.store();
        let fault = FileFault { path, fault: "is not a store".to_owned(), kind: DriftKind::Changed };
        (FullCheck { faults: vec![fault], ..FullCheck::default() }, Vec::new())
    };
    let mut problems: Vec<_> = check.faults.iter().map(ToString::to_string).collect();
    let damaged = !problems.is_empty();
    problems.extend(astray);
    problems.extend(looks);
    let states = drift::states(about, current.manifest.components.iter());
    problems.extend(states.iter().map(|state| lost_state(about, state)));
    let links = broken_links(&about.target, current.number, &current.manifest);
    problems.extend(links.into_iter().map(|(_, problem)| problem));
    let settled = problems.len();
    problems.extend(unreadable);
    let units = unsettled_units(about, &mut session.connection, &current)?;
    let unsettled = settled > check.faults.len() || !units.is_empty();
    problems.extend(units);
    problems.truncate(TOLD);
    if let Some(locked) = session.locked.as_mut().filter(|_| !check.faults.is_empty()) {
        locked.damaged = to_be_sent(&locked.store, &current.manifest.components)?;
    }
    Ok(Reply::Verified { problems, files: check.files, damaged, unsettled })
}

/// How `current` does not lead to what the journal has in force. That a manifest is damaged is in the host's state.
fn astray(about: &About, in_force: &InForce) -> Result<Vec<String>, Error> {
    let target = &about.target;
    let found = match (&in_force.installed, &in_force.broken) {
        (Some(installed), _) => {
            let (tail, generations) = (Journal::of(target).tail()?, about.generations()?);
            let faults = faults::of(target, &generations, (in_force, &tail, Intent::is_there(target)))?;
            pointer::contradiction(target, installed, (&tail, &faults))
        }
        (None, Some(astray @ Error::Astray { .. })) => Some(sentence(astray)),
        (None, _) => in_force
            .is_lost
            .then(|| "`current` is missing, and so is the generation to which it led".to_owned()),
    };
    Ok(found.into_iter().collect())
}

fn lost_state(about: &About, state: &DriftedFile) -> String {
    let path = about.target.directory().join(&state.path);
    let what = if state.kind == DriftKind::Lost { "is gone, with all data in it" } else { "is no folder" };
    format!("{} {what}", path.display())
}

fn unsettled_units(
    about: &About,
    connection: &mut Connection,
    current: &Installed,
) -> Result<Vec<String>, Error> {
    let mut activated = match Activated::load(&about.target) {
        // That it is damaged is in the host's state.
        Err(Error::Record { .. }) => return Ok(Vec::new()),
        loaded => loaded?,
    };
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

    /// What else is not as it was made, as sentences. Files of checkouts are not among that: what they have was hashed, and
    /// other times or inodes, as a copy has, are no fault then.
    fn looks(&self, store: &Store, manifest: &Manifest) -> Result<Vec<String>, Error> {
        let checkouts: Vec<_> =
            manifest.components.iter().map(|component| (component.artifact, &component.name)).collect();
        let mut problems = store.look(&checkouts)?;
        problems.retain(|problem| {
            let path = store.root().join(&problem.path);
            let is_folder = fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
            let is_hashed = problem.path.starts_with(ARTIFACTS) && !is_folder;
            !is_hashed && !self.faults.iter().any(|fault| fault.path.starts_with(&path))
        });
        Ok(problems.iter().map(|problem| format!("{problem} in {}", store.root().display())).collect())
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
