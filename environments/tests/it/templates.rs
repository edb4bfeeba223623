//! The template language as its users know it.

use super::common::{Sandbox, component, text};

fn render(template: &str) -> String {
    let sandbox = Sandbox::app("[attributes]\nname_ = \"a b\"\n[[file]]\npath = \"x\"\n");
    sandbox.write("components/app/x", template);
    sandbox.write("components/app/parts/head", "head of {{ host.name }}\n");
    sandbox.write("components/app/base", "<{% block body %}base{% endblock %}>\n");
    sandbox.write("components/app/macros", "{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}");
    text(&sandbox.evaluate(), "web01", "app", "x")
}

#[test]
fn the_last_newline_stays() {
    assert_eq!(render("{{ host.name }}\n\n"), "web01\n\n");
    assert_eq!(render("{{ host.name }}"), "web01");
}

#[test]
fn python_methods_and_filters_work() {
    assert_eq!(render("{{ component.name_.upper().split(' ') | join('-') }}"), "A-B");
    assert_eq!(render("{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}"), "a=1");
    assert_eq!(
        render(
            "{{ 'abcdefgh' | truncate(length=5, killwords=true, end='', leeway=0) }} {{ 2048 | filesizeformat(true) }}"
        ),
        "abcde 2.0 KiB"
    );
    assert_eq!(render("{{ [1, 2] | tojson }} {{ 'a b' | urlencode }} {{ '<&>' }}"), "[1, 2] a%20b <&>");
}

#[test]
fn templates_of_the_component_can_be_included_extended_and_imported() {
    assert_eq!(render("{% include 'parts/head' %}x"), "head of web01\nx");
    assert_eq!(render("{% extends 'base' %}{% block body %}own{% endblock %}"), "<own>\n");
    assert_eq!(render("{% from 'macros' import twice %}{{ twice('ab') }}"), "abab");
}

#[test]
fn an_included_file_is_a_cause() {
    let sandbox = Sandbox::app("[[file]]\npath = \"x\"\n[[file]]\npath = \"y\"\n");
    sandbox.write("components/app/x", "{% include 'part' %}");
    sandbox.write("components/app/y", "{% include 'part' %}!");
    sandbox.write("components/app/part", "{{ environment.name }}");
    let evaluation = sandbox.evaluate();
    for path in ["x", "y"] {
        let causes = &component(&evaluation, "web01", "app").causes[path];
        let names: Vec<&String> = causes.keys().collect();
        assert_eq!(
            names,
            ["environment name", &format!("file components/app/{path}"), "file components/app/part"]
                .map(str::to_owned)
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        );
    }
}

#[test]
fn the_scope_has_what_it_should() {
    assert_eq!(render("{{ environment.hosts | map(attribute='fqdn') | join(',') }}"), "web01.example.net");
    assert_eq!(render("{{ host.platform | default('none known') }}"), "none known");
    assert_eq!(render("{{ host.data.items() | list | length }}"), "0");
    assert_eq!(render("# {{ batou_generated_header }}").lines().count(), 1);
    assert_eq!(render("{{ settings is defined }}{{ settings.x is defined }}"), "TrueFalse");
}

/// What a template is refused for.
fn refused(template: &str) -> String {
    let sandbox = Sandbox::app("[[file]]\npath = \"x\"\n");
    sandbox.write("components/app/x", template);
    sandbox.mistakes()
}

#[test]
fn what_a_filter_is_given_is_not_taken_for_the_filter() {
    for (template, filter) in [
        ("{{ nothing | list }}", "list"),
        ("{{ [1, nothing] | join }}", "join"),
        ("{{ [{}] | map(attribute='a') | join(',') }}", "join"),
    ] {
        let mistakes = refused(template);
        let wanted = format!("the value given to `{filter}` is undefined, or contains something undefined");
        assert!(mistakes.contains(&wanted), "{template}: {mistakes}");
    }
    assert!(refused("{{ nothing }}").contains("`nothing` is undefined"));
}

#[test]
fn chains_far_longer_than_anybody_writes_are_rendered() {
    assert_eq!(render(&format!("{{{{ 1{} }}}}", "+1".repeat(2_000))), "2001");
    assert_eq!(
        render(&format!("{{{{ component{} }}}}", "|d(1)".repeat(2_000))).len(),
        render("{{ component }}").len()
    );
    assert_eq!(render(&format!("{{{{ {}1 }}}}", "-".repeat(2_000))), "1");
    assert_eq!(render(&format!("{{% if 0 %}}{}{{% else %}}x{{% endif %}}", "{% elif 0 %}".repeat(500))), "x");
}

#[test]
fn brackets_and_blocks_are_bounded_by_the_engine() {
    assert!(refused(&format!("{{{{ {}1 }}}}", "(".repeat(20_000))).contains("recursion"));
    assert!(refused(&"{% if 1 %}".repeat(5_000)).contains("recursion"));
}
