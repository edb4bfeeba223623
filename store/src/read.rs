//! Reading objects with a check, so that nothing unchecked enters or leaves the store.

use batou_system::fs::{File, open_file};
use std::io::{self, Read};
use std::path::PathBuf;

use crate::digest::FileHasher;
use crate::fs::no_file;
use crate::object::{DecodedObject, MAX_ENCODING};
use crate::tree::TreeError;
use crate::{Digest, Error, ObjectId};

/// An object's bytes. The read that would return the end fails with `InvalidData` if they are not what
/// the object's id says.
#[derive(Debug)]
pub struct ObjectReader {
    content: ObjectBytes,
    path: PathBuf,
}

/// A blob is checked while it is read; an encoding was checked when it was opened.
#[derive(Debug)]
enum ObjectBytes {
    Blob { file: File, hasher: Box<FileHasher>, digest: Digest, left: u64 },
    Encoding(io::Cursor<Vec<u8>>),
}

impl ObjectReader {
    pub(crate) fn open(path: PathBuf, object: ObjectId) -> Result<Self, Error> {
        let file = match open_file(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::Missing(object)),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => return Err(no_file(&path)),
            Err(source) => return Err(Error::Io { action: "open", path, source }),
        };
        let content = if let ObjectId::Blob { digest, size, .. } = object {
            ObjectBytes::Blob { file, hasher: Box::default(), digest, left: size }
        } else {
            let bytes = read_encoding(&object, &mut io::BufReader::new(file))?;
            ObjectBytes::Encoding(io::Cursor::new(bytes))
        };
        Ok(Self { content, path })
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (file, hasher, digest, left) = match &mut self.content {
            ObjectBytes::Encoding(bytes) => return bytes.read(buffer),
            ObjectBytes::Blob { file, hasher, digest, left } => (file, hasher, digest, left),
        };
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = file.read(buffer)?;
        hasher.update(&buffer[..count]);
        let over = count as u64 > *left;
        *left = left.saturating_sub(count as u64);
        if over || count == 0 && (*left > 0 || hasher.finish() != *digest) {
            let message =
                format!("{} is damaged: its content does not match its digest", self.path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(count)
    }
}

/// Reads an encoding to its end, and checks its digest.
pub(crate) fn read_encoding(object: &ObjectId, from: &mut dyn Read) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    from.take(MAX_ENCODING + 1).read_to_end(&mut bytes).map_err(stream("read", object))?;
    if bytes.len() as u64 > MAX_ENCODING {
        let size = bytes.len() as u64;
        return Err(Error::TooLarge { subject: object.to_string(), size, limit: MAX_ENCODING });
    }
    let found = object.kind().digest_of(&bytes);
    if found == *object.digest() { Ok(bytes) } else { Err(mismatch(object, &found)) }
}

pub(crate) fn mismatch(object: &impl ToString, found: &impl ToString) -> Error {
    Error::Mismatch { object: object.to_string(), found: found.to_string() }
}

/// For `map_err`: an error of a reader or writer that a caller passed in.
pub(crate) fn stream(action: &'static str, subject: impl ToString) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Stream { action, subject: subject.to_string(), source }
}

/// What an object's bytes, whose digest has been checked, say.
pub(crate) fn decode(object: &ObjectId, bytes: &[u8]) -> Result<DecodedObject, Error> {
    DecodedObject::decode(object.kind(), bytes).map_err(undecodable(*object))
}

/// For `map_err`: bytes that have the right digest but are not a canonical encoding.
pub(crate) fn undecodable(object: ObjectId) -> impl FnOnce(TreeError) -> Error {
    move |source| Error::Encoding { subject: object.to_string(), source }
}
