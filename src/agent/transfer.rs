//! Objects on their way, in either direction: one zstd stream, cut into data frames by whoever sends it.
//!
//! In the stream an object is a 4-byte big-endian length, an [`ObjectHeader`] in JSON of that length, and as many bytes
//! as the header says; the stream's end is the last object's end. Lengths are bounded before anything is allocated,
//! and so is the window that decoding needs.

use std::collections::HashSet;
use std::io::{self, Read, Write};

use batou_store::{ObjectId, Store};

use super::connection::{Connection, Next};
use super::error::Error;
use super::session::{Locked, Session};
use crate::protocol::{DATA_CHUNK, MAX_OBJECTS, ObjectHeader, Reply, Request};

/// The base-2 logarithm of the largest window that a stream may ask for: 8 MiB.
pub const WINDOW_LOG: u32 = 23;
/// How hard a stream is compressed.
const LEVEL: i32 = 3;
/// The longest header of an object, in bytes.
const MAX_OBJECT_HEADER: u32 = 4096;
/// The longest encoding of a tree or an artifact, in bytes.
const MAX_ENCODING: u64 = 64 << 20;

/// Writes objects into a stream.
pub struct ObjectWriter<W: Write> {
    encoder: zstd::Encoder<'static, W>,
}

impl<W: Write> ObjectWriter<W> {
    /// Begins a stream.
    pub fn new(out: W) -> io::Result<Self> {
        Ok(Self { encoder: zstd::Encoder::new(out, LEVEL)? })
    }

    /// Adds an object of `size` bytes. If `content` has fewer, or more, the stream is spoilt, and that is an error.
    pub fn write(&mut self, object: ObjectId, size: u64, content: &mut dyn Read) -> io::Result<()> {
        let header = serde_json::to_vec(&ObjectHeader { object, size })?;
        let length = u32::try_from(header.len()).map_err(io::Error::other)?;
        self.encoder.write_all(&length.to_be_bytes())?;
        self.encoder.write_all(&header)?;
        let copied = io::copy(&mut content.take(size), &mut self.encoder)?;
        if copied < size || content.read(&mut [0; 1])? > 0 {
            return Err(io::Error::other(format!("{object} has not the {size} bytes that were announced")));
        }
        Ok(())
    }

    /// Ends the stream.
    pub fn finish(self) -> io::Result<W> {
        self.encoder.finish()
    }
}

/// Reads objects from a stream, to its end.
pub struct ObjectReader<R: Read> {
    decoder: zstd::Decoder<'static, io::BufReader<R>>,
}

impl<R: Read> ObjectReader<R> {
    /// Begins to read.
    pub fn new(input: R) -> io::Result<Self> {
        let mut decoder = zstd::Decoder::new(input)?;
        decoder.window_log_max(WINDOW_LOG)?;
        Ok(Self { decoder })
    }

    /// The next object's header; `None` at the end. The object's bytes have to be read before the next one, through
    /// [`Self::content`].
    pub fn next_header(&mut self) -> io::Result<Option<ObjectHeader>> {
        let mut length = [0; 4];
        let mut have = 0;
        while have < length.len() {
            match self.decoder.read(&mut length[have..])? {
                0 if have == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => have += count,
            }
        }
        let length = u32::from_be_bytes(length);
        if length > MAX_OBJECT_HEADER {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("an object's header has {length} bytes"),
            ));
        }
        let mut header = vec![0; length as usize];
        self.decoder.read_exact(&mut header)?;
        let header: ObjectHeader = serde_json::from_slice(&header)?;
        check_size(&header)?;
        Ok(Some(header))
    }

    /// The object's bytes. Where the stream ends before them, reading is an error.
    pub fn content(&mut self, header: &ObjectHeader) -> impl Read + '_ {
        Whole { input: &mut self.decoder, left: header.size }
    }
}

/// The announced size is the blob's own, or that of an encoding which fits into memory.
fn check_size(header: &ObjectHeader) -> io::Result<()> {
    let fits = match header.object {
        ObjectId::Blob { size, .. } => header.size == size,
        ObjectId::Tree(_) | ObjectId::Artifact(_) => header.size <= MAX_ENCODING,
    };
    if fits {
        return Ok(());
    }
    let ObjectHeader { object, size } = header;
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("{object} is announced with {size} bytes")))
}

struct Whole<R> {
    input: R,
    left: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || into.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        match self.input.read(&mut into[..most])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.left -= count as u64;
                Ok(count)
            }
        }
    }
}

/// Answers which objects are missing. Under the lock a lease protects all of them, those that are here and those
/// that will come; without it nothing is written, and nothing is protected.
pub(super) fn missing(session: &mut Session, objects: Vec<ObjectId>) -> Result<Reply, Error> {
    check_count(&objects)?;
    if let Some(locked) = &mut session.locked {
        locked.leases.push(locked.store.lease(&objects)?);
    }
    let Some(store) = session.about()?.target.existing_store()? else {
        return Ok(Reply::Missing { objects });
    };
    let mut absent = Vec::new();
    for object in objects {
        let damaged = session.locked.as_ref().is_some_and(|locked| locked.damaged.contains(&object));
        if damaged || !store.contains(&object)? {
            absent.push(object);
        }
    }
    Ok(Reply::Missing { objects: absent })
}

fn check_count(objects: &[ObjectId]) -> Result<(), Error> {
    if objects.len() <= MAX_OBJECTS {
        return Ok(());
    }
    Err(Error::Protocol(format!("a message names {} objects, and {MAX_OBJECTS} are allowed", objects.len())))
}

/// Receives objects and stores them, all or none. After an error the rest of the stream is ignored, up to its end or
/// the next request: the controller can stop sending as soon as it sees the error.
pub(super) fn put(session: &mut Session) -> Result<Reply, Error> {
    session.skipping = true;
    let (about, locked, connection) = session.idle()?;
    let mut frames = Frames { connection, chunk: Vec::new(), used: 0, ended: false };
    let mut announced = 0;
    let stored = receive(locked, &mut frames, &mut announced);
    let ended = frames.ended;
    let stored = stored.map_err(|error| about.target.explain_full(error, announced));
    session.skipping = !ended;
    Ok(Reply::Stored { objects: stored? })
}

fn receive(locked: &mut Locked, frames: &mut Frames<'_>, announced: &mut u64) -> Result<u64, Error> {
    let batch = locked.store.batch_replacing(locked.damaged.clone())?;
    let mut reader = ObjectReader::new(frames).map_err(Error::Decode)?;
    let mut received = HashSet::new();
    let mut count = 0;
    while let Some(header) = reader.next_header().map_err(Error::Decode)? {
        *announced = announced.saturating_add(header.size);
        batch.receive(&header.object, &mut reader.content(&header)).map_err(Error::Stream)?;
        if locked.damaged.contains(&header.object) {
            received.insert(header.object);
        }
        count += 1;
    }
    batch.commit().map_err(Error::Stream)?;
    locked.damaged.retain(|object| !received.contains(object));
    Ok(count)
}

/// The data frames of a stream, as a reader that ends with the stream.
struct Frames<'a> {
    connection: &'a mut Connection,
    chunk: Vec<u8>,
    used: usize,
    ended: bool,
}

impl Frames<'_> {
    /// Waits for the next piece; `None` at the end.
    fn advance(&mut self) -> io::Result<Option<()>> {
        loop {
            match self.connection.next() {
                Next::Frame(Request::Heartbeat, _) => {}
                Next::Frame(Request::Data, raw) => {
                    (self.chunk, self.used) = (raw, 0);
                    return Ok(Some(()));
                }
                Next::Frame(Request::DataEnd, _) => {
                    self.ended = true;
                    return Ok(None);
                }
                Next::Frame(request, raw) => {
                    self.ended = true;
                    self.connection.put_back(request, raw);
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "another message came before its end",
                    ));
                }
                Next::Broken(_) | Next::Ended | Next::Silent => {
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection ended"));
                }
            }
        }
    }
}

impl Read for Frames<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.ended && self.used == self.chunk.len() {
            self.advance()?;
        }
        let count = into.len().min(self.chunk.len() - self.used);
        into[..count].copy_from_slice(&self.chunk[self.used..self.used + count]);
        self.used += count;
        Ok(count)
    }
}

/// Sends objects. Each is checked while it is read; a damaged one ends the stream with an error in place of its end.
pub(super) fn get(session: &mut Session, objects: &[ObjectId]) -> Result<Reply, Error> {
    check_count(objects)?;
    let store = session.about()?.target.existing_store()?;
    let mut writer = ObjectWriter::new(Chunks { connection: &mut session.connection, buffer: Vec::new() })
        .map_err(Error::Send)?;
    for object in objects {
        let store = store.as_ref().ok_or(batou_store::Error::Missing(*object)).map_err(Error::Stream)?;
        send(&mut writer, store, *object)?;
    }
    writer.finish().and_then(|mut chunks| chunks.flush()).map_err(Error::Send)?;
    Ok(Reply::DataEnd)
}

fn send<W: Write>(writer: &mut ObjectWriter<W>, store: &Store, object: ObjectId) -> Result<(), Error> {
    let mut reader = store.object(&object).map_err(Error::Stream)?;
    if let ObjectId::Blob { size, .. } = object {
        return writer.write(object, size, &mut reader).map_err(Error::Send);
    }
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(Error::Send)?;
    writer.write(object, bytes.len() as u64, &mut &bytes[..]).map_err(Error::Send)
}

/// Cuts a stream into data frames.
struct Chunks<'a> {
    connection: &'a mut Connection,
    buffer: Vec<u8>,
}

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(DATA_CHUNK - self.buffer.len());
        self.buffer.extend(&bytes[..count]);
        if self.buffer.len() == DATA_CHUNK {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        let sent =
            if self.buffer.is_empty() { Ok(()) } else { self.connection.reply(&Reply::Data, &self.buffer) };
        self.buffer.clear();
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
