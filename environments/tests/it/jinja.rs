//! Templates beside Jinja2: a corpus of them below `tests/templates`, and what is meant to differ.
//!
//! Each folder has a template `main`, those that it includes, its `variables.json`, and what Jinja2 makes of it as
//! `expected`. `BATOU_UPDATE_TEMPLATES=1` writes the latter anew, with Jinja2.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use batou_environments::Offline;
use serde_json::{Map, Value, json};

use super::common::{Lacking, Sandbox, left_out, python, text};

const EXPECTED: &str = "expected";
const VARIABLES: &str = "variables.json";

/// A template, what Jinja2 makes of it, and what batou does. All of them stand in the documentation.
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

/// One template with all that it needs.
struct Case {
    templates: BTreeMap<String, String>,
    variables: Map<String, Value>,
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates")
}

fn cases() -> BTreeMap<String, Case> {
    let folders = fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().path());
    folders.map(|folder| (folder.file_name().unwrap().to_str().unwrap().to_owned(), read(&folder))).collect()
}

fn read(folder: &Path) -> Case {
    let mut case = Case { templates: BTreeMap::new(), variables: Map::new() };
    for entry in walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap) {
        let name = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        if !entry.file_type().is_file() || name == EXPECTED {
            continue;
        }
        let content = fs::read_to_string(entry.path()).unwrap();
        if name == VARIABLES {
            case.variables = serde_json::from_str(&content).unwrap();
        } else {
            case.templates.insert(name, content);
        }
    }
    case
}

fn expected(name: &str) -> PathBuf {
    corpus().join(name).join(EXPECTED)
}

/// A project with a component for each template: all are rendered by one evaluation.
fn project(cases: &BTreeMap<String, Case>) -> Sandbox {
    let names: Vec<String> = cases.keys().map(|name| format!("\"{name}\"")).collect();
    let sandbox = Sandbox::new(&[]);
    let hosts = format!("[hosts]\nweb01 = [{}]\n", names.join(", "));
    sandbox.write("environments/prod/environment.toml", hosts);
    for (name, case) in cases {
        let mut declaration = String::from("[attributes]\n");
        for (variable, value) in &case.variables {
            let expression = format!("{{{{ {} }}}}", expression(value));
            let expression = Value::from(expression);
            declaration.push_str(&format!(
                "{variable} = {{ type = \"{}\", default = {expression} }}\n",
                kind(value)
            ));
        }
        declaration.push_str("[[file]]\npath = \"main\"\n");
        sandbox.write(&format!("components/{name}/component.toml"), declaration);
        for (file, content) in &case.templates {
            sandbox.write(&format!("components/{name}/{file}"), content);
        }
    }
    sandbox
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "literal",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// JSON as the template language writes it.
fn expression(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Array(items) => format!("[{}]", items.iter().map(expression).collect::<Vec<_>>().join(", ")),
        Value::Object(pairs) => {
            let pairs = pairs
                .iter()
                .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), expression(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// What Jinja2 makes of them; `None` if it is not installed.
fn with_jinja2(cases: &BTreeMap<String, Case>) -> Option<BTreeMap<String, Value>> {
    let given: Map<String, Value> = cases
        .iter()
        .map(|(name, case)| (name.clone(), json!({"templates": case.templates, "variables": case.variables})))
        .collect();
    let made = python("jinja.py", &Value::from(given))?;
    Some(serde_json::from_value(made).unwrap())
}

fn compare(name: &str, made: &str, expected: &str) {
    for (number, (made, expected)) in made.lines().zip(expected.lines()).enumerate() {
        assert_eq!(made, expected, "{name}, line {}", number + 1);
    }
    assert_eq!(made, expected, "{name}");
}

#[test]
fn templates_give_what_jinja2_gave() {
    let cases = cases();
    assert!(cases.len() > 80, "{} templates", cases.len());
    let evaluation = project(&cases).evaluate();
    for name in cases.keys() {
        let expected = fs::read_to_string(expected(name)).unwrap();
        compare(name, &text(&evaluation, "web01", name, "main"), &expected);
    }
}

#[test]
fn jinja2_gives_what_is_expected() {
    let cases = cases();
    let Some(made) = with_jinja2(&cases) else {
        return left_out("templates beside Jinja2", Lacking::Network);
    };
    let write = std::env::var_os("BATOU_UPDATE_TEMPLATES").is_some();
    for name in cases.keys() {
        let text = made[name]["text"].as_str().unwrap_or_else(|| panic!("{name}: {}", made[name]));
        if write {
            fs::write(expected(name), text).unwrap();
        }
        compare(name, &fs::read_to_string(expected(name)).unwrap(), text);
    }
}

#[test]
fn what_differs_is_documented() {
    let documentation = include_str!("../../../docs/src/reference/templates.md");
    let case = |template: &str| Case {
        templates: BTreeMap::from([("main".to_owned(), template.to_owned())]),
        variables: Map::new(),
    };
    let cases: BTreeMap<String, Case> =
        DIFFERENT.iter().enumerate().map(|(index, one)| (format!("t{index}"), case(one.0))).collect();
    let jinja2 = with_jinja2(&cases);
    for (index, (template, theirs, ours)) in DIFFERENT.into_iter().enumerate() {
        let shown = template.replace("\r\n", "\\r\\n");
        assert!(documentation.contains(&format!("`{shown}`")), "{shown} is not documented");
        let name = format!("t{index}");
        let sandbox = project(&BTreeMap::from([(name.clone(), case(template))]));
        match (sandbox.evaluate_with(&Offline), ours.strip_prefix("error: ")) {
            (Ok(evaluation), None) => {
                assert_eq!(text(&evaluation, "web01", &name, "main"), ours, "{template}");
            }
            (Err(mistakes), Some(message)) => {
                assert!(mistakes.to_string().contains(message), "{template}: {mistakes}");
            }
            (result, _) => panic!("{template}: {result:?}"),
        }
        let Some(made) = &jinja2 else { continue };
        let made = &made[&name];
        match theirs.strip_prefix("error: ") {
            Some(kind) => {
                assert!(made["error"].as_str().is_some_and(|error| error.starts_with(kind)), "{made}");
            }
            None => assert!(
                made["text"].as_str().is_some_and(|text| text.starts_with(theirs)),
                "{template}: {made}"
            ),
        }
    }
}

/// Without a word a slip of the pen would be a list in the wrong order, a sum that is too small, or an empty list.
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
    let cases: BTreeMap<String, Case> = filters
        .iter()
        .enumerate()
        .map(|(index, filter)| {
            let main = format!("{{{{ [{{'port': 1, 'a': 1}}, {{'port': 1}}] | {filter} | list }}}}");
            let templates = BTreeMap::from([("main".to_owned(), main)]);
            (format!("t{index}"), Case { templates, variables: Map::new() })
        })
        .collect();
    let jinja2 = with_jinja2(&cases);
    for (name, case) in cases {
        let template = case.templates["main"].clone();
        let mistakes = project(&BTreeMap::from([(name.clone(), case)])).mistakes();
        assert!(mistakes.contains("an item of the list has no `prot`"), "{template}: {mistakes}");
        if let Some(made) = &jinja2 {
            assert!(made[&name]["error"].is_string(), "{template}: {}", made[&name]);
        }
    }
}

#[test]
fn no_width_escapes_the_bounds() {
    let large = 1_000_000_000;
    let templates = [
        format!("{{{{ 'x'.ljust({large}) }}}}"),
        format!("{{{{ 'x'.rjust({large}, 'ü') }}}}"),
        format!("{{{{ 'x'.center({large}) }}}}"),
        format!("{{{{ 'x' | center({large}) }}}}"),
        format!("{{{{ 'x'.zfill({large}) }}}}"),
        format!("{{{{ '\\t'.expandtabs({large}) }}}}"),
        format!("{{{{ '%{large}d' | format(1) }}}}"),
        format!("{{{{ '%{large}s' | format(1) }}}}"),
        format!("{{{{ '%*d' | format({large}, 1) }}}}"),
        format!("{{{{ '%.*f' | format({large}, 1.5) }}}}"),
        format!("{{{{ '%.{large}f' | format(1.5) }}}}"),
        format!("{{{{ '{{:{large}}}'.format(1) }}}}"),
        format!("{{{{ '{{:>{large}}}'.format('ü') }}}}"),
        format!("{{{{ '{{:.{large}f}}'.format(1.5) }}}}"),
        format!("{{{{ 'a\\nb' | indent({large}) }}}}"),
        format!("{{{{ [1] | tojson(indent={large}) }}}}"),
        format!("{{{{ [1] | batch({large}, 'x') | list }}}}"),
        format!("{{{{ 'x' * {large} }}}}"),
    ];
    all_do_too_much(&templates);
}

#[test]
fn no_filter_or_method_escapes_the_bounds() {
    let templates = [
        "{{ ('x' * 1000000).join(range(100000)) }}",
        "{{ range(100000) | join('x' * 1000000) }}",
        "{{ ('x' * 1000000).replace('', 'y' * 1000000) }}",
        "{{ ('x' * 1000000) | replace('x', 'y' * 1000000) }}",
        "{{ ('\\n' * 1000000) | indent('y' * 1000000, true, true) }}",
        "{{ ('x ' * 1000000) | wordwrap(1, wrapstring='y' * 1000000) }}",
        "{{ ([1] * 100000000) | join }}",
        "{{ [1] * 100000000 }}",
        "{{ ([1] * 100000000) | tojson }}",
        "{{ ([1] * 100000000).index(2) }}",
        "{{ dict([[1, 2]] * 100000000) }}",
        "{{ ([1] * 100000000) | sort }}",
        "{{ ([[1, 2]] * 100000000) | urlencode }}",
        "{{ ([{'a': 1}] * 100000000) | groupby('a') }}",
        "{{ ('x,' * 50000000).split(',') }}",
        "{{ ('x,' * 50000000) | split(',') }}",
        "{{ ('x ' * 50000000).split() }}",
        "{{ ('\n' * 50000000).splitlines() }}",
        "{{ ('\n' * 50000000) | lines }}",
        "{{ ('\n' * 50000000) | indent }}",
        "{{ ('- ' * 50000000) | wordwrap }}",
        "{{ '%s' | format('x' * 100000000) ~ 'x' * 100000000 ~ 'x' * 100000000 ~ 'x' * 100000000 }}",
    ];
    all_do_too_much(&templates);
}

fn all_do_too_much(templates: &[impl AsRef<str>]) {
    for template in templates.iter().map(AsRef::as_ref) {
        let sandbox = Sandbox::app("[[file]]\npath = \"x\"\n");
        sandbox.write("components/app/x", template);
        let mistakes = sandbox.mistakes();
        assert!(mistakes.contains("the template does too much work"), "{template}: {mistakes}");
        let peak = peak_memory();
        assert!(peak < 1024, "{template}: {peak} MiB");
    }
}

/// The most memory that this process has had, in MiB.
fn peak_memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

#[test]
fn a_range_is_bounded() {
    let sandbox = Sandbox::app("[[file]]\npath = \"x\"\n");
    sandbox.write("components/app/x", "{{ range(10 ** 9) | length }}");
    assert!(sandbox.mistakes().contains("range has too many elements"));
}
