//! Generations: numbered, complete, and switched in one step.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use batou_store::{Error, Generations, NameError, TreeError};

use crate::common::name;

struct Target {
    _folder: tempfile::TempDir,
    path: PathBuf,
    generations: Generations,
}

fn target() -> Target {
    let memory = Path::new("/dev/shm");
    let folder = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().to_owned();
    Target { generations: Generations::open(&path).unwrap(), path, _folder: folder }
}

#[test]
fn a_generation_is_written_found_switched_to_and_removed() {
    let Target { generations, path, .. } = &target();
    assert_eq!(generations.current().unwrap(), None);
    assert_eq!(generations.list().unwrap().len(), 0);
    let links = [(name("web"), "abc-web".to_owned())];
    assert_eq!(generations.create(b"one", &[("causes.json", b"why")], &links).unwrap(), 1);
    assert_eq!(generations.create(b"two", &[], &[]).unwrap(), 2);
    assert_eq!(generations.current().unwrap(), None);
    assert_eq!(generations.manifest(1).unwrap(), b"one");
    assert_eq!(generations.file(1, "causes.json").unwrap().unwrap(), b"why");
    assert_eq!(generations.file(2, "causes.json").unwrap(), None);
    assert!(matches!(generations.file(2, "../1/causes.json"), Err(Error::Name(NameError::Slash(_)))));
    let link = fs::read_link(path.join("generations/1/web")).unwrap();
    assert_eq!(link.to_str(), Some("../../store/artifacts/abc-web"));

    generations.switch(2).unwrap();
    assert_eq!(fs::read_link(path.join("current")).unwrap().to_str(), Some("generations/2"));
    assert_eq!(generations.current().unwrap(), Some(2));
    assert_eq!(generations.find(b"one").unwrap(), Some(1));
    assert_eq!(generations.find(b"on").unwrap(), None);
    assert!(matches!(generations.switch(3), Err(Error::NoGeneration { number: 3, .. })));
    assert!(matches!(generations.remove(2), Err(Error::CurrentGeneration(2))));
    generations.remove(1).unwrap();
    generations.remove(1).unwrap();
    assert_eq!(generations.list().unwrap(), [2]);
    assert_eq!(generations.create(b"three", &[], &[]).unwrap(), 3);
    generations.clear().unwrap();
    generations.clear().unwrap();
    assert_eq!(generations.current().unwrap(), None);
}

#[test]
fn a_current_that_is_not_ours_is_an_error_and_stays() {
    let Target { generations, path, .. } = &target();
    generations.create(b"one", &[], &[]).unwrap();
    let current = path.join("current");
    fs::create_dir(&current).unwrap();
    assert!(matches!(generations.current(), Err(Error::Foreign { .. })));
    assert!(matches!(generations.switch(1), Err(Error::Foreign { .. })));
    fs::remove_dir(&current).unwrap();
    for foreign in ["/srv/app/releases/3", "generations/01", "generations/1/web", "generations/", "1"] {
        symlink(foreign, &current).unwrap();
        assert!(matches!(generations.current(), Err(Error::Foreign { .. })), "{foreign}");
        assert!(matches!(generations.clear(), Err(Error::Foreign { .. })), "{foreign}");
        assert_eq!(fs::read_link(&current).unwrap().to_str(), Some(foreign));
        fs::remove_file(&current).unwrap();
    }
}

#[test]
fn what_a_killed_writer_left_is_no_generation_and_goes() {
    let Target { generations, path, .. } = &target();
    fs::create_dir_all(path.join("generations/.batou-1-1")).unwrap();
    fs::write(path.join("generations/.batou-1-1/manifest.json"), "half").unwrap();
    symlink("generations/9", path.join(".batou-1-2")).unwrap();
    assert_eq!(generations.list().unwrap().len(), 0);
    assert_eq!(generations.create(b"one", &[], &[]).unwrap(), 1);
    generations.switch(1).unwrap();
    assert!(!path.join("generations/.batou-1-1").exists());
    assert!(path.join(".batou-1-2").symlink_metadata().is_err());
}

#[test]
fn names_are_given_once_and_stay_in_the_generation() {
    let Target { generations, .. } = &target();
    let link = |to: &str| vec![(name("a"), to.to_owned())];
    let twice = |records: &[(&str, &[u8])], links: &[_]| {
        let created = generations.create(b"", records, links);
        matches!(created, Err(Error::Encoding { source: TreeError::Duplicate(_), .. }))
    };
    assert!(twice(&[("a", b"")], &link("x")));
    assert!(twice(&[("manifest.json", b"")], &[]));
    let outside = |created| matches!(created, Err(Error::Name(NameError::Slash(_))));
    assert!(outside(generations.create(b"", &[("../x", b"")], &[])));
    assert!(outside(generations.create(b"", &[], &link("../../../etc"))));
    assert_eq!(generations.list().unwrap().len(), 0);
}

#[test]
fn a_reader_of_current_sees_no_failure_and_no_mix_in_10_000_switches() {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let Target { generations, path, .. } = &target();
    for text in ["one", "two"] {
        generations.create(text.as_bytes(), &[("a", text.as_bytes()), ("b", text.as_bytes())], &[]).unwrap();
    }
    generations.switch(1).unwrap();
    let done = AtomicBool::new(false);
    let read = |folder: &rustix::fd::OwnedFd, file: &str| {
        let file = File::from(openat(folder, file, OFlags::RDONLY, Mode::empty()).unwrap());
        std::io::read_to_string(file).unwrap()
    };
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = [0_u64; 2];
            while !done.load(Ordering::Relaxed) {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                let folder = openat(CWD, path.join("current"), flags, Mode::empty()).unwrap();
                let texts = ["manifest.json", "a", "b"].map(|file| read(&folder, file));
                assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
                seen[usize::from(texts[0] == "two")] += 1;
            }
            seen
        });
        for n in 0..10_000 {
            generations.switch(n % 2 + 1).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        let seen = reader.join().unwrap();
        assert!(seen.iter().all(|count| *count > 0), "both generations were seen: {seen:?}");
    });
}

#[test]
fn numbers_that_are_no_generations_are_left_alone_and_never_wrap() {
    let Target { generations, path, .. } = &target();
    let place = |name: &str| path.join("generations").join(name);
    for stray in ["18446744073709551615", "18446744073709551614", "9007199254740992", "007", "-1", "1e3"] {
        fs::create_dir_all(place(stray)).unwrap();
    }
    assert_eq!(generations.create(b"one", &[], &[]).unwrap(), 1);
    fs::write(place("7"), "a file").unwrap();
    assert_eq!(generations.list().unwrap(), [1]);
    assert_eq!(generations.create(b"two", &[], &[]).unwrap(), 8);
    assert_eq!(generations.find(b"two").unwrap(), Some(8));

    fs::create_dir(place("9007199254740991")).unwrap();
    let error = generations.create(b"three", &[], &[]).unwrap_err();
    assert!(error.to_string().contains("generations/9007199254740991"), "{error}");
    assert!(matches!(error, Error::Foreign { .. }));
}
