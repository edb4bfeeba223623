//! Damage of every kind is found, and repaired from another store.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use batou_store::{Artifact, ArtifactId, Fault, Mode, Node, Problem, Remedy, Silent, Tree, copy};

use crate::common::{Fixture, checkout, listing, name, stored};

/// A store with two artifacts, and a copy of it.
fn twins() -> (Fixture, Fixture, [ArtifactId; 2]) {
    let (one, two) = (Fixture::new(), Fixture::new());
    let library = stored(&one.store, "lib", "lib", &[]);
    let web = stored(&one.store, "web", "web", &[library]);
    copy(&mut &one.store, &mut &two.store, &[web], &Silent).unwrap();
    one.store.add_root("web", &[web], None).unwrap();
    assert_eq!(one.store.verify(&Silent).unwrap(), []);
    (one, two, [library, web])
}

/// Writes into a file in place, read-only or not, as a program run by root would.
fn overwrite(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mode = fs::metadata(path).unwrap().permissions();
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

fn writable<T>(folder: &Path, change: impl FnOnce() -> T) -> T {
    let mode = fs::metadata(folder).unwrap().permissions();
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let value = change();
    fs::set_permissions(folder, mode).unwrap();
    value
}

/// Every regular file that verify answers for.
fn files(fixture: &Fixture) -> Vec<PathBuf> {
    let all = listing(fixture.store.root()).into_iter();
    let objects = all.filter(|path| path != "lock" && path != "publish" && !path.starts_with("tmp"));
    let paths = objects.map(|path| fixture.path(&path));
    paths.filter(|path| path.symlink_metadata().unwrap().is_file()).collect()
}

/// A fixed sequence of numbers: xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(number).unwrap() % limit
    }
}

#[test]
fn every_one_of_5000_flips_truncations_and_swaps_is_found() {
    let (fixture, _other, _) = twins();
    let files = files(&fixture);
    let contents: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut random = Random(20_260_101);
    let mut counts = [0; 3];
    while counts.iter().sum::<usize>() < 5000 {
        let (at, kind) = (random.below(files.len()), random.below(3));
        let old = &contents[at];
        let other = &contents[random.below(files.len())];
        if old.is_empty() || kind == 2 && other == old {
            continue;
        }
        let (byte, bit) = (random.below(old.len()), random.below(8));
        overwrite(&files[at], |bytes| match kind {
            0 => bytes[byte] ^= 1 << bit,
            1 => bytes.truncate(byte),
            _ => bytes.clone_from(other),
        });
        let found = fixture.store.verify(&Silent).unwrap();
        assert!(!found.is_empty(), "kind {kind} at byte {byte}, bit {bit} of {}", files[at].display());
        counts[kind] += 1;
        overwrite(&files[at], |bytes| bytes.clone_from(old));
    }
    assert_eq!(fixture.store.verify(&Silent).unwrap(), []);
    println!(
        "{} damages in {} files, all found: flips, truncations, swaps {counts:?}",
        counts.iter().sum::<usize>(),
        files.len()
    );
}

/// What `damage` does is found with this fault and repaired.
fn mended(fault: Fault, damage: impl Fn(&Fixture, &[ArtifactId; 2])) {
    let (fixture, other, ids) = twins();
    damage(&fixture, &ids);
    let problems = fixture.store.verify(&Silent).unwrap();
    assert!(problems.iter().any(|problem| problem.fault == fault), "{problems:?}");
    assert!(problems.iter().all(|problem| problem.path.is_relative()), "{problems:?}");
    let left = fixture.store.repair(&problems, &mut &other.store).unwrap();
    assert_eq!(left, [], "after {problems:?}");
    assert_eq!(fixture.store.closure(&ids).unwrap(), other.store.closure(&ids).unwrap());
    let path = checkout(&fixture.store, &ids[1]);
    assert_eq!(fs::read(path.join("plain")).unwrap(), b"plain web");
    assert_eq!(listing(&fixture.path("tmp")), Vec::<String>::new());
}

fn object(fixture: &Fixture, folder: &str, at: usize) -> PathBuf {
    let all = listing(&fixture.path(folder));
    let paths = all.iter().map(|path| fixture.path(folder).join(path));
    paths.filter(|path| path.symlink_metadata().unwrap().is_file()).nth(at).unwrap()
}

#[test]
fn damaged_objects_are_mended() {
    for folder in ["blobs", "trees", "records"] {
        for at in 0..2 {
            mended(Fault::Damaged, |fixture, _| {
                overwrite(&object(fixture, folder, at), |bytes| bytes[0] ^= 4);
            });
            mended(Fault::Missing, |fixture, _| fs::remove_file(object(fixture, folder, at)).unwrap());
            mended(Fault::Damaged, |fixture, _| {
                fs::remove_file(object(fixture, folder, at)).unwrap();
                fs::create_dir(object(fixture, folder, 0).with_file_name("x")).unwrap();
                symlink("/etc/passwd", fixture.path(folder).join("link")).unwrap();
                overwrite(&object(fixture, folder, 0), |bytes| bytes.push(0));
            });
        }
    }
    mended(Fault::Damaged, |fixture, _| {
        fs::set_permissions(object(fixture, "blobs", 0), Permissions::from_mode(0o644)).unwrap();
    });
    mended(Fault::Damaged, |fixture, _| fs::write(fixture.path("format"), "batou store 3\n").unwrap());
    mended(Fault::Missing, |fixture, _| fs::remove_file(fixture.path("format")).unwrap());
}

#[test]
fn many_damages_at_once_are_mended() {
    // With every record broken nothing else is even known to be missing.
    mended(Fault::Damaged, |fixture, _| {
        for path in files(fixture) {
            let text = path.strip_prefix(fixture.store.root()).unwrap().to_str().unwrap();
            if text.starts_with("blobs") || text.starts_with("trees") {
                fs::remove_file(path).unwrap();
            } else if text.starts_with("records") || text.starts_with("stats") {
                overwrite(&path, Vec::clear);
            }
        }
    });
}

#[test]
fn damaged_checkouts_are_mended() {
    let web = |fixture: &Fixture, ids: &[ArtifactId; 2]| checkout(&fixture.store, &ids[1]);
    mended(Fault::Missing, |fixture, ids| {
        let path = web(fixture, ids);
        writable(&path, || fs::remove_file(path.join("plain")).unwrap());
    });
    mended(Fault::Foreign, |fixture, ids| {
        let path = web(fixture, ids).join("etc");
        writable(&path, || fs::write(path.join("more"), "x").unwrap());
    });
    mended(Fault::Damaged, |fixture, ids| {
        // Two undamaged files, each under the other's name.
        let path = web(fixture, ids);
        writable(&path, || {
            fs::rename(path.join("plain"), path.join("x")).unwrap();
            fs::rename(path.join("run"), path.join("plain")).unwrap();
            fs::rename(path.join("x"), path.join("run")).unwrap();
        });
    });
    mended(Fault::Damaged, |fixture, ids| {
        let path = web(fixture, ids);
        writable(&path, || {
            fs::remove_file(path.join("link")).unwrap();
            symlink("/etc/shadow", path.join("link")).unwrap();
        });
    });
    mended(Fault::Damaged, |fixture, ids| {
        fs::set_permissions(web(fixture, ids), Permissions::from_mode(0o777)).unwrap();
    });
    mended(Fault::Missing, |fixture, ids| {
        let path = web(fixture, ids);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        fs::rename(&path, fixture.folder.path().join("gone")).unwrap();
    });
    mended(Fault::Foreign, |fixture, _| {
        fs::create_dir(fixture.path("artifacts/0123456789012345678901234567890123456789-web")).unwrap();
        fs::write(fixture.path("stats/what"), "x").unwrap();
    });
    mended(Fault::Damaged, |fixture, _| {
        // Each the record of the other's files.
        let names = listing(&fixture.path("stats"));
        let (a, b) = (fixture.path("stats").join(&names[0]), fixture.path("stats").join(&names[1]));
        let (one, two) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
        overwrite(&a, |bytes| bytes.clone_from(&two));
        overwrite(&b, |bytes| bytes.clone_from(&one));
    });
}

#[test]
fn what_the_other_store_lacks_stays_damaged_and_is_told() {
    let (fixture, _, _) = twins();
    let empty = Fixture::new();
    overwrite(&object(&fixture, "blobs", 0), |bytes| bytes[0] ^= 1);
    let problems = fixture.store.verify(&Silent).unwrap();
    assert_eq!(fixture.store.repair(&problems, &mut &empty.store).unwrap(), problems);
    // The object, and the checkout that links to it.
    assert_eq!(problems.len(), 2);
    assert!(problems.iter().all(|problem| problem.to_string().contains("its digest is")));
}

#[test]
fn what_is_not_ours_at_the_top_is_told_and_left_alone() {
    let (fixture, other, _) = twins();
    fs::write(fixture.path("notes.txt"), "x").unwrap();
    let problems = fixture.store.verify(&Silent).unwrap();
    assert!(matches!(&problems[..], [Problem { fault: Fault::Foreign, remedy: Remedy::Look, .. }]));
    assert_eq!(fixture.store.repair(&problems, &mut &other.store).unwrap(), problems);
    assert!(fixture.path("notes.txt").exists());
}

#[test]
fn a_switch_reads_only_files_that_look_different() {
    let (fixture, _, ids) = twins();
    assert_eq!(fixture.store.verify_artifacts(&ids).unwrap(), []);
    let path = checkout(&fixture.store, &ids[1]).join("plain");
    let time = fs::metadata(&path).unwrap().modified().unwrap();

    // Only touched: read, and found whole.
    File::open(&path).unwrap().set_modified(time + std::time::Duration::from_secs(1)).unwrap();
    assert_eq!(fixture.store.verify_artifacts(&ids).unwrap(), []);

    // Changed, and made to look as before: not read, so not found. The full check finds it.
    overwrite(&path, |bytes| bytes[0] ^= 1);
    File::open(&path).unwrap().set_modified(time).unwrap();
    assert_eq!(fixture.store.verify_artifacts(&ids).unwrap(), []);
    assert_ne!(fixture.store.verify(&Silent).unwrap(), []);

    // Changed in place: the checkout and the blob behind it.
    File::open(&path).unwrap().set_modified(time + std::time::Duration::from_secs(1)).unwrap();
    let problems = fixture.store.verify_artifacts(&ids).unwrap();
    assert!(problems.iter().any(|problem| matches!(problem.remedy, Remedy::CheckOut(id) if id == ids[1])));
    assert!(problems.iter().any(|problem| matches!(problem.remedy, Remedy::Fetch(_))));
}

#[test]
fn a_switch_finds_what_is_incomplete() {
    let (fixture, other, ids) = twins();
    let record = object(&fixture, "records", 0);
    fs::remove_file(&record).unwrap();
    assert_eq!(fixture.store.verify_artifacts(&ids).unwrap().len(), 1);
    let tree = object(&fixture, "trees", 0);
    fs::remove_file(&tree).unwrap();
    let problems = fixture.store.verify_artifacts(&ids).unwrap();
    assert!(problems.len() > 1, "{problems:?}");
    assert_eq!(fixture.store.repair(&problems, &mut &other.store).unwrap(), []);
    assert_eq!(fixture.store.verify_artifacts(&ids).unwrap(), []);
}

/// Prints what a look at 100,000 files costs: `cargo test -p batou-store --test store -- --ignored --nocapture look`.
#[test]
#[ignore = "measures"]
fn a_look_at_a_hundred_thousand_files() {
    for (artifacts, folders) in [(1, 1000), (10, 100), (1000, 1)] {
        let fixture = Fixture::new();
        let batch = fixture.store.batch().unwrap();
        let folder = |seed: String| {
            let mut tree = Tree::new();
            for file in 0..100 {
                let node = batch.bytes(format!("{seed} {file}").as_bytes(), Mode::PLAIN).unwrap();
                tree.insert(name(&format!("file-{file:03}.conf")), node).unwrap();
            }
            batch.tree(&tree).unwrap()
        };
        let artifact = |artifact: usize| {
            let mut tree = Tree::new();
            for number in 0..folders {
                let digest = folder(format!("{artifact}/{number}"));
                tree.insert(name(&format!("folder-{number}")), Node::Directory { digest }).unwrap();
            }
            let tree = batch.tree(&tree).unwrap();
            batch
                .artifact(&Artifact { name: name(&format!("app-{artifact}")), tree, references: [].into() })
                .unwrap()
        };
        let ids: Vec<_> = (0..artifacts).map(artifact).collect();
        batch.commit().unwrap();
        let names: Vec<_> = (0..artifacts).map(|artifact| name(&format!("app-{artifact}"))).collect();
        let checkouts: Vec<_> = ids.into_iter().zip(&names).collect();
        for _ in 0..3 {
            let begun = std::time::Instant::now();
            assert_eq!(fixture.store.look(&checkouts).unwrap(), []);
            println!("{artifacts} artifacts of {folders} folders of 100 files: {:?}", begun.elapsed());
        }
    }
}
