//! Export and import as one file, and malicious archives.

use batou_store::{Error, ObjectId, Silent, Store, export, import_archive};

use crate::common::{Fixture, listing, stored};

fn records() -> Vec<(String, Vec<u8>)> {
    vec![("releases/1.json".to_owned(), b"{}".to_vec()), ("hosts/web01".to_owned(), vec![0; 1000])]
}

/// An archive of two artifacts, compressed, and its store.
fn archive() -> (Fixture, Vec<u8>, Vec<batou_store::ArtifactId>) {
    let fixture = Fixture::new();
    let library = stored(&fixture.store, "lib", "lib", &[]);
    let web = stored(&fixture.store, "web", "web", &[library]);
    let mut bytes = Vec::new();
    let copied = export(&fixture.store, &[web], &records(), &mut bytes).unwrap();
    assert_eq!(copied.objects, 13);
    (fixture, bytes, vec![library, web])
}

#[test]
fn what_is_exported_is_imported() {
    let (from, bytes, ids) = archive();
    let to = Fixture::new();
    for _ in 0..2 {
        let (roots, found) = import_archive(&to.store, &bytes[..]).unwrap();
        assert_eq!((roots, found), (vec![ids[1]], records()));
    }
    assert_eq!(to.store.closure(&ids).unwrap(), from.store.closure(&ids).unwrap());
    assert_eq!(to.store.verify(&Silent).unwrap(), []);
}

#[test]
fn the_same_release_makes_the_same_archive() {
    let (one, bytes, ids) = archive();
    let mut again = Vec::new();
    export(&one.store, &ids[1..], &records(), &mut again).unwrap();
    assert_eq!(bytes, again);
}

#[test]
fn records_have_names_that_stay_in_a_folder() {
    let fixture = Fixture::new();
    for bad in ["/etc/passwd", "../x", "", "a//b"] {
        let refused = export(&fixture.store, &[], &[(bad.to_owned(), Vec::new())], Vec::new());
        assert!(matches!(refused, Err(Error::Name(_))), "{bad}");
    }
}

/// The import fails with a message that contains `shown`, and nothing is stored.
fn refused(bytes: &[u8], shown: &str) {
    let fixture = Fixture::new();
    let before = listing(fixture.store.root());
    let error = import_archive(&fixture.store, bytes).unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    let text = format!("{error}: {source}");
    assert!(text.contains(shown), "{text:?} does not say {shown:?}");
    assert_eq!(listing(fixture.store.root()), before);
}

#[test]
fn cut_off_at_any_place_it_is_refused() {
    let (_, bytes, _) = archive();
    for end in (0..bytes.len() - 40).step_by(101) {
        let fixture = Fixture::new();
        import_archive(&fixture.store, &bytes[..end]).unwrap_err();
        assert_eq!(listing(&fixture.path("records")), Vec::<String>::new(), "{end}");
    }
}

#[test]
fn what_is_no_archive_is_refused() {
    refused(b"", "");
    refused(b"hello, this is not an archive", "");
    refused(&zstd::encode_all(&b"nor is this"[..], 1).unwrap(), "");
}

/// Unpacks an archive, lets `change` modify its entries (name, kind, bytes), and packs it again.
fn forge(bytes: &[u8], change: impl Fn(&mut Vec<(String, tar::EntryType, Vec<u8>)>)) -> Vec<u8> {
    let plain = zstd::decode_all(bytes).unwrap();
    let mut entries = Vec::new();
    for entry in tar::Archive::new(&plain[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        entries.push((name, tar::EntryType::Regular, content));
    }
    change(&mut entries);
    let mut tar = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        // Not `set_path`, which refuses what these tests are about.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, &content[..]).unwrap();
    }
    zstd::encode_all(&tar.into_inner().unwrap()[..], 1).unwrap()
}

/// Replaces text in the archive's list of contents.
fn relist(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    forge(bytes, |entries| {
        let text = String::from_utf8(entries[0].2.clone()).unwrap();
        assert!(text.contains(from), "{text}");
        entries[0].2 = text.replacen(from, to, 1).into_bytes();
    })
}

#[test]
fn forged_archives_are_refused() {
    let (_, bytes, ids) = archive();
    import_archive(&Fixture::new().store, &forge(&bytes, |_| ())[..]).unwrap();

    refused(&forge(&bytes, |e| e[3].2[0] ^= 1), "was announced");
    refused(&forge(&bytes, |e| e[1].2[0] ^= 1), "releases/1.json");
    refused(&forge(&bytes, |e| e.last_mut().unwrap().2[0] ^= 1), "was announced");
    refused(&forge(&bytes, |e| e[3].2.push(0)), "were declared");
    refused(&forge(&bytes, |e| e[3].0 = "/etc/passwd".to_owned()), "/etc/passwd");
    refused(&forge(&bytes, |e| e[3].0 = "../../etc/passwd".to_owned()), "../../etc/passwd");
    refused(&forge(&bytes, |e| e[3].1 = tar::EntryType::Symlink), "Symlink");
    refused(&forge(&bytes, |e| e[3].1 = tar::EntryType::GNULongName), "GNULongName");
    refused(&forge(&bytes, |e| e.swap(3, 4)), "was expected");
    refused(&forge(&bytes, |e| drop(e.pop())), "too early");
    refused(
        &forge(&bytes, |e| e.push(("x".to_owned(), tar::EntryType::Regular, Vec::new()))),
        "more than it declares",
    );
    refused(&forge(&bytes, |e| drop(e.remove(0))), "batou-release");

    refused(&relist(&bytes, "\"version\":1", "\"version\":2"), "format 2");
    refused(&relist(&bytes, "releases/1.json", "../../releases"), "contents is damaged");
    refused(&relist(&bytes, "releases/1.json", "/etc/passwd"), "contents is damaged");
    refused(
        &relist(&bytes, &format!("[\"{}\"]", ids[1]), &format!("[\"{}\"]", batou_store::Digest::of(b"x"))),
        "does not hold",
    );
}

#[test]
fn declared_sizes_bound_what_is_unpacked() {
    let (_, bytes, _) = archive();
    let huge = |size: u64| {
        forge(&bytes, move |entries| {
            let text = String::from_utf8(entries[0].2.clone()).unwrap();
            entries[0].2 = text.replace("\"size\":7", &format!("\"size\":{size}")).into_bytes();
        })
    };
    refused(&huge(u64::MAX), "TiB, more than the");
    refused(&huge(1 << 20), "were declared");
    // A decompression bomb in the list of contents itself.
    let bomb = forge(&bytes, |entries| {
        entries.truncate(1);
        entries[0].2 = vec![b' '; (256 << 20) + 1];
    });
    assert!(bomb.len() < 1 << 20);
    refused(&bomb, "more than the");
}

#[test]
fn a_damaged_object_is_not_exported() {
    let (from, _, ids) = archive();
    let ObjectId::Blob { digest, mode, .. } = *from.store.closure(&ids).unwrap().blobs.first().unwrap()
    else {
        panic!("blobs are blobs")
    };
    let text = digest.to_string();
    let path = from.path(&format!("blobs/{text}-{:o}", mode.bits()));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let error = export(&from.store, &ids, &[], Vec::new()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("damaged"), "{error}: {source}");
}

#[test]
fn an_empty_export_is_fine() {
    let fixture = Fixture::new();
    let mut bytes = Vec::new();
    export(&fixture.store, &[], &[], &mut bytes).unwrap();
    let none: (Vec<_>, Vec<_>) = import_archive(&fixture.store as &Store, &bytes[..]).unwrap();
    assert!(none.0.is_empty() && none.1.is_empty());
}
