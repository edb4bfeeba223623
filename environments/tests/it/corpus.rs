//! What the fuzzers found worth keeping, once more: nothing of it panics.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/projects.rs"]
#[allow(unreachable_pub, reason = "the fuzz targets use it too")]
mod projects;

/// Evaluates every file of a corpus.
fn replay(name: &str, target: fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 10, "{} files", files.len());
    for file in files {
        let data = fs::read(&file).unwrap();
        assert!(std::panic::catch_unwind(|| target(&data)).is_ok(), "{}", file.display());
    }
}

#[test]
fn component_toml() {
    replay("component_toml", projects::component_toml);
}

#[test]
fn component_star() {
    replay("component_star", projects::component_star);
}

#[test]
fn environment_toml() {
    replay("environment_toml", projects::environment_toml);
}

#[test]
fn template() {
    replay("template", projects::template);
}

/// A fuzzer runs in one process, which a stack that overflows would end: the deepest that 4096 bytes can be must fit.
#[test]
fn the_deepest_input_of_a_fuzzer_fits_the_stack() {
    for (begin, link) in [
        ("{{ 1", "+1"),
        ("{{ a", ".a"),
        ("{{ a", "[0"),
        ("{{ a", "()"),
        ("{{ ", "-"),
        ("{{ ", "not "),
        ("{{ ", "("),
    ] {
        projects::template(deepest(begin, link, " }}").as_bytes());
    }
    projects::template(deepest("{% if 1 %}", "{% elif 1 %}", "{% endif %}").as_bytes());
    for link in ["(", "[", "{1:", "-", "not ", "lambda:", "f(", "1+", "x.", "1 if 1 else "] {
        projects::component_star(deepest("x = ", link, "1").as_bytes());
    }
    projects::component_star(deepest("if 0: pass\n", "elif 0: pass\n", "").as_bytes());
}

fn deepest(begin: &str, link: &str, end: &str) -> String {
    let room = 4096 - begin.len() - end.len();
    format!("{begin}{}{end}", link.repeat(room / link.len()))
}

/// Else every input would be refused for what surrounds it, and never come far.
#[test]
fn what_surrounds_the_input_is_in_order() {
    assert!(projects::component_toml(b"[[require]]\nkey = \"db\"\n"));
    assert!(projects::component_star(b"def configure(c):\n    c.require(\"db\")\n"));
    assert!(projects::environment_toml(b"[environment]\ninherits = \"base\"\n"));
    assert!(projects::template(
        b"{% include 'part' %}{% import 'macros' as m %}{{ m.opt(component.label) }}"
    ));
}
