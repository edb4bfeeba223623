//! `component.star`: what is said about mistakes.

use super::common::Sandbox;
use super::starlark::app;

/// The mistakes of a `configure` with this body.
fn body(body: &str) -> String {
    let lines = body.lines().map(|line| format!("    {line}\n")).collect::<Vec<_>>().concat();
    app(&format!("def configure(c):\n{lines}")).mistakes()
}

macro_rules! mistakes {
    ($($name:ident: $code:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(app($code).mistakes());
        }
    )*};
}

macro_rules! in_configure {
    ($($name:ident: $code:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(body($code));
        }
    )*};
}

mistakes! {
    changes_a_global: "L = []\ndef configure(c):\n    L.append(1)\n";
    syntax: "def configure(c)\n    pass\n";
    no_component: "x = 1\n";
    configure_is_no_function: "configure = 1\n";
    configure_takes_nothing: "def configure():\n    pass\n";
    configure_returns: "def configure(c):\n    return [1]\n";
    names_nothing: "def configure(c):\n    c.file(\"x\", content = prot)\n";
    attributes_are_a_list: "attributes = [1]\ndef configure(c):\n    pass\n";
    attribute_names: "attributes = {\"file\": 1, \"path\": 2, \"a b\": 3, \"n\": None}\ndef configure(c):\n    pass\n";
    attribute_types: "attributes = {\n  \"a\": attribute(\"strr\"),\n  \"b\": attribute(),\n  \"c\": attribute(\"choice\"),\n}\ndef configure(c):\n    pass\n";
    features_are_wrong: "features = [1]\ndef configure(c):\n    pass\n";
    component_names: "component(\"App\", configure = lambda c: None)\n";
    top_level_in_configure: "def configure(c):\n    definition()\n";
    sub_component_at_the_top: "V = definition()\nV(\"x\")\ndef configure(c):\n    pass\n";
    sub_component_attributes: "V = definition(attributes = {\"version\": \"1\"})\ndef configure(c):\n    c.add(V(\"x\", verison = 2))\n";
    sub_component_types: "V = definition(attributes = {\"port\": 1})\ndef configure(c):\n    c.add(V(\"x\", port = \"high\"))\n";
    sub_component_needs: "V = definition(attributes = {\"port\": attribute(\"int\")})\ndef configure(c):\n    c.add(V(\"x\"))\n";
    sub_component_names: "V = definition()\ndef configure(c):\n    c.add(V())\n";
    added_twice: "V = definition()\ndef configure(c):\n    v = V(\"x\")\n    c.add(v)\n    c.add(v)\n";
    added_to_itself: "V = definition()\ndef configure(c):\n    c.add(c)\n";
    declared_from_outside: "V = definition()\ndef configure(c):\n    v = V(\"x\")\n    v.file(\"y\", content = \"\")\n";
    recursive_sub_component: "def f(c):\n    c.add(V(\"x\"))\nV = definition(configure = f)\ndef configure(c):\n    c.add(V(\"y\"))\n";
    calls_are_shown: "def g(c, path):\n    c.file(path, mode = \"999\", contnt = \"\")\n    fail(\"no\", path)\ndef f(c):\n    g(c, \"x\")\nV = definition(configure = f)\ndef configure(c):\n    c.add(V(\"y\"))\n";
    defaults_of_a_sub_component: "V = definition(attributes = {\"a\": \"{{ component.b }}\", \"b\": \"{{ component.a }}\"})\ndef configure(c):\n    c.add(V(\"x\"))\n";
    default_of_the_wrong_type: "V = definition(attributes = {\"a\": attribute(\"int\", default = \"{{ host.name }}\")})\ndef configure(c):\n    c.add(V(\"x\"))\n";
    loads_outside: "load(\"//../x.star\", \"x\")\ndef configure(c):\n    pass\n";
    loads_nothing: "load(\"//lib/none.star\", \"x\")\nload(\"@batou//networks.star\", \"y\")\nload(\"x.py\", \"z\")\ndef configure(c):\n    pass\n";
    loads_a_missing_name: "load(\"@batou//network.star\", \"joind\")\ndef configure(c):\n    pass\n";
    type_annotations_hold: "def f(x: int):\n    pass\ndef configure(c):\n    f(\"a\")\n";
}

in_configure! {
    unknown_key: "c.file(\"x\", contnt = \"\")";
    wrong_type_of_a_key: "c.file(\"x\", content = 1)";
    bad_path: "c.file(\"../x\", content = \"\")";
    missing_source: "c.file(\"x\")";
    template_of_a_file: "c.file(\"x\", content = \"a {{ component.prot }}\")";
    unknown_attribute: "c.file(\"x\", content = c.prot)";
    unknown_host_data: "c.host.data.alas";
    unknown_setting: "c.settings[\"x\"]";
    unknown_method: "c.fil(\"x\")";
    provides_a_function: "c.provide(\"x\", {\"a\": [1, lambda: 1]})";
    provides_itself: "c.provide(\"x\", c)";
    provides_a_list_that_holds_itself: "x = []\nx.append(x)\nc.provide(\"x\", x)";
    requires_what_nobody_has: "c.require(\"x\")\nfail(\"not reached\")";
    bad_sort: "c.provide(\"x\", 1)\nc.require(\"x\", sort = \"name\", dirty = True)";
    bad_host: "c.require(\"x\", host = 1)";
    bad_address: "address(\"web01\")";
    bad_variable: "c.file(\"x\", content = \"\", variables = {\"host\": 1})";
    bad_trigger: "c.step(\"b\", update = \"x\", triggers = [c.step(\"a\", update = \"y\")])";
    expand: "c.expand(\"{{ nothing }}\")";
    read_nothing: "read(\"none.txt\")";
    read_outside: "read(\"../../batou.toml\")";
    bad_glob: "glob(\"a[\")";
    sets_an_attribute: "c.port = 1";
    unknown_argument: "c.require_one(\"x\", sort = \"name\")";
    unknown_argument_of_an_own_function: "def f(a):\n    pass\nf(b = 1)";
    too_large_a_number: "range(1 << 62)";
    none_has_nothing: "c.require_one(\"x\", strict = False).port";
    bad_encoding: "toml.encode({\"a\": None})";
    bad_salt: "hashing.crypt(\"a\", salt = \"$\")";
    plus: "V = 1\nc += V";
    division: "1 // 0";
    wrong_arguments: "c.require()";
    endless_recursion: "def f(x):\n    return f(x + 1)\nf(1)";
    endless_loop: "for i in range(1000000000):\n    pass";
    much_memory: "x = []\nfor i in range(100000):\n    x.append(str(i) * 1000)";
}

#[test]
fn loads_in_a_circle() {
    let sandbox = app("load(\"//lib/a.star\", \"a\")\ndef configure(c):\n    pass\n");
    sandbox.write("lib/a.star", "load(\"b.star\", \"b\")\na = b\n");
    sandbox.write("lib/b.star", "load(\":a.star\", \"a\")\nb = a\n");
    insta::assert_snapshot!(sandbox.mistakes());
}

#[test]
fn a_mistake_in_a_loaded_file_is_shown_once() {
    let sandbox = app("load(\"//lib/a.star\", \"a\")\ndef configure(c):\n    pass\n");
    sandbox.write(
        "components/other/component.star",
        "load(\"//lib/a.star\", \"a\")\ndef configure(c):\n    pass\n",
    );
    sandbox.write("lib/a.star", "a = 1 + \"x\"\n");
    insta::assert_snapshot!(sandbox.mistakes());
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
    insta::assert_snapshot!(sandbox.mistakes());
}

#[test]
fn a_value_that_is_required_once_and_provided_twice_is_told_in_the_words_of_code() {
    let sandbox = app("def configure(c):\n    c.require_one(\"x\")\n");
    sandbox.write("environments/prod/environment.toml", "[hosts]\nweb01 = [\"app\", \"other\"]\n");
    sandbox.write(
        "components/other/component.star",
        "def configure(c):\n    c.provide(\"x\", 1)\n    c.provide(\"x\", 2)\n",
    );
    insta::assert_snapshot!(sandbox.mistakes());
}

#[test]
fn an_included_template_is_shown() {
    let sandbox = app("def configure(c):\n    c.file(\"x\", content = c.template(\"a.tpl\", y = 1))\n");
    sandbox.write("components/app/a.tpl", "{% include \"b.tpl\" %}\n");
    sandbox.write("components/app/b.tpl", "one\n{{ y.z }}\n");
    insta::assert_snapshot!(sandbox.mistakes());
}

#[test]
fn the_place_of_an_override_is_shown() {
    let sandbox =
        app("attributes = {\"port\": 1}\ndef configure(c):\n    c.file(\"x\", content = str(c.port))\n");
    sandbox.write(
        "environments/prod/environment.toml",
        "[hosts]\nweb01 = [\"app\"]\n[components.app]\nport = \"high\"\n",
    );
    insta::assert_snapshot!(sandbox.mistakes());
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
    insta::assert_snapshot!(format!("{code}\n\n{}", sandbox.mistakes()));
}

/// What is not to be had yet is told from what was never heard of.
#[test]
fn what_is_still_to_come_is_not_supported_yet() {
    for name in ["service", "link", "copy", "check", "build"] {
        let mistakes = body(&format!("c.{name}(\"x\")"));
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
    assert!(mistakes.contains("is not a file") && !mistakes.contains("there is no component"), "{mistakes}");

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
    insta::assert_snapshot!(sandbox.mistakes());
}

#[test]
fn a_file_is_bounded() {
    let mistakes = app(&"x".repeat(2 * 1024 * 1024)).mistakes();
    assert!(mistakes.contains("components/app/component.star is larger than 1 MiB"), "{mistakes}");
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
    insta::assert_snapshot!(sandbox.mistakes());
}

#[test]
fn a_mistake_in_the_library_is_shown_where_it_is_called() {
    insta::assert_snapshot!(app(
        "load(\"@batou//network.star\", \"joined\")\ndef configure(c):\n    c.file(\"x\", content = joined([1]))\n"
    )
    .mistakes());
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
