//! The machines of a history, and how controllers reach their agents.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use batou_agent::protocol::MAGIC;
use batou_release::HostName;
use batou_system::simulation::{Disk, MachineId, WireEnd, World, current, wire};
use batou_system::{clock, fs, thread};

use super::releases::host;
use crate::remote::{Dialer, Link, RemoteError, Route, SimulatedEnd, SimulatedWays, StartError};

/// Where the deployment is on each host.
pub(super) const TARGET: &str = "/srv/shop";
/// How long the first byte of something takes.
const LATENCY: Duration = Duration::from_millis(2);
/// How long an agent may take to start, and may be silent.
const PATIENCE: Duration = Duration::from_secs(40);

thread_local! {
    /// Until when a machine cannot be reached.
    static UNREACHABLE: RefCell<BTreeMap<usize, Instant>> = const { RefCell::new(BTreeMap::new()) };
}

/// The machines of a history.
pub(super) struct Machines {
    pub(super) desk: MachineId,
    pub(super) hosts: Vec<MachineId>,
}

impl Machines {
    /// The controllers' machine and so many hosts, with empty target directories.
    pub(super) fn new(world: &Rc<World>, hosts: usize) -> Self {
        UNREACHABLE.with_borrow_mut(BTreeMap::clear);
        let desk = world.add_machine("desk", Disk::default());
        let prepare = || fs::create_dir_all("/home/me").and_then(|()| fs::File::open("/")?.sync_filesystem());
        world.look(desk, prepare).expect("an empty disk takes a folder");
        let add = |number| {
            let machine = world.add_machine(&host(number), Disk::default());
            let prepare = || {
                fs::create_dir_all("/srv")?;
                fs::create_dir_all("/etc")?;
                let user = rustix::process::geteuid().as_raw();
                fs::write("/etc/passwd", format!("shop:x:{user}:{user}::/home/shop:/bin/sh\n"))?;
                fs::File::open("/")?.sync_filesystem()
            };
            world.look(machine, prepare).expect("an empty disk takes some files");
            machine
        };
        Self { desk, hosts: (0..hosts).map(add).collect() }
    }
}

/// Nothing gets through to a machine for so long.
pub(super) fn isolate(world: &World, machine: MachineId, time: Duration) {
    let until = world.look(machine, clock::now) + time;
    UNREACHABLE.with_borrow_mut(|all| {
        let old = all.entry(machine.0).or_insert(until);
        *old = until.max(*old);
    });
}

/// Everything gets through again.
pub(super) fn heal() {
    UNREACHABLE.with_borrow_mut(BTreeMap::clear);
}

fn is_reachable(machine: MachineId) -> bool {
    UNREACHABLE.with_borrow(|all| all.get(&machine.0).is_none_or(|until| *until <= clock::now()))
}

/// How hosts are reached from the desk.
pub(super) fn dialer(machines: &Machines) -> Arc<Dialer> {
    let desk = machines.desk;
    let hosts: BTreeMap<_, _> =
        machines.hosts.iter().enumerate().map(|(number, machine)| (host(number), *machine)).collect();
    let dial = move |route: &Route| connect(desk, hosts[&route.host]);
    Arc::new(Dialer {
        masters: None,
        binaries: crate::remote::Binaries::new(PathBuf::from("/nowhere"), None),
        timeout: Duration::from_secs(10),
        simulated: Some(SimulatedWays(Box::new(dial))),
    })
}

/// The way to a host.
pub(super) fn route(host: HostName) -> Route {
    Route { host, address: Some("simulated".into()), user: None, target_directory: TARGET.into() }
}

fn connect(desk: MachineId, host: MachineId) -> Result<Link, RemoteError> {
    clock::sleep(LATENCY * 3);
    if !is_reachable(host) {
        clock::sleep(Duration::from_secs(10));
        return Err(StartError::Connection("connect to host: No route to host".into()).into());
    }
    let world = current().expect("a controller calls a host");
    let (to, requests) = wire(desk, host, LATENCY);
    let (replies, mut from) = wire(host, desk, LATENCY);
    let agent = world.start(
        host,
        "agent",
        Box::new(move || {
            // What it ended with is heard by nobody: ssh tells the status, and nobody asks for it.
            let _ = batou_agent::serve(requests, replies);
        }),
    );
    let (cut_to, cut_from) = (to.cutter(), from.cutter());
    let cut = Arc::new(move || {
        cut_to();
        cut_from();
    });
    if greeted(&mut from, Arc::clone(&cut) as _).is_err() {
        return Err(StartError::Connection("Connection closed by remote host".into()).into());
    }
    let (is_silent, was_cut) = (from.is_silent(), Arc::new(AtomicBool::new(false)));
    let is_cut = Arc::clone(&was_cut);
    // Here nothing more can be known of it once the connection was cut.
    let is_gone = move || !is_silent() && current().is_none_or(|world| !world.is_alive(agent));
    let has_ended = Arc::new(move || is_cut.load(Ordering::SeqCst) || is_gone());
    let cut = Arc::new(move || {
        was_cut.store(true, Ordering::SeqCst);
        cut();
        current().inspect(|world| world.wake());
    });
    let end = SimulatedEnd { cut, has_ended };
    Ok(Link::simulated(Box::new(to), Box::new(from), end, PATIENCE)?)
}

/// Waits for the agent's first words, but not for ever.
fn greeted(from: &mut WireEnd, cut: Arc<dyn Fn() + Send + Sync>) -> io::Result<()> {
    let greeting = [MAGIC, b"ready\n"].concat();
    let (told, heard) = batou_system::queue::bounded::<()>(1);
    thread::spawn("patience", move || {
        if heard.recv_timeout(PATIENCE) == Err(batou_system::queue::Empty::Yet) {
            cut();
        }
    })?;
    let mut found = vec![0; greeting.len()];
    let read = from.read_exact(&mut found);
    drop(told);
    read?;
    if found == greeting { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
