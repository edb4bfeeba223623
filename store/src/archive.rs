//! Artifacts and records as one file: a tar archive, compressed with zstd, for hosts without a network.
//!
//! The first entry, `batou-release`, is JSON that declares everything that follows, in this order: the named records
//! (`records/0`, …) and the objects, children before parents. An import trusts none of it. Each entry must be the one
//! that was declared, with the declared size, and each object is hashed. The entries' names are only compared with
//! what is expected, never used as paths. Any deviation ends the import, and nothing is stored.

use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tar::{Archive, Builder, EntryType, Header};

use crate::json::json;
use crate::read::{mismatch, stream};
use crate::{ArtifactId, Copied, Digest, Error, ObjectId, RelPath, Store};

/// The version of the archive format.
const VERSION: u64 = 1;
/// The name of the first entry.
const INDEX: &str = "batou-release";
/// The largest first entry that is read, in bytes.
const MAX_INDEX: u64 = 256 << 20;
/// The most bytes that all records may have together.
const MAX_RECORDS: u64 = 256 << 20;
/// The compression level: zstd's default, which is fast enough on a laptop.
const LEVEL: i32 = 3;

/// The first entry: what the archive holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchiveIndex {
    version: u64,
    roots: Vec<ArtifactId>,
    records: Vec<RecordEntry>,
    objects: Vec<ObjectEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordEntry {
    name: RelPath,
    size: u64,
    digest: Digest,
}

/// An object and the length of its bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ObjectEntry {
    object: ObjectId,
    size: u64,
}

/// Records by name.
type NamedRecords = Vec<(String, Vec<u8>)>;

/// Writes the artifacts, everything they need, and the records, whose names must be relative paths.
pub fn export(
    store: &Store,
    roots: &[ArtifactId],
    records: &[(String, Vec<u8>)],
    to: impl Write,
) -> Result<Copied, Error> {
    let objects = store.closure(roots)?.objects();
    let index = index(store, roots, records, &objects)?;
    let writing = || stream("write", "the archive");
    let compressor = zstd::Encoder::new(to, LEVEL).map_err(writing())?;
    let mut tar = Builder::new(compressor);
    let encoded = json(&index);
    append(&mut tar, INDEX, encoded.len() as u64, &mut &encoded[..])?;
    for (number, (_, bytes)) in records.iter().enumerate() {
        append(&mut tar, &format!("records/{number}"), bytes.len() as u64, &mut &bytes[..])?;
    }
    for declared in &index.objects {
        let mut object = store.object(&declared.object)?;
        append(&mut tar, &entry_name(&declared.object), declared.size, &mut object)?;
        // `append` stops at the declared size. It is the read that meets the end which compares the digest.
        io::copy(&mut object, &mut io::sink()).map_err(stream("read", declared.object))?;
    }
    tar.into_inner().and_then(zstd::Encoder::finish).and_then(|mut to| to.flush()).map_err(writing())?;
    Ok(Copied::of(&objects))
}

fn index(
    store: &Store,
    roots: &[ArtifactId],
    records: &[(String, Vec<u8>)],
    objects: &[ObjectId],
) -> Result<ArchiveIndex, Error> {
    let record = |(name, bytes): &(String, Vec<u8>)| {
        Ok::<_, Error>(RecordEntry {
            name: RelPath::new(name)?,
            size: bytes.len() as u64,
            digest: Digest::of(bytes),
        })
    };
    let declared = |object: &ObjectId| {
        let size = if let Some(size) = object.stated_size() {
            size
        } else {
            let path = store.layout.object(object);
            batou_system::fs::metadata(&path).map_err(Error::io("examine", &path))?.len()
        };
        Ok::<_, Error>(ObjectEntry { object: *object, size })
    };
    Ok(ArchiveIndex {
        version: VERSION,
        roots: roots.to_vec(),
        records: records.iter().map(record).collect::<Result<_, _>>()?,
        objects: objects.iter().map(declared).collect::<Result<_, _>>()?,
    })
}

fn append(tar: &mut Builder<impl Write>, name: &str, size: u64, bytes: &mut dyn Read) -> Result<(), Error> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_path(name).map_err(stream("write", "the archive"))?;
    header.set_cksum();
    tar.append(&header, bytes.take(size)).map_err(stream("write", name))
}

/// What an object is called in an archive.
fn entry_name(object: &ObjectId) -> String {
    format!("{}s/{}", object.kind().noun(), object.file_name())
}

/// Stores what an archive holds, and returns its artifacts and records. If anything fails, nothing is stored.
pub fn import_archive(store: &Store, from: impl Read) -> Result<(Vec<ArtifactId>, NamedRecords), Error> {
    let decoder = zstd::Decoder::new(from).map_err(unreadable)?;
    let mut tar = Archive::new(decoder);
    // Raw entries: otherwise the extensions of the format, such as long names, would be read into memory without a
    // limit. Raw, they are refused like any other entry that was not declared.
    let mut entries = tar.entries().map_err(unreadable)?.raw(true);
    let mut next = || match entries.next() {
        Some(entry) => entry.map(ArchiveEntry).map_err(unreadable),
        None => Err(Error::Archive("it ends too early".to_owned())),
    };

    let index = read_index(next()?)?;
    check_space(store, &index)?;
    let mut records = NamedRecords::new();
    for (number, record) in index.records.iter().enumerate() {
        let bytes = next()?.expect(&format!("records/{number}"), record.size)?.whole(MAX_RECORDS)?;
        if Digest::of(&bytes) != record.digest {
            return Err(mismatch(&record.name, &Digest::of(&bytes)));
        }
        records.push((record.name.to_string(), bytes));
    }
    let batch = store.batch()?;
    for declared in &index.objects {
        let mut entry = next()?.expect(&entry_name(&declared.object), declared.size)?;
        batch.receive(&declared.object, &mut entry.0)?;
    }
    match next() {
        Err(Error::Archive(_)) => {}
        Err(error) => return Err(error),
        Ok(_) => return Err(Error::Archive("it holds more than it declares".to_owned())),
    }
    for root in &index.roots {
        let object = ObjectId::Artifact(*root);
        if !batch.has(&object)? {
            return Err(Error::Archive(format!("it declares {object} but does not hold it")));
        }
    }
    batch.commit()?;
    Ok((index.roots, records))
}

fn unreadable(error: io::Error) -> Error {
    match error.kind() {
        // This is how the decompressor reports an incomplete frame.
        io::ErrorKind::UnexpectedEof => Error::Archive("it ends too early".to_owned()),
        _ => stream("read", "the archive")(error),
    }
}

/// An entry of an archive that is being read.
struct ArchiveEntry<'a, R: Read>(tar::Entry<'a, R>);

impl<R: Read> ArchiveEntry<'_, R> {
    /// Refuses an entry that is not a file with this name and size.
    fn expect(self, name: &str, size: u64) -> Result<Self, Error> {
        self.expect_name(name)?;
        let found = self.0.header().entry_size().map_err(stream("read", name))?;
        if found == size {
            Ok(self)
        } else {
            Err(Error::Archive(format!("{name} has {found} bytes, but {size} were declared")))
        }
    }

    fn expect_name(&self, name: &str) -> Result<(), Error> {
        let header = self.0.header();
        if header.entry_type() == EntryType::Regular && *header.path_bytes() == *name.as_bytes() {
            return Ok(());
        }
        let found = String::from_utf8_lossy(&header.path_bytes()).into_owned();
        let kind = header.entry_type();
        Err(Error::Archive(format!("the file {name:?} was expected, but {found:?} ({kind:?}) was found")))
    }

    fn whole(mut self, limit: u64) -> Result<Vec<u8>, Error> {
        let size = self.0.header().entry_size().map_err(unreadable)?;
        if size > limit {
            return Err(Error::TooLarge { subject: "an entry of the archive".to_owned(), size, limit });
        }
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 == size {
            Ok(bytes)
        } else {
            Err(Error::Archive("it ends too early".to_owned()))
        }
    }
}

fn read_index(entry: ArchiveEntry<'_, impl Read>) -> Result<ArchiveIndex, Error> {
    #[derive(Deserialize)]
    struct IndexVersion {
        version: u64,
    }
    entry.expect_name(INDEX)?;
    let bytes = entry.whole(MAX_INDEX)?;
    let broken =
        |error: serde_json::Error| Error::Archive(format!("its list of contents is damaged: {error}"));
    let version = serde_json::from_slice::<IndexVersion>(&bytes).map_err(broken)?.version;
    if version > VERSION {
        let message = format!("it has format {version}, but this program only knows formats up to {VERSION}");
        return Err(Error::Archive(message));
    }
    let index: ArchiveIndex = serde_json::from_slice(&bytes).map_err(broken)?;
    for declared in &index.objects {
        if declared.object.stated_size().is_some_and(|size| size != declared.size) {
            return Err(Error::Archive(format!("it declares two sizes for {}", declared.object)));
        }
    }
    let size = index.records.iter().fold(0_u64, |sum, record| sum.saturating_add(record.size));
    if size > MAX_RECORDS {
        return Err(Error::TooLarge {
            subject: "the archive's records".to_owned(),
            size,
            limit: MAX_RECORDS,
        });
    }
    Ok(index)
}

/// Refuses an archive that does not fit on the disk. It cannot unpack to more than it declares, so the declared sizes
/// decide.
fn check_space(store: &Store, index: &ArchiveIndex) -> Result<(), Error> {
    let root: &Path = store.root();
    let mut size = 0_u64;
    for declared in &index.objects {
        if !store.contains(&declared.object)? {
            size = size.saturating_add(declared.size);
        }
    }
    let space = batou_system::fs::space(root).map_err(Error::io("examine the filesystem of", root))?;
    let limit = space.bytes;
    if size > limit {
        return Err(Error::TooLarge { subject: "the archive's content".to_owned(), size, limit });
    }
    Ok(())
}
