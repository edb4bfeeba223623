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
        let wanted = format!("what is given to `{filter}` is undefined, or something in it is");
        assert!(mistakes.contains(&wanted), "{template}: {mistakes}");
    }
    assert!(refused("{{ nothing }}").contains("`nothing` is undefined"));
}

#[test]
fn chains_that_would_need_a_stack_without_an_end_are_refused() {
    let links = [
        "+1",
        "~1",
        "**1",
        " and 1",
        " if 1 else 1",
        " is odd",
        "|abs",
        ".a",
        "[0]",
        "()",
        " == 1",
        " in 1",
        "*-1",
        " not in 1",
    ];
    for link in links {
        assert!(refused(&format!("{{{{ 1{} }}}}", link.repeat(20_000))).contains("operators"), "{link}");
        // The deepest that is allowed fits the stack of a thread, whatever else is wrong with it.
        let sandbox = Sandbox::app("[[file]]\npath = \"x\"\n");
        sandbox.write(
            "components/app/x",
            format!("{{{{ 1{} }}}}", link.repeat(500 / link.split_whitespace().count().max(1) / 2)),
        );
        let _ = sandbox.evaluate_with(&batou_environments::Offline);
    }
    for sign in ["not ", "-", "- - ", "("] {
        let mistakes = refused(&format!("{{{{ {}1 }}}}", sign.repeat(20_000)));
        assert!(mistakes.contains("operators") || mistakes.contains("recursion"), "{mistakes}");
    }
    assert!(
        refused(&format!("{{% if a %}}{}{{% endif %}}", "{% elif b %}".repeat(20_000))).contains("`elif`")
    );
    assert!(refused(&"{% if 1 %}".repeat(5_000)).contains("recursion"));
}

#[test]
fn chains_in_attributes_and_included_files_are_refused() {
    let chain = format!("{{{{ 1{} }}}}", "+1".repeat(20_000));
    let sandbox = Sandbox::app(&format!("[attributes]\na = \"{chain}\"\n[[file]]\npath = \"x\"\n"));
    sandbox.write("components/app/x", "\n{% include 'y' %}");
    sandbox.write("components/app/y", format!("\n{chain}"));
    let mistakes = sandbox.mistakes();
    assert!(mistakes.contains("line 1: an expression has more than 500 operators"), "{mistakes}");
    assert!(mistakes.contains("line 2: an expression has more than 500 operators"), "{mistakes}");
}
