//! What keeps `gc` from removing anything on a host, and that what it says about that helps.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::Sandbox;
use crate::shop::{self, Target, greet, says};

/// Three releases on this machine.
fn released() -> (Sandbox, Target) {
    let sandbox = shop::local();
    for greeting in ["one", "two", "three"] {
        greet(&sandbox, greeting);
        sandbox.batou(&["switch", "dev"]).success();
    }
    let target = Target::local(&sandbox);
    (sandbox, target)
}

/// What gc says, which goes on.
fn told(sandbox: &Sandbox) -> String {
    sandbox.batou(&["gc", "dev"]).success().stderr
}

/// Damages the manifest of a generation, and does what gc says about it.
fn damage_and_remove(sandbox: &Sandbox, target: &Target, number: u64, expected: &str, first: &[&str]) {
    fs::write(target.0.join(format!("generations/{number}/manifest.json")), "{").unwrap();
    let said = told(sandbox);
    let cannot = format!("generation {number} cannot be read: ");
    says(&said, &[&cannot, "no object is removed while that is so", expected]);
    if !first.is_empty() {
        sandbox.batou(first).success();
    }
    let (_, folder) = said.split_once("remove the folder ").unwrap();
    let folder = folder.split(|end: char| end == ',' || end.is_whitespace()).next().unwrap();
    fs::remove_dir_all(folder).unwrap();
    assert_eq!(told(sandbox), "");
}

#[test]
fn a_generation_that_cannot_be_read_is_in_the_way_until_what_gc_says_is_done() {
    let (sandbox, target) = released();
    damage_and_remove(&sandbox, &target, 2, "nothing can go back to that generation", &[]);
    let switch = ["switch", "dev"];
    damage_and_remove(&sandbox, &target, 3, "`batou switch dev` makes another generation, and then", &switch);
    assert_eq!(target.file("app/app.conf"), "three on localhost\n");
    assert_eq!(target.generations(), [1, 4]);
    sandbox.batou(&["verify", "dev"]).success();
}

/// A tree that only the artifact of `app` in this generation has.
fn tree_of(target: &Target, number: u64) -> PathBuf {
    let text = |path: &Path| fs::read_to_string(path).unwrap();
    let manifest = |number: u64| text(&target.0.join(format!("generations/{number}/manifest.json")));
    let (own, before) = (manifest(number), manifest(number % 3 + 1));
    let digests = |text: &str| -> Vec<String> {
        let words = text.split(|end: char| !end.is_ascii_hexdigit());
        words.filter(|word| word.len() == 64).map(str::to_owned).collect()
    };
    let store = target.0.join("store");
    let records = digests(&own).into_iter().filter(|digest| !before.contains(digest));
    let record = records.map(|digest| store.join("records").join(digest)).find(|path| path.exists()).unwrap();
    let record = String::from_utf8_lossy(&fs::read(record).unwrap()).into_owned();
    let trees = digests(&record).into_iter().map(|digest| store.join("trees").join(digest));
    trees.into_iter().find(|path| path.exists()).unwrap()
}

#[test]
fn a_damaged_object_is_in_the_way_until_what_gc_says_is_done() {
    let (sandbox, target) = released();
    let releases: Vec<Value> = sandbox.batou(&["history", "dev", "--json"]).success().json();
    let oldest = releases.last().unwrap()["release"].as_str().unwrap().to_owned();
    let expected = [
        "the store is damaged: ",
        "`batou verify dev --repair` mends what the release in force needs",
        "what only an older release needs is mended by a rollback to it",
    ];
    let repair = ["verify", "dev", "--repair"];
    let rollback = ["rollback", "dev", "--to", &oldest];
    for (number, remedy) in [(3, &repair[..]), (1, &rollback)] {
        let tree = tree_of(&target, number);
        for is_folder in [false, true] {
            fs::remove_file(&tree).unwrap();
            if is_folder {
                fs::create_dir(&tree).unwrap();
            } else {
                fs::write(&tree, "x").unwrap();
            }
            let said = told(&sandbox);
            says(&said, &expected);
            if is_folder {
                says(&said, &["move it away"]);
                fs::rename(&tree, sandbox.tmp().join(format!("away{number}"))).unwrap();
            }
            sandbox.batou(remedy).success();
            assert_eq!(told(&sandbox), "", "{number}: {is_folder}");
            sandbox.batou(&["switch", "dev"]).success();
        }
    }
}
