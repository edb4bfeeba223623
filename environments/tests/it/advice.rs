//! "`port` is set in environment.toml": where the values are set that went wrong, and of no others.

use super::common::Sandbox;

/// The mistakes of a component on `web01`, each as its message and what is said of where its values are set.
fn told(component: &str, overrides: &str) -> String {
    advice(&sandbox(component, overrides))
}

fn sandbox(component: &str, overrides: &str) -> Sandbox {
    let sandbox = Sandbox::app(component);
    let environment = format!("[hosts]\nweb01 = [\"app\"]\n{overrides}");
    sandbox.write("environments/prod/environment.toml", environment);
    sandbox
}

/// The same of code.
fn told_code(code: &str, overrides: &str) -> String {
    let sandbox = sandbox("", overrides);
    std::fs::remove_file(sandbox.root().join("components/app/component.toml")).unwrap();
    sandbox.write("components/app/component.star", code);
    advice(&sandbox)
}

fn advice(sandbox: &Sandbox) -> String {
    let mistakes = sandbox.evaluate_with(&batou_environments::Offline).err().unwrap();
    let lines = mistakes.iter().flat_map(|mistake| {
        let set = mistake.set.iter().map(|set| {
            let (name, place) = (&set.name, &set.location);
            let file = place.file.parent().unwrap().file_name().unwrap().display();
            format!("  `{name}` is set in {file}:{}:{}: {}", place.line, place.column, place.excerpt)
        });
        std::iter::once(mistake.message.clone()).chain(set)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A component with three attributes, and a file with this content.
fn content(content: &str) -> String {
    format!(
        "[attributes]\nport = \"p\"\nother = 2\nwebs = []\n\
         db = {{ type = \"dict\", default = {{ host = \"h\", port = \"p\" }} }}\n\
         url = \"http://x:{{{{ component.port }}}}\"\n[[file]]\npath = \"x\"\ncontent = '''{content}'''\n"
    )
}

const PORT: &str = "[components.app]\nport = \"x\"\nother = 3\n";

#[test]
fn what_is_set_is_shown_where_it_is_set() {
    let shown = sandbox(&content("{{ component.other + component.port }}"), PORT).mistakes();
    insta::assert_snapshot!(shown, @r#"
    error: `+` cannot be used with a number and a string
     --> components/app/component.toml:9:17
      |
    9 | content = '''{{ component.other + component.port }}'''
      |                 ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      `other` is set in
     --> environments/prod/environment.toml:5:9
      |
    5 | other = 3
      |         ^
      `port` is set in
     --> environments/prod/environment.toml:4:8
      |
    4 | port = "x"
      |        ^^^
      = affects: web01/app
      = help: `~` joins strings and numbers to a string; `x | int` makes a number of a string
    "#);
}

/// `web.port` is another's, whatever the component's own attributes are called.
#[test]
fn a_value_of_the_same_name_is_not_meant() {
    let webs = "[components.app]\nport = \"9\"\nwebs = [{ port = \"x\" }]\n";
    let each = "{{ component.port }}{% for web in component.webs %}{{ web.port + 1 }}{% endfor %}";
    insta::assert_snapshot!(told(&content(each), webs), @r#"
    `+` cannot be used with a string and a number
      `webs` is set in prod:5:8: webs = [{ port = "x" }]
    "#);

    let own = "webs = [{ port = \"x\" }]";
    let component = content(each).replace("webs = []", own);
    insta::assert_snapshot!(told(&component, "[components.app]\nport = \"9\"\n"), @"`+` cannot be used with a string and a number");

    let settings = format!("{PORT}[settings]\nport = \"y\"\n");
    insta::assert_snapshot!(told(&content("{{ component.port }}{{ settings.port + 1 }}"), &settings), @r#"
    `+` cannot be used with a string and a number
      `settings.port` is set in prod:7:8: port = "y"
    "#);

    let sandbox = sandbox(&content("{{ component.port }}{{ host.data.port - 1 }}"), "");
    let host = "[hosts]\nweb01 = [\"app\"]\n[host.web01]\ndata-port = \"z\"\n";
    sandbox.write("environments/prod/environment.toml", format!("{host}{PORT}"));
    insta::assert_snapshot!(advice(&sandbox), @r#"
    `-` cannot be used with a string and a number
      `host.data.port` is set in prod:4:13: data-port = "z"
    "#);
}

#[test]
fn names_that_a_template_sets_are_followed_or_left() {
    let told = |text: &str| told(&content(text), PORT);
    insta::assert_snapshot!(told("{% set p = component.port %}{{ component.other }}{{ p - 1 }}"), @r#"
    `-` cannot be used with a string and a number
      `port` is set in prod:4:8: port = "x"
    "#);
    insta::assert_snapshot!(told("{% set port = 'a' %}{{ component.port }}{{ port - 1 }}"), @"`-` cannot be used with a string and a number");
    insta::assert_snapshot!(told("{{ component.port }}{% set component = {'port': 'a'} %}{{ component.port - 1 }}"), @"`-` cannot be used with a string and a number");
    insta::assert_snapshot!(told("{{ component.port }}{% for component in [{'port': 'a'}] %}{{ component.port - 1 }}{% endfor %}"), @"`-` cannot be used with a string and a number");
    insta::assert_snapshot!(told("{% set p = component.port %}{% if component.other %}{% set p = 'a' %}{% endif %}{{ p - 1 }}"), @"`-` cannot be used with a string and a number");
    insta::assert_snapshot!(told("{% macro m(component) %}{{ component.port - 1 }}{% endmacro %}{{ component.port }}{{ m({'port': 'a'}) }}"), @"`-` cannot be used with a string and a number");
    insta::assert_snapshot!(told("{% with p = component.port %}{{ p - 1 }}{% endwith %}"), @r#"
    `-` cannot be used with a string and a number
      `port` is set in prod:4:8: port = "x"
    "#);
}

#[test]
fn only_the_failing_expression_counts() {
    let told = |text: &str| told(&content(text), PORT);
    insta::assert_snapshot!(told("{{ component.port }} {{ component.other - 'a' }}"), @"`-` cannot be used with a number and a string");
    insta::assert_snapshot!(told("{{ (component.other - 1) ~ (component.port - 1) }}"), @r#"
    `-` cannot be used with a string and a number
      `port` is set in prod:4:8: port = "x"
    "#);
    insta::assert_snapshot!(told("{% if component.other %}{{ component.port | round }}{% endif %}"), @r#"
    a string cannot be rounded
      `port` is set in prod:4:8: port = "x"
    "#);
    insta::assert_snapshot!(told("{% if component.port - 1 > component.other %}{% endif %}"), @r#"
    `-` cannot be used with a string and a number
      `port` is set in prod:4:8: port = "x"
    "#);
    insta::assert_snapshot!(told("{{ (component.port if component.port else component.other) - 1 }}"), @r#"
    `-` cannot be used with a string and a number
      `port` is set in prod:4:8: port = "x"
    "#);
    insta::assert_snapshot!(told("{{ component.url - component.other }}"), @"`-` cannot be used with a string and a number");
    insta::assert_snapshot!(told("{{ component['port'] - 1 }}"), @r#"
    `-` cannot be used with a string and a number
      `port` is set in prod:4:8: port = "x"
    "#);
    // It is set nowhere.
    insta::assert_snapshot!(told("{{ component.port }}{{ component.webs - 1 }}"), @"`-` cannot be used with a list and a number");
}

#[test]
fn of_a_table_the_member_counts() {
    let db = "[components.app.db]\nport = \"x\"\n";
    let told = |text: &str| told(&content(text), db);
    insta::assert_snapshot!(told("{{ component.db.port - 1 }}"), @r#"
    `-` cannot be used with a string and a number
      `db` is set in prod:4:8: port = "x"
    "#);
    insta::assert_snapshot!(told("{{ component.db.host - 1 }}"), @"`-` cannot be used with a string and a number");
    insta::assert_snapshot!(told("{{ component.db.prot }}"), @"
    `component.db.prot` is undefined
      `db` is set in prod:3:1: [components.app.db]
    ");
    // The default is a part of it, too.
    insta::assert_snapshot!(told("{{ component.db - 1 }}"), @"`-` cannot be used with a map and a number");
}

#[test]
fn an_included_template_is_looked_at_itself() {
    let component = content("{% include 'part' %}");
    let told = |part: &str, component: &str| {
        let sandbox = sandbox(component, PORT);
        sandbox.write("components/app/part", part);
        advice(&sandbox)
    };
    insta::assert_snapshot!(told("{{ component.other }}{{ component.port - 1 }}", &component), @r#"
    `-` cannot be used with a string and a number
      `port` is set in prod:4:8: port = "x"
    "#);
    let before = content("{{ component.port }}{% set component = {'port': 'a'} %}{% include 'part' %}");
    insta::assert_snapshot!(told("{{ component.port - 1 }}", &before), @"`-` cannot be used with a string and a number");
}

/// Steps, links, and values that are made of others.
#[test]
fn every_text_of_a_component_is_looked_at() {
    let attributes = "[attributes]\nport = \"p\"\nother = 2\n";
    let told = |rest: &str| told(&format!("{attributes}{rest}"), PORT);
    insta::assert_snapshot!(told("[[step]]\nname = \"s\"\nverify = \"{{ component.other }}\"\nupdate = \"{{ component.port - 1 }}\"\n"), @r#"
    `-` cannot be used with a string and a number
      `port` is set in prod:4:8: port = "x"
    "#);
    insta::assert_snapshot!(told("[[step]]\nname = \"s\"\nverify = \"true\"\nupdate = \"true\"\ncreates = \"/{{ component.other }}/../{{ component.port }}\"\n"), @"the path `/3/../x` holds `..`: name the path without it");
    let up = "[components.app]\nport = \"..\"\nother = 3\n";
    let creates = "[[step]]\nname = \"s\"\nverify = \"true\"\nupdate = \"true\"\ncreates = \"/{{ component.other }}/{{ component.port }}\"\n";
    insta::assert_snapshot!(self::told(&format!("{attributes}{creates}"), up), @r#"
    the path `/3/..` holds `..`: name the path without it
      `other` is set in prod:5:9: other = 3
      `port` is set in prod:4:8: port = ".."
    "#);
    insta::assert_snapshot!(told("[[symlink]]\npath = \"s\"\nto = \"{{ component.other }}{{ component.port - 1 }}\"\n"), @r#"
    `-` cannot be used with a string and a number
      `port` is set in prod:4:8: port = "x"
    "#);
    insta::assert_snapshot!(told("next = \"{{ component.port - 1 }}\"\n"), @r#"
    `-` cannot be used with a string and a number
      `port` is set in prod:4:8: port = "x"
    "#);
    insta::assert_snapshot!(told("next = { type = \"int\", default = \"{{ component.port }}\" }\n"), @r#"
    the attribute `next` of `app` must be an integer, not "x"
      `port` is set in prod:4:8: port = "x"
    "#);
    insta::assert_snapshot!(told("[[provide]]\nkey = \"k\"\nvalue = { a = \"{{ component.other }}\", b = \"{{ component.port - 1 }}\" }\n[[require]]\nkey = \"k\"\n"), @r#"
    `-` cannot be used with a string and a number
      `port` is set in prod:4:8: port = "x"
    "#);
}

/// A value of another component is called by that one's name, if all that it may be are set at the same place.
#[test]
fn a_value_of_another_component_is_found_where_that_one_has_it() {
    let web = "[attributes]\nport = \"p\"\nname_ = \"n\"\n[[provide]]\nkey = \"web\"\n\
               value = { port = \"{{ component.port }}\", name = \"{{ component.name_ }}\" }\n";
    let told = |require: &str, text: &str, overrides: &str| {
        let app = format!("{}[[require]]\nkey = \"web\"\n{require}\n", content(text));
        let sandbox = Sandbox::app(&app);
        sandbox.write("components/web/component.toml", web);
        let hosts = "[hosts]\nweb01 = [\"app\", \"web\"]\nweb02 = [\"web\"]\n";
        sandbox.write("environments/prod/environment.toml", format!("{hosts}{overrides}"));
        advice(&sandbox)
    };
    let set = "[components.app]\nport = \"9\"\n[components.web]\nport = \"x\"\nname_ = \"m\"\n";
    let each = "{{ component.port }}{% for one in web %}{{ one.port - 1 }}{% endfor %}";
    insta::assert_snapshot!(told("", each, set), @r#"
    `-` cannot be used with a string and a number
      `web.port` is set in prod:7:8: port = "x"
    "#);
    let apart = format!("{set}[components.\"web@web02\"]\nport = \"y\"\n");
    insta::assert_snapshot!(told("", each, &apart), @"`-` cannot be used with a string and a number");
    let one = "{{ component.port }}{{ server.port - 1 }}";
    insta::assert_snapshot!(told("as = \"server\"\none = true\nhost = \"same\"", one, &apart), @r#"
    `-` cannot be used with a string and a number
      `web.port` is set in prod:7:8: port = "x"
    no component requires `web`
    "#);
    insta::assert_snapshot!(told("as = \"server\"\none = true\nhost = \"web02\"", one, &apart), @r#"
    `-` cannot be used with a string and a number
      `web.port` is set in prod:10:8: port = "y"
    no component requires `web`
    "#);
    // It is set nowhere.
    insta::assert_snapshot!(told("", each, "[components.app]\nport = \"9\"\n"), @"`-` cannot be used with a string and a number");
}

/// The same mistake on two hosts is told once.
#[test]
fn places_of_several_hosts_are_all_shown() {
    let sandbox = Sandbox::app(&content("{{ component.port - 1 }}"));
    let environment = "[hosts]\nweb01 = [\"app\"]\nweb02 = [\"app\"]\nweb03 = [\"app\"]\n\
                       [components.app]\nport = \"x\"\n[components.\"app@web02\"]\nport = \"y\"\n";
    sandbox.write("environments/prod/environment.toml", environment);
    insta::assert_snapshot!(advice(&sandbox), @r#"
    `-` cannot be used with a string and a number
      `port` is set in prod:6:8: port = "x"
      `port` is set in prod:8:8: port = "y"
    "#);
    let told = sandbox.mistakes();
    for said in ["`port` of web01/app, web03/app is set in", "`port` of web02/app is set in"] {
        assert!(told.contains(said), "{told}");
    }
}

const CODE: &str = "attributes = {\"port\": \"p\", \"other\": 2, \"webs\": []}\n";

#[test]
fn code_is_followed_through_its_calls() {
    let set = format!("{PORT}[settings]\nport = \"y\"\n");
    let told = |code: &str| told_code(&format!("{CODE}{code}"), &set);
    insta::assert_snapshot!(told("def configure(c):\n    x = c.other\n    y = c.port - 1\n"), @r#"
    `-` cannot be used with a `string` and an `int`
      `port` is set in prod:4:8: port = "x"
    "#);
    insta::assert_snapshot!(told("def check(port):\n    if port != 5:\n        fail(\"bad\")\ndef configure(c):\n    c.other\n    check(c.port)\n"), @r#"
    bad
      `port` is set in prod:4:8: port = "x"
    "#);
    insta::assert_snapshot!(told("def bad(text):\n    fail(text)\ndef configure(c):\n    p = c.port\n    if c.other == 9:\n        return\n    if p != 5:\n        bad(\"it\")\n"), @r#"
    it
      `port` is set in prod:4:8: port = "x"
    "#);
    insta::assert_snapshot!(told("def configure(c):\n    c.other\n    c.port == 5 or fail(\"bad\")\n"), @r#"
    bad
      `port` is set in prod:4:8: port = "x"
    "#);
    insta::assert_snapshot!(told("def configure(c):\n    c.port\n    for web in [struct(port = \"a\")]:\n        web.port - 1\n"), @"`-` cannot be used with a `string` and an `int`");
    insta::assert_snapshot!(told("def configure(c):\n    c.port\n    x = [w.port - 1 for w in [struct(port = \"a\")]]\n"), @"`-` cannot be used with a `string` and an `int`");
    insta::assert_snapshot!(told("def check(c):\n    c.port - 1\ndef configure(c):\n    c.port\n    check(struct(port = \"a\"))\n"), @"`-` cannot be used with a `string` and an `int`");
    insta::assert_snapshot!(told("def configure(c):\n    c.port\n    fail(c.settings.port)\n"), @r#"
    y
      `settings.port` is set in prod:7:8: port = "y"
    "#);
    insta::assert_snapshot!(told("def configure(c):\n    c.expand(\"{{ component.other }}{{ component.port - 1 }}\")\n"), @r#"
    `-` cannot be used with a string and a number
      `port` is set in prod:4:8: port = "x"
    "#);
    insta::assert_snapshot!(told("def configure(c):\n    c.port\n    c.webs - 1\n"), @"`-` cannot be used with a `list` and an `int`");
}

/// Where the values of a caller's variables come from is not followed.
#[test]
fn a_variable_of_code_is_left() {
    let told = |text: &str| {
        let call = format!("c.expand(\"{text}\", x = struct(port = \"a\"))");
        told_code(&format!("{CODE}def configure(c):\n    {call}\n"), PORT)
    };
    insta::assert_snapshot!(told("{{ component.port }}{{ x.port - 1 }}"), @"`-` cannot be used with a string and a number");
    insta::assert_snapshot!(told("{{ component.other }}{{ component.port - 1 }}"), @r#"
    `-` cannot be used with a string and a number
      `port` is set in prod:4:8: port = "x"
    "#);
}

/// A sub-component has attributes of its own, as do its templates.
#[test]
fn a_sub_component_is_not_the_component() {
    let told = |body: &str| {
        let code = format!(
            "{CODE}def part(c):\n    {body}\nPart = definition(configure = part, attributes = {{\"port\": \"a\"}})\n\
             def configure(c):\n    c.port\n    c.add(Part(\"p\"))\n"
        );
        told_code(&code, PORT)
    };
    insta::assert_snapshot!(told("c.port - 1"), @"`-` cannot be used with a `string` and an `int`");
    insta::assert_snapshot!(told("c.expand(\"{{ component.port - 1 }}\")"), @"`-` cannot be used with a string and a number");
    insta::assert_snapshot!(told("c.file(\"x\", content = \"{{ component.port - 1 }}\")"), @"`-` cannot be used with a string and a number");
    insta::assert_snapshot!(told("if c.port != 5:\n        fail(\"bad\")"), @"bad");
}
