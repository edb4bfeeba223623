//! Damage: on the way, in the store, and in the files that the agent keeps.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use batou_store::{Digest, Mode, ObjectId};
use proptest::prelude::*;

use super::host::{Host, holder, record, step};
use crate::objects::{ObjectDecoder, ObjectEncoder};
use crate::protocol::{DATA_CHUNK, ErrorKind, Reply, Request};

/// Changes a read-only file in place, as a failing disk or a careless person does.
fn scribble(path: &Path, content: &str) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o444)).unwrap();
}

#[test]
fn a_damaged_object_is_refused_and_mended_by_sending_it_anew() {
    for recheck in [false, true] {
        let host = Host::new();
        let first = host.manifest(vec![host.component("web", "one", vec![])]);
        let second = host.manifest(vec![host.component("web", "two", vec![])]);
        host.release(&first, 1);
        host.release(&second, 2);
        scribble(&host.blob("one"), "0ne");
        let mut controller = host.locked();
        assert_eq!(host.stage(&mut controller, &first), 0, "all seems to be there");
        let (mut order, raw) = controller.order(&first, record(3));
        order.recheck = recheck;
        controller.send(&Request::Switch(order), &raw);
        let Reply::Error(error) = controller.answer().0 else { panic!() };
        assert_eq!(error.kind, ErrorKind::Damaged);
        assert!(error.message.contains("-web/file"), "{error}");
        assert_eq!(host.read("web/file").unwrap(), "two");

        assert_eq!(host.stage(&mut controller, &first), 3, "its artifact and tree too");
        let reply = controller.switch(&first, record(3));
        assert!(matches!(reply, Reply::Switched { .. }), "{reply:?}");
        assert!(matches!(controller.ask(&Request::Commit { keep: 10 }), Reply::Done));
        assert_eq!(host.read("web/file").unwrap(), "one");
    }
}

#[test]
fn verify_names_every_damage_and_what_does_not_hold() {
    let host = Host::new();
    let mut holds = step("holds", "touch made");
    holds.verify = Some("test -e made".into());
    let manifest = host.manifest(vec![host.component("web", "one", vec![holds])]);
    host.release(&manifest, 1);
    let mut controller = host.connect();
    let mut verify = || match controller.ask(&Request::Verify) {
        Reply::Verified { problems, files, damaged, unsettled } => (problems, files, (damaged, unsettled)),
        other => panic!("{other:?}"),
    };
    assert_eq!(verify(), (vec![], 1, (false, false)));
    scribble(&host.blob("one"), "0ne");
    std::fs::remove_file(host.target().join("state/web/made")).unwrap();
    let (problems, _, kinds) = verify();
    assert_eq!(kinds, (true, true), "a file to send again, and a step to run again");
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("has other content") && problems[1].contains("web/holds"), "{problems:?}");
    std::fs::remove_file(host.target().join("generations/1/web")).unwrap();
    assert!(verify().0.iter().any(|problem| problem.contains("generations/1/web")));
    assert!(!host.state(&manifest, 1).settled);
}

#[test]
fn a_damaged_record_is_named_with_what_to_do() {
    let host = Host::new();
    let manifest = host.manifest(vec![host.component("web", "one", vec![])]);
    host.release(&manifest, 1);
    std::fs::write(host.target().join("activated.json"), "{").unwrap();
    assert!(!host.state(&manifest, 1).settled);
    let mut controller = host.locked();
    let Reply::Error(error) = controller.switch(&manifest, record(2)) else { panic!() };
    assert_eq!(error.kind, ErrorKind::Host);
    assert!(error.message.contains("activated.json") && error.message.contains("remove it"), "{error}");
    assert_eq!(controller.end(), 0);

    std::fs::write(host.target().join("intent.json"), "[]").unwrap();
    assert!(host.state(&manifest, 1).unfinished);
    let message = host.connect().refused(&Request::Lock { holder: holder("bob") }, ErrorKind::Host);
    assert!(message.contains("intent.json") && message.contains("remove this file"), "{message}");

    let refused = |name: &str, problem: &str| {
        let mut controller = super::host::Controller::start();
        let message = controller.refused(&Request::Hello(host.hello()), ErrorKind::Host);
        assert_eq!(message, format!("{} {problem}", host.target().join(name).display()));
    };
    let intent = host.target().join("intent.json");
    std::fs::remove_file(&intent).unwrap();
    std::fs::create_dir(&intent).unwrap();
    refused("intent.json", "is a folder: move it away");
    std::fs::remove_dir(&intent).unwrap();
    std::fs::rename(host.target().join("state"), host.target().join("aside")).unwrap();
    std::fs::write(host.target().join("state"), "").unwrap();
    refused("state", "is no folder: move it away");
}

#[test]
fn a_generation_whose_manifest_is_damaged_is_replaced_and_is_no_way_back() {
    let host = Host::new();
    let old = host.manifest(vec![host.component("web", "one", vec![])]);
    let new = host.manifest(vec![host.component("web", "two", vec![])]);
    host.release(&old, 1);
    host.release(&new, 2);
    std::fs::write(host.target().join("generations/2/manifest.json"), "").unwrap();
    let state = host.state(&new, 2);
    assert_eq!(state.drift.files[0].path, "generations/2/manifest.json");
    assert!(!state.settled && state.current.is_none());
    assert_eq!(state.faults, [crate::protocol::RecordFault::Manifest], "that is what a check is told by");

    // A release that fails goes back to its files, which are whole.
    let failing = host.manifest(vec![host.component("web", "three", vec![step("s", "false")])]);
    let mut controller = host.locked();
    assert!(matches!(host.switch(&mut controller, &failing, 3), Reply::Error(_)));
    drop(controller);
    assert_eq!(host.read("web/file").unwrap(), "two");
    host.release(&new, 4);
    assert_eq!(host.read("web/file").unwrap(), "two");
    let state = host.state(&new, 4);
    assert!(state.settled && state.current.unwrap().generation > 2);
}

/// The journal knows what is in force, whatever became of the pointer.
#[test]
fn a_pointer_that_is_missing_or_leads_nowhere_is_made_again() {
    let pointers: [Option<&str>; 4] = [None, Some("generations/99"), Some("/etc"), Some("current")];
    for (pointer, is_underway) in pointers.into_iter().flat_map(|pointer| [(pointer, false), (pointer, true)])
    {
        let host = Host::new();
        let manifest = host.manifest(vec![host.component("web", "one", vec![])]);
        host.release(&manifest, 1);
        let path = host.target().join("current");
        if is_underway {
            let intent = crate::intent::Intent {
                from: Some(1),
                to: 2,
                manifest: manifest.digest(),
                record: record(2),
                since: "2026-11-22T17:00:00Z".parse().unwrap(),
                unreverted: Vec::new(),
            };
            let target = crate::target::TargetDirectory::new(host.target().to_str().unwrap()).unwrap();
            intent.store(&target).unwrap();
        }
        std::fs::remove_file(&path).unwrap();
        if let Some(to) = pointer {
            std::os::unix::fs::symlink(to, &path).unwrap();
        }
        let state = host.state(&manifest, 1);
        assert_eq!((state.settled, state.drift.files[0].path.as_str()), (false, "current"), "{pointer:?}");
        let Reply::Locked(state) = host.connect().ask(&Request::Lock { holder: holder("bob") }) else {
            panic!()
        };
        assert_eq!(state.recovered.len(), 1, "{:?}", state.recovered);
        assert_eq!(state.current.unwrap().generation, 1);
        assert_eq!(host.read("web/file").as_deref(), Some("one"));
    }
    // What is no link may be somebody's data.
    let host = Host::new();
    let manifest = host.manifest(vec![host.component("web", "one", vec![])]);
    host.release(&manifest, 1);
    let path = host.target().join("current");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let message = super::host::Controller::start().refused(&Request::Hello(host.hello()), ErrorKind::Host);
    assert!(
        message.contains("current was not made by batou") && message.contains("move it away"),
        "{message}"
    );
    std::fs::rename(&path, host.target().join("aside")).unwrap();
    host.locked();
    assert_eq!(host.read("web/file").as_deref(), Some("one"));
}

#[test]
fn only_a_damaged_manifest_is_called_so() {
    let host = Host::new();
    let manifest = host.manifest(vec![host.component("web", "one", vec![step("s", "true")])]);
    host.release(&manifest, 1);
    let path = host.target().join("generations/1/manifest.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let journal = std::fs::read_to_string(host.target().join("journal")).unwrap();
    // As another batou would have written and journaled it.
    let refused = |there: &str, instead: &str| {
        let other = text.replacen(there, instead, 1);
        std::fs::write(&path, &other).unwrap();
        let digest = batou_release::manifest_digest(other.as_bytes()).to_string();
        let journal = journal.replace(&manifest.digest().to_string(), &digest);
        std::fs::write(host.target().join("journal"), journal).unwrap();
        let mut controller = super::host::Controller::start();
        let message = controller.refused(&Request::Hello(host.hello()), ErrorKind::Host);
        message.strip_prefix(path.to_str().unwrap()).unwrap().to_owned()
    };
    assert_eq!(
        refused("\"format\":2", "\"format\":3"),
        " cannot be used: the manifest has format 3, and this batou knows formats up to 2: use a newer batou"
    );
    assert_eq!(
        refused("\"kind\":\"step\"", "\"kind\":\"service\""),
        " cannot be used: the manifest has a service, which this batou does not know: use a newer batou"
    );
    assert_eq!(
        refused("\"format\":2", "\"format\":1"),
        " cannot be used: the manifest has format 1, of a batou from before the first release, which this one does not \
         read: remove the folder `generations` and the link `current`, and switch again"
    );
    std::fs::remove_dir_all(host.target().join("generations")).unwrap();
    std::fs::remove_file(host.target().join("current")).unwrap();
    host.release(&manifest, 2);
}

#[test]
fn a_release_that_is_there_and_cannot_be_read_is_told_from_one_that_was_removed() {
    let host = Host::new();
    let [old, new] =
        ["one", "two"].map(|content| host.manifest(vec![host.component("web", content, vec![])]));
    host.release(&old, 1);
    host.release(&new, 2);
    let path = host.target().join("generations/1/manifest.json");
    let ask = || Request::Manifest { manifest: Some(old.digest()) };
    let whole = std::fs::read_to_string(&path).unwrap();
    let changes = [
        (whole.replace("\"format\":2", "\"format\":1"), "from before the first release"),
        (whole.replace("web1", "web2"), "its manifest was changed"),
        (String::new(), "not a manifest"),
    ];
    for (text, why) in changes {
        std::fs::write(&path, text).unwrap();
        let message = host.connect().refused(&ask(), ErrorKind::Host);
        assert!(message.starts_with("generation 1 in ") && message.contains(why), "{message}");
        let mut reply = host.connect();
        let newer = reply.ask(&Request::Manifest { manifest: Some(new.digest()) });
        assert!(matches!(newer, Reply::Manifest { manifest_size: 1.. }), "{newer:?}");
    }
    std::fs::remove_file(&path).unwrap();
    host.connect().refused(&ask(), ErrorKind::Host);
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    assert!(matches!(host.connect().ask(&ask()), Reply::Manifest { manifest_size: 0 }));
}

#[test]
fn a_broken_link_of_a_generation_is_replaced_by_a_new_generation() {
    let host = Host::new();
    let manifest = host.manifest(vec![host.component("web", "one", vec![])]);
    host.release(&manifest, 1);
    let link = host.target().join("generations/1/web");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/etc", &link).unwrap();
    assert!(!host.state(&manifest, 1).settled);
    host.release(&manifest, 2);
    let state = host.state(&manifest, 2);
    assert!(state.settled);
    assert_eq!(state.current.unwrap().generation, 2);
}

#[test]
fn a_refused_stream_stores_nothing_and_the_connection_goes_on() {
    let host = Host::new();
    let manifest = host.manifest(vec![host.component("web", "one", vec![])]);
    let objects = host.store.closure(&manifest.artifacts()).unwrap().objects();
    let digest = Digest::of(b"what is announced");
    let liar = ObjectId::Blob { digest, size: 4, mode: Mode::PLAIN };
    let mut writer = ObjectEncoder::new(Vec::new()).unwrap();
    writer.object(&liar, &mut &b"else"[..]).unwrap();
    let wrong = writer.finish().unwrap();
    let mut childless = ObjectEncoder::new(Vec::new()).unwrap();
    let artifact = host.store.artifact(&manifest.artifacts()[0]).unwrap().encode();
    childless.object(objects.last().unwrap(), &mut &artifact[..]).unwrap();
    let childless = childless.finish().unwrap();

    let mut controller = host.locked();
    for stream in [&wrong, &childless, &b"not zstd at all"[..].to_vec()] {
        let Reply::Error(error) = controller.put(stream) else { panic!() };
        assert_eq!(error.kind, ErrorKind::Damaged, "{error}");
    }
    // A controller that stops in the middle: the next request is answered.
    controller.send(&Request::Put, &[]);
    controller.send(&Request::Data, &wrong[..wrong.len() / 2]);
    controller.send(&Request::Missing { objects: objects.clone() }, &[]);
    assert!(matches!(controller.answer().0, Reply::Error(_)));
    let Reply::Missing { objects: missing } = controller.answer().0 else { panic!() };
    assert_eq!(missing, objects);
    controller.refused(&Request::DataEnd, ErrorKind::Protocol);
    let debris = std::fs::read_dir(host.target().join("store/tmp")).unwrap().count();
    assert_eq!(debris, 0);
    assert_eq!(host.stage(&mut controller, &manifest), 3);
}

#[test]
fn objects_are_read_back_as_they_were_sent() {
    let host = Host::new();
    let large = (0..3_000_000_u32)
        .map(|i| char::from(b'a' + u8::try_from(i.wrapping_mul(i) % 23).unwrap()))
        .collect::<String>();
    let manifest = host.manifest(vec![host.component("web", &large, vec![])]);
    host.release(&manifest, 1);
    let objects = host.store.closure(&manifest.artifacts()).unwrap().objects();
    let mut controller = host.connect();
    controller.send(&Request::Get { objects: objects.clone() }, &[]);
    let mut stream = Vec::new();
    loop {
        match controller.answer() {
            (Reply::Data, raw) => {
                assert!(raw.len() <= DATA_CHUNK);
                stream.extend(raw);
            }
            (Reply::DataEnd, _) => break,
            other => panic!("{other:?}"),
        }
    }
    let mut reader = ObjectDecoder::new(&stream[..]).unwrap();
    for object in &objects {
        let mut ours = Vec::new();
        std::io::Read::read_to_end(&mut host.store.object(object).unwrap(), &mut ours).unwrap();
        let same = reader.next(|header, bytes| {
            let mut sent = Vec::new();
            std::io::Read::read_to_end(bytes, &mut sent)?;
            Ok(header.object == *object && sent == ours)
        });
        assert_eq!(same.unwrap(), Some(true));
    }
    assert_eq!(reader.next(|_, _| Ok(())).unwrap(), None);

    scribble(&host.blob(&large), &large.replace('a', "b"));
    controller.send(&Request::Get { objects }, &[]);
    let last = loop {
        if let (reply @ (Reply::DataEnd | Reply::Error(_)), _) = controller.answer() {
            break reply;
        }
    };
    let Reply::Error(error) = last else { panic!("{last:?}") };
    assert_eq!(error.kind, ErrorKind::Damaged);
    let absent = ObjectId::Tree(Digest::of(b"nowhere"));
    controller.refused(&Request::Get { objects: vec![absent] }, ErrorKind::Damaged);
}

#[test]
fn a_window_over_the_bound_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.window_log(27).unwrap();
    std::io::Write::write_all(&mut encoder, &[0; 100]).unwrap();
    let stream = encoder.finish().unwrap();
    ObjectDecoder::new(&stream[..]).unwrap().next(|_, _| Ok(())).unwrap_err();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// A stream that is cut or changed anywhere stores nothing; one that is cut behind its last byte is whole.
    #[test]
    fn a_cut_or_changed_stream_is_never_stored(at in 0_usize..10_000, flip in 0_u8..8, cut: bool) {
        let host = Host::new();
        let manifest = host.manifest(vec![host.component("web", "one", vec![])]);
        let artifact = manifest.artifacts()[0];
        let objects = host.store.closure(&[artifact]).unwrap().objects();
        let mut stream = host.stream(&objects);
        let at = at % stream.len();
        if cut { stream.truncate(at) } else { stream[at] ^= 1 << flip }
        let mut controller = host.locked();
        let reply = controller.put(&stream);
        // Not every bit of a zstd frame means something: then what arrived is what was sent. It may be refused all the
        // same, where the bit says that a receiver needs more memory than is allowed.
        let harmless = zstd::decode_all(&stream[..]).ok() == zstd::decode_all(&host.stream(&objects)[..]).ok();
        let stored = matches!(reply, Reply::Stored { objects: 3 });
        prop_assert!(harmless || !stored, "{:?}", reply);
        prop_assert_eq!(host.artifact_on_host(&artifact), stored);
        prop_assert_eq!(controller.end(), 0);
    }
}
