//! Components of code wait for each other, in rounds: what settles, what does not, and what is said of it.

use batou_release::{HostName, Instance};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use batou_environments::{Entry, Evaluation, Rendered};
use insta::assert_snapshot;
use proptest::collection::vec;
use proptest::prelude::*;

use super::common::{Sandbox, component, text};

/// Components of code, by name; `hosts` is the body of `[hosts]`.
fn sandbox(hosts: &str, components: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new(&[("environments/prod/environment.toml", &format!("[hosts]\n{hosts}\n"))]);
    for (name, body) in components {
        let body =
            body.trim().lines().fold(String::new(), |text, line| format!("{text}    {}\n", line.trim()));
        sandbox.write(&format!("components/{name}/component.star"), format!("def configure(c):\n{body}"));
    }
    sandbox
}

#[test]
fn code_and_tables_require_each_other() {
    let sandbox = sandbox(
        "a = [\"front\", \"middle\"]\nb = [\"back\"]",
        &[
            ("front", "c.file(\"out\", content = c.require_one(\"middle\"))"),
            ("back", "c.provide(\"back\", c.host.name)"),
        ],
    );
    sandbox.write(
        "components/middle/component.toml",
        "[[require]]\nkey = \"back\"\none = true\n[[provide]]\nkey = \"middle\"\nvalue = \"<{{ back }}>\"\n",
    );
    let evaluation = sandbox.evaluate();
    assert_eq!(text(&evaluation, "a", "front", "out"), "<b>");
    let causes: Vec<&String> = component(&evaluation, "a", "front").causes["out"].keys().collect();
    let wanted = ["file components/front/component.star", "resource middle from a/middle"];
    assert!(wanted.iter().all(|cause| causes.iter().any(|known| known == cause)), "{causes:?}");
}

#[test]
fn a_long_chain_settles() {
    let link = |at: usize| format!("c.provide(\"k{}\", c.require_one(\"k{at}\") + \".\")", at + 1);
    let bodies: Vec<(String, String)> = (0..40).map(|at| (format!("c{at}"), link(at))).collect();
    let mut components: Vec<(&str, &str)> = bodies.iter().map(|(name, body)| (&**name, &**body)).collect();
    components.push(("first", "c.provide(\"k0\", \"\")"));
    components.push(("last", "c.file(\"out\", content = c.require_one(\"k40\"))"));
    let names: Vec<String> = components.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let sandbox = sandbox(&format!("a = [{}]", names.join(", ")), &components);
    assert_eq!(text(&sandbox.evaluate(), "a", "last", "out"), ".".repeat(40));
}

#[test]
fn what_is_provided_first_breaks_a_cycle_that_is_left_open() {
    let one = "c.provide(\"one\", \"1\")\nc.file(\"out\", content = c.require_one(\"two\", dirty = True))";
    let two = "c.provide(\"two\", c.require_one(\"one\") + \"2\")";
    let evaluation = sandbox("a = [\"one\"]\nb = [\"two\"]", &[("one", one), ("two", two)]).evaluate();
    assert_eq!(text(&evaluation, "a", "one", "out"), "12");
    let order: Vec<&str> = evaluation.components.iter().map(|one| one.component.as_str()).collect();
    assert_eq!(order, ["one", "two"]);
}

#[test]
fn cycles_of_code_are_shown_with_their_members() {
    let pass =
        |key: &str, next: &str| format!("c.provide(\"{next}\", c.require_one(\"{key}\").name + \"x\")");
    let bodies = [("a", pass("c", "a")), ("b", pass("a", "b")), ("c", pass("b", "c")), ("d", pass("c", "d"))];
    let mut components: Vec<(&str, &str)> = bodies.iter().map(|(name, body)| (*name, &**body)).collect();
    components.push(("alone", "c.provide(\"own\", c.require_one(\"own\"))"));
    let hosts = "h1 = [\"a\", \"c\", \"table\"]\nh2 = [\"b\", \"d\", \"alone\"]";
    let sandbox = sandbox(hosts, &components);
    // Neither `d` nor the table is in the cycle: they only wait for it.
    sandbox.write("components/table/component.toml", "[[require]]\nkey = \"d\"\n");
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: components require each other in a cycle: h1/a -> h2/b -> h1/c -> h1/a
     --> components/a/component.star:2:34
      |
    2 |     c.provide("a", c.require_one("c").name + "x")
      |                                  ^^^
      = help: call `c.provide` before `c.require` in one of them, and require with `dirty = True` there, which leaves their order open

    error: components require each other in a cycle: h2/alone -> h2/alone
     --> components/alone/component.star:2:36
      |
    2 |     c.provide("own", c.require_one("own"))
      |                                    ^^^^^
      = help: call `c.provide` before `c.require` in one of them, and require with `dirty = True` there, which leaves their order open
    "#);
}

#[test]
fn only_the_first_of_those_that_wait_is_told() {
    let hosts = "a = [\"first\", \"second\", \"third\"]\nb = [\"second\"]";
    let components = [
        ("first", "c.provide(\"one\", c.require_one(\"nothing\"))"),
        ("second", "c.provide(\"two\", c.require_one(\"one\", host = \"a\"))"),
        ("third", "c.require(\"two\")"),
    ];
    assert_snapshot!(sandbox(hosts, &components).mistakes(), @r#"
    error: no component provides `nothing`
     --> components/first/component.star:2:36
      |
    2 |     c.provide("one", c.require_one("nothing"))
      |                                    ^^^^^^^^^
      = affects: a/first
      = help: place a component that provides it on a host; with `strict = False` there may be none
    "#);
}

#[test]
fn a_failure_is_not_told_as_what_others_lack() {
    let hosts = "a = [\"broken\", \"user\", \"override\"]\n[components.override]\nport = \"x\"";
    let components = [("broken", "c.provide(\"one\", 1 // 0)"), ("user", "c.require_one(\"one\")")];
    let sandbox = sandbox(hosts, &components);
    sandbox.write(
        "components/override/component.star",
        "attributes = {\"port\": 80}\ndef configure(c):\n    c.provide(\"port\", c.port)\n",
    );
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: floor division by zero: 1 // 0
     --> components/broken/component.star:2:22
      |
    2 |     c.provide("one", 1 // 0)
      |                      ^^^^^^
      = affects: a/broken

    error: the attribute `port` of `override` must be an integer, not "x"
     --> environments/prod/environment.toml:4:8
      |
    4 | port = "x"
      |        ^^^
      = affects: a/override
    "#);
}

#[test]
fn values_that_grow_with_every_round_do_not_settle() {
    let grow = |own: &str, other: &str| {
        format!(
            "found = c.require(\"{other}\", strict = False, dirty = True)\nc.provide(\"{own}\", len(found[0]) * \"x\" + \"x\" if found else \"x\")"
        )
    };
    let (one, two) = (grow("one", "two"), grow("two", "one"));
    let sandbox = sandbox("a = [\"one\"]\nb = [\"two\"]", &[("one", &one), ("two", &two)]);
    assert_snapshot!(sandbox.mistakes(), @"
    error: the values of `one` and `two` do not settle: every run gives different ones
     --> components/one/component.star:1:5
      |
    1 | def configure(c):
      |     ^^^^^^^^^
      = affects: a/one, b/two
      = help: each of these components provides a value that depends on what it requires from the others, so the values change with every run: let one of them provide a value that does not depend on the others
    ");
}

#[test]
fn a_requirement_of_one_host_hears_only_of_that_host() {
    let peer = "c.provide(\"peer\", c.host.name)\nc.file(\"own\", content = str(c.require(\"peer\", host = \"same\")))";
    let all = "c.file(\"all\", content = str(c.require(\"peer\")))";
    let sandbox =
        sandbox("a = [\"peer\"]\nb = [\"peer\", \"all\"]\nc = [\"peer\"]", &[("peer", peer), ("all", all)]);
    let evaluation = sandbox.evaluate();
    assert_eq!(text(&evaluation, "b", "peer", "own"), "[\"b\"]");
    assert_eq!(text(&evaluation, "b", "all", "all"), "[\"a\", \"b\", \"c\"]");
    let others =
        component(&evaluation, "a", "peer").causes["own"].keys().filter(|cause| cause.contains("b/"));
    assert_eq!(others.count(), 0);
}

#[test]
fn the_environment_names_what_is_declared_in_any_file() {
    let file = "def nothing(c):\n    pass\nfor name in [\"zope1\", \"zope2\"]:\n    component(name, features = [\"web\"], attributes = {\"port\": 80}, configure = nothing)\n";
    let sandbox = Sandbox::new(&[
        ("components/zope/component.star", file),
        (
            "environments/prod/environment.toml",
            "[hosts]\na = [\"zope1\", \"zope3\", \"zope2:wab\"]\n[components.zope1]\nprot = 1\n[components.zope2]\nport = 1\n",
        ),
    ]);
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: there is no component `zope3`
     --> environments/prod/environment.toml:2:15
      |
    2 | a = ["zope1", "zope3", "zope2:wab"]
      |               ^^^^^^^
      = help: create components/zope3/component.toml

    error: the component `zope2` has no feature `wab`
     --> environments/prod/environment.toml:2:24
      |
    2 | a = ["zope1", "zope3", "zope2:wab"]
      |                        ^^^^^^^^^^^
      = help: did you mean `web`?

    error: the component `zope1` declares no attribute `prot`
     --> environments/prod/environment.toml:4:1
      |
    4 | prot = 1
      | ^^^^
      = help: did you mean `port`?
    "#);
}

/// How a graph is written down.
struct Written<'a> {
    /// Which nodes are code.
    code: &'a [bool],
    hosts: &'a [usize],
    /// Turns every list of declarations.
    shuffle: &'a [usize],
    /// Whether all components of code stand in one file.
    together: bool,
}

/// A component for each node: it provides its own key, made of those that its edges require.
fn graph(edges: &BTreeSet<(usize, usize)>, written: &Written<'_>) -> Sandbox {
    let sandbox = Sandbox::new(&[]);
    let nodes = written.code.len();
    let mut functions: Vec<String> = Vec::new();
    for node in 0..nodes {
        let mut required: Vec<usize> =
            edges.iter().filter(|(_, to)| *to == node).map(|(from, _)| *from).collect();
        let turn = written.shuffle[node] % required.len().max(1);
        required.rotate_left(turn);
        if !written.code[node] {
            sandbox.write(&format!("components/c{node}/component.toml"), table(node, &required));
        } else if written.together {
            functions.push(format!(
                "{}component(\"c{node}\", configure = c{node})\n",
                function(node, &required, &format!("c{node}"))
            ));
        } else {
            sandbox
                .write(&format!("components/c{node}/component.star"), function(node, &required, "configure"));
        }
    }
    if !functions.is_empty() {
        let turn = written.shuffle[0] % functions.len();
        functions.rotate_left(turn);
        sandbox.write("components/code/component.star", functions.concat());
    }
    // Every key is required by somebody.
    let all =
        (0..nodes).map(|node| format!("[[require]]\nkey = \"k{node}\"\ndirty = true\nstrict = false\n"));
    sandbox.write("components/all/component.toml", all.collect::<String>());
    sandbox.write("environments/prod/environment.toml", environment(written));
    sandbox
}

fn environment(written: &Written<'_>) -> String {
    let mut placed: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (node, host) in written.hosts.iter().enumerate().take(written.code.len()) {
        placed.entry(*host).or_default().push(format!("\"c{node}\""));
    }
    let mut text = String::from("[hosts]\nall = [\"all\"]\n");
    let turn = written.shuffle[0] % placed.len();
    for (host, components) in placed.iter().cycle().skip(turn).take(placed.len()) {
        let mut components = components.clone();
        let turn = written.shuffle[1] % components.len();
        components.rotate_left(turn);
        writeln!(text, "h{host} = [{}]", components.join(", ")).unwrap();
    }
    text
}

/// The values of what is required, in an order that does not depend on how it is written down.
fn sorted(required: &[usize]) -> Vec<usize> {
    let mut sorted = required.to_vec();
    sorted.sort_unstable();
    sorted
}

fn table(node: usize, required: &[usize]) -> String {
    let used: Vec<String> = sorted(required).iter().map(|from| format!("{{{{ k{from} }}}}")).collect();
    let used = used.concat();
    let mut blocks = vec![format!("[[provide]]\nkey = \"k{node}\"\nvalue = \"{node}<{used}>\"\n")];
    blocks.extend(required.iter().map(|from| format!("[[require]]\nkey = \"k{from}\"\none = true\n")));
    blocks.push(format!("[[file]]\npath = \"out\"\ncontent = \"{node}: {used}\"\n"));
    blocks.concat()
}

fn function(node: usize, required: &[usize], name: &str) -> String {
    let mut text = format!("def {name}(c):\n");
    for from in required {
        writeln!(text, "    k{from} = c.require_one(\"k{from}\")").unwrap();
    }
    let used: Vec<String> = sorted(required).iter().map(|from| format!("k{from}")).collect();
    let used = if used.is_empty() { "\"\"".to_owned() } else { used.join(" + ") };
    writeln!(text, "    c.provide(\"k{node}\", \"{node}<\" + {used} + \">\")").unwrap();
    writeln!(text, "    c.file(\"out\", content = \"{node}: \" + {used})").unwrap();
    text
}

/// Host and component, its files, and what comes before it.
type Outcome = ((HostName, String), BTreeMap<String, Entry>, BTreeSet<Instance>);

/// What came out, without what tells how it was written down.
fn result(evaluation: Evaluation) -> Vec<Outcome> {
    let plain = |one: Rendered| ((one.host, one.component), one.entries, one.after);
    evaluation.components.into_iter().map(plain).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_graph_without_a_cycle_has_one_result(
        pairs in vec((0_usize..7, 0_usize..7), 0..14),
        names in Just(vec![0_usize, 1, 2, 3, 4, 5, 6]).prop_shuffle(),
        code in vec(any::<bool>(), 7),
        other_code in vec(any::<bool>(), 7),
        hosts in vec(0_usize..3, 7),
        one in vec(0_usize..50, 7),
        other in vec(0_usize..50, 7),
    ) {
        let edges: BTreeSet<(usize, usize)> =
            pairs.into_iter().filter(|(a, b)| a < b).map(|(a, b)| (names[a], names[b])).collect();
        let written = |code, shuffle, together| Written { code, hosts: &hosts, shuffle, together };
        let first = result(graph(&edges, &written(&code, &one, false)).evaluate());
        // Another order, other files, and other components that are code.
        prop_assert_eq!(&first, &result(graph(&edges, &written(&code, &other, true)).evaluate()));
        prop_assert_eq!(&first, &result(graph(&edges, &written(&other_code, &other, false)).evaluate()));
        let place = |node: usize| first.iter().position(|(name, ..)| name.1 == format!("c{node}")).unwrap();
        for (from, to) in &edges {
            prop_assert!(place(*from) < place(*to));
        }
    }

    #[test]
    fn any_graph_with_a_cycle_is_reported(
        pairs in vec((0_usize..7, 0_usize..7), 0..10),
        members in Just(vec![0_usize, 1, 2, 3, 4, 5, 6]).prop_shuffle(),
        length in 2_usize..7,
        code in vec(any::<bool>(), 7),
        hosts in vec(0_usize..3, 7),
        shuffle in vec(0_usize..50, 7),
        together in any::<bool>(),
    ) {
        let mut edges: BTreeSet<(usize, usize)> = pairs.into_iter().filter(|(a, b)| a != b).collect();
        edges.extend((0..length).map(|at| (members[at], members[(at + 1) % length])));
        let written = Written { code: &code, hosts: &hosts, shuffle: &shuffle, together };
        let mistakes = graph(&edges, &written).mistakes();
        prop_assert!(mistakes.contains(" in a cycle: "), "{}", mistakes);
    }
}
