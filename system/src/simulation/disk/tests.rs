#![allow(clippy::unwrap_used)]
mod compared;
mod power;
mod rules;

use std::path::Path;
use std::rc::Rc;

use super::*;
use crate::fs;
use crate::simulation::tests::in_world;
use crate::simulation::{MachineId, World};

/// A world with one machine that has this disk.
fn on_machine<T>(disk: Disk, work: impl Fn(&Rc<World>, MachineId) -> T) -> T {
    in_world(1, async |world| {
        let machine = world.add_machine("one", disk);
        work(world, machine)
    })
}

/// What a process that nobody judges sees on this disk.
fn on_disk<T>(disk: Disk, work: impl Fn() -> T) -> T {
    on_machine(disk, |world, machine| world.look(machine, &work))
}

fn number<T>(result: std::io::Result<T>) -> Option<i32> {
    result.err().map(|error| error.raw_os_error().unwrap())
}

/// Everything below a folder, with the content of files and the targets of links.
fn tree(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, kind) in fs::walk(folder).unwrap() {
        let found = fs::symlink_metadata(&path).unwrap();
        let below = path.strip_prefix(folder).unwrap().display();
        let mode = found.mode();
        lines.push(match kind {
            fs::FileType::File => {
                format!("{below} {mode:o} {} {:?}", found.nlink(), fs::read(&path).unwrap_or_default())
            }
            fs::FileType::Symlink => format!("{below} -> {}", fs::read_link(&path).unwrap().display()),
            _ => format!("{below} {mode:o}"),
        });
    }
    lines.sort();
    lines
}
