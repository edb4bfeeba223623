//! Locks, full disks, faults, modes, and what ends with a process.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::io::Errno;

use super::*;
use crate::fs::{File, TryLockError};
use crate::{clock, thread};

fn room() -> u64 {
    fs::space(Path::new("/")).unwrap().bytes
}

#[test]
fn a_full_disk_takes_what_fits_and_gives_back_what_is_removed() {
    on_disk(Disk::new(8 * BLOCK, 4), || {
        assert_eq!(room(), 7 * BLOCK);
        let mut file = File::create("/file").unwrap();
        assert_eq!(file.write(&vec![1; 6 * 4096 + 100]).unwrap(), 6 * 4096 + 100);
        // The rest of the last block.
        assert_eq!(file.write(&vec![1; 5000]).unwrap(), 4096 - 100);
        assert_eq!(number(file.write(&[1])), Some(Errno::NOSPC.raw_os_error()));
        assert_eq!(number(fs::create_dir("/folder")), Some(Errno::NOSPC.raw_os_error()));
        // Still open, and so still there.
        fs::remove_file("/file").unwrap();
        assert_eq!(room(), 0);
        drop(file);
        assert_eq!(room(), 7 * BLOCK);
        for name in ["/a", "/b", "/c"] {
            File::create(name).unwrap();
        }
        assert_eq!(number(File::create("/d")), Some(Errno::NOSPC.raw_os_error()));
        assert_eq!(number(fs::symlink("a", "/d")), Some(Errno::NOSPC.raw_os_error()));
        fs::hard_link("/a", "/d").unwrap();
        fs::rename("/a", "/b").unwrap();
        File::create("/e").unwrap();
        assert_eq!(fs::space(Path::new("/")).unwrap().files, Some(0));
    });
}

#[test]
fn room_that_was_set_aside_is_there_for_who_set_it_aside() {
    on_disk(Disk::new(8 * BLOCK, 100), || {
        let mut file = File::options().append(true).create(true).open("/journal").unwrap();
        file.reserve(0, 3 * BLOCK).unwrap();
        assert_eq!((room(), file.metadata().unwrap().len()), (4 * BLOCK, 0));
        File::create("/other").unwrap().write_all(&vec![0; 4 * 4096]).unwrap();
        assert_eq!(number(file.reserve(0, 4 * BLOCK)), Some(Errno::NOSPC.raw_os_error()));
        assert_eq!(number(File::create("/more").unwrap().write(&[1])), Some(Errno::NOSPC.raw_os_error()));
        file.write_all(&vec![1; 3 * 4096]).unwrap();
        assert_eq!(number(file.write(&[1])), Some(Errno::NOSPC.raw_os_error()));
    });
}

#[test]
fn a_disk_with_a_fault_says_which() {
    on_machine(Disk::default(), |world, machine| {
        let with = |fault| world.machine(machine).disk.borrow_mut().set_fault(fault);
        world.look(machine, || fs::write("/file", "text").and_then(|()| fs::write("/spare", "x")).unwrap());
        let tries = || {
            world.look(machine, || {
                let open = fs::File::open("/file");
                [
                    number(fs::write("/new", "x")),
                    number(fs::read("/file")),
                    number(fs::rename("/file", "/file2").and_then(|()| fs::rename("/file2", "/file"))),
                    number(open.and_then(|file| file.sync_all())),
                ]
            })
        };
        with(Some(DiskFault::ReadOnly));
        let readonly = Some(Errno::ROFS.raw_os_error());
        assert_eq!(tries(), [readonly, None, readonly, None]);
        with(Some(DiskFault::Full));
        assert_eq!(tries(), [Some(Errno::NOSPC.raw_os_error()), None, None, None]);
        world.look(machine, || {
            fs::remove_file("/spare").unwrap();
            fs::write("/new", "x").expect("there is the room of what was removed");
            fs::remove_file("/new").unwrap();
        });
        with(Some(DiskFault::Broken));
        assert_eq!(tries(), [Some(Errno::IO.raw_os_error()); 4]);
        with(None);
        assert_eq!(tries(), [None; 4]);
    });
}

#[test]
fn modes_are_kept_to() {
    on_disk(Disk::default(), || {
        let denied = Some(Errno::ACCESS.raw_os_error());
        fs::create_dir("/folder").unwrap();
        fs::create_dir("/folder/inner").unwrap();
        fs::write("/folder/file", "text").unwrap();
        fs::set_mode("/folder/file", 0o444).unwrap();
        assert_eq!(number(fs::write("/folder/file", "x")), denied);
        fs::set_mode("/folder/inner", 0o555).unwrap();
        assert_eq!(number(fs::rename("/folder/inner", "/inner")), denied);
        fs::rename("/folder/inner", "/folder/other").unwrap();
        fs::set_mode("/folder", 0o555).unwrap();
        assert_eq!(number(fs::remove_file("/folder/file")), denied);
        assert_eq!(number(fs::write("/folder/new", "x")), denied);
        assert_eq!(number(fs::check_writable(Path::new("/folder"))), denied);
        fs::set_mode("/folder", 0o300).unwrap();
        assert_eq!(number(fs::read_dir("/folder")), denied);
        fs::metadata("/folder/file").unwrap();
        fs::set_mode("/folder", 0o600).unwrap();
        assert_eq!(number(fs::metadata("/folder/file")), denied);
        assert_eq!(fs::metadata("/folder").unwrap().mode(), 0o040_600);
    });
}

#[test]
fn a_lock_is_had_alone_or_shared_and_ends_with_its_file() {
    on_disk(Disk::default(), || {
        let file = || File::options().read(true).write(true).create(true).open("/lock").unwrap();
        let (one, two, three) = (file(), file(), file());
        one.try_lock_shared().unwrap();
        two.try_lock_shared().unwrap();
        assert!(matches!(three.try_lock(), Err(TryLockError::WouldBlock)));
        drop(two);
        // It has a lock already, and exchanges it.
        one.try_lock().unwrap();
        assert!(matches!(three.try_lock_shared(), Err(TryLockError::WouldBlock)));
        drop(one);
        three.try_lock().unwrap();
        // Locks are on files, not on names.
        fs::remove_file("/lock").unwrap();
        file().try_lock().unwrap();
    });
}

#[test]
fn what_a_process_had_open_ends_with_it() {
    in_world(1, async |world| {
        let machine = world.add_machine("one", Disk::default());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&seen);
        let holder = world.start(
            machine,
            "holder",
            Box::new(|| {
                let mut file = File::options().write(true).create(true).open("/lock").unwrap();
                file.write_all(&[1; 10_000]).unwrap();
                file.lock().unwrap();
                fs::remove_file("/lock").unwrap();
                fs::hard_link("/lock", "/gone").unwrap_err();
                let other = File::create("/other").unwrap();
                other.lock().unwrap();
                clock::sleep(Duration::from_secs(1000));
            }),
        );
        let waiter = world.start(
            machine,
            "waiter",
            Box::new(move || {
                clock::sleep(Duration::from_secs(1));
                // Somebody else waits meanwhile.
                let wait = thread::spawn("second", || File::open("/other").unwrap().lock().unwrap());
                File::open("/other").unwrap().lock().unwrap();
                theirs.lock().unwrap().push("has it");
                wait.unwrap().join().unwrap();
                theirs.lock().unwrap().push("had it");
            }),
        );
        world.run(|| world.elapsed() >= Duration::from_secs(10)).await;
        assert!(seen.lock().unwrap().is_empty());
        world.kill(holder);
        assert!(world.run(|| !world.is_alive(waiter)).await);
        assert_eq!(*seen.lock().unwrap(), ["has it", "had it"]);
        let used = |disk: &Disk| (disk.used, disk.open.len());
        assert_eq!(used(&world.machine(machine).disk.borrow()), ((1, 2), 0));
    });
}

#[test]
fn a_step_that_fails_or_kills_changes_nothing() {
    use crate::simulation::Ruling;
    in_world(1, async |world| {
        let machine = world.add_machine("one", Disk::default());
        world.judged_by(Box::new(|_, _, _, step| match (step.name, step.changes) {
            ("unlink", true) => Ruling::Fail(Errno::IO.raw_os_error()),
            ("rename", true) => Ruling::Kill,
            _ => Ruling::Go,
        }));
        let main = || {
            fs::write("/file", "text").unwrap();
            assert_eq!(number(fs::remove_file("/file")), Some(Errno::IO.raw_os_error()));
            let _ = fs::rename("/file", "/other");
            fs::write("/late", "text").unwrap();
        };
        let process = world.start(machine, "p", Box::new(main));
        assert!(world.run(|| !world.is_alive(process)).await);
        world.look(machine, || assert_eq!(tree(Path::new("/")).len(), 2));
        let mut text = String::new();
        world.look(machine, || File::open("/file").unwrap().read_to_string(&mut text).unwrap());
        assert_eq!(text, "text");
    });
}
