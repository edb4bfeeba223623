//! What carries bytes from a process to another, mostly on another machine: late, in pieces, or not at all.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use super::lock;
use super::world::{MachineId, World};
use super::{park_at, step, wake, wake_at, world};

/// How many bytes are on their way at most.
const CAPACITY: usize = 64 << 10;

/// A direction of a connection.
#[derive(Debug)]
pub(super) struct Wire {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    /// Whether it is still written to, and read.
    ends: (bool, bool),
    /// Whether who writes and who reads have been told that it is cut.
    cut: (bool, bool),
    /// What is sent gets lost, and nobody is told.
    silent: bool,
    /// After how many more bytes the connection is cut.
    left: Option<usize>,
    latency: Duration,
    machines: (MachineId, MachineId),
}

/// An end of a connection: a file that is read or written.
#[derive(Debug)]
pub struct WireEnd {
    wire: Arc<Mutex<Wire>>,
    writes: bool,
}

/// A direction of a connection between two machines: what is written to, and what is read from.
pub fn wire(from: MachineId, to: MachineId, latency: Duration) -> (WireEnd, WireEnd) {
    let wire = Wire {
        pieces: VecDeque::new(),
        bytes: 0,
        ends: (true, true),
        cut: (false, false),
        silent: false,
        left: None,
        latency,
        machines: (from, to),
    };
    let wire = Arc::new(Mutex::new(wire));
    if let Some(world) = world() {
        world.add_wire(&wire);
    }
    (WireEnd { wire: Arc::clone(&wire), writes: true }, WireEnd { wire, writes: false })
}

impl Wire {
    pub(super) fn touches(&self, machine: MachineId) -> bool {
        self.machines.0 == machine || self.machines.1 == machine
    }

    pub(super) fn joins(&self, one: MachineId, other: MachineId) -> bool {
        self.machines == (one, other) || self.machines == (other, one)
    }

    pub(super) fn silence(&mut self) {
        self.silent = true;
    }

    pub(super) fn cut_after(&mut self, bytes: usize) {
        self.left = Some(bytes);
        if bytes == 0 {
            self.cut = (true, true);
        }
    }

    fn take(&mut self, now: Instant, into: &mut [u8]) -> Option<usize> {
        let (arrives, piece) = self.pieces.front_mut()?;
        if *arrives > now {
            return None;
        }
        let count = piece.len().min(into.len());
        into[..count].copy_from_slice(&piece[..count]);
        piece.drain(..count);
        if piece.is_empty() {
            self.pieces.pop_front();
        }
        self.bytes -= count;
        Some(count)
    }

    fn put(&mut self, now: Instant, bytes: &[u8]) -> usize {
        let count = bytes.len().min(CAPACITY - self.bytes);
        let taken = self.left.map_or(count, |left| count.min(left));
        if !self.silent && taken > 0 {
            self.pieces.push_back((now + self.latency, bytes[..taken].to_vec()));
            self.bytes += taken;
        }
        if let Some(left) = &mut self.left {
            *left -= taken;
            if *left == 0 {
                self.cut = (true, true);
            }
        }
        count
    }
}

impl World {
    pub(super) fn add_wire(&self, wire: &Arc<Mutex<Wire>>) {
        let mut wires = self.wires.borrow_mut();
        wires.retain(|wire| wire.strong_count() > 0);
        wires.push(Arc::downgrade(wire));
    }

    /// What is sent between these machines from now on over the connections that there are gets lost, and neither side is
    /// told.
    pub fn silence(&self, one: MachineId, other: MachineId) {
        self.note(|| {
            format!("{} and {} do not hear each other", self.machine(one).name, self.machine(other).name)
        });
        self.each_wire(|wire| {
            if wire.joins(one, other) {
                wire.silence();
            }
        });
    }

    /// The connections between these machines end once so many more bytes were sent in one direction.
    pub fn cut(&self, one: MachineId, other: MachineId, bytes: usize) {
        self.note(|| {
            let names = (&self.machine(one).name, &self.machine(other).name);
            format!("the connection of {} and {} ends after {bytes} bytes", names.0, names.1)
        });
        self.each_wire(|wire| {
            if wire.joins(one, other) {
                wire.cut_after(bytes);
            }
        });
        self.wake();
    }

    pub(super) fn each_wire(&self, mut work: impl FnMut(&mut Wire)) {
        let wires = self.wires.borrow().clone();
        wires.iter().filter_map(Weak::upgrade).for_each(|wire| work(&mut lock(&wire)));
    }
}

impl WireEnd {
    fn place(&self) -> usize {
        Arc::as_ptr(&self.wire).addr()
    }

    /// What cuts it off from this side. The other side is told unless nothing gets through any more.
    pub fn cutter(&self) -> impl Fn() + Send + Sync + 'static {
        let (wire, writes) = (Arc::clone(&self.wire), self.writes);
        move || {
            let wire = &mut *lock(&wire);
            let told = !wire.silent;
            wire.cut = (wire.cut.0 || writes || told, wire.cut.1 || !writes || told);
            wake();
        }
    }

    /// Whether nothing gets through any more, without that anybody was told.
    pub fn is_silent(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let wire = Arc::clone(&self.wire);
        move || lock(&wire).silent
    }
}

impl Read for WireEnd {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        step("receive", Path::new(""), false)?;
        loop {
            let now = crate::clock::now();
            let mut wire = lock(&self.wire);
            if let Some(count) = wire.take(now, into) {
                drop(wire);
                wake_at(self.place());
                return Ok(count);
            }
            let arrives = wire.pieces.front().map(|(arrives, _)| *arrives);
            if wire.cut.1 && arrives.is_none() {
                return Ok(0);
            }
            // The other side has nothing more to send, or is gone, and that it is gone was heard.
            if !wire.ends.0 && arrives.is_none() && !wire.silent {
                return Ok(0);
            }
            drop(wire);
            if !park_at(arrives, self.place()) {
                return Ok(0);
            }
        }
    }
}

/// The beginning of some bytes as a trace shows it: what is no text is a dot, however much of it there is.
fn readable(bytes: &[u8]) -> String {
    const SHOWN: usize = 240;
    let mut shown = String::from(">> ");
    for byte in bytes.iter().take(SHOWN) {
        match byte {
            b' '..=b'~' => shown.push(char::from(*byte)),
            _ if shown.ends_with('.') => {}
            _ => shown.push('.'),
        }
    }
    if bytes.len() > SHOWN {
        shown.push_str(&format!(" ({} bytes)", bytes.len()));
    }
    shown
}

impl Write for WireEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        step("send", Path::new(""), true)?;
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            let mut wire = lock(&self.wire);
            if wire.cut.0 || !wire.ends.1 && !wire.silent {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let count = wire.put(crate::clock::now(), bytes);
            drop(wire);
            if count > 0 {
                super::current().inspect(|world| world.note(|| readable(&bytes[..count])));
                wake_at(self.place());
                return Ok(count);
            }
            if !park_at(None, self.place()) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for WireEnd {
    fn drop(&mut self) {
        let ends = &mut lock(&self.wire).ends;
        if self.writes {
            ends.0 = false;
        } else {
            ends.1 = false;
        }
        wake();
    }
}
