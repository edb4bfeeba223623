//! Sequences of calls, made on a simulated disk and on a real one.

use std::fmt::Debug;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use proptest::prelude::*;
use rustix::fs::OFlags;

use super::*;
use crate::fs::{File, OpenOptions, TryLockError};

/// How deep below the top the calls begin, so that no link leads above it.
const DEPTH: &str = "1/2/3/4/5/6/7/8";
const HANDLES: usize = 3;

#[derive(Clone, Debug)]
enum Call {
    Open(usize, String, OpenOptions),
    Write(usize, usize),
    Read(usize, usize),
    ReadToEnd(usize),
    Seek(usize, i64, bool),
    SetLength(usize, u64),
    Mode(usize, u32),
    Allocate(usize, u64, bool),
    Lock(usize, bool),
    Known(usize),
    Sync(usize),
    Close(usize),
    Chmod(String, u32),
    MakeFolder(String, u32),
    MakeFolders(String),
    RemoveFolder(String),
    RemoveFolders(String),
    Remove(String),
    Rename(String, String),
    Exchange(String, String),
    Link(String, String),
    Symlink(String, String),
    ReadLink(String),
    Stat(String),
    List(String),
    RealPath(String),
    Below(String, String),
}

fn path() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(vec!["a", "b", "c", "d"]);
    prop_oneof![
        4 => name().prop_map(str::to_owned),
        4 => (name(), name()).prop_map(|(one, two)| format!("{one}/{two}")),
        2 => (name(), name(), name()).prop_map(|(one, two, three)| format!("{one}/{two}/{three}")),
        1 => (name(), name()).prop_map(|(one, two)| format!("{one}/../{two}")),
        1 => name().prop_map(|name| format!("{name}{}", "x".repeat(255))),
    ]
}

fn target() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(vec!["a", "b", "c", "d"]);
    prop_oneof![
        4 => path(),
        2 => name().prop_map(|name| format!("../{name}")),
        1 => Just(".".to_owned()),
        1 => Just(String::new()),
    ]
}

fn options() -> impl Strategy<Value = OpenOptions> {
    let mode = prop::sample::select(vec![0o644, 0o600, 0o444, 0o755]);
    let flags = prop::sample::select(vec![OFlags::empty(), OFlags::NOFOLLOW, OFlags::DIRECTORY]);
    (any::<u8>(), mode, flags).prop_map(|(bits, mode, flags)| {
        let mut options = OpenOptions::new();
        options
            .read(bits & 1 == 0)
            .write(bits & 2 == 0)
            .append(bits & 0b1100 == 0)
            .truncate(bits & 0b110_000 == 0);
        options.create(bits & 64 == 0).create_new(bits & 128 == 0 && bits & 1 == 0).mode(mode);
        // The kernel refuses to make a folder so only since 6.3.
        let flags = if bits & 64 == 0 || bits & 0b1000_0001 == 0 { flags - OFlags::DIRECTORY } else { flags };
        options.custom_flags(flags.bits().cast_signed());
        options
    })
}

fn call() -> impl Strategy<Value = Call> {
    let handle = || 0..HANDLES;
    let mode = || prop::sample::select(vec![0o755, 0o700, 0o555, 0o644, 0o600]);
    prop_oneof![
        8 => (handle(), path(), options()).prop_map(|(id, path, options)| Call::Open(id, path, options)),
        3 => (handle(), 0_usize..9000).prop_map(|(id, size)| Call::Write(id, size)),
        2 => (handle(), 0_usize..9000).prop_map(|(id, size)| Call::Read(id, size)),
        1 => handle().prop_map(Call::ReadToEnd),
        2 => (handle(), -10_i64..10_000, any::<bool>()).prop_map(|(id, by, end)| Call::Seek(id, by, end)),
        2 => (handle(), 0_u64..9000).prop_map(|(id, size)| Call::SetLength(id, size)),
        1 => (handle(), mode()).prop_map(|(id, mode)| Call::Mode(id, mode)),
        1 => (handle(), 0_u64..9000, any::<bool>()).prop_map(|(id, size, keep)| Call::Allocate(id, size, keep)),
        2 => (handle(), any::<bool>()).prop_map(|(id, alone)| Call::Lock(id, alone)),
        2 => handle().prop_map(Call::Known),
        1 => handle().prop_map(Call::Sync),
        1 => handle().prop_map(Call::Close),
        2 => (path(), mode()).prop_map(|(path, mode)| Call::Chmod(path, mode)),
        6 => (path(), mode()).prop_map(|(path, mode)| Call::MakeFolder(path, mode)),
        1 => path().prop_map(Call::MakeFolders),
        2 => path().prop_map(Call::RemoveFolder),
        1 => path().prop_map(Call::RemoveFolders),
        2 => path().prop_map(Call::Remove),
        4 => (path(), path()).prop_map(|(from, to)| Call::Rename(from, to)),
        2 => (path(), path()).prop_map(|(one, other)| Call::Exchange(one, other)),
        3 => (path(), path()).prop_map(|(from, to)| Call::Link(from, to)),
        4 => (target(), path()).prop_map(|(target, path)| Call::Symlink(target, path)),
        1 => path().prop_map(Call::ReadLink),
        2 => path().prop_map(Call::Stat),
        2 => path().prop_map(Call::List),
        1 => path().prop_map(Call::RealPath),
        1 => (path(), path()).prop_map(|(folder, name)| Call::Below(folder, name)),
    ]
}

/// What can be compared: not numbers and times, nor how large folders are.
fn shown(found: &fs::Metadata) -> String {
    let folder = found.is_dir();
    let (size, links) = if folder { (0, 0) } else { (found.len(), found.nlink()) };
    format!("{:?} {:o} {size} {links}", found.file_type(), found.mode())
}

fn told<T: Debug>(result: std::io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        // The library refuses some options itself.
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => "error EINVAL".to_owned(),
        Err(error) => format!("error {:?} {:?}", error.raw_os_error(), error.kind()),
    }
}

/// Makes a call on what is open, if it is.
fn on_handle(call: &Call, open: &mut [Option<File>]) -> Option<String> {
    let (Call::Write(id, _)
    | Call::Read(id, _)
    | Call::ReadToEnd(id)
    | Call::Seek(id, ..)
    | Call::SetLength(id, _)
    | Call::Mode(id, _)
    | Call::Allocate(id, ..)
    | Call::Lock(id, _)
    | Call::Known(id)
    | Call::Sync(id)
    | Call::Close(id)) = call
    else {
        return None;
    };
    let Some(file) = &mut open[*id] else { return Some(String::new()) };
    Some(match call {
        Call::Write(_, size) => told(file.write(&vec![7; *size])),
        Call::Read(_, size) => {
            let mut bytes = vec![0; *size];
            told(file.read(&mut bytes).map(|count| bytes[..count].to_vec()))
        }
        Call::ReadToEnd(_) => {
            let mut bytes = Vec::new();
            told(file.read_to_end(&mut bytes).map(|_| bytes))
        }
        // Folders have places of their own to go to.
        Call::Seek(_, by, end) if file.metadata().unwrap().is_file() => {
            told(file.seek(if *end { SeekFrom::End(*by) } else { SeekFrom::Current(*by) }))
        }
        Call::SetLength(_, size) => told(file.set_len(*size)),
        Call::Mode(_, mode) => told(file.set_mode(*mode)),
        Call::Allocate(_, size, true) => told(file.reserve(0, *size)),
        Call::Allocate(_, size, false) => told(file.allocate(*size)),
        Call::Lock(_, alone) => match if *alone { file.try_lock() } else { file.try_lock_shared() } {
            Ok(()) => "locked".to_owned(),
            Err(TryLockError::WouldBlock) => "others have it".to_owned(),
            Err(TryLockError::Error(error)) => told::<()>(Err(error)),
        },
        Call::Known(_) => told(file.metadata().map(|found| shown(&found))),
        Call::Sync(_) => told(file.sync_all()),
        Call::Close(id) => {
            open[*id] = None;
            String::new()
        }
        _ => String::new(),
    })
}

fn make(call: &Call, base: &Path, open: &mut [Option<File>]) -> String {
    if let Some(told) = on_handle(call, open) {
        return told;
    }
    let at = |path: &String| base.join(path);
    match call {
        Call::Open(id, path, options) => match options.open(at(path)) {
            Ok(file) => {
                open[*id] = Some(file);
                "opened".to_owned()
            }
            Err(error) => told::<()>(Err(error)),
        },
        Call::Chmod(path, mode) => told(fs::set_mode(at(path), *mode)),
        Call::MakeFolder(path, mode) => told(fs::create_dir_with(at(path), *mode)),
        Call::MakeFolders(path) => told(fs::create_dir_all(at(path))),
        Call::RemoveFolder(path) => told(fs::remove_dir(at(path))),
        Call::RemoveFolders(path) => told(fs::remove_dir_all(at(path))),
        Call::Remove(path) => told(fs::remove_file(at(path))),
        Call::Rename(from, to) => told(fs::rename(at(from), at(to))),
        Call::Exchange(one, other) => told(fs::exchange(&at(one), &at(other))),
        Call::Link(from, to) => told(fs::hard_link(at(from), at(to))),
        Call::Symlink(target, path) => told(fs::symlink(target, at(path))),
        Call::ReadLink(path) => told(fs::read_link(at(path))),
        Call::Stat(path) => told(fs::metadata(at(path)).map(|found| shown(&found))),
        Call::List(path) => told(fs::read_dir(at(path)).map(|entries| {
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap()).collect();
            names.sort_by_key(fs::DirEntry::file_name);
            let shown = |entry: &fs::DirEntry| {
                (
                    entry.file_name(),
                    entry.file_type().unwrap(),
                    entry.metadata().map(|found| shown(&found)).unwrap(),
                )
            };
            names.iter().map(shown).collect::<Vec<_>>()
        })),
        Call::RealPath(path) => {
            let top = fs::canonicalize(base.ancestors().nth(8).unwrap()).unwrap();
            let below = |found: PathBuf| found.strip_prefix(&top).unwrap().to_owned();
            told(fs::canonicalize(at(path)).map(below))
        }
        Call::Below(folder, name) => told(
            fs::OpenFolder::open(&at(folder))
                .and_then(|folder| folder.metadata(name.split('/').next_back().unwrap()))
                .map(|found| shown(&found)),
        ),
        _ => unreachable!("a call on what is open"),
    }
}

/// Makes the calls below `top`, and tells what came of each, and what there is in the end.
fn history(calls: &[Call], top: &Path) -> Vec<String> {
    let base = top.join(DEPTH);
    fs::create_dir_all(&base).unwrap();
    let mut open: Vec<Option<File>> = (0..HANDLES).map(|_| None).collect();
    let mut told: Vec<_> = calls.iter().map(|call| make(call, &base, &mut open)).collect();
    drop(open);
    told.extend(tree(top));
    told
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_simulated_disk_does_what_a_real_one_does(calls in prop::collection::vec(call(), 1..60)) {
        let folder = tempfile::tempdir().unwrap();
        let real = history(&calls, &folder.path().join("top"));
        let mut disk = Disk::default();
        disk.set_user(rustix::process::geteuid().as_raw());
        let simulated = on_machine(disk, |world, machine| {
            world.look(machine, || history(&calls, Path::new("/top")))
        });
        for (place, (real, simulated)) in real.iter().zip(&simulated).enumerate() {
            prop_assert_eq!(real, simulated, "at {} {:?}", place, calls.get(place));
        }
        prop_assert_eq!(real.len(), simulated.len());
    }
}
