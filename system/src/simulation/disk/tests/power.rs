//! What power cuts leave.

use std::collections::BTreeSet;
use std::io::Write;

use super::*;
use crate::fs::File;

/// What is found after a power cut, over many of them.
fn after<T: Ord>(before: impl Fn(), look: impl Fn() -> T) -> BTreeSet<T> {
    let found = |seed| {
        in_world(seed, async |world| {
            let machine = world.add_machine("one", Disk::default());
            world.look(machine, &before);
            world.crash(machine);
            world.look(machine, &look)
        })
    };
    (0..300).map(found).collect()
}

fn sync(path: &str) {
    File::open(path).unwrap().sync_all().unwrap();
}

fn text(path: &str) -> Option<String> {
    fs::read(path).ok().map(|bytes| String::from_utf8(bytes).unwrap())
}

fn set<const N: usize>(texts: [Option<&str>; N]) -> BTreeSet<Option<String>> {
    texts.into_iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn a_new_file_needs_both_syncs() {
    let write = || fs::write("/f", "abc").unwrap();
    let anything = set([None, Some(""), Some("a"), Some("ab"), Some("abc"), Some("\0\0\0")]);
    assert_eq!(after(write, || text("/f")), anything);
    let synced = || {
        write();
        sync("/f");
    };
    assert_eq!(after(synced, || text("/f")), set([None, Some("abc")]));
    let named = || {
        write();
        sync("/");
    };
    assert_eq!(after(named, || text("/f")), &anything - &set([None]));
    let both = || {
        write();
        sync("/f");
        sync("/");
    };
    assert_eq!(after(both, || text("/f")), set([Some("abc")]));
    let all = || {
        write();
        File::open("/").unwrap().sync_filesystem().unwrap();
    };
    assert_eq!(after(all, || text("/f")), set([Some("abc")]));
}

fn old() {
    fs::write("/f", "old").unwrap();
    sync("/f");
    sync("/");
}

#[test]
fn what_is_appended_leaves_what_was_synced_alone() {
    let append = || {
        old();
        File::options().append(true).open("/f").unwrap().write_all(b"+x").unwrap();
    };
    let expected = set([Some("old"), Some("old+"), Some("old+x"), Some("old\0\0")]);
    assert_eq!(after(append, || text("/f")), expected);
    let replaced = || {
        old();
        fs::write("/f", "newer").unwrap();
    };
    let found = after(replaced, || text("/f"));
    for expected in ["", "old", "n", "newer", "\0\0\0\0\0"] {
        assert!(found.contains(&Some(expected.to_owned())), "{expected:?} is not in {found:?}");
    }
}

#[test]
fn a_name_always_stands_for_something_while_it_is_replaced() {
    let replace = |synced: bool, folder: bool| {
        move || {
            old();
            fs::write("/new", "new").unwrap();
            if synced {
                sync("/new");
            }
            fs::rename("/new", "/f").unwrap();
            if folder {
                sync("/");
            }
        }
    };
    let both = || (text("/f"), text("/new"));
    let some = |text: &str| Some(text.to_owned());
    let expected = BTreeSet::from([(some("old"), None), (some("old"), some("new")), (some("new"), None)]);
    assert_eq!(after(replace(true, false), both), expected);
    assert_eq!(after(replace(true, true), both), BTreeSet::from([(some("new"), None)]));
    // As on XFS: the name was there before the content.
    let found = after(replace(false, true), || text("/f"));
    assert_eq!(found, set([Some(""), Some("n"), Some("ne"), Some("new"), Some("\0\0\0")]));
}

#[test]
fn each_change_of_a_name_is_kept_or_lost_on_its_own() {
    let make = || {
        for name in ["/a", "/b", "/c"] {
            fs::create_dir(name).unwrap();
        }
        sync("/");
        fs::remove_dir("/a").unwrap();
        fs::create_dir("/d").unwrap();
        fs::rename("/b", "/e").unwrap();
    };
    let names = || fs::read_dir("/").unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    let found = after(make, names);
    assert_eq!(found.len(), 8, "{found:?}");
    // One that was moved is in one of both places, never in both or none.
    assert!(found.iter().all(|names| names.iter().filter(|name| *name == "b" || *name == "e").count() == 1));
}

#[test]
fn a_name_that_changed_twice_takes_no_step_before_the_first() {
    let make = || {
        fs::create_dir("/a").unwrap();
        fs::create_dir("/a/b").unwrap();
        fs::write("/x", "x").unwrap();
        sync("/x");
        sync("/a");
        sync("/");
        fs::rename("/x", "/y").unwrap();
        fs::rename("/y", "/z").unwrap();
    };
    let places = || ["/x", "/y", "/z"].map(fs::exists);
    let expected = BTreeSet::from([[true, false, false], [false, true, false], [false, false, true]]);
    assert_eq!(after(make, places), expected);
    // What is synced later takes along what it needs.
    let moved = || {
        make();
        fs::rename("/z", "/a/w").unwrap();
        sync("/a");
    };
    assert_eq!(
        after(moved, || (places(), text("/a/w"))),
        BTreeSet::from([([false; 3], Some("x".to_owned()))])
    );
}

#[test]
fn a_folder_that_was_exchanged_is_old_or_new() {
    let make = || {
        for name in ["/old", "/new"] {
            fs::create_dir(name).unwrap();
            fs::write(Path::new(name).join("f"), name).unwrap();
        }
        File::open("/").unwrap().sync_filesystem().unwrap();
        fs::exchange(Path::new("/old"), Path::new("/new")).unwrap();
        fs::remove_file("/new/f").unwrap();
        sync("/new");
    };
    let expected: BTreeSet<_> = [(Some("/new"), None), (None, Some("/new"))]
        .map(|(one, other)| (one.map(str::to_owned), other.map(str::to_owned)))
        .into();
    assert_eq!(after(make, || (text("/old/f"), text("/new/f"))), expected);
}

#[test]
fn modes_and_room_are_kept_with_the_file() {
    let make = |synced: bool| {
        move || {
            old();
            fs::set_mode("/f", 0o600).unwrap();
            if synced {
                sync("/f");
            }
        }
    };
    let mode = || fs::metadata("/f").unwrap().mode() & 0o777;
    assert_eq!(after(make(false), mode), BTreeSet::from([0o600, 0o644]));
    assert_eq!(after(make(true), mode), BTreeSet::from([0o600]));
}

#[test]
fn an_unlinked_file_and_its_room_are_gone_and_nothing_is_open() {
    in_world(5, async |world| {
        let machine = world.add_machine("one", Disk::new(1 << 20, 100));
        world.look(machine, || {
            old();
            fs::create_dir("/folder").unwrap();
            let _open = File::create("/folder/f").unwrap();
            fs::write("/big", vec![1; 100_000]).unwrap();
            fs::remove_file("/big").unwrap();
            File::open("/").unwrap().sync_filesystem().unwrap();
        });
        world.crash(machine);
        let disk = Rc::clone(&world.machine(machine).disk);
        assert_eq!((disk.borrow().used, disk.borrow().inodes.len()), ((3, 4), 4));
        assert!(disk.borrow().open.is_empty() && disk.borrow().pending.is_empty());
    });
}

#[test]
fn what_a_failed_sync_has_lost_a_later_one_does_not_write_unless_the_file_changes() {
    let lose = || {
        fs::write("/f", "abc").unwrap();
        crate::simulation::disk().unwrap().borrow_mut().lose_changes(Path::new("/f"));
        sync("/f");
        sync("/");
    };
    assert!(after(lose, || text("/f")).contains(&Some(String::new())));
    let change = || {
        lose();
        fs::write("/f", "abcd").unwrap();
        sync("/f");
    };
    assert_eq!(after(change, || text("/f")), set([Some("abcd")]));
}
