#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

fn name() -> impl Strategy<Value = Name> {
    "[a-zäöü\"\\\\ \n.-]{1,12}".prop_filter_map("dots", |text| Name::new(text).ok())
}

fn node() -> impl Strategy<Value = Node> {
    let digest = any::<[u8; 32]>().prop_map(Digest::from_bytes);
    prop_oneof![
        (digest.clone(), any::<u64>(), 0..=0o777_u32).prop_map(|(digest, size, bits)| Node::File {
            digest,
            size,
            mode: Mode::new(bits).unwrap()
        }),
        digest.prop_map(|digest| Node::Directory { digest }),
        "[^\0]{1,20}".prop_map(|target| Node::Symlink { target }),
    ]
}

fn tree() -> impl Strategy<Value = Tree> {
    prop::collection::btree_map(name(), node(), 0..8).prop_map(Tree)
}

proptest! {
    #[test]
    fn encoding_and_decoding_are_inverse(tree in tree()) {
        prop_assert_eq!(&Tree::decode(&tree.encode()).unwrap(), &tree);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_only_canonical_ones_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(tree) = Tree::decode(&bytes) {
            prop_assert_eq!(tree.encode(), bytes);
        }
    }

    #[test]
    fn a_changed_byte_is_refused_or_another_canonical_tree(
        tree in tree(), at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let mut bytes = tree.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(other) = Tree::decode(&bytes) {
            prop_assert_ne!(&other, &tree);
            prop_assert_eq!(other.encode(), bytes);
        }
    }
}

#[test]
fn the_encoding_is_fixed() {
    let mut tree = Tree::new();
    let link = Node::Symlink { target: "/x y".to_owned() };
    tree.insert(Name::new("b").unwrap(), link.clone()).unwrap();
    tree.insert(Name::new("a").unwrap(), Node::File { digest: Digest::of(b""), size: 0, mode: Mode::PLAIN })
        .unwrap();
    assert_eq!(
        String::from_utf8(tree.encode()).unwrap(),
        format!(
            r#"{{"a":{{"file":{{"digest":"{}","size":0,"mode":"0444"}}}},"b":{{"symlink":{{"target":"/x y"}}}}}}"#,
            Digest::of(b"")
        )
    );
    assert!(matches!(tree.insert(Name::new("b").unwrap(), link), Err(TreeError::Duplicate(_))));
    // Changing this digest makes every existing store unreadable.
    assert_eq!(tree.digest().short(), "efa43cddcf01");
}

#[test]
fn what_is_not_canonical_is_refused() {
    let digest = Digest::of(b"x");
    let link = r#"{"symlink":{"target":"t"}}"#;
    let refused = |text: &str| Tree::decode(text.as_bytes()).unwrap_err();
    for other in [
        format!(r#"{{"b":{link},"a":{link}}}"#),
        format!(r#"{{"a":{link},"a":{link}}}"#),
        format!(r#"{{"a": {link}}}"#),
        format!(r#"{{"a":{link}}} "#),
        format!(r#"{{"\u0061":{link}}}"#),
        format!(r#"{{"a":{{"directory":{{"digest":"{digest}","more":1}}}}}}"#),
    ] {
        assert!(matches!(refused(&other), TreeError::NotCanonical), "{other}");
    }
    for target in ["", "\\u0000"] {
        let text = format!(r#"{{"a":{{"symlink":{{"target":"{target}"}}}}}}"#);
        assert!(matches!(refused(&text), TreeError::Target(name, _) if name.as_str() == "a"), "{text}");
    }
    for (none, reason) in [
        (format!(r#"{{"..":{link}}}"#), r#""..""#),
        (format!(r#"{{"a/b":{link}}}"#), r#""a/b""#),
        (r#"{"a":{"device":{}}}"#.to_owned(), "unknown variant `device`"),
        (format!(r#"{{"a":{{"file":{{"digest":"{digest}","size":1,"mode":"0644"}}}}}}"#), "0644"),
        (format!(r#"{{"a":{{"file":{{"digest":"{digest}","size":-1,"mode":"0444"}}}}}}"#), "`-1`"),
        ("[]".to_owned(), "invalid type: sequence"),
        (String::new(), "EOF"),
    ] {
        let error = refused(&none);
        assert!(matches!(&error, TreeError::Json(json) if json.to_string().contains(reason)), "{error:?}");
    }
}
