//! The order of writes, syncs and renames, proved from a trace of an agent's system calls.
//!
//! [`Disk`] follows what a power cut could take away: contents that were written and not synced since, and names
//! that were made or moved in a folder that was not synced since. A sync covers only what was there when it began.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::lane::{Lane, Scenario};
use crate::common::{Call, Strace, counted, left_out, parse};

const CALLS: &str = "openat,write,ftruncate,?rename,?renameat,renameat2,?link,linkat,?symlink,symlinkat,?unlink,\
                     unlinkat,?mkdir,mkdirat,?rmdir,?chmod,fchmod,fchmodat,fsync,fdatasync,syncfs";

/// What a trace was seen to do.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    published: usize,
    syncs: usize,
    stored: usize,
    switched: usize,
    committed: usize,
    intents_removed: usize,
}

/// What is not safe from a power cut yet; each with the line of the trace at which it came about.
struct Disk<'a> {
    target: &'a Path,
    /// Files and folders by path; hard links share a number.
    inodes: BTreeMap<PathBuf, usize>,
    count: usize,
    contents: BTreeMap<usize, usize>,
    names: BTreeMap<PathBuf, usize>,
    seen: Seen,
}

/// Follows a trace over a target directory that held `existing` before; the error says what came too early.
fn check(calls: &[Call], target: &Path, existing: &BTreeSet<PathBuf>) -> Result<Seen, String> {
    let inodes = existing.iter().cloned().zip(0..).collect();
    let mut disk = Disk {
        target,
        inodes,
        count: existing.len(),
        contents: BTreeMap::new(),
        names: BTreeMap::new(),
        seen: Seen::default(),
    };
    // A call demands what it needs when it begins, and has done what it does when it ends.
    let succeeded = || calls.iter().filter(|call| call.succeeded());
    let begins = succeeded().map(|call| (call.began, false, call));
    let mut events: Vec<_> = begins.chain(succeeded().map(|call| (call.ended, true, call))).collect();
    events.sort_by_key(|(line, ended, _)| (*line, *ended));
    for (_, ended, call) in events {
        if ended {
            disk.follow(call);
        } else {
            disk.demand(call).map_err(|fault| format!("{fault} before {call:?}"))?;
        }
    }
    Ok(disk.seen)
}

impl Disk<'_> {
    /// What must be on the disk before a call.
    fn demand(&mut self, call: &Call) -> Result<(), String> {
        let paths = self.paths(call);
        match (call.name.as_str(), &paths[..]) {
            ("write", _) if call.args[1].contains(r#"{\"stored\":{"#) => {
                self.seen.stored += 1;
                self.safe(|_| true)
            }
            ("write", [path]) if path.ends_with("journal") => {
                self.seen.committed += 1;
                self.safe(|path| path.ends_with("current"))
            }
            ("rename" | "renameat" | "renameat2", [old, new]) if !self.is_temporary(new) => {
                self.seen.published += 1;
                self.content_is_safe(old)?;
                self.safe_below(old)?;
                if new.ends_with("current") {
                    self.seen.switched += 1;
                    return self.safe(|path| path != old);
                }
                Ok(())
            }
            ("unlink" | "unlinkat", [path]) if path.ends_with("intent.json") => {
                self.seen.intents_removed += 1;
                self.safe(|path| path.ends_with("journal") || path.ends_with("current"))
            }
            _ => Ok(()),
        }
    }

    /// What a call has done.
    fn follow(&mut self, call: &Call) {
        let paths = self.paths(call);
        match (call.name.as_str(), &paths[..]) {
            ("openat", [path]) => {
                let creates = call.args[2].contains("O_CREAT") && !self.inodes.contains_key(path);
                if creates {
                    self.create(path, call);
                }
            }
            ("write" | "ftruncate" | "fchmod" | "chmod" | "fchmodat", [path]) => {
                let inode = self.inode(path);
                self.contents.insert(inode, call.ended);
            }
            ("rename" | "renameat" | "renameat2", [old, new]) => self.rename(call, old, new),
            ("link" | "linkat", [old, new]) => {
                let inode = self.inode(old);
                self.inodes.insert(new.clone(), inode);
                self.names.insert(new.clone(), call.ended);
            }
            ("symlink" | "symlinkat" | "mkdir" | "mkdirat", [path]) => self.create(path, call),
            ("unlink" | "unlinkat" | "rmdir", [path]) => drop(self.take(path)),
            ("fsync" | "fdatasync", [path]) => self.sync(call, path),
            ("syncfs", _) => {
                self.seen.syncs += 1;
                self.contents.retain(|_, since| *since > call.began);
                self.names.retain(|_, since| *since > call.began);
            }
            (_, paths) => assert!(paths.is_empty(), "not understood: {call:?}"),
        }
    }

    /// The paths below the target directory that a call names, in their order.
    fn paths(&self, call: &Call) -> Vec<PathBuf> {
        let named = (0..call.args.len()).filter_map(|index| call.path(index).map(PathBuf::from));
        named.filter(|path| path.starts_with(self.target)).collect()
    }

    fn inode(&mut self, path: &Path) -> usize {
        self.count += 1;
        *self.inodes.entry(path.to_owned()).or_insert(self.count)
    }

    fn create(&mut self, path: &Path, call: &Call) {
        self.inode(path);
        self.names.insert(path.to_owned(), call.ended);
    }

    fn rename(&mut self, call: &Call, old: &Path, new: &Path) {
        let exchanged = call.args.iter().any(|argument| argument.contains("RENAME_EXCHANGE"));
        let (moved, replaced) = (self.take(old), self.take(new));
        self.put(new, moved);
        self.inode(new);
        self.names.insert(new.to_owned(), call.ended);
        if exchanged {
            self.put(old, replaced);
        }
    }

    fn sync(&mut self, call: &Call, path: &Path) {
        self.seen.syncs += 1;
        let inode = self.inode(path);
        self.contents.retain(|of, since| *of != inode || *since > call.began);
        self.names.retain(|name, since| name.parent() != Some(path) || *since > call.began);
    }

    /// Takes a path away, with all below it: what it was called there, its number, and since when its name is unsafe.
    fn take(&mut self, root: &Path) -> Vec<(PathBuf, usize, Option<usize>)> {
        let below: Vec<_> = self.inodes.keys().filter(|path| path.starts_with(root)).cloned().collect();
        let take = |path: PathBuf| {
            let inode = self.inodes.remove(&path)?;
            Some((path.strip_prefix(root).ok()?.to_owned(), inode, self.names.remove(&path)))
        };
        below.into_iter().filter_map(take).collect()
    }

    fn put(&mut self, root: &Path, taken: Vec<(PathBuf, usize, Option<usize>)>) {
        for (path, inode, since) in taken {
            let path = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) };
            self.inodes.insert(path.clone(), inode);
            self.names.extend(since.map(|since| (path, since)));
        }
    }

    /// What only the process that made it uses: a power cut may have it.
    fn is_temporary(&self, path: &Path) -> bool {
        let Ok(path) = path.strip_prefix(self.target) else { return true };
        let beside_checkouts = path.strip_prefix("store/artifacts").is_ok_and(|path| {
            path.components()
                .next()
                .is_some_and(|first| first.as_os_str().to_string_lossy().starts_with(".batou-"))
        });
        let ours = ["store/tmp", "store/leases", "lock"];
        beside_checkouts || ours.iter().any(|temporary| path.starts_with(temporary))
    }

    /// All chosen paths are on the disk, with their contents, except temporary ones.
    fn safe(&self, chosen: impl Fn(&Path) -> bool) -> Result<(), String> {
        let chosen = |path: &&PathBuf| chosen(path) && !self.is_temporary(path);
        self.names.keys().find(chosen).map_or(Ok(()), |name| Err(unsynced("name", name)))?;
        self.inodes.keys().filter(chosen).try_for_each(|path| self.content_is_safe(path))
    }

    /// The same for all paths in a folder, which may be a temporary one.
    fn safe_below(&self, folder: &Path) -> Result<(), String> {
        let below = |path: &&PathBuf| path.starts_with(folder) && *path != folder;
        self.names.keys().find(below).map_or(Ok(()), |name| Err(unsynced("name", name)))?;
        self.inodes.keys().filter(below).try_for_each(|path| self.content_is_safe(path))
    }

    fn content_is_safe(&self, path: &Path) -> Result<(), String> {
        let is_unsafe = self.inodes.get(path).is_some_and(|inode| self.contents.contains_key(inode));
        if is_unsafe { Err(unsynced("content", path)) } else { Ok(()) }
    }
}

fn unsynced(what: &str, path: &Path) -> String {
    format!("the {what} of {} was not synced", path.display())
}

/// A whole release in short, with every sync that it needs and no other.
const SHORT: &str = r#"
1 mkdir("/t/store/tmp/b", 0777) = 0
1 openat(AT_FDCWD</>, "/t/store/tmp/b/0", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0444) = 9</t/store/tmp/b/0>
1 write(9</t/store/tmp/b/0>, "text", 4) = 4
1 mkdir("/t/store/tmp/b/c", 0777) = 0
1 linkat(AT_FDCWD</>, "/t/store/tmp/b/0", AT_FDCWD</>, "/t/store/tmp/b/c/file", 0) = 0
1 fsync(9</t/store/tmp/b/0>) = 0
1 fsync(9</t/store/tmp/b/c>) = 0
1 rename("/t/store/tmp/b/0", "/t/store/blobs/ab") = 0
1 rename("/t/store/tmp/b/c", "/t/store/artifacts/c") = 0
1 fsync(9</t/store/blobs>) = 0
1 fsync(9</t/store/artifacts>) = 0
2 write(1<pipe:[5]>, "\0\0{\"stored\":{\"objects\":2}}", 33) = 33
1 mkdir("/t/generations/.batou-1", 0777) = 0
1 symlink("../../store/artifacts/c", "/t/generations/.batou-1/c") = 0
1 openat(AT_FDCWD</>, "/t/generations/.batou-1/manifest.json", O_WRONLY|O_CREAT|O_EXCL, 0644) = 9</t/generations/.batou-1/manifest.json>
1 write(9</t/generations/.batou-1/manifest.json>, "{}", 2) = 2
1 fsync(9</t/generations/.batou-1/manifest.json>) = 0
1 fsync(9</t/generations/.batou-1>) = 0
1 rename("/t/generations/.batou-1", "/t/generations/1") = 0
1 fsync(9</t/generations>) = 0
1 openat(AT_FDCWD</>, "/t/.batou-2", O_WRONLY|O_CREAT|O_EXCL, 0644) = 9</t/.batou-2>
1 write(9</t/.batou-2>, "{}", 2) = 2
1 fsync(9</t/.batou-2>) = 0
1 rename("/t/.batou-2", "/t/intent.json") = 0
1 fsync(9</t>) = 0
1 symlink("generations/1", "/t/.batou-3") = 0
1 rename("/t/.batou-3", "/t/current") = 0
1 fsync(9</t>) = 0
1 openat(AT_FDCWD</>, "/t/journal", O_RDWR|O_CREAT|O_APPEND, 0666) = 9</t/journal>
1 write(9</t/journal>, "{}", 2) = 2
1 fsync(9</t/journal>) = 0
1 fsync(9</t>) = 0
1 unlink("/t/intent.json") = 0
"#;

#[test]
fn a_trace_that_lacks_any_sync_is_refused() {
    let lines: Vec<_> = SHORT.trim().lines().collect();
    let judge = |lines: &[&str]| check(&parse(&lines.join("\n")), Path::new("/t"), &BTreeSet::new());
    let expected = Seen { published: 5, syncs: 12, stored: 1, switched: 1, committed: 1, intents_removed: 1 };
    assert_eq!(judge(&lines), Ok(expected));
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("fsync")) {
        let mut without = lines.clone();
        without.remove(index);
        assert!(judge(&without).is_err(), "{line} is not missed");
    }
}

#[test]
fn a_sync_covers_only_what_was_there_when_it_began() {
    let early = SHORT.replace("1 fsync(9</t/store/tmp/b/0>) = 0", "3 <... fsync resumed>) = 0").replace(
        "1 write(9</t/store/tmp/b/0>",
        "3 fsync(9</t/store/tmp/b/0> <unfinished ...>\n1 write(9</t/store/tmp/b/0>",
    );
    let fault = check(&parse(&early), Path::new("/t"), &BTreeSet::new()).unwrap_err();
    assert!(fault.starts_with("the content of /t/store/tmp/b/0 was not synced before"), "{fault}");
}

#[test]
fn an_agent_syncs_before_it_publishes_and_publishes_before_it_answers() {
    if let Some(lacking) = Strace::lacking() {
        return left_out("the order of writes, syncs and renames", lacking);
    }
    for scenario in [Scenario::First, Scenario::Switch, Scenario::Rollback] {
        let lane = Lane::new(scenario);
        let seen = prove(&lane, &format!("{scenario:?}"));
        assert_eq!((seen.switched, seen.committed, seen.intents_removed), (1, 1, 1));
        assert_eq!(seen.stored, usize::from(scenario != Scenario::Rollback));
    }
    // From so many objects on, whole filesystems are synced.
    let lane = Lane::new(Scenario::Switch);
    let file = |n| format!("[[file]]\npath = \"{n}/file\"\ncontent = \"file {n}\\n\"\n");
    lane.sandbox.write("components/app/component.toml", (0..100).map(file).collect::<String>());
    let seen = prove(&lane, "Large");
    assert!(seen.published > 200 && seen.syncs < 60, "{seen:?}");
}

/// Traces a release and checks it; then once more for each of its syncs without that.
fn prove(lane: &Lane, name: &str) -> Seen {
    let existing =
        WalkDir::new(lane.target()).into_iter().filter_map(Result::ok).map(walkdir::DirEntry::into_path);
    let existing = existing.collect();
    let strace = Strace::of(CALLS);
    lane.traced(&strace, false).success();
    let calls = strace.calls();
    let target = lane.target();
    let seen = check(&calls, &target, &existing).unwrap_or_else(|fault| panic!("{name}: {fault}"));
    let syncs = calls.iter().enumerate().filter(|(_, call)| call.name.contains("sync"));
    let missed = syncs.filter(|(index, _)| {
        let without = [&calls[..*index], &calls[index + 1..]].concat();
        check(&without, &target, &existing).is_err()
    });
    let missed = missed.count();
    counted(&format!("{name}: {seen:?}, {missed} of the syncs would be missed"));
    assert!(missed * 2 > seen.syncs, "the checker misses too few syncs");
    seen
}
