//! `component.star`: what the encoders write, read by Python's parsers.

use serde_json::{Value, json};

use super::common::{python, text};
use super::starlark::app;

/// Strings that a careless encoder would give back as something else, or not at all.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "a ",
    " a",
    "\t",
    "a\tb",
    "\n",
    "a\n",
    "a\nb\n",
    "\r",
    "a\r\nb",
    "yes",
    "No",
    "on",
    "OFF",
    "y",
    "N",
    "null",
    "Null",
    "~",
    "true",
    "1",
    "-1",
    "1e3",
    "1e300",
    "0x1f",
    "0o17",
    "017",
    "1_000",
    "1:30",
    "12:30:45",
    "2001-01-01",
    ".5",
    "5.",
    ".inf",
    "-.inf",
    ".nan",
    "nan",
    "-",
    "--",
    "---",
    "--- a",
    "...",
    "- a",
    "? a",
    ": a",
    "a: b",
    "a :b",
    "a #b",
    "#a",
    "&a",
    "*a",
    "!a",
    "!!int 3",
    "|",
    ">",
    "@a",
    "`a",
    "%a",
    "[",
    "[a]",
    "{",
    "{a}",
    ",",
    "'",
    "\"",
    "''",
    "a\"b",
    "\\",
    "\\n",
    "a\\",
    "=",
    "<<",
    "é",
    "日本語",
    "\u{1f600}",
    "\0",
    "\x07",
    "\x1b",
    "\x7f",
    "\u{80}",
    "a\u{85}b",
    "\u{a0}",
    "a\u{2028}b",
    "a\u{2029}b",
    "\u{feff}a",
    "\u{fffe}",
    "\u{ffff}",
    "\u{10ffff}",
    "\u{202e}",
    "{{ x }}",
    "{% x %}",
];

fn data() -> Value {
    let keys: serde_json::Map<String, Value> =
        HOSTILE.iter().enumerate().map(|(number, key)| ((*key).to_owned(), json!(number))).collect();
    let nested: Vec<Value> = HOSTILE.iter().map(|text| json!([{"a b": [[text], {"c": text}]}])).collect();
    json!({
        "texts": HOSTILE,
        "keys": keys,
        "nested": nested,
        "numbers": [0, -1, i64::MAX, i64::MIN, 0.0, 1.0, 1.5, 1e16, 1e21, 1e300, 1e-10, 5e-324, f64::MAX],
        "others": [true, false, [], {}, [[]], [{}], {"a": {"b": []}}],
    })
}

/// Those that an INI file can hold: one line each, without spaces at its ends.
fn lines() -> Value {
    let plain = |text: &&str| !text.contains(['\n', '\r', '\0']) && text.trim() == *text;
    let texts: Vec<&str> = HOSTILE.iter().copied().filter(plain).collect();
    let members: serde_json::Map<String, Value> =
        texts.iter().enumerate().map(|(number, text)| (format!("key{number}"), json!(text))).collect();
    json!({"section": members, "a section": {"lines": "a\nb = c\n[d]"}})
}

#[test]
fn what_is_encoded_is_read_alike_by_python() {
    let sandbox = app(r#"
def configure(c):
    data = json.decode(read("data.json"))
    c.file("json", content = json.encode(data), template = False)
    c.file("yaml", content = yaml.encode(data), template = False)
    c.file("toml", content = toml.encode(data), template = False)
    c.file("ini", content = ini.encode(json.decode(read("ini.json"))), template = False)
"#);
    sandbox.write("components/app/data.json", data().to_string());
    sandbox.write("components/app/ini.json", lines().to_string());
    let evaluation = sandbox.evaluate();
    let files = ["json", "yaml", "toml", "ini"].map(|name| (name, text(&evaluation, "web01", "app", name)));
    let given: Value = files.into_iter().map(|(name, text)| (name.to_owned(), json!(text))).collect();
    let Some(read) = python("encoded.py", &given, "encoders beside Python's parsers") else { return };
    for name in ["json", "yaml", "toml"] {
        for (part, wanted) in data().as_object().unwrap() {
            assert_eq!(read[name][part], *wanted, "{name}, {part}");
        }
    }
    assert_eq!(read["ini"], lines());
}

#[test]
fn keys_that_are_written_alike_are_a_mistake() {
    for encoder in ["json", "yaml", "toml"] {
        let code = format!("def configure(c):\n    {encoder}.encode({{1: \"a\", \"1\": \"b\"}})\n");
        let mistakes = app(&code).mistakes();
        assert!(mistakes.contains("two keys are written as `1`"), "{mistakes}");
    }
}
