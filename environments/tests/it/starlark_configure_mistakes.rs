//! `component.star`: what is said about mistakes in what `configure` does.

use insta::assert_snapshot;

use super::starlark::app;

/// The mistakes of a `configure` with this body.
pub(super) fn configure(body: &str) -> String {
    let lines = body.lines().map(|line| format!("    {line}\n")).collect::<Vec<_>>().concat();
    app(&format!("def configure(c):\n{lines}")).mistakes()
}

#[test]
fn unknown_key() {
    assert_snapshot!(configure("c.file(\"x\", contnt = \"\")"), @r#"
    error: there is no file components/app/x
     --> components/app/component.star:2:12
      |
    2 |     c.file("x", contnt = "")
      |            ^^^
      = affects: web01/app
      = help: create it, name another file with `source`, or give `content`

    error: unknown key `contnt` in c.file()
     --> components/app/component.star:2:17
      |
    2 |     c.file("x", contnt = "")
      |                 ^^^^^^
      = affects: web01/app
      = help: did you mean `content`?
    "#);
}

#[test]
fn wrong_type_of_a_key() {
    assert_snapshot!(configure("c.file(\"x\", content = 1)"), @r#"
    error: `content` must be a string, not an integer
     --> components/app/component.star:2:27
      |
    2 |     c.file("x", content = 1)
      |                           ^
      = affects: web01/app
    "#);
}

#[test]
fn bad_path() {
    assert_snapshot!(configure("c.file(\"../x\", content = \"\")"), @r#"
    error: the path `../x` leaves the component with `..`
     --> components/app/component.star:2:12
      |
    2 |     c.file("../x", content = "")
      |            ^^^^^^
      = affects: web01/app
    "#);
}

#[test]
fn missing_source() {
    assert_snapshot!(configure("c.file(\"x\")"), @r#"
    error: there is no file components/app/x
     --> components/app/component.star:2:12
      |
    2 |     c.file("x")
      |            ^^^
      = affects: web01/app
      = help: create it, name another file with `source`, or give `content`
    "#);
}

#[test]
fn template_of_a_file() {
    assert_snapshot!(configure("c.file(\"x\", content = \"a {{ component.prot }}\")"), @r#"
    error: `component.prot` is undefined
     --> components/app/component.star:2:33
      |
    2 |     c.file("x", content = "a {{ component.prot }}")
      |                                 ^^^^^^^^^^^^^^
      = affects: web01/app
      = help: `component` has `features`, `name`, `path` and `state`
    "#);
}

#[test]
fn unknown_attribute() {
    assert_snapshot!(configure("c.file(\"x\", content = c.prot)"), @r#"
    error: `c` has no `prot`
     --> components/app/component.star:2:27
      |
    2 |     c.file("x", content = c.prot)
      |                           ^^^^^^
      = affects: web01/app
      = help: did you mean `root`?
    "#);
}

#[test]
fn unknown_host_data() {
    assert_snapshot!(configure("c.host.data.alas"), @"
    error: `c.host.data` has no `alas`
     --> components/app/component.star:2:5
      |
    2 |     c.host.data.alas
      |     ^^^^^^^^^^^^^^^^
      = affects: web01/app
    ");
}

#[test]
fn unknown_setting() {
    assert_snapshot!(configure("c.settings[\"x\"]"), @r#"
    error: `c.settings` has no "x"
     --> components/app/component.star:2:5
      |
    2 |     c.settings["x"]
      |     ^^^^^^^^^^^^^^^
      = affects: web01/app
    "#);
}

#[test]
fn unknown_method() {
    assert_snapshot!(configure("c.fil(\"x\")"), @r#"
    error: `c` has no `fil`
     --> components/app/component.star:2:5
      |
    2 |     c.fil("x")
      |     ^^^^^^^^^^
      = affects: web01/app
      = help: did you mean `file`?
    "#);
}

#[test]
fn provides_a_function() {
    assert_snapshot!(configure("c.provide(\"x\", {\"a\": [1, lambda: 1]})"), @r#"
    error: `value["a"][1]` must be data, not a function
     --> components/app/component.star:2:20
      |
    2 |     c.provide("x", {"a": [1, lambda: 1]})
      |                    ^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: data means strings, numbers, booleans, None, lists, dicts, structs, records, addresses, files and sub-components
    "#);
}

#[test]
fn provides_itself() {
    assert_snapshot!(configure("c.provide(\"x\", c)"), @r#"
    error: `value` is the component itself, which is not a value
     --> components/app/component.star:2:20
      |
    2 |     c.provide("x", c)
      |                    ^
      = affects: web01/app
      = help: give its attributes, or a sub-component
    "#);
}

#[test]
fn provides_a_list_that_holds_itself() {
    assert_snapshot!(configure("x = []\nx.append(x)\nc.provide(\"x\", x)"), @r#"
    error: value is nested more than 64 levels deep
     --> components/app/component.star:4:20
      |
    4 |     c.provide("x", x)
      |                    ^
      = affects: web01/app
    "#);
}

#[test]
fn requires_what_nobody_has() {
    assert_snapshot!(configure("c.require(\"x\")\nfail(\"not reached\")"), @r#"
    error: no component provides `x`
     --> components/app/component.star:2:15
      |
    2 |     c.require("x")
      |               ^^^
      = affects: web01/app
      = help: place a component that provides it on a host; with `strict = False` there may be none
    "#);
}

#[test]
fn bad_sort() {
    assert_snapshot!(configure("c.provide(\"x\", 1)\nc.require(\"x\", sort = \"name\", dirty = True)"), @r#"
    error: not every value of `x` has a field `name` to sort by
     --> components/app/component.star:3:27
      |
    3 |     c.require("x", sort = "name", dirty = True)
      |                           ^^^^^^
      = affects: web01/app
    "#);
}

#[test]
fn bad_host() {
    assert_snapshot!(configure("c.require(\"x\", host = 1)"), @r#"
    error: `host` must be a host's name, not `int`
     --> components/app/component.star:2:27
      |
    2 |     c.require("x", host = 1)
      |                           ^
      = affects: web01/app
      = help: write host = "same", host = "web01", or give one of c.environment.hosts
    "#);
}

#[test]
fn bad_address() {
    assert_snapshot!(configure("address(\"web01\")"), @r#"
    error: the address `web01` has no port
     --> components/app/component.star:2:13
      |
    2 |     address("web01")
      |             ^^^^^^^
      = affects: web01/app
      = help: write it as host:port, or [v6]:port
    "#);
}

#[test]
fn bad_variable() {
    assert_snapshot!(configure("c.file(\"x\", content = \"\", variables = {\"host\": 1})"), @r#"
    error: `host` cannot be the name of a template's variable
     --> components/app/component.star:2:43
      |
    2 |     c.file("x", content = "", variables = {"host": 1})
      |                                           ^^^^^^^^^^^
      = affects: web01/app
      = help: choose another name: letters, digits and `_`
    "#);
}

#[test]
fn bad_trigger() {
    assert_snapshot!(configure("c.step(\"b\", update = \"x\", triggers = [c.step(\"a\", update = \"y\")])"), @r#"
    error: `triggers` cannot name a step, and `a` is one
     --> components/app/component.star:2:42
      |
    2 |     c.step("b", update = "x", triggers = [c.step("a", update = "y")])
      |                                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: name the files, sub-components or resources that both depend on
    "#);
}

#[test]
fn expand() {
    assert_snapshot!(configure("c.expand(\"{{ nothing }}\")"), @r#"
    error: `nothing` is undefined
     --> components/app/component.star:2:18
      |
    2 |     c.expand("{{ nothing }}")
      |                  ^^^^^^^
      = affects: web01/app
      = help: there are `batou_generated_header`, `component`, `environment`, `host` and `settings`
    "#);
}

#[test]
fn read_nothing() {
    assert_snapshot!(configure("read(\"none.txt\")"), @r#"
    error: there is no file components/app/none.txt
     --> components/app/component.star:2:10
      |
    2 |     read("none.txt")
      |          ^^^^^^^^^^
      = affects: web01/app
    "#);
}

#[test]
fn read_outside() {
    assert_snapshot!(configure("read(\"../../batou.toml\")"), @r#"
    error: `../../batou.toml` is not a path below the Starlark file's folder
     --> components/app/component.star:2:10
      |
    2 |     read("../../batou.toml")
      |          ^^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: a path from the project's root begins with `//`
    "#);
}

#[test]
fn bad_glob() {
    assert_snapshot!(configure("glob(\"a[\")"), @r#"
    error: `a[` is not a pattern of file names: unclosed character class; missing ']'
     --> components/app/component.star:2:10
      |
    2 |     glob("a[")
      |          ^^^^
      = affects: web01/app
    "#);
}

#[test]
fn sets_an_attribute() {
    assert_snapshot!(configure("c.port = 1"), @"
    error: an attribute cannot be set by code
     --> components/app/component.star:2:5
      |
    2 |     c.port = 1
      |     ^^^^^^
      = affects: web01/app
      = help: hand what is computed to templates with `variables`; attributes are set in environment.toml, those of a sub-component where it is made
    ");
}

#[test]
fn unknown_argument() {
    assert_snapshot!(configure("c.require_one(\"x\", sort = \"name\")"), @r#"
    error: `require_one` takes no argument `sort`
     --> components/app/component.star:2:5
      |
    2 |     c.require_one("x", sort = "name")
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
    "#);
}

#[test]
fn unknown_argument_of_an_own_function() {
    assert_snapshot!(configure("def f(a):\n    pass\nf(b = 1)"), @"
    error: `f` needs the argument `a`
     --> components/app/component.star:4:5
      |
    4 |     f(b = 1)
      |     ^^^^^^^^
      = affects: web01/app
    ");
}

#[test]
fn too_large_a_number() {
    assert_snapshot!(configure("range(1 << 62)"), @"
    error: the value of the argument `a1` does not have the type `int`
     --> components/app/component.star:2:5
      |
    2 |     range(1 << 62)
      |     ^^^^^^^^^^^^^^
      = affects: web01/app
    ");
}

#[test]
fn none_has_nothing() {
    assert_snapshot!(configure("c.require_one(\"x\", strict = False).port"), @r#"
    error: `c.require_one("x", strict = False)` is None, and has no `port`
     --> components/app/component.star:2:5
      |
    2 |     c.require_one("x", strict = False).port
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
    "#);
}

#[test]
fn bad_encoding() {
    assert_snapshot!(configure("toml.encode({\"a\": None})"), @r#"
    error: `value.a` is None, which TOML does not have
     --> components/app/component.star:2:5
      |
    2 |     toml.encode({"a": None})
      |     ^^^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: leave the key out
    "#);
}

#[test]
fn bad_salt() {
    assert_snapshot!(configure("hashing.crypt(\"a\", salt = \"$\")"), @r#"
    error: `salt` must be 1 to 16 of the characters `A-Z a-z 0-9 . /`
     --> components/app/component.star:2:5
      |
    2 |     hashing.crypt("a", salt = "$")
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
    "#);
}

#[test]
fn plus() {
    assert_snapshot!(configure("V = 1\nc += V"), @r#"
    error: nothing can be added to `app` with `+`
     --> components/app/component.star:3:5
      |
    3 |     c += V
      |     ^^^^^^
      = affects: web01/app
      = help: write c.add(Venv("py"))
    "#);
}

#[test]
fn division() {
    assert_snapshot!(configure("1 // 0"), @"
    error: floor division by zero: 1 // 0
     --> components/app/component.star:2:5
      |
    2 |     1 // 0
      |     ^^^^^^
      = affects: web01/app
    ");
}

#[test]
fn wrong_arguments() {
    assert_snapshot!(configure("c.require()"), @"
    error: `require` needs the argument `key`
     --> components/app/component.star:2:5
      |
    2 |     c.require()
      |     ^^^^^^^^^^^
      = affects: web01/app
    ");
}

#[test]
fn endless_recursion() {
    assert_snapshot!(configure("def f(x):\n    return f(x + 1)\nf(1)"), @"
    error: functions call each other more than 200 deep
     --> components/app/component.star:3:16
      |
    3 |         return f(x + 1)
      |                ^^^^^^^^
      called from
     --> components/app/component.star:4:5
      |
    4 |     f(1)
      |     ^^^^
      = affects: web01/app
      = help: look for a function that calls itself without end
    ");
}

#[test]
fn endless_loop() {
    assert_snapshot!(configure("for i in range(1000000000):\n    pass"), @"
    error: the code does too much work, or never ends: 2 million calls and turns of loops
     --> components/app/component.star:1:5
      |
    1 | def configure(c):
      |     ^^^^^^^^^
      = affects: web01/app
      = help: look for a loop that grows
    ");
}

#[test]
fn much_memory() {
    assert_snapshot!(configure("x = []\nfor i in range(100000):\n    x.append(str(i) * 1000)"), @"
    error: the code made more than 256 MiB of values
     --> components/app/component.star:1:5
      |
    1 | def configure(c):
      |     ^^^^^^^^^
      = affects: web01/app
      = help: look for a loop that collects too much
    ");
}

/// A call is told as it is written, and so is what could be declared.
#[test]
fn code_is_told_in_its_own_words() {
    for (body, message, help) in [
        (
            "c.step(\"x\", update = \"x\", trigers = [])",
            "unknown key `trigers` in c.step()",
            "did you mean `triggers`?",
        ),
        (
            "c.step(\"x\", update = \"x\", variabels = {})",
            "unknown key `variabels` in c.step()",
            "did you mean `variables`?",
        ),
        // That it has none is no second mistake.
        ("c.step(\"x\", updat = \"x\")", "unknown key `updat` in c.step()", "did you mean `update`?"),
        (
            "c.symlink(\"x\", to = \"y\", nothing = 1)",
            "unknown key `nothing` in c.symlink()",
            "the keys are path, to, variables",
        ),
        (
            "c.step(\"x\", update = \"x\", triggers = [\"resource:k\"])",
            "the component does not require `k`",
            "add c.require(\"k\")",
        ),
        (
            "c.step(\"x\", script = \"run\")",
            "the component has no file `run`",
            "add c.file(\"run\"), and give it mode = \"0755\"",
        ),
    ] {
        let told = configure(body);
        let (error, advice) = (format!("error: {message}\n"), format!("= help: {help}"));
        assert!(told.starts_with(&error) && told.ends_with(&advice), "{told}");
    }
}
