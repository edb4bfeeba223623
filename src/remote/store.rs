//! A host's store, behind its agent: the second place that objects can be copied to and from.
//!
//! All methods here block, because copying reads and writes files; so it runs on a thread of its own. Questions
//! to the agent are asked and waited for as anywhere else.

use std::io::{self, Read, Write};

use batou_store::{ArtifactId, Copied, Depot, Error, Monitor, ObjectId, Opened, Store, lacking, send};

use tokio::runtime::Handle;

use super::error::RemoteError;
use super::link::Link;
use super::thread;
use batou_agent::objects::{ObjectDecoder, ObjectEncoder};
use batou_agent::protocol::{DATA_CHUNK, ErrorKind, MAX_OBJECTS, Question, Reply, Request, question};

/// How many bytes of the stream are sent at once: few enough that the host writes while the rest is still
/// compressed.
const PIECE: usize = 32 << 10;

/// The store behind a link. Its methods block.
#[derive(Debug)]
pub struct RemoteStore<'l> {
    conversation: Conversation<'l>,
}

/// A link, used from a thread that may block.
#[derive(Debug)]
struct Conversation<'l> {
    link: &'l mut Link,
    runtime: &'l Handle,
}

impl Conversation<'_> {
    fn ask<A>(&mut self, question: &Question<A>) -> Result<A, RemoteError> {
        thread::wait(self.runtime, self.link.ask(question, |_, _| {}))
    }

    fn send(&mut self, request: &Request, raw: &[u8]) -> bool {
        thread::wait(self.runtime, self.link.send(request, raw))
    }

    fn receive(&mut self) -> Result<(Reply, Vec<u8>), RemoteError> {
        thread::wait(self.runtime, self.link.receive())
    }
}

impl<'l> RemoteStore<'l> {
    /// The store of the host at the other end.
    pub fn new(link: &'l mut Link, runtime: &'l Handle) -> Self {
        RemoteStore { conversation: Conversation { link, runtime } }
    }

    /// Sends the host those of these artifacts that it lacks. If the host meanwhile finds some of its own
    /// objects damaged, it counts them as missing from then on, so it is asked a second time.
    pub fn receive_from(
        mut self,
        store: &Store,
        artifacts: &[ArtifactId],
        monitor: &dyn Monitor,
    ) -> Result<Copied, RemoteError> {
        match send(store, &mut self, artifacts, monitor).map_err(unwrap) {
            Err(RemoteError::Agent(error)) if error.kind == ErrorKind::Damaged => {
                send(store, &mut self, artifacts, monitor).map_err(unwrap)
            }
            sent => sent,
        }
    }

    /// What [`RemoteStore::receive_from`] would send.
    pub fn lacking_of(
        mut self,
        store: &Store,
        artifacts: &[ArtifactId],
    ) -> Result<Vec<ObjectId>, RemoteError> {
        lacking(store, &mut self, artifacts).map_err(unwrap)
    }

    /// Does something with the host's objects.
    pub fn read<T>(
        mut self,
        work: impl FnOnce(&mut dyn Depot) -> Result<T, Error>,
    ) -> Result<T, RemoteError> {
        work(&mut self).map_err(unwrap)
    }
}

impl Depot for RemoteStore<'_> {
    fn missing(&mut self, objects: &[ObjectId]) -> Result<Vec<ObjectId>, Error> {
        let mut missing = Vec::new();
        for objects in objects.chunks(MAX_OBJECTS) {
            missing.extend(self.conversation.ask(&question::missing(objects.to_vec())).map_err(wrap)?);
        }
        Ok(missing)
    }

    fn get(
        &mut self,
        objects: &[ObjectId],
        each: &mut dyn FnMut(&ObjectId, &mut dyn Read) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for objects in objects.chunks(MAX_OBJECTS) {
            self.conversation.send(&Request::Get { objects: objects.to_vec() }, &[]);
            let conversation = &mut self.conversation;
            let mut incoming = Arriving { conversation, piece: io::Cursor::default(), ended: None };
            let result = read_objects(objects, &mut incoming, each);
            match incoming.drain() {
                Some(error) => return Err(wrap(error)),
                None => result?,
            }
        }
        Ok(())
    }

    fn put<'r>(
        &mut self,
        objects: &[ObjectId],
        open: &mut dyn FnMut(&ObjectId) -> Opened<'r>,
    ) -> Result<(), Error> {
        self.conversation.send(&Request::Put, &[]);
        let mut outgoing = Outgoing { conversation: &mut self.conversation, failure: None };
        let written = write_objects(objects, &mut outgoing, open);
        if let Some(failure) = outgoing.failure {
            return Err(wrap(failure));
        }
        // If an object of ours cannot be read, end the stream, so that the host does not wait for the rest and
        // the conversation can go on. The host stores nothing of a stream that ends early; its error about that
        // adds nothing, so it is ignored.
        let ended = self.conversation.ask(&question::data_end());
        match (written, ended) {
            (Err(error), Ok(()) | Err(RemoteError::Agent(_))) => Err(error),
            (_, ended) => ended.map_err(wrap),
        }
    }
}

fn write_objects<'r>(
    objects: &[ObjectId],
    outgoing: &mut Outgoing<'_, '_>,
    open: &mut dyn FnMut(&ObjectId) -> Opened<'r>,
) -> Result<(), Error> {
    let mut writer = ObjectEncoder::new(io::BufWriter::with_capacity(PIECE, outgoing)).map_err(wrap)?;
    for object in objects {
        let mut bytes = open(object)?;
        writer.object(object, &mut bytes).map_err(wrap)?;
    }
    writer.finish().and_then(|mut rest| rest.flush()).map_err(wrap)
}

fn read_objects(
    objects: &[ObjectId],
    incoming: &mut Arriving<'_, '_>,
    each: &mut dyn FnMut(&ObjectId, &mut dyn Read) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut reader = ObjectDecoder::new(incoming).map_err(wrap)?;
    for object in objects {
        let mut result = Ok(());
        let read = reader.next(|header, bytes| {
            if header.object != *object {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "not the object that was asked for"));
            }
            result = each(object, bytes);
            Ok(())
        });
        result?;
        read.map_err(wrap)?.ok_or_else(|| wrap(RemoteError::Protocol))?;
    }
    Ok(())
}

/// Cuts a stream into frames, and stops when the agent has something to say.
struct Outgoing<'c, 'l> {
    conversation: &'c mut Conversation<'l>,
    failure: Option<RemoteError>,
}

impl Write for Outgoing<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(DATA_CHUNK)];
        let told = if self.conversation.send(&Request::Data, piece) {
            self.conversation.link.interrupted()
        } else {
            self.conversation.receive().and(Err(RemoteError::Protocol))
        };
        told.map(|()| piece.len()).map_err(|error| {
            let text = io::Error::other(error.to_string());
            self.failure = Some(error);
            text
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How a stream of frames ended.
enum End {
    Whole,
    Failed(RemoteError),
}

/// Joins frames into a stream.
struct Arriving<'c, 'l> {
    conversation: &'c mut Conversation<'l>,
    piece: io::Cursor<Vec<u8>>,
    ended: Option<End>,
}

impl Arriving<'_, '_> {
    fn fill(&mut self) {
        self.ended = match self.conversation.receive() {
            Ok((Reply::Data, piece)) => {
                self.piece = io::Cursor::new(piece);
                return;
            }
            Ok((Reply::DataEnd, _)) => Some(End::Whole),
            Ok(_) => Some(End::Failed(RemoteError::Protocol)),
            Err(error) => Some(End::Failed(error)),
        };
    }

    /// Reads the rest of the answer, so that the next one can be read; returns what went wrong.
    fn drain(mut self) -> Option<RemoteError> {
        loop {
            match self.ended.take() {
                Some(End::Whole) => return None,
                Some(End::Failed(error)) => return Some(error),
                None => self.fill(),
            }
        }
    }
}

impl Read for Arriving<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.read(into)?;
            if count > 0 || into.is_empty() {
                return Ok(count);
            }
            match &self.ended {
                Some(End::Whole) => return Ok(0),
                Some(End::Failed(error)) => return Err(io::Error::other(error.to_string())),
                None => self.fill(),
            }
        }
    }
}

fn wrap(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Depot(error.into())
}

/// Returns a failure of the link unchanged; any other error is the controller's own store's.
fn unwrap(error: Error) -> RemoteError {
    match error {
        Error::Depot(source) => match source.downcast() {
            Ok(remote) => *remote,
            Err(source) => RemoteError::Store(Error::Depot(source)),
        },
        other => RemoteError::Store(other),
    }
}
