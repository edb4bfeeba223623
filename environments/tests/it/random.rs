//! Properties: no input panics, and the order of declaration changes nothing.

use batou_release::HostName;
use std::collections::BTreeMap;
use std::fmt::Write;

use batou_environments::{Entry, Evaluation, Offline};
use proptest::collection::vec;
use proptest::prelude::*;

use super::common::Sandbox;

/// A component for each node of a graph: it provides its own key, and requires those of its edges, with the values.
fn graph(nodes: usize, edges: &[(usize, usize)], hosts: &[usize], shuffle: &[usize]) -> Sandbox {
    let sandbox = Sandbox::new(&[]);
    let mut declared: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for node in 0..nodes {
        let required: Vec<usize> =
            edges.iter().filter(|(_, to)| *to == node).map(|(from, _)| *from).collect();
        let mut blocks =
            vec![format!("[[provide]]\nkey = \"k{node}\"\nvalue = \"{node}<{}>\"\n", uses(&required))];
        blocks.extend(required.iter().map(|from| format!("[[require]]\nkey = \"k{from}\"\none = true\n")));
        blocks.push(format!("[[file]]\npath = \"out\"\ncontent = \"{node}: {}\"\n", uses(&required)));
        let turn = shuffle[node] % blocks.len();
        blocks.rotate_left(turn);
        sandbox.write(&format!("components/c{node}/component.toml"), blocks.concat());
        declared.entry(hosts[node]).or_default().push(format!("\"c{node}\""));
    }
    let mut environment = String::from("[hosts]\n");
    let mut lines: Vec<(usize, Vec<String>)> = declared.into_iter().collect();
    let count = lines.len();
    lines.rotate_left(shuffle[0] % count);
    for (host, mut components) in lines {
        let count = components.len();
        components.rotate_left(shuffle[1 % nodes] % count);
        writeln!(environment, "h{host} = [{}]", components.join(", ")).unwrap();
    }
    // Every key is to be required by somebody.
    let all = (0..nodes).map(|node| format!("[[require]]\nkey = \"k{node}\"\ndirty = true\n"));
    sandbox.write("components/all/component.toml", all.collect::<String>());
    writeln!(environment, "all = [\"all\"]").unwrap();
    sandbox.write("environments/prod/environment.toml", environment);
    sandbox
}

fn uses(required: &[usize]) -> String {
    let uses: Vec<String> = required.iter().map(|from| format!("{{{{ k{from} }}}}")).collect();
    uses.concat()
}

type Result = (Vec<(HostName, String)>, Vec<BTreeMap<String, Entry>>);

fn result(evaluation: Evaluation) -> Result {
    evaluation.components.into_iter().map(|one| ((one.host, one.component), one.entries)).unzip()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_declaration_changes_nothing(
        pairs in vec((0_usize..6, 0_usize..6), 0..10),
        hosts in vec(0_usize..3, 6),
        one in vec(0_usize..50, 6),
        other in vec(0_usize..50, 6),
    ) {
        let mut edges: Vec<(usize, usize)> = pairs.into_iter().filter(|(a, b)| a < b).collect();
        edges.sort_unstable();
        edges.dedup();
        let first = result(graph(6, &edges, &hosts, &one).evaluate());
        let second = result(graph(6, &edges, &hosts, &other).evaluate());
        prop_assert_eq!(&first, &second);
        let place = |node: usize| first.0.iter().position(|(_, name)| *name == format!("c{node}")).unwrap();
        for (from, to) in &edges {
            prop_assert!(place(*from) < place(*to));
        }
    }

    #[test]
    fn cycles_are_found(
        pairs in vec((0_usize..6, 0_usize..6), 0..8),
        members in Just(vec![0, 1, 2, 3, 4, 5]).prop_shuffle(),
        length in 2_usize..6,
        shuffle in vec(0_usize..50, 6),
    ) {
        let mut edges: Vec<(usize, usize)> = pairs.into_iter().filter(|(a, b)| a != b).collect();
        edges.extend((0..length).map(|at| (members[at], members[(at + 1) % length])));
        edges.sort_unstable();
        edges.dedup();
        let mistakes = graph(6, &edges, &[0, 1, 2, 0, 1, 2], &shuffle).mistakes();
        prop_assert!(mistakes.contains("components require each other in a cycle"), "{}", mistakes);
    }

    #[test]
    fn arbitrary_bytes_in_any_file_do_not_panic(bytes in vec(any::<u8>(), 0..200), which in 0_usize..5) {
        let sandbox = Sandbox::app("[attributes]\na = 1\n[[file]]\npath = \"x\"\n[[file]]\npath = \"raw\"\nsource = \"x\"\ntemplate = false\n");
        sandbox.write("components/app/x", "{{ component.a }}");
        let path = ["batou.toml", "environments/prod/environment.toml", "components/app/component.toml", "components/app/x", "components/app/raw"][which];
        sandbox.write(path, bytes);
        let _ = sandbox.evaluate_with(&Offline);
    }

    #[test]
    fn arbitrary_templates_do_not_panic(text in "[{}%#a-c ._|\"'()\\[\\]0-9+*~-]{0,60}|\\PC{0,60}") {
        let sandbox = Sandbox::app("[[file]]\npath = \"x\"\n");
        sandbox.write("components/app/x", format!("{{{{ {text} }}}}"));
        let _ = sandbox.evaluate_with(&Offline);
    }

    #[test]
    fn arbitrary_settings_do_not_panic(
        key in "(environment|hosts|host|components|resolver|settings)\\.(\"[a-z{}.,0-9@!:~-]{0,12}\"|inherits|keep|target_directory)(\\.[a-z-]{1,8})?",
        value in "(\"[ -~&&[^\"\\\\]]{0,16}\"|[0-9]{1,4}|true|false|\\[\"[a-z:!,-]{0,8}\"\\]|\\{ [a-z]{1,4} = 1 \\})",
    ) {
        let sandbox = Sandbox::app("");
        sandbox.write("environments/prod/environment.toml", format!("hosts.web01 = [\"app\"]\n{key} = {value}\n"));
        let _ = sandbox.evaluate_with(&Offline);
    }
}
