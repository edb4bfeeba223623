//! `component.star`: what is said about mistakes.

use insta::assert_snapshot;

use super::common::Sandbox;
use super::starlark::app;
use super::starlark_configure_mistakes::configure;

#[test]
fn changes_a_global() {
    assert_snapshot!(app("L = []\ndef configure(c):\n    L.append(1)\n").mistakes(), @"
    error: the value can no longer be changed
     --> components/app/component.star:3:5
      |
    3 |     L.append(1)
      |     ^^^^^^^^^^^
      = affects: web01/app
      = help: what a file makes is fixed once it is loaded: change a copy, list(…) or dict(…)
    ");
}

#[test]
fn syntax() {
    assert_snapshot!(app("def configure(c)\n    pass\n").mistakes(), @"
    error: not valid Starlark: unexpected new line, expected symbol ':'
     --> components/app/component.star:1:17
      |
    1 | def configure(c)
      |                 ^
    ");
}

#[test]
fn no_component() {
    assert_snapshot!(app("x = 1\n").mistakes(), @r#"
    error: the file declares no component
     --> components/app/component.star:1:1
      |
    1 | x = 1
      | ^
      = help: define def configure(c): …, or call component("NAME", configure = …)
    "#);
}

#[test]
fn configure_is_no_function() {
    assert_snapshot!(app("configure = 1\n").mistakes(), @"
    error: `configure` must be a function, not `int`
     --> components/app/component.star:1:13
      |
    1 | configure = 1
      |             ^
      = help: write def configure(c): …
    ");
}

#[test]
fn configure_takes_nothing() {
    assert_snapshot!(app("def configure():\n    pass\n").mistakes(), @"
    error: `configure` must take one argument, the component
     --> components/app/component.star:1:5
      |
    1 | def configure():
      |     ^^^^^^^^^
      = help: write def configure(c): …
    ");
}

#[test]
fn configure_returns() {
    assert_snapshot!(app("def configure(c):\n    return [1]\n").mistakes(), @"
    error: `configure` of `app` returns `list`
     --> components/app/component.star:1:5
      |
    1 | def configure(c):
      |     ^^^^^^^^^
      = affects: web01/app
      = help: it must return nothing, and declare with c.file(), c.provide() and so on: remove the `return`
    ");
}

#[test]
fn names_nothing() {
    assert_snapshot!(app("def configure(c):\n    c.file(\"x\", content = prot)\n").mistakes(), @r#"
    error: `prot` is not defined
     --> components/app/component.star:2:27
      |
    2 |     c.file("x", content = prot)
      |                           ^^^^
      = help: did you mean `print`?
    "#);
}

#[test]
fn attributes_are_a_list() {
    assert_snapshot!(app("attributes = [1]\ndef configure(c):\n    pass\n").mistakes(), @r#"
    error: `attributes` must be a dict, not `list`
     --> components/app/component.star:1:14
      |
    1 | attributes = [1]
      |              ^^^
      = help: write attributes = {"port": 8080}
    "#);
}

#[test]
fn attribute_names() {
    assert_snapshot!(
        app(
            "attributes = {\"file\": 1, \"path\": 2, \"a b\": 3, \"n\": None}\ndef configure(c):\n    pass\n"
        )
        .mistakes(),
        @r#"
    error: `file` cannot be an attribute's name
     --> components/app/component.star:1:15
      |
    1 | attributes = {"file": 1, "path": 2, "a b": 3, "n": None}
      |               ^^^^^^
      = help: `c.file` is built in; choose another name

    error: `path` cannot be an attribute's name
     --> components/app/component.star:1:26
      |
    1 | attributes = {"file": 1, "path": 2, "a b": 3, "n": None}
      |                          ^^^^^^
      = help: `c.path` is built in; choose another name

    error: `a b` cannot be an attribute's name
     --> components/app/component.star:1:37
      |
    1 | attributes = {"file": 1, "path": 2, "a b": 3, "n": None}
      |                                     ^^^^^
      = help: use letters, digits and `_`

    error: the attribute `n` needs a default or a type
     --> components/app/component.star:1:47
      |
    1 | attributes = {"file": 1, "path": 2, "a b": 3, "n": None}
      |                                               ^^^
      = help: write attribute("str") for one that must be set
    "#
    );
}

#[test]
fn attribute_types() {
    assert_snapshot!(
        app(
            "attributes = {\n  \"a\": attribute(\"strr\"),\n  \"b\": attribute(),\n  \"c\": attribute(\"choice\"),\n}\ndef configure(c):\n    pass\n"
        )
        .mistakes(),
        @r#"
    error: an attribute needs a type or a default
     --> components/app/component.star:3:8
      |
    3 |   "b": attribute(),
      |        ^^^^^^^^^^^
      = help: write attribute("str") for one that the environment must set
    "#
    );
}

#[test]
fn features_are_wrong() {
    assert_snapshot!(app("features = [1]\ndef configure(c):\n    pass\n").mistakes(), @"
    error: `features` must be a list of strings, and 1 is not one
     --> components/app/component.star:1:12
      |
    1 | features = [1]
      |            ^^^
    ");
}

#[test]
fn component_names() {
    assert_snapshot!(app("component(\"App\", configure = lambda c: None)\n").mistakes(), @r#"
    error: `App` is not a component's name
     --> components/app/component.star:1:11
      |
    1 | component("App", configure = lambda c: None)
      |           ^^^^^
      = help: a name is a lower-case letter, then lower-case letters, digits, `_` and `-`
    "#);
}

#[test]
fn top_level_in_configure() {
    assert_snapshot!(app("def configure(c):\n    definition()\n").mistakes(), @"
    error: definition() belongs at the top of a file, not in `configure`
     --> components/app/component.star:2:5
      |
    2 |     definition()
      |     ^^^^^^^^^^^^
      = affects: web01/app
      = help: keep what `configure` needs in a global variable
    ");
}

#[test]
fn sub_component_at_the_top() {
    assert_snapshot!(app("V = definition()\nV(\"x\")\ndef configure(c):\n    pass\n").mistakes(), @r#"
    error: V(…) belongs in `configure`
     --> components/app/component.star:2:1
      |
    2 | V("x")
      | ^^^^^^
      = help: while a file is loaded, neither the host nor the environment is known
    "#);
}

#[test]
fn sub_component_attributes() {
    assert_snapshot!(
        app(
            "V = definition(attributes = {\"version\": \"1\"})\ndef configure(c):\n    c.add(V(\"x\", verison = 2))\n"
        )
        .mistakes(),
        @r#"
    error: `V` has no attribute `verison`
     --> components/app/component.star:3:18
      |
    3 |     c.add(V("x", verison = 2))
      |                  ^^^^^^^
      = affects: web01/app
      = help: did you mean `version`?
    "#
    );
}

#[test]
fn sub_component_types() {
    assert_snapshot!(
        app(
            "V = definition(attributes = {\"port\": 1})\ndef configure(c):\n    c.add(V(\"x\", port = \"high\"))\n"
        )
        .mistakes(),
        @r#"
    error: the attribute `port` of `V("x")` must be an integer, not "high"
     --> components/app/component.star:3:25
      |
    3 |     c.add(V("x", port = "high"))
      |                         ^^^^^^
      = affects: web01/app
    "#
    );
}

#[test]
fn sub_component_needs() {
    assert_snapshot!(
        app(
            "V = definition(attributes = {\"port\": attribute(\"int\")})\ndef configure(c):\n    c.add(V(\"x\"))\n"
        )
        .mistakes(),
        @r#"
    error: `V("x")` needs the attribute `port`
     --> components/app/component.star:3:11
      |
    3 |     c.add(V("x"))
      |           ^^^^^^
      = affects: web01/app
      = help: add port = …, or give it a default in its definition
    "#
    );
}

#[test]
fn sub_component_names() {
    assert_snapshot!(app("V = definition()\ndef configure(c):\n    c.add(V())\n").mistakes(), @r#"
    error: V takes one name, not 0 values
     --> components/app/component.star:3:11
      |
    3 |     c.add(V())
      |           ^^^
      = affects: web01/app
      = help: write V("NAME"), and its attributes by name
    "#);
}

#[test]
fn added_twice() {
    assert_snapshot!(
        app("V = definition()\ndef configure(c):\n    v = V(\"x\")\n    c.add(v)\n    c.add(v)\n").mistakes(),
        @r#"
    error: `V("x")` is already added
     --> components/app/component.star:5:5
      |
    5 |     c.add(v)
      |     ^^^^^^^^
      = affects: web01/app
      = help: make another one by calling its definition again
    "#
    );
}

#[test]
fn added_to_itself() {
    assert_snapshot!(app("V = definition()\ndef configure(c):\n    c.add(c)\n").mistakes(), @r#"
    error: only a sub-component can be added, not `component`
     --> components/app/component.star:3:5
      |
    3 |     c.add(c)
      |     ^^^^^^^^
      = affects: web01/app
      = help: make one by calling a definition: c.add(Venv("py"))
    "#);
}

#[test]
fn declared_from_outside() {
    assert_snapshot!(
        app(
            "V = definition()\ndef configure(c):\n    v = V(\"x\")\n    v.file(\"y\", content = \"\")\n"
        )
        .mistakes(),
        @r#"
    error: file() of `V("x")` is called outside its `configure`
     --> components/app/component.star:4:5
      |
    4 |     v.file("y", content = "")
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: declare it in the `configure` of its definition, or on the component that adds it
    "#
    );
}

#[test]
fn recursive_sub_component() {
    assert_snapshot!(
        app(
            "def f(c):\n    c.add(V(\"x\"))\nV = definition(configure = f)\ndef configure(c):\n    c.add(V(\"y\"))\n"
        )
        .mistakes(),
        @r#"
    error: functions call each other more than 200 deep
     --> components/app/component.star:2:11
      |
    2 |     c.add(V("x"))
      |           ^^^^^^
      called from
     --> components/app/component.star:2:5
      |
    2 |     c.add(V("x"))
      |     ^^^^^^^^^^^^^
      called from
     --> components/app/component.star:5:5
      |
    5 |     c.add(V("y"))
      |     ^^^^^^^^^^^^^
      = affects: web01/app > V("y") > V("x") > V("x") > V("x") > … > V("x")
      = help: look for a function that calls itself without end
    "#
    );
}

#[test]
fn calls_are_shown() {
    assert_snapshot!(
        app(
            "def g(c, path):\n    c.file(path, mode = \"999\", contnt = \"\")\n    fail(\"no\", path)\ndef f(c):\n    g(c, \"x\")\nV = definition(configure = f)\ndef configure(c):\n    c.add(V(\"y\"))\n"
        )
        .mistakes(),
        @r#"
    error: `999` is not a mode
     --> components/app/component.star:2:25
      |
    2 |     c.file(path, mode = "999", contnt = "")
      |                         ^^^^^
      = affects: web01/app > V("y")
      = help: write it as "0755" or "rwxr-xr-x"

    error: unknown key `contnt` in c.file()
     --> components/app/component.star:2:32
      |
    2 |     c.file(path, mode = "999", contnt = "")
      |                                ^^^^^^
      = affects: web01/app > V("y")
      = help: did you mean `content`?

    error: no x
     --> components/app/component.star:3:5
      |
    3 |     fail("no", path)
      |     ^^^^^^^^^^^^^^^^
      called from
     --> components/app/component.star:5:5
      |
    5 |     g(c, "x")
      |     ^^^^^^^^^
      called from
     --> components/app/component.star:8:5
      |
    8 |     c.add(V("y"))
      |     ^^^^^^^^^^^^^
      = affects: web01/app > V("y")
    "#
    );
}

#[test]
fn defaults_of_a_sub_component() {
    assert_snapshot!(
        app(
            "V = definition(attributes = {\"a\": \"{{ component.b }}\", \"b\": \"{{ component.a }}\"})\ndef configure(c):\n    c.add(V(\"x\"))\n"
        )
        .mistakes(),
        @r#"
    error: the attribute `a` of `V("x")` depends on itself
     --> components/app/component.star:3:5
      |
    3 |     c.add(V("x"))
      |     ^^^^^^^^^^^^^
      = affects: web01/app > V("x")
    "#
    );
}

#[test]
fn default_of_the_wrong_type() {
    assert_snapshot!(
        app(
            "V = definition(attributes = {\"a\": attribute(\"int\", default = \"{{ host.name }}\")})\ndef configure(c):\n    c.add(V(\"x\"))\n"
        )
        .mistakes(),
        @r#"
    error: the attribute `a` of `V("x")` must be an integer, not "web01"
     --> components/app/component.star:1:62
      |
    1 | V = definition(attributes = {"a": attribute("int", default = "{{ host.name }}")})
      |                                                              ^^^^^^^^^^^^^^^^^
      called from
     --> components/app/component.star:3:5
      |
    3 |     c.add(V("x"))
      |     ^^^^^^^^^^^^^
      = affects: web01/app > V("x")
    "#
    );
}

#[test]
fn loads_outside() {
    assert_snapshot!(app("load(\"//../x.star\", \"x\")\ndef configure(c):\n    pass\n").mistakes(), @r#"
    error: `//../x.star` leaves the project, or is not a path
     --> components/app/component.star:1:6
      |
    1 | load("//../x.star", "x")
      |      ^^^^^^^^^^^^^
      = help: write "//lib/FILE.star" for a file of the project, "FILE.star" for one beside this file, or "@batou//FILE.star" for one of the library
    "#);
}

#[test]
fn loads_nothing() {
    assert_snapshot!(
        app(
            "load(\"//lib/none.star\", \"x\")\nload(\"@batou//networks.star\", \"y\")\nload(\"x.py\", \"z\")\ndef configure(c):\n    pass\n"
        )
        .mistakes(),
        @r#"
    error: there is no file lib/none.star
     --> components/app/component.star:1:6
      |
    1 | load("//lib/none.star", "x")
      |      ^^^^^^^^^^^^^^^^^

    error: the library has no file `networks.star`
     --> components/app/component.star:2:6
      |
    2 | load("@batou//networks.star", "y")
      |      ^^^^^^^^^^^^^^^^^^^^^^^
      = help: did you mean "@batou//network.star"?

    error: `x.py` is not a Starlark file: its name must end in `.star`
     --> components/app/component.star:3:6
      |
    3 | load("x.py", "z")
      |      ^^^^^^
      = help: write "//lib/FILE.star" for a file of the project, "FILE.star" for one beside this file, or "@batou//FILE.star" for one of the library
    "#
    );
}

#[test]
fn loads_a_missing_name() {
    assert_snapshot!(
        app("load(\"@batou//network.star\", \"joind\")\ndef configure(c):\n    pass\n").mistakes(),
        @r#"
    error: the file defines no `joind`
     --> components/app/component.star:1:30
      |
    1 | load("@batou//network.star", "joind")
      |                              ^^^^^^^
      = help: did you mean `joined`?
    "#
    );
}

#[test]
fn type_annotations_hold() {
    assert_snapshot!(app("def f(x: int):\n    pass\ndef configure(c):\n    f(\"a\")\n").mistakes(), @r#"
    error: the argument `x` must have the type `int`, not `string`
     --> components/app/component.star:4:5
      |
    4 |     f("a")
      |     ^^^^^^
      = affects: web01/app
    "#);
}

#[test]
fn loads_in_a_cycle() {
    let sandbox = app("load(\"//lib/a.star\", \"a\")\ndef configure(c):\n    pass\n");
    sandbox.write("lib/a.star", "load(\"b.star\", \"b\")\na = b\n");
    sandbox.write("lib/b.star", "load(\":a.star\", \"a\")\nb = a\n");
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: files load each other in a cycle: lib/a.star -> lib/b.star -> lib/a.star
     --> lib/b.star:1:6
      |
    1 | load(":a.star", "a")
      |      ^^^^^^^^^
      = help: move what both need into a third file
    "#);
}

#[test]
fn a_mistake_in_a_loaded_file_is_shown_once() {
    let sandbox = app("load(\"//lib/a.star\", \"a\")\ndef configure(c):\n    pass\n");
    sandbox.write(
        "components/other/component.star",
        "load(\"//lib/a.star\", \"a\")\ndef configure(c):\n    pass\n",
    );
    sandbox.write("lib/a.star", "a = 1 + \"x\"\n");
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: `+` cannot be used with an `int` and a `string`
     --> lib/a.star:1:5
      |
    1 | a = 1 + "x"
      |     ^^^^^^^
    "#);
}

/// Whichever stage finds a mistake, it names the sub-component.
#[test]
fn mistakes_of_sub_components_name_them() {
    let sandbox = app(r#"
def _inner(c):
    c.file("same", content = "{{ component.nothing }}")
    c.symlink(c.name, to = "{{ nothing }}")
    c.step("same", update = "true")
    c.step(c.name, update = "{{ nothing }}")
    c.file("logo.png")
    c.step(c.name + "-empty")
    if c.name == "in-two":
        c.require_one("key")
Inner = definition(configure = _inner)
Outer = definition(configure = lambda c: c.add(Inner("in-" + c.name)) and None)
def configure(c):
    c.add(Outer("one"))
    c.add(Outer("two"))
"#);
    sandbox.write("components/app/logo.png", b"\x89PNG\xff");
    assert_snapshot!(sandbox.mistakes());
}

#[test]
fn a_value_that_is_required_once_and_provided_twice_is_told_in_the_words_of_code() {
    let sandbox = app("def configure(c):\n    c.require_one(\"x\")\n");
    sandbox.write("environments/prod/environment.toml", "[hosts]\nweb01 = [\"app\", \"other\"]\n");
    sandbox.write(
        "components/other/component.star",
        "def configure(c):\n    c.provide(\"x\", 1)\n    c.provide(\"x\", 2)\n",
    );
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: `x` must be provided exactly once, but is provided 2 times: by `web01/other`
     --> components/app/component.star:2:19
      |
    2 |     c.require_one("x")
      |                   ^^^
      = affects: web01/app
      = help: use c.require() to get a list, or choose a provider with `host`
    "#);
}

#[test]
fn an_included_template_is_shown() {
    let sandbox = app("def configure(c):\n    c.file(\"x\", content = c.template(\"a.tpl\", y = 1))\n");
    sandbox.write("components/app/a.tpl", "{% include \"b.tpl\" %}\n");
    sandbox.write("components/app/b.tpl", "one\n{{ y.z }}\n");
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: `y.z` is undefined
     --> components/app/b.tpl:2:4
      |
    2 | {{ y.z }}
      |    ^^^
      called from
     --> components/app/a.tpl:1:4
      |
    1 | {% include "b.tpl" %}
      |    ^^^^^^^^^^^^^^^
      called from
     --> components/app/component.star:2:27
      |
    2 |     c.file("x", content = c.template("a.tpl", y = 1))
      |                           ^^^^^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: `y` has no members
    "#);
}

#[test]
fn the_place_of_an_override_is_shown() {
    let sandbox =
        app("attributes = {\"port\": 1}\ndef configure(c):\n    c.file(\"x\", content = str(c.port))\n");
    sandbox.write(
        "environments/prod/environment.toml",
        "[hosts]\nweb01 = [\"app\"]\n[components.app]\nport = \"high\"\n",
    );
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: the attribute `port` of `app` must be an integer, not "high"
     --> environments/prod/environment.toml:4:8
      |
    4 | port = "high"
      |        ^^^^^^
      = affects: web01/app
    "#);
}

/// The code is right, and the value is not: what is to be changed stands in the environment.
#[test]
fn the_place_of_a_value_that_code_refuses_is_shown() {
    let sandbox = app(r#"
attributes = {"port": 8080, "workers": 1, "other": 1}
def check(c):
    if c.port < 1024:
        fail("ports begin at 1024")
    c.file("x", content = "{{ 10 // component.workers }}")
def configure(c):
    c.file("y", content = "{{ 10 // component.workers }}")
    check(c)
"#);
    let environment = |port: &str| {
        format!("[hosts]\nweb01 = [\"app\"]\n[components.app]\nport = {port}\nworkers = 0\nother = 2\n")
    };
    sandbox.write("environments/prod/environment.toml", environment("80"));
    let code = sandbox.mistakes();
    sandbox.write("environments/prod/environment.toml", environment("8081"));
    assert_snapshot!(format!("{code}\n\n{}", sandbox.mistakes()));
}

/// What is not to be had yet is told from what was never heard of.
#[test]
fn what_is_still_to_come_is_not_supported_yet() {
    for name in ["service", "link", "copy", "check", "build"] {
        let mistakes = configure(&format!("c.{name}(\"x\")"));
        assert!(mistakes.contains(&format!("`c.{name}` is not supported yet")), "{mistakes}");
    }
    // Their names are free.
    app("attributes = {\"link\": 1}\ndef configure(c):\n    c.file(\"x\", content = str(c.link))\n")
        .evaluate();
}

#[test]
fn a_file_that_cannot_be_read_is_the_only_mistake() {
    let sandbox = app("");
    let path = sandbox.root().join("components/app/component.star");
    std::fs::write(&path, b"x = \"\xff\"\n").unwrap();
    let mistakes = sandbox.mistakes();
    assert!(mistakes.contains("is not UTF-8") && !mistakes.contains("there is no component"), "{mistakes}");

    std::fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mistakes = sandbox.mistakes();
    assert!(mistakes.contains("and no file") && !mistakes.contains("there is no component"), "{mistakes}");

    let sandbox = app("for n in [1]:\n    component(\"app%d\" % n, configure = nothing)\n");
    sandbox.write("environments/prod/environment.toml", "[hosts]\nweb01 = [\"app1\"]\n");
    let mistakes = sandbox.mistakes();
    assert!(mistakes.contains("it may be declared by a component.star that cannot be loaded"), "{mistakes}");
}

#[test]
fn a_name_can_be_declared_once() {
    let sandbox = app(
        "component(\"app\", configure = lambda c: None)\ncomponent(\"app\", configure = lambda c: None)\n",
    );
    sandbox.write("components/db/component.toml", "");
    sandbox.write("components/zz/component.star", "component(\"db\", configure = lambda c: None)\n");
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: the component `app` is declared twice
     --> components/app/component.star:2:11
      |
    2 | component("app", configure = lambda c: None)
      |           ^^^^^
      = help: it is also declared in components/app/component.star:1: rename or remove one of the two

    error: the component `db` is declared twice
     --> components/zz/component.star:1:11
      |
    1 | component("db", configure = lambda c: None)
      |           ^^^^
      = help: it is also declared in components/db/component.toml: rename or remove one of the two
    "#);
}

#[test]
fn a_file_is_bounded() {
    let mistakes = app(&"x".repeat(2 * 1024 * 1024)).mistakes();
    assert!(
        mistakes.contains("cannot read components/app/component.star: it is larger than 1 MiB"),
        "{mistakes}"
    );
}

#[test]
fn what_nests_far_deeper_than_anybody_writes_is_evaluated() {
    let nested = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let chained = format!("0{}", " + 1".repeat(10_000));
    let chosen = format!("if False: pass\n{}", "elif False: pass\n".repeat(2_000));
    let ifs = (1..80).map(|level| format!("{}if True:\n", "  ".repeat(level))).collect::<Vec<_>>().concat();
    let code = format!(
        "x = {nested}\ny = {chained}\n{chosen}def f(n):\n    return f(n - 1) + 1 if n else 0\ndef configure(c):\n\
         {ifs}{}c.file(\"out\", content = str(y + f(150)))\n",
        "  ".repeat(80)
    );
    let evaluation = app(&code).evaluate();
    assert_eq!(super::common::text(&evaluation, "web01", "app", "out"), "10150");
}

#[test]
fn every_mistake_of_every_file_is_shown() {
    let environment = "[hosts]\nweb01 = [\"a\", \"b\", \"c\"]\nweb02 = [\"c\"]\n";
    let sandbox = Sandbox::new(&[
        ("environments/prod/environment.toml", environment),
        ("components/a/component.star", "x = (\n"),
        ("components/b/component.star", "def configure(c):\n    return 1\n"),
        ("components/c/component.star", "def configure(c):\n    fail(\"broken\")\n"),
    ]);
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: not valid Starlark: unexpected new line, expected expression
     --> components/a/component.star:2:1
      |
    2 | 
      | ^

    error: `configure` of `b` returns `int`
     --> components/b/component.star:1:5
      |
    1 | def configure(c):
      |     ^^^^^^^^^
      = affects: web01/b
      = help: it must return nothing, and declare with c.file(), c.provide() and so on: remove the `return`

    error: broken
     --> components/c/component.star:2:5
      |
    2 |     fail("broken")
      |     ^^^^^^^^^^^^^^
      = affects: web01/c, web02/c
    "#);
}

#[test]
fn a_mistake_in_the_library_is_shown_where_it_is_called() {
    assert_snapshot!(
        app(
        "load(\"@batou//network.star\", \"joined\")\ndef configure(c):\n    c.file(\"x\", content = joined([1]))\n"
    )
    .mistakes(),
        @r#"
    error: a value of the type `int` has no `connect`
     --> components/app/component.star:3:27
      |
    3 |     c.file("x", content = joined([1]))
      |                           ^^^^^^^^^^^
      = affects: web01/app
    "#
    );
}

#[test]
fn values_that_nest_without_an_end_do_no_harm() {
    let deep = "def deep():\n    x = []\n    for i in range(300000):\n        x = [x]\n    return x\n";
    for rest in [
        "x = deep()\ndef configure(c):\n    c.file(\"x\", content = \"\")\n",
        "def configure(c):\n    c.file(\"x\", content = str(deep()))\n",
        "def configure(c):\n    c.file(\"x\", content = deep())\n",
        "def configure(c):\n    c.provide(\"x\", deep())\n",
        "def configure(c):\n    json.encode(deep())\n",
        "def configure(c):\n    c.file(\"x\", content = str(deep() == deep()))\n",
    ] {
        let sandbox = app(&format!("{deep}{rest}"));
        if let Err(found) = sandbox.evaluate_with(&batou_environments::Offline) {
            assert!(found.to_string().contains("component.star"), "{found}");
        }
    }
}

/// The interpreter names the end of the line before.
#[test]
fn tabs_are_shown_where_they_are() {
    for code in ["def configure(c):\n\tpass\n", "def configure(c):\n    if c:\n\n\t\tpass\n"] {
        let mistakes = app(code).evaluate_with(&batou_environments::Offline).err().unwrap();
        let place = mistakes.iter().next().unwrap().location.clone().unwrap();
        assert_eq!((place.line, place.column), (code.lines().count(), 1), "{mistakes}");
        assert_eq!(place.width, code.matches('\t').count(), "{mistakes}");
    }
}

/// The functions of the interpreter are Rust code, with files that are not the author's.
#[test]
fn only_the_authors_own_files_are_shown() {
    let shown = app("def f(x):\n    x - 1\ndef configure(c):\n    partial(f, \"a\")()\n").mistakes();
    assert!(!shown.contains(".rs"), "{shown}");
    assert!(shown.contains("components/app/component.star:4"), "{shown}");
}

#[test]
fn what_is_in_brackets_is_shown_with_them() {
    for (code, carets) in [
        ("(1 + 2) + \"a\"", "^^^^^^^^^^^^^"),
        ("1 + (\"a\")", "^^^^^^^^^"),
        ("len((1 + 2) + \"a\")", "    ^^^^^^^^^^^^^"),
        ("\")\" + 1", "^^^^^^^"),
    ] {
        let shown = app(&format!("def configure(c):\n    {code}\n")).mistakes();
        assert!(shown.contains(&format!("|     {carets}\n")), "{code}\n{shown}");
    }
}

#[test]
fn the_step_of_a_slice_is_not_an_item() {
    for code in ["[1, 2][1:2:0]", "\"ab\"[::0]"] {
        let shown = app(&format!("def configure(c):\n    {code}\n")).mistakes();
        assert!(shown.contains("error: the step of a slice cannot be 0\n"), "{code}\n{shown}");
    }
    let shown = app("def configure(c):\n    [][0]\n").mistakes();
    assert!(shown.contains("error: there is no item 0: there are fewer\n"), "{shown}");
}
