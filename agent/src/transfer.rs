//! Objects into and out of the host's store, as one stream ([`crate::objects`]) cut into data frames.

use std::collections::HashSet;
use std::io::{self, Read, Write};

use batou_store::{ObjectId, Store};

use crate::connection::{Connection, Next};
use crate::error::Error;
use crate::objects::{ObjectDecoder, ObjectEncoder};
use crate::protocol::{DATA_CHUNK, MAX_OBJECTS, Reply, Request};
use crate::session::{Locked, Session};

/// Answers which objects are missing. Under the lock, a lease protects all of them from then on, those that are
/// present and those that will be sent; without the lock, nothing is written and nothing is protected.
pub(crate) fn missing(session: &mut Session, objects: Vec<ObjectId>) -> Result<Reply, Error> {
    check_count(&objects)?;
    // The lease comes before the look: what is found present has to stay.
    if let Ok((_, locked, _)) = session.locked() {
        match locked.store.lease(&objects).map_err(Error::from) {
            Ok(lease) => locked.leases.push(lease),
            // On a full disk it goes on without a lease, so that a rollback still works. Nothing is removed meanwhile: only
            // the holder of the lock collects garbage, and that is this agent.
            Err(error) if error.is_full() => {}
            Err(error) => return Err(error),
        }
    }
    let Some(store) = session.about()?.target.existing_store()? else {
        return Ok(Reply::Missing { objects });
    };
    if let Some(locked) = session.locked.as_mut().filter(|locked| locked.suspicious) {
        locked.damaged.extend(store.unsound(&objects)?);
    }
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
    Err(Error::Protocol(format!(
        "a message names {} objects, but only {MAX_OBJECTS} are allowed",
        objects.len()
    )))
}

/// Receives objects and stores them, all or none. After an error the rest of the stream is ignored, up to its end or
/// the next request: the controller can stop sending as soon as it sees the error.
pub(crate) fn put(session: &mut Session) -> Result<Reply, Error> {
    // Set first: the stream follows even if the request is refused.
    session.skipping = true;
    let (about, locked, connection) = session.idle()?;
    let mut frames = Frames { connection, chunk: Vec::new(), used: 0, ended: false };
    let mut announced = 0;
    let stored = receive(locked, &mut frames, &mut announced);
    let ended = frames.ended;
    // Asked again what is missing, the host must not count as present what is not as it was stored.
    locked.suspicious |= matches!(&stored, Err(Error::Stream(error)) if is_damage(error));
    let stored = stored.map_err(|error| about.target.explain_full(error, announced));
    session.skipping = !ended;
    Ok(Reply::Stored { objects: stored? })
}

/// Whether the store has an object that is not as it was stored, or lacks one that it must have.
pub(crate) fn is_damage(error: &batou_store::Error) -> bool {
    use batou_store::Error as StoreError;
    matches!(
        error,
        StoreError::Damaged { .. }
            | StoreError::Missing(_)
            | StoreError::MissingChild { .. }
            | StoreError::Encoding { .. }
            | StoreError::TooLarge { .. }
    )
}

fn receive(locked: &mut Locked, frames: &mut Frames<'_>, announced: &mut u64) -> Result<u64, Error> {
    let batch = locked.store.batch_replacing(locked.damaged.clone())?;
    let mut reader = ObjectDecoder::new(frames).map_err(Error::Decode)?;
    let mut received = HashSet::new();
    let mut refused = None;
    let mut count = 0;
    while let Some(object) = reader
        .next(|header, bytes| {
            *announced = announced.saturating_add(header.size);
            batch.receive(&header.object, bytes).map_err(|error| {
                refused = Some(error);
                io::Error::from(io::ErrorKind::InvalidData)
            })?;
            Ok(header.object)
        })
        .map_err(|error| refused.take().map_or_else(|| Error::Decode(error), Error::Stream))?
    {
        if locked.damaged.contains(&object) {
            received.insert(object);
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
pub(crate) fn get(session: &mut Session, objects: &[ObjectId]) -> Result<Reply, Error> {
    check_count(objects)?;
    let store = session.about()?.target.existing_store()?;
    let mut writer = ObjectEncoder::new(Chunks { connection: &mut session.connection, buffer: Vec::new() })
        .map_err(Error::Send)?;
    for object in objects {
        let store = store.as_ref().ok_or(batou_store::Error::Missing(*object)).map_err(Error::Stream)?;
        send(&mut writer, store, *object)?;
    }
    writer.finish().and_then(|mut chunks| chunks.flush()).map_err(Error::Send)?;
    Ok(Reply::DataEnd)
}

fn send<W: Write>(writer: &mut ObjectEncoder<W>, store: &Store, object: ObjectId) -> Result<(), Error> {
    let mut reader = store.object(&object).map_err(Error::Stream)?;
    // The read that finds the end is the one that checks the digest.
    let sent = writer.object(&object, &mut reader).and_then(|()| reader.read(&mut [0; 1]));
    sent.map(drop).map_err(Error::Send)
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
