//! A built release in one file, for machines without a network: a tar archive, compressed with zstd.
//!
//! The first entry is the release's record, `release.json`; then come the objects of all its artifacts, children
//! before parents: `blobs/<digest>-<mode>`, `trees/<digest>`, `artifacts/<id>`. Nothing of an archive is believed: every
//! object is hashed while it is read, and the release's ids must be those of its content.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use batou_store::{Artifact, Batch, Mode, ObjectId, Store, Tree};
use tar::{Archive, Builder, EntryType, Header};

use crate::error::CommandError;
use crate::records::Record;
use crate::ui::Progress;

const RECORD: &str = "release.json";
const LEVEL: i32 = 9;
/// The most bytes of an entry that is held in memory.
const MAX_RECORD: u64 = 256 << 20;

/// Writes a release and everything that it needs into a file, which appears whole or not at all.
pub fn export(store: &Store, record: &Record, path: &Path, progress: &Progress) -> Result<(), CommandError> {
    let failed = |error: io::Error| {
        CommandError::failed(format!("{} cannot be written", path.display())).because(error)
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let closure = store.closure(&record.artifacts())?;
    progress.start("exporting", 0, closure.bytes());
    let mut archive = Builder::new(zstd::Encoder::new(file.as_file_mut(), LEVEL).map_err(failed)?);
    let encoded = record.encode();
    append(&mut archive, RECORD, encoded.len() as u64, &mut &encoded[..]).map_err(failed)?;
    for object in closure.objects() {
        let size = append_object(store, &object, &mut archive, &failed)?;
        progress.add(1, size);
    }
    let compressed = archive.into_inner().and_then(zstd::Encoder::finish).map_err(failed)?;
    compressed.sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn append_object(
    store: &Store,
    object: &ObjectId,
    archive: &mut Builder<impl Write>,
    failed: &impl Fn(io::Error) -> CommandError,
) -> Result<u64, CommandError> {
    let (name, bytes) = match object {
        ObjectId::Blob { digest, size, mode } => {
            let name = format!("blobs/{digest}-{:04o}", mode.bits());
            append(archive, &name, *size, &mut store.blob(digest)?).map_err(failed)?;
            return Ok(*size);
        }
        ObjectId::Tree(digest) => (format!("trees/{digest}"), store.tree(digest)?.encode()),
        ObjectId::Artifact(id) => (format!("artifacts/{id}"), store.artifact(id)?.encode()),
    };
    append(archive, &name, bytes.len() as u64, &mut &bytes[..]).map_err(failed)?;
    Ok(bytes.len() as u64)
}

fn append(archive: &mut Builder<impl Write>, name: &str, size: u64, from: &mut dyn Read) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(EntryType::Regular);
    archive.append_data(&mut header, name, from.take(size))
}

/// Reads a release from a file into the store. Nothing of it is in the store before all of it was read and verified.
pub fn import(store: &Store, path: &Path, progress: &Progress) -> Result<Record, CommandError> {
    let refused = |error: Refused| CommandError::input(path.display().to_string()).because(error);
    let unreadable = |error: io::Error| refused(Refused::Unreadable(error));
    let file = File::open(path).map_err(unreadable)?;
    let mut archive = Archive::new(zstd::Decoder::new(file).map_err(unreadable)?);
    let mut entries = archive.entries().map_err(unreadable)?;
    let first = entries.next().ok_or_else(|| refused(Refused::NoRelease))?;
    let mut first = first.map_err(unreadable)?;
    if first.path_bytes().as_ref() != RECORD.as_bytes() {
        return Err(refused(Refused::NoRelease));
    }
    let bytes = read_bounded(&mut first).map_err(refused)?;
    let record = Record::decode(&bytes).map_err(|error| refused(error.into()))?;
    progress.start("importing", 0, 0);
    let batch = store.batch()?;
    for entry in entries {
        let mut entry = entry.map_err(unreadable)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        import_object(&batch, &name, &mut entry).map_err(refused)?;
        progress.add(1, 0);
    }
    batch.commit()?;
    for artifact in record.artifacts() {
        if !store.contains(&ObjectId::Artifact(artifact))? {
            return Err(refused(Refused::Incomplete(artifact.to_string())));
        }
    }
    Ok(record)
}

fn import_object(batch: &Batch<'_>, name: &str, entry: &mut (impl Read + Sized)) -> Result<(), Refused> {
    let foreign = || Refused::Foreign(name.to_owned());
    let (kind, id) = name.split_once('/').ok_or_else(foreign)?;
    match kind {
        "blobs" => {
            let (digest, mode) = id.split_once('-').ok_or_else(foreign)?;
            let digest = digest.parse().map_err(|_| foreign())?;
            let bits = u32::from_str_radix(mode, 8).map_err(|_| foreign())?;
            let mode = Mode::new(bits).map_err(|_| foreign())?;
            batch.blob(Some(&digest), mode, entry)?;
        }
        "trees" => {
            let tree = Tree::decode(&read_bounded(entry)?).map_err(|_| Refused::Damaged(name.to_owned()))?;
            if batch.tree(&tree)?.to_string() != id {
                return Err(Refused::Damaged(name.to_owned()));
            }
        }
        "artifacts" => {
            let artifact =
                Artifact::decode(&read_bounded(entry)?).map_err(|_| Refused::Damaged(name.to_owned()))?;
            if batch.artifact(&artifact)?.to_string() != id {
                return Err(Refused::Damaged(name.to_owned()));
            }
        }
        _ => return Err(foreign()),
    }
    Ok(())
}

fn read_bounded(entry: &mut impl Read) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    entry.take(MAX_RECORD + 1).read_to_end(&mut bytes).map_err(Refused::Unreadable)?;
    if bytes.len() as u64 > MAX_RECORD { Err(Refused::TooLarge) } else { Ok(bytes) }
}

/// Why an archive is not imported.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("it is no exported release: {RECORD} is not its first entry")]
    NoRelease,
    #[error("{RECORD} cannot be used")]
    Record(#[from] crate::records::RecordError),
    #[error("it holds {0}, which does not belong into an exported release")]
    Foreign(String),
    #[error("{0} is damaged")]
    Damaged(String),
    #[error("an entry is larger than any of its kind can be")]
    TooLarge,
    #[error("the artifact {0} is missing")]
    Incomplete(String),
    #[error("an object cannot be stored")]
    Store(#[from] batou_store::Error),
}
