//! Objects in transit between two stores: one zstd stream of headers and bytes.
//!
//! Before each object's bytes there is a 4-byte big-endian length, and an [`ObjectHeader`] in JSON of that length.
//! The stream ends with the last object. Nothing here is trusted: the receiving store hashes what it gets.

use std::io::{self, Read, Write};

use batou_store::ObjectId;

use crate::protocol::ObjectHeader;

/// The most bytes an object's header may have.
const MAX_HEADER: u32 = 4096;
/// zstd's window, as a power of two: what a receiver must hold in memory.
const WINDOW_LOG: u32 = 23;
/// zstd's compression level: fast, and with most of the gain that is possible on text.
const LEVEL: i32 = 3;

/// Writes objects into a compressed stream.
pub struct ObjectEncoder<W: Write> {
    stream: zstd::Encoder<'static, W>,
}

impl<W: Write> ObjectEncoder<W> {
    /// A stream into `to`.
    pub fn new(to: W) -> io::Result<Self> {
        let mut stream = zstd::Encoder::new(to, LEVEL)?;
        stream.window_log(WINDOW_LOG)?;
        Ok(ObjectEncoder { stream })
    }

    /// Appends an object; one whose id states its size must have as many bytes.
    pub fn object(&mut self, object: &ObjectId, bytes: &mut dyn Read) -> io::Result<()> {
        let Some(size) = object.stated_size() else {
            let mut encoding = Vec::new();
            bytes.read_to_end(&mut encoding)?;
            self.header(object, encoding.len() as u64)?;
            return self.stream.write_all(&encoding);
        };
        self.header(object, size)?;
        let copied = io::copy(&mut (&mut *bytes).take(size), &mut self.stream)?;
        // Whether they are the bytes that they should be is known to their reader when it comes to their end.
        let ended = bytes.read(&mut [0])? == 0;
        if ended && copied == size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn header(&mut self, object: &ObjectId, size: u64) -> io::Result<()> {
        let header = serde_json::to_vec(&ObjectHeader { object: *object, size })?;
        let length = u32::try_from(header.len()).map_err(io::Error::other)?;
        self.stream.write_all(&length.to_be_bytes())?;
        self.stream.write_all(&header)
    }

    /// Ends the stream.
    pub fn finish(self) -> io::Result<W> {
        self.stream.finish()
    }
}

/// Reads objects from a compressed stream.
pub struct ObjectDecoder<R: Read> {
    stream: zstd::Decoder<'static, io::BufReader<R>>,
}

impl<R: Read> ObjectDecoder<R> {
    /// A stream from `from`.
    pub fn new(from: R) -> io::Result<Self> {
        let mut stream = zstd::Decoder::new(from)?;
        stream.window_log_max(WINDOW_LOG)?;
        Ok(ObjectDecoder { stream })
    }

    /// The next object and its bytes, which need not be read to their end; none at the end of the stream.
    pub fn next<T>(
        &mut self,
        each: impl FnOnce(&ObjectHeader, &mut dyn Read) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        let Some(header) = self.header()? else { return Ok(None) };
        let mut bytes = (&mut self.stream).take(header.size);
        let value = each(&header, &mut bytes)?;
        // What `each` left unread comes before the next header.
        io::copy(&mut bytes, &mut io::sink())?;
        if bytes.limit() > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(value))
    }

    fn header(&mut self) -> io::Result<Option<ObjectHeader>> {
        let mut length = [0; 4];
        if self.stream.read(&mut length[..1])? == 0 {
            return Ok(None);
        }
        self.stream.read_exact(&mut length[1..])?;
        let length = u32::from_be_bytes(length);
        if length > MAX_HEADER {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an object's header is too long"));
        }
        let mut header = vec![0; length as usize];
        self.stream.read_exact(&mut header)?;
        Ok(Some(serde_json::from_slice(&header)?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use batou_store::{Digest, Mode};
    use proptest::prelude::*;

    use super::*;

    fn stream(contents: &[Vec<u8>]) -> Vec<u8> {
        let mut writer = ObjectEncoder::new(Vec::new()).unwrap();
        for content in contents {
            let digest = Digest::of(content);
            let object = ObjectId::Blob { digest, size: content.len() as u64, mode: Mode::PLAIN };
            writer.object(&object, &mut content.as_slice()).unwrap();
        }
        writer.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut reader = ObjectDecoder::new(bytes)?;
        let mut found = Vec::new();
        let whole = |_: &ObjectHeader, bytes: &mut dyn Read| {
            let mut content = Vec::new();
            bytes.read_to_end(&mut content).map(|_| content)
        };
        while let Some(content) = reader.next(whole)? {
            found.push(content);
        }
        Ok(found)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(contents: Vec<Vec<u8>>) {
            prop_assert_eq!(read(&stream(&contents)).unwrap(), contents);
        }

        #[test]
        fn a_cut_stream_is_an_error_or_a_prefix(contents: Vec<Vec<u8>>, cut: prop::sample::Index) {
            let whole = stream(&contents);
            if let Ok(found) = read(&whole[..cut.index(whole.len())]) {
                prop_assert!(contents.starts_with(&found));
            }
        }

        #[test]
        fn any_bytes_end_in_some_way(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn a_blob_shorter_than_announced_is_refused() {
        let object = ObjectId::Blob { digest: Digest::of(b"abc"), size: 3, mode: Mode::PLAIN };
        let mut writer = ObjectEncoder::new(Vec::new()).unwrap();
        let error = writer.object(&object, &mut b"ab".as_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
