//! A disk without a free block, or without a free inode: going back to what is there works, and collecting frees something.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use crate::common::{Lacking, Sandbox, left_out};
use crate::shop::{self, Target, greet, says};

/// A small ext4 filesystem in a file. It is unmounted when this is dropped.
pub(super) struct SmallDisk {
    _image: tempfile::TempDir,
    pub(super) mounted: PathBuf,
}

impl SmallDisk {
    /// `None` where none can be mounted, which is noted.
    fn new(what: &str) -> Option<Self> {
        Self::mount(what, None)
    }

    /// The same, at a place of its own.
    pub(super) fn at(what: &str, place: PathBuf) -> Option<Self> {
        Self::mount(what, Some(place))
    }

    fn mount(what: &str, place: Option<PathBuf>) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            left_out(what, Lacking::Root);
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (image, beside) = (folder.path().join("image"), folder.path().join("mounted"));
        let mounted = place.unwrap_or(beside);
        fs::create_dir(&mounted).unwrap();
        File::create(&image).unwrap().set_len(16 << 20).unwrap();
        // Nothing is reserved for root, who the tests run as.
        let made = Command::new("mke2fs")
            .args(["-q", "-F", "-t", "ext4", "-m", "0", "-N", "400"])
            .arg(&image)
            .status();
        assert!(made.unwrap().success(), "mke2fs");
        if !Command::new("mount").args(["-o", "loop"]).args([&image, &mounted]).status().unwrap().success() {
            left_out(what, Lacking::Namespaces);
            return None;
        }
        Some(Self { _image: folder, mounted })
    }

    /// Uses up what is to be used up.
    fn fill(&self, used_up: &[Scarce]) {
        let mut filler = File::options().create(true).append(true).open(self.mounted.join("filler")).unwrap();
        fs::create_dir(self.mounted.join("files")).unwrap();
        // Folders need room, too, so it goes last.
        if used_up.contains(&Scarce::Inodes) {
            let path = |number: usize| self.mounted.join(format!("files/{number}"));
            assert!((0..10_000).any(|number| File::create(path(number)).is_err()));
        }
        if used_up.contains(&Scarce::Room) {
            for size in [64 << 10, 1024, 1] {
                while filler.write_all(&vec![1; size]).and_then(|()| filler.sync_data()).is_ok() {}
            }
        }
        let left = rustix::fs::statvfs(&self.mounted).unwrap();
        assert!(!used_up.contains(&Scarce::Room) || left.f_bavail == 0, "{} blocks left", left.f_bavail);
        assert!(!used_up.contains(&Scarce::Inodes) || left.f_favail == 0, "{} inodes left", left.f_favail);
    }

    /// Leaves so much room.
    fn fill_up_to(&self, left: u64) {
        let filler = File::create(self.mounted.join("filler")).unwrap();
        let size = self.free() - left;
        rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), 0, size).unwrap();
    }

    fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(&self.mounted).unwrap();
        found.f_bavail * found.f_frsize
    }

    fn empty(&self) {
        let _ = fs::remove_file(self.mounted.join("filler"));
        let _ = fs::remove_dir_all(self.mounted.join("files"));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What stays mounted hides no failure of the test.
        let _ = Command::new("umount").arg(&self.mounted).status();
    }
}

/// What a disk can be without.
#[derive(PartialEq, Eq, Debug)]
enum Scarce {
    Room,
    Inodes,
}

const FILLS: [&[Scarce]; 3] = [&[Scarce::Room], &[Scarce::Inodes], &[Scarce::Room, Scarce::Inodes]];

/// The shop on a small disk, with `app` greeting "one", "two" and "three".
fn released(disk: &SmallDisk) -> (Sandbox, Target) {
    let sandbox = shop::local();
    let directory = disk.mounted.join("shop");
    shop::set(&sandbox, &format!("target_directory = \"{}\"", directory.display()));
    for greeting in ["one", "two", "three"] {
        greet(&sandbox, greeting);
        sandbox.batou(&["switch", "dev"]).success();
    }
    (sandbox, Target(directory))
}

#[test]
fn a_rollback_to_what_is_there_needs_no_room_and_no_inode() {
    let mut ran = 0;
    for used_up in FILLS {
        let Some(disk) = SmallDisk::new("rollbacks on full disks") else { return };
        let (sandbox, target) = released(&disk);
        let kept = || fs::read_dir(target.0.join("reserve")).unwrap().count();
        disk.fill(used_up);
        // What brings something new fails, and leaves the reserve to those who go back.
        greet(&sandbox, "four");
        sandbox.batou(&["switch", "dev"]).fails(1);
        assert!(kept() > 10, "{used_up:?}");
        for expected in ["two", "one"] {
            says(&sandbox.batou(&["rollback", "dev"]).success().stdout, &["is in force on 1 host"]);
            assert_eq!(target.file("app/app.conf"), format!("{expected} on localhost\n"), "{used_up:?}");
            sandbox.batou(&["verify", "dev"]).success();
            ran += 1;
        }
        disk.empty();
        sandbox.batou(&["switch", "dev"]).success();
        assert_eq!(target.file("app/app.conf"), "four on localhost\n", "{used_up:?}");
        assert!(kept() > 10, "{used_up:?}: it is kept again");
    }
    println!("rollbacks on full disks: {ran}");
}

#[test]
fn once_the_reserve_is_used_up_a_rollback_says_so_and_collecting_makes_room() {
    for used_up in FILLS {
        let Some(disk) = SmallDisk::new("rollbacks without a reserve") else { return };
        let (sandbox, target) = released(&disk);
        for entry in fs::read_dir(target.0.join("reserve")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        disk.fill(used_up);
        let told = sandbox.batou(&["rollback", "dev"]).fails(1).stderr;
        says(&told, &["the disk is full", "and the reserve in", "is used up, too", "`batou gc dev`"]);
        assert_eq!(target.file("app/app.conf"), "three on localhost\n", "{used_up:?}");
        says(&sandbox.batou(&["gc", "dev"]).success().stdout, &["0 generations, 0 objects"]);
        shop::set(&sandbox, "keep = 2");
        says(&sandbox.batou(&["gc", "dev"]).success().stdout, &["1 generation"]);
        sandbox.batou(&["rollback", "dev"]).success();
        assert_eq!(target.file("app/app.conf"), "two on localhost\n", "{used_up:?}");
    }
    println!("rollbacks without a reserve: {}", FILLS.len());
}

#[test]
fn what_is_collected_on_a_full_disk_is_freed() {
    for used_up in FILLS {
        let Some(disk) = SmallDisk::new("collecting on full disks") else { return };
        let (sandbox, target) = released(&disk);
        disk.fill(used_up);
        shop::set(&sandbox, "keep = 1");
        says(&sandbox.batou(&["gc", "dev"]).success().stdout, &["2 generations"]);
        assert_eq!(target.generations(), [3], "{used_up:?}");
        assert_eq!(target.file("app/app.conf"), "three on localhost\n", "{used_up:?}");
        disk.empty();
        greet(&sandbox, "four");
        sandbox.batou(&["switch", "dev"]).success();
        assert_eq!(target.file("app/app.conf"), "four on localhost\n", "{used_up:?}");
    }
    println!("collections on full disks: {}", FILLS.len());
}

#[test]
fn a_nearly_full_disk_is_left_to_the_services() {
    for left in [600_u64 << 10, 800 << 10, 1100 << 10] {
        let Some(disk) = SmallDisk::new("releases on nearly full disks") else { return };
        let sandbox = shop::local();
        let directory = disk.mounted.join("shop");
        shop::set(&sandbox, &format!("target_directory = \"{}\"", directory.display()));
        disk.fill_up_to(left);
        for greeting in ["one", "two", "three"] {
            greet(&sandbox, greeting);
            sandbox.batou(&["switch", "dev"]).success();
        }
        let reserve = fs::metadata(directory.join("reserve/room")).unwrap().len();
        assert!(reserve >= 32 << 10, "{reserve} bytes are kept");
        assert!(reserve <= disk.free() / 7, "{reserve} bytes are kept, and {} are left", disk.free());
        disk.fill(&[Scarce::Room]);
        sandbox.batou(&["rollback", "dev"]).success();
        assert_eq!(Target(directory).file("app/app.conf"), "two on localhost\n", "{left}");
    }
}

#[test]
fn what_is_mounted_is_emptied_when_its_host_is_retired_and_stays() {
    let Some(disk) = SmallDisk::new("retiring what is mounted") else { return };
    fs::remove_dir(disk.mounted.join("lost+found")).unwrap();
    let sandbox = shop::local();
    let target = &disk.mounted;
    shop::set(&sandbox, &format!("target_directory = \"{}\"", target.display()));
    sandbox.batou(&["switch", "dev"]).success();
    let data = target.join("state/db");
    let mount = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&data).status().unwrap();
    assert!(mount.success());
    fs::write(data.join("precious"), "").unwrap();
    let retire = ["retire", "dev", "localhost", "--yes", "--purge"];
    let kept = sandbox.batou(&retire[..4]).success().stdout;
    assert!(data.join("precious").exists() && !kept.contains("what stays"), "{kept}");
    let purged = sandbox.batou(&retire);
    let is_empty = fs::read_dir(&data).unwrap().next().is_none();
    assert!(Command::new("umount").arg(&data).status().unwrap().success());
    let stays = format!("; what stays, empty: {} (a mount point)\n", data.display());
    assert!(is_empty && purged.success().stdout.contains(&stays));

    sandbox.batou(&["switch", "dev"]).success();
    let emptied = sandbox.batou(&retire).success().stdout;
    let line = "localhost: everything batou made is removed; what stays, empty:";
    assert_eq!(emptied, format!("{line} {} (a mount point)\n", target.display()));
    assert!(fs::read_dir(target).unwrap().next().is_none());
}
