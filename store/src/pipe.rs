//! A bounded pipe of objects between the thread that reads them and the one that writes them.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use batou_system::queue;

use crate::read::stream;
use crate::{Error, ObjectId};

/// The size of a piece, in bytes.
const PIECE: usize = 128 << 10;
/// How many pieces may wait, which bounds memory to a few MiB.
const WAITING: usize = 16;

enum PipeMessage {
    Begin(ObjectId),
    Piece(Vec<u8>),
    End,
}

/// The end that is written to.
pub(crate) struct PipeSender(queue::Sender<PipeMessage>);

/// The end that is read. Objects are opened one at a time, in the order in which they are sent.
pub(crate) struct PipeReceiver(Rc<RefCell<queue::Receiver<PipeMessage>>>);

pub(crate) fn new() -> (PipeSender, PipeReceiver) {
    let (sender, receiver) = queue::between(WAITING);
    (PipeSender(sender), PipeReceiver(Rc::new(RefCell::new(receiver))))
}

impl PipeSender {
    /// Sends an object, and calls `count` with the length of each piece. Fails with [`Error::PipeClosed`] if nobody
    /// reads any more.
    pub(crate) fn send(
        &self,
        object: &ObjectId,
        bytes: &mut dyn Read,
        count: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        self.message(PipeMessage::Begin(*object))?;
        loop {
            let mut piece = Vec::new();
            bytes.take(PIECE as u64).read_to_end(&mut piece).map_err(stream("read", object))?;
            if piece.is_empty() {
                return self.message(PipeMessage::End);
            }
            count(piece.len() as u64);
            self.message(PipeMessage::Piece(piece))?;
        }
    }

    fn message(&self, message: PipeMessage) -> Result<(), Error> {
        self.0.send(message).map_err(|_| Error::PipeClosed)
    }
}

impl PipeReceiver {
    /// Opens the object, and skips those sent before it that were not opened.
    pub(crate) fn open(&self, object: &ObjectId) -> Result<Box<dyn Read>, Error> {
        loop {
            let message = self.0.borrow().recv().map_err(|_| Error::PipeClosed)?;
            if matches!(message, PipeMessage::Begin(begun) if begun == *object) {
                return Ok(Box::new(PipedObject {
                    pipe: Rc::clone(&self.0),
                    piece: io::Cursor::default(),
                    ended: false,
                }));
            }
        }
    }
}

/// An object that is read while it arrives.
struct PipedObject {
    pipe: Rc<RefCell<queue::Receiver<PipeMessage>>>,
    piece: io::Cursor<Vec<u8>>,
    ended: bool,
}

impl Read for PipedObject {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.read(buffer)?;
            if count > 0 || self.ended || buffer.is_empty() {
                return Ok(count);
            }
            match self.pipe.borrow().recv() {
                Ok(PipeMessage::Piece(piece)) => self.piece = io::Cursor::new(piece),
                Ok(PipeMessage::End) => self.ended = true,
                Ok(PipeMessage::Begin(_)) | Err(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}
