//! Checking what is on the host against what its manifest says.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use batou_store::{Digest, FileHasher, Node, ObjectId, RelPath, Remedy, Store};

use crate::activated::Activated;
use crate::command::Attention;
use crate::connection::Connection;
use crate::error::Error;
use crate::protocol::Reply;
use crate::release::{Installed, broken_links};
use crate::session::{About, Locked, Session, no_hello};
use crate::unit::{self, Convergence};
use batou_release::{Component, Manifest};

/// The most problems that are reported.
const TOLD: usize = 1000;

/// Checks that everything a manifest needs is here and undamaged, before the host switches to it. Only files whose
/// metadata have changed since they were checked out are read; with `recheck`, all are.
///
/// What is damaged is remembered, and counts as missing until it has been sent again.
pub(crate) fn check_closure(
    about: &About,
    locked: &mut Locked,
    manifest: &Manifest,
    recheck: bool,
) -> Result<(), Error> {
    let mut problems = Vec::new();
    for problem in locked.store.verify_artifacts(&manifest.artifacts())? {
        problems.push(format!("{} in {}", problem, locked.store.root().display()));
    }
    if recheck {
        problems.extend(FullCheck::of(&locked.store, manifest).problems);
    }
    if problems.is_empty() {
        return Ok(());
    }
    locked.damaged = damaged(&locked.store, manifest)?;
    problems.sort();
    problems.dedup();
    Err(Error::Damaged {
        subject: format!("the release in {}", about.target.directory().display()),
        problems,
    })
}

/// The objects that have to be sent again: those that are damaged or missing, and the record and trees of each
/// artifact whose checkout is damaged. Those have to count as missing too, because a controller looks for missing
/// objects from the artifacts downwards, and only below those that are missing.
fn damaged(store: &Store, manifest: &Manifest) -> Result<HashSet<ObjectId>, Error> {
    let mut objects = HashSet::new();
    for component in &manifest.components {
        let found = store.verify_artifacts(&[component.artifact])?;
        let mut check = FullCheck::default();
        check.component(store, component);
        if found.is_empty() && check.problems.is_empty() {
            continue;
        }
        let fetched = found.iter().filter_map(|problem| match problem.remedy {
            Remedy::Fetch(object) => Some(object),
            _ => None,
        });
        objects.extend(fetched.chain(check.damaged).chain([ObjectId::Artifact(component.artifact)]));
        if let Ok(artifact) = store.artifact(&component.artifact) {
            objects.extend(trees(store, artifact.tree));
        }
    }
    Ok(objects)
}

/// The trees below one, as far as they can be read.
fn trees(store: &Store, root: Digest) -> Vec<ObjectId> {
    let mut known = BTreeSet::from([root]);
    let mut unread = vec![root];
    while let Some(digest) = unread.pop() {
        let Ok(tree) = store.tree(&digest) else { continue };
        for (_, node) in tree.iter() {
            if let Node::Directory { digest } = node
                && known.insert(*digest)
            {
                unread.push(*digest);
            }
        }
    }
    known.into_iter().map(ObjectId::Tree).collect()
}

/// Checks the current generation: every file, every link, and every unit. Nothing is changed; under the
/// lock what is damaged counts as missing from then on.
pub(crate) fn verify(session: &mut Session) -> Result<Reply, Error> {
    let about = session.about.as_ref().ok_or_else(no_hello)?;
    let Some(current) = about.current(&about.generations()?)? else {
        return Ok(Reply::Verified { problems: Vec::new(), files: 0 });
    };
    let mut check = if let Some(store) = about.target.existing_store()? {
        FullCheck::of(&store, &current.manifest)
    } else {
        let problems = vec![format!("{} is not a store", about.target.store().display())];
        FullCheck { problems, ..FullCheck::default() }
    };
    check.problems.extend(broken_links(&about.target, current.number, &current.manifest));
    check.problems.extend(unsettled_units(about, &mut session.connection, &current)?);
    check.problems.truncate(TOLD);
    if let Some(locked) = session.locked.as_mut().filter(|_| !check.problems.is_empty()) {
        locked.damaged = damaged(&locked.store, &current.manifest)?;
    }
    Ok(Reply::Verified { problems: check.problems, files: check.files })
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
            let mut convergence = Convergence { about, connection, attention, activated, runs, sequence: 0 };
            problems.extend(convergence.verify(component, unit)?);
        }
    }
    Ok(problems)
}

/// What a full check of checked-out artifacts found.
#[derive(Default)]
struct FullCheck {
    problems: Vec<String>,
    damaged: Vec<ObjectId>,
    files: u64,
}

impl FullCheck {
    /// Reads and hashes every file of a manifest's artifacts.
    fn of(store: &Store, manifest: &Manifest) -> Self {
        let mut check = Self::default();
        manifest.components.iter().for_each(|component| check.component(store, component));
        check
    }

    fn component(&mut self, store: &Store, component: &Component) {
        let wanted = store.artifact(&component.artifact).and_then(|artifact| store.files(&artifact.tree));
        match wanted {
            Ok(wanted) => self.folder(&store.artifact_path(&component.artifact, &component.name), &wanted),
            Err(error) => self.problems.push(Error::from(error).sentence()),
        }
    }

    fn folder(&mut self, folder: &Path, wanted: &BTreeMap<RelPath, Node>) {
        let known: BTreeSet<_> = wanted.keys().map(|path| folder.join(path.as_str())).collect();
        let found = walk(folder).into_iter().filter(|path| !known.contains(path));
        self.problems.extend(found.map(|path| format!("{} does not belong there", path.display())));
        for (path, node) in wanted {
            let path = folder.join(path.as_str());
            self.files += u64::from(matches!(node, Node::File { .. }));
            if let Some(fault) = fault(&path, node) {
                self.problems.push(format!("{} {fault}", path.display()));
                self.damaged.extend(ObjectId::of_node(node));
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
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort();
    files
}

/// How what is on the disk differs from what a node says.
fn fault(path: &Path, node: &Node) -> Option<String> {
    match examine(path, node) {
        Ok(fault) => fault.map(str::to_owned),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some("is missing".into()),
        Err(error) => Some(format!("cannot be read: {error}")),
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
        Node::File { mode, .. } if metadata.permissions().mode() & 0o7777 != mode.bits() => {
            Some("has another mode")
        }
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
