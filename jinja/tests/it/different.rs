//! What is meant to differ from Jinja2, and where it must not.

use std::collections::BTreeMap;

use super::common::{Case, with_jinja2};

/// A template, what Jinja2 makes of it, and what is made of it here. All of them are in the documentation.
const DIFFERENT: [(&str, &str, &str); 22] = [
    ("{{ 1e16 ~ '' }}", "1e+16", "10000000000000000.0"),
    ("{{ {'a': 1}.keys() }}", "dict_keys(['a'])", "['a']"),
    ("{{ range(3) }}", "range(0, 3)", "[0, 1, 2]"),
    ("{{ {'a': 1} | attr('a') | default('none') }}", "none", "1"),
    ("{{ 1 < '2' }}", "error: TypeError", "True"),
    ("{{ '%s' % 1 }}", "1", "error: tried to use % operator"),
    ("{{ 2 ** 200 > 0 }}", "True", "error: unable to calculate 2 ** 200"),
    ("{% set l = [] %}{% set _ = l.append(1) %}{{ l }}", "[1]", "error: `append` would change a value"),
    ("{% macro m() %}{{ varargs }}{% endmacro %}{{ m(1) }}", "(1,)", "error: too many arguments"),
    ("{{ 1, 2 }}", "(1, 2)", "error: syntax error"),
    ("{{ +1 }}", "1", "error: syntax error"),
    ("{{ 'example.org' | urlize }}", "<a href", "error: unknown filter"),
    ("{% for x in [1, 2] %}{% break %}{% endfor %}", "error: TemplateSyntaxError", ""),
    ("a\r\n", "a\n", "a\r\n"),
    ("{% for x in none %}{{ x }}{% endfor %}", "error: TypeError", ""),
    ("{% for x in [1] %}{% block b %}{{ x is defined }}{% endblock %}{% endfor %}", "False", "True"),
    ("{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(1) }}", "1", "error: `a` is undefined"),
    ("{% set ä = 1 %}{{ ä }}", "1", "error: syntax error"),
    ("{{ 'a'.encode() }}", "b'a'", "error: unknown method"),
    ("{{ (5).bit_length() }}", "3", "error: unknown method"),
    ("{{ [1, 2] | pprint }}", "[1, 2]", "[\n    1,\n    2,\n]"),
    ("{{ '\\N{DEGREE SIGN}' }}", "°", "\\N{DEGREE SIGN}"),
];

fn numbered<'a>(templates: impl Iterator<Item = &'a str>) -> BTreeMap<String, Case> {
    templates.enumerate().map(|(index, template)| (index.to_string(), Case::new(template))).collect()
}

#[test]
fn what_differs_is_documented() {
    let documentation = include_str!("../../../docs/src/reference/templates.md");
    for (template, _, ours) in DIFFERENT {
        let shown = template.replace("\r\n", "\\r\\n");
        assert!(documentation.contains(&format!("`{shown}`")), "{shown} is not documented");
        match (Case::new(template).render(), ours.strip_prefix("error: ")) {
            (Ok(text), None) => assert_eq!(text, ours, "{template}"),
            (Err(error), Some(message)) => {
                assert!(error.to_string().contains(message), "{template}: {error}");
            }
            (result, _) => panic!("{template}: {result:?}"),
        }
    }
}

#[test]
fn jinja2_differs_as_is_said() {
    let Some(made) = with_jinja2(&numbered(DIFFERENT.iter().map(|one| one.0))) else { return };
    for (index, (template, theirs, _)) in DIFFERENT.into_iter().enumerate() {
        match (&made[&index.to_string()], theirs.strip_prefix("error: ")) {
            (Ok(text), None) => assert!(text.starts_with(theirs), "{template}: {text}"),
            (Err(error), Some(kind)) => assert!(error.starts_with(kind), "{template}: {error}"),
            (result, _) => panic!("{template}: {result:?}"),
        }
    }
}

/// Otherwise a misspelled attribute would silently give a list in the wrong order, a sum that is too small, or an
/// empty list.
#[test]
fn what_a_filter_looks_at_must_be_there() {
    let filters = [
        "sort(attribute='prot')",
        "sort(attribute='port, prot')",
        "sum(attribute='prot')",
        "sum('prot')",
        "max(attribute='prot')",
        "min(attribute='prot')",
        "unique(attribute='prot')",
        "groupby('prot')",
        "selectattr('prot')",
        "selectattr('prot', 'eq', 80)",
        "rejectattr('prot', 'in', [80])",
    ];
    let template = |filter| format!("{{{{ [{{'port': 1, 'a': 1}}, {{'port': 1}}] | {filter} | list }}}}");
    let templates = filters.map(template);
    for template in &templates {
        let error = Case::new(template).render().unwrap_err().to_string();
        assert!(error.contains("an item of the list has no `prot`"), "{template}: {error}");
    }
    for (name, made) in with_jinja2(&numbered(templates.iter().map(String::as_str))).into_iter().flatten() {
        assert!(made.is_err(), "{}: {made:?}", templates[name.parse::<usize>().unwrap()]);
    }
}
