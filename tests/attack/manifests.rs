//! A manifest of which one byte is not as it was written: at each value another byte, the end, or one more. On a host's disk,
//! of the release in force and of the one before; and on its way from a host.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::between::{Between, HOSTS, verb};
use super::tries_all;
use crate::common::{Output, counted};
use crate::shop::{self, Target, greet, says};

/// What is done at a value's first byte.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// Another byte of its kind is there.
    Flip,
    /// The file ends there.
    Cut,
    /// One more byte is there.
    Insert,
}

const CHANGES: [Change; 3] = [Change::Flip, Change::Cut, Change::Insert];

/// A change at a byte of a manifest.
#[derive(Clone, Copy, Debug)]
struct Damage {
    at: usize,
    change: Change,
}

/// All damages of a manifest, or where not all are tried every `stride`th: each time other changes at other values.
fn damages(manifest: &[u8], stride: usize) -> Vec<Damage> {
    let all = values(manifest).into_iter().flat_map(|at| CHANGES.map(|change| Damage { at, change }));
    all.step_by(if tries_all() { 1 } else { stride }).collect()
}

/// Where the values of a JSON text begin, inside of their quotes. Keys count, too.
fn values(text: &[u8]) -> Vec<usize> {
    let (mut found, mut quoted, mut escaped, mut before) = (Vec::new(), false, false, b' ');
    for (at, &byte) in text.iter().enumerate() {
        if quoted {
            if before == b'"' && byte != b'"' {
                found.push(at);
            }
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            before = if quoted { b' ' } else { b'.' };
            continue;
        }
        if byte.is_ascii_alphanumeric() && !before.is_ascii_alphanumeric() {
            found.push(at);
        }
        quoted = byte == b'"';
        before = byte;
    }
    found
}

impl Damage {
    /// How many bytes give way to which text.
    fn replacement(self, manifest: &[u8]) -> (usize, String) {
        let other = match manifest[self.at] {
            b'9' | b'f' => '1',
            byte if byte.is_ascii_digit() || (b'a'..b'f').contains(&byte) => char::from(byte + 1),
            b'x' => 'y',
            _ => 'x',
        };
        match self.change {
            Change::Flip => (1, other.to_string()),
            Change::Cut => (manifest.len() - self.at, String::new()),
            Change::Insert => (0, "1".to_owned()),
        }
    }

    fn inflict(self, manifest: &[u8]) -> Vec<u8> {
        let (length, text) = self.replacement(manifest);
        [&manifest[..self.at], text.as_bytes(), &manifest[self.at + length..]].concat()
    }
}

#[track_caller]
fn is_told(output: &Output, damage: Damage) {
    assert!(matches!(output.status, Some(0 | 1)), "{damage:?}\n{output:?}");
    says(&format!("{}{}", output.stdout, output.stderr), &[]);
}

fn manifest_of(target: &Path, generation: u64) -> PathBuf {
    target.join("generations").join(generation.to_string()).join("manifest.json")
}

fn overwrite(path: &Path, bytes: &[u8]) {
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_release_in_force_whose_manifest_was_changed_is_made_whole_by_a_switch() {
    let sandbox = shop::local();
    let target = Target::local(&sandbox);
    sandbox.batou(&["switch", "dev"]).success();
    let whole = fs::read(manifest_of(&target.0, target.generation().unwrap())).unwrap();
    let damages = damages(&whole, 1);
    for &damage in &damages {
        overwrite(&manifest_of(&target.0, target.generation().unwrap()), &damage.inflict(&whole));
        is_told(&sandbox.batou(&["status", "dev"]), damage);
        is_told(&sandbox.batou(&["plan", "dev"]), damage);
        let mended = sandbox.batou(&["switch", "dev"]);
        assert_eq!(mended.status, Some(0), "{damage:?}\n{mended:?}");
        assert_eq!(
            fs::read(manifest_of(&target.0, target.generation().unwrap())).unwrap(),
            whole,
            "{damage:?}"
        );
        assert_eq!(target.file("app/app.conf"), "one on localhost\n");
        sandbox.batou(&["verify", "dev"]).success();
    }
    counted(&format!("{} changes of the manifest in force, of {} bytes", damages.len(), whole.len()));
    assert!(damages.len() >= 50);
}

#[test]
fn a_rollback_to_a_release_whose_manifest_was_changed_brings_that_release_or_nothing() {
    let sandbox = shop::local();
    let target = Target::local(&sandbox);
    sandbox.batou(&["switch", "dev"]).success();
    greet(&sandbox, "two");
    sandbox.batou(&["switch", "dev"]).success();
    let path = manifest_of(&target.0, 1);
    let whole = fs::read(&path).unwrap();
    let damages = damages(&whole, 1);
    for &damage in &damages {
        overwrite(&path, &damage.inflict(&whole));
        let output = sandbox.batou(&["rollback", "dev"]);
        is_told(&output, damage);
        let expected = if output.status == Some(0) { "one" } else { "two" };
        assert_eq!(
            target.file("app/app.conf"),
            format!("{expected} on localhost\n"),
            "{damage:?}\n{output:?}"
        );
        assert_eq!(output.status, Some(1), "nobody has that manifest: {damage:?}\n{output:?}");
    }
    overwrite(&path, &whole);
    sandbox.batou(&["rollback", "dev"]).success();
    counted(&format!("{} changes of the manifest before, of {} bytes", damages.len(), whole.len()));
}

#[test]
fn a_manifest_that_is_changed_on_its_way_is_taken_from_no_host() {
    let mut fleet = Between::new();
    let target = Target::remote(&fleet.hosts, HOSTS[0]);
    let mut tried = 0;
    for (command, generation) in [(["plan", "dev"], 2), (["rollback", "dev"], 1)] {
        fleet.change();
        let replies = fleet.replies(&["plan", "dev"]);
        let of_plan = replies.iter().position(|reply| verb(reply) == "manifest").unwrap();
        // A rollback asks for the journal first.
        let reply = if command[0] == "plan" { of_plan } else { of_plan + 1 };
        let whole = fs::read(manifest_of(&target.0, generation)).unwrap();
        for damage in damages(&whole, 19) {
            let before = HOSTS.map(|host| fleet.in_force(host));
            let (length, text) = damage.replacement(&whole);
            let order = json!({"reply": reply, "raw": [damage.at, length, text]});
            let output = fleet.run_with(&command, &order);
            is_told(&output, damage);
            assert_eq!(output.status, Some(1), "{damage:?}\n{output:?}");
            says(&output.stderr, &[HOSTS[0]]);
            assert_eq!(HOSTS.map(|host| fleet.in_force(host)), before, "{damage:?}\n{output:?}");
            tried += 1;
        }
    }
    fleet.run(&["switch", "dev"]).success();
    counted(&format!("{tried} changes of manifests on their way from a host, all refused"));
    assert!(tried >= 4);
}

#[test]
fn every_value_of_a_text_is_found() {
    let text = br#"{"a":"b","c":[1,22],"d":{"e":""},"f\"g":true}"#;
    let found: String = values(text).into_iter().map(|at| char::from(text[at])).collect();
    assert_eq!(found, "abc12deft");
}
