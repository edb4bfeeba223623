//! What is said of mistakes in component.toml, in templates and in values.

use insta::assert_snapshot;

use super::common::Sandbox;

/// What is said of the component `app` with this definition.
fn mistakes(component: &str) -> String {
    Sandbox::app(component).mistakes()
}

/// A component whose one file is this template.
fn template(text: &str) -> Sandbox {
    let sandbox = Sandbox::app(
        "[attributes]\nsleep = 1\naddress = { type = \"address\", default = \"web01:80\" }\n[[file]]\npath = \"x.conf\"\n",
    );
    sandbox.write("components/app/x.conf", text);
    sandbox
}

#[test]
fn keys_and_types() {
    assert_snapshot!(
        mistakes("[atributes]\n[[file]]\npaht = \"x\"\n[[step]]\nname = \"a\"\nupdate = \"b\"\ntimeot = 3\n"),
        @r#"
    error: unknown key `atributes` in component.toml
     --> components/app/component.toml:1:2
      |
    1 | [atributes]
      |  ^^^^^^^^^
      = help: did you mean `attributes`?

    error: `path` is missing in [[file]]
     --> components/app/component.toml:2:1
      |
    2 | [[file]]
      | ^^^^^^^^

    error: unknown key `paht` in [[file]]
     --> components/app/component.toml:3:1
      |
    3 | paht = "x"
      | ^^^^
      = help: did you mean `path`?

    error: unknown key `timeot` in [[step]]
     --> components/app/component.toml:7:1
      |
    7 | timeot = 3
      | ^^^^^^
      = help: did you mean `timeout`?
    "#
    );
    assert_snapshot!(
        "component_wrong_types",
        mistakes(
            "[attributes]\na = 1979-05-27\nname = \"x\"\n\"a-b\" = 1\nb = { type = \"strin\" }\nc = {}\nd = { type = \"choice\" }\n\
             e = { type = \"int\", choices = [\"x\"] }\n[[file]]\npath = 3\n[[require]]\nkey = \"x\"\none = \"yes\"\n"
        )
    );
    assert_snapshot!(mistakes("[file]\npath = \"x\"\n"), @"
    error: `file` must be a list of tables, written `[[…]]`, not a table
     --> components/app/component.toml:1:1
      |
    1 | [file]
      | ^^^^^^
    ");
}

#[test]
fn later_features_are_not_supported_yet() {
    assert_snapshot!(
        "component_later_features",
        mistakes(
            "[attributes]\npassword = { type = \"secret\" }\n[[link]]\npath = \"/x\"\nto = \"y\"\n[[copy]]\n[[service]]\n[[check]]\n\
             [[step]]\nname = \"a\"\nupdate = \"b\"\nuser = \"root\"\nafter = \"services\"\n"
        )
    );
}

#[test]
fn paths_and_modes() {
    assert_snapshot!(
        mistakes(
            "[[file]]\npath = \"../x\"\ncontent = \"\"\n[[file]]\npath = \"/etc/passwd\"\ncontent = \"\"\n[[file]]\npath = \"a/b\"\ncontent = \"\"\n\
             [[file]]\npath = \"./a//b\"\ncontent = \"\"\n[[symlink]]\npath = \"a\"\nto = \"x\"\n[[file]]\npath = \"{{ host.name }}\"\ncontent = \"\"\n"
        ),
        @r#"
    error: the path `../x` leaves the component with `..`
     --> components/app/component.toml:2:8
      |
    2 | path = "../x"
      |        ^^^^^^

    error: the path `/etc/passwd` is absolute; paths are relative to the component
     --> components/app/component.toml:5:8
      |
    5 | path = "/etc/passwd"
      |        ^^^^^^^^^^^^^

    error: `a/b` cannot lie below `a`, which is not a folder
     --> components/app/component.toml:8:8
      |
    8 | path = "a/b"
      |        ^^^^^
      = help: choose another path for one of the two

    error: the path `a/b` is declared twice
      --> components/app/component.toml:11:8
       |
    11 | path = "./a//b"
       |        ^^^^^^^^
      = help: it is already declared on line 8: keep one of the two

    error: the path `{{ host.name }}` looks like a template; a path cannot be one
      --> components/app/component.toml:17:8
       |
    17 | path = "{{ host.name }}"
       |        ^^^^^^^^^^^^^^^^^
    "#
    );
    assert_snapshot!(
        mistakes(
            "[[file]]\npath = \"a\"\ncontent = \"\"\nmode = \"4755\"\n[[file]]\npath = \"b\"\ncontent = \"\"\nmode = \"rwxr-xr\"\n\
             [[file]]\npath = \"c\"\ncontent = \"\"\nmode = 755\n"
        ),
        @r#"
    error: the mode `4755` has the setuid, setgid or sticky bit, which a release cannot have
     --> components/app/component.toml:4:8
      |
    4 | mode = "4755"
      |        ^^^^^^
      = help: write it as "0755" or "rwxr-xr-x"

    error: `rwxr-xr` is not a mode
     --> components/app/component.toml:8:8
      |
    8 | mode = "rwxr-xr"
      |        ^^^^^^^^^
      = help: write it as "0755" or "rwxr-xr-x"

    error: `mode` must be a string, not an integer
      --> components/app/component.toml:12:8
       |
    12 | mode = 755
       |        ^^^
    "#
    );
}

#[test]
fn sources() {
    let sandbox = Sandbox::app(
        "[[file]]\npath = \"missing\"\n[[file]]\npath = \"logo.png\"\n[[file]]\npath = \"outside\"\n[[file]]\npath = \"s\"\nsource = \"../../x\"\n\
         [[file]]\npath = \"both\"\ncontent = \"\"\nsource = \"x\"\n",
    );
    sandbox.write("components/app/logo.png", b"\x89PNG\n\xff\xfe");
    std::os::unix::fs::symlink("/etc/hostname", sandbox.root().join("components/app/outside")).unwrap();
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: there is no file components/app/missing
     --> components/app/component.toml:2:8
      |
    2 | path = "missing"
      |        ^^^^^^^^^
      = help: create it, name another file with `source`, or give `content`

    error: components/app/logo.png is not UTF-8 text (line 1)
     --> components/app/component.toml:4:8
      |
    4 | path = "logo.png"
      |        ^^^^^^^^^^
      = help: save it as UTF-8, or set `template = false` for files that are not text

    error: components/app/outside lies outside the project
     --> components/app/component.toml:6:8
      |
    6 | path = "outside"
      |        ^^^^^^^^^
      = help: copy it into the project

    error: the path `../../x` leaves the component with `..`
     --> components/app/component.toml:9:10
      |
    9 | source = "../../x"
      |          ^^^^^^^^^

    error: a file with `content` can have neither `source` nor `exclude`
      --> components/app/component.toml:10:1
       |
    10 | [[file]]
       | ^^^^^^^^
    "#);
}

#[test]
fn steps() {
    assert_snapshot!(
        mistakes(
            "[[step]]\nname = \"a\"\n[[step]]\nname = \"b\"\nupdate = \"x\"\n[[step]]\nname = \"b\"\nupdate = \"y\"\ntimeout = \"soon\"\n\
             [[step]]\nname = \"c\\nd\"\nupdate = \"{{ nothing }}\"\n[step.environment]\n\"A-B\" = \"x\"\nC = 1\n"
        ),
        @r#"
    error: a step needs `update`, `verify` or both
     --> components/app/component.toml:1:1
      |
    1 | [[step]]
      | ^^^^^^^^
      = help: add update = "COMMAND"

    error: the step `b` is declared twice
     --> components/app/component.toml:7:8
      |
    7 | name = "b"
      |        ^^^
      = help: give each step a name of its own

    error: `timeout` must be a number of seconds, or a string like "30s", "5m" or "1h"
     --> components/app/component.toml:9:11
      |
    9 | timeout = "soon"
      |           ^^^^^^
      = help: at least one second, at most a week

    error: a step's name must be one line of at most 255 bytes, without control characters
      --> components/app/component.toml:11:8
       |
    11 | name = "c\nd"
       |        ^^^^^^

    error: `A-B` is not the name of an environment variable
      --> components/app/component.toml:14:1
       |
    14 | "A-B" = "x"
       | ^^^^^

    error: `C` must be a string, not an integer
      --> components/app/component.toml:15:5
       |
    15 | C = 1
       |     ^
    "#
    );
    assert_snapshot!(mistakes("[[step]]\nname = \"a\"\nupdate = \"rm -rf {{ component.pth }}\"\n"), @r#"
    error: `component.pth` is undefined
     --> components/app/component.toml:3:21
      |
    3 | update = "rm -rf {{ component.pth }}"
      |                     ^^^^^^^^^^^^^
      = affects: web01/app
      = help: did you mean `component.path`?
    "#);
}

#[test]
fn values() {
    assert_snapshot!(mistakes("[attributes]\npassword = { type = \"str\" }\n"), @r#"
    error: the attribute `password` of `app` has no value
     --> components/app/component.toml:2:1
      |
    2 | password = { type = "str" }
      | ^^^^^^^^
      = affects: web01/app
      = help: set it in [components.app] of environment.toml, or give it a default
    "#);
    assert_snapshot!(
        "value_types",
        mistakes(
            "[attributes]\nport = { type = \"int\", default = \"x\" }\nratio = { type = \"float\", default = true }\non = { type = \"bool\", default = \"maybe\" }\n\
             size = { type = \"choice\", choices = [\"small\", \"large\"], default = \"huge\" }\nname_ = { type = \"str\", default = 3 }\n\
             any = { type = \"literal\", default = \"[1,\" }\nwhere = { type = \"path\", default = \"\" }\nmap = { type = \"dict\", default = [] }\n"
        )
    );
    assert_snapshot!(
        mistakes(
            "[attributes]\na = { type = \"address\", default = \"{{ host.fqdn }}\" }\nb = { type = \"address\", default = \"web01:0\" }\n\
             c = { type = \"address\", default = \"we b:80\" }\n"
        ),
        @r#"
    error: the attribute `a` of `app`: the address `web01.example.net` has no port
     --> components/app/component.toml:2:35
      |
    2 | a = { type = "address", default = "{{ host.fqdn }}" }
      |                                   ^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: write it as host:port, or [v6]:port

    error: the attribute `b` of `app`: the port of the address `web01:0` is not a number from 1 to 65535
     --> components/app/component.toml:3:35
      |
    3 | b = { type = "address", default = "web01:0" }
      |                                   ^^^^^^^^^
      = affects: web01/app

    error: the attribute `c` of `app`: `we b` is not a host's name or address
     --> components/app/component.toml:4:35
      |
    4 | c = { type = "address", default = "we b:80" }
      |                                   ^^^^^^^^^
      = affects: web01/app
    "#
    );
    assert_snapshot!(
        mistakes(
            "[attributes]\nc = \"{{ component.a }}\"\nb = \"{{ component.c }}\"\na = \"{{ component.b }}\"\n"
        ),
        @r#"
    error: values depend on each other in a cycle: attribute `a` -> attribute `b` -> attribute `c` -> attribute `a`
     --> components/app/component.toml:4:1
      |
    4 | a = "{{ component.b }}"
      | ^
      = affects: web01/app
      = help: one of them must not refer to the next
    "#
    );
}

#[test]
fn a_chain_of_values_that_is_too_long_is_refused() {
    use std::fmt::Write;
    let mut component = String::from("[attributes]\na0 = 1\n");
    for index in 1..2000 {
        writeln!(component, "a{index} = \"{{{{ component.a{} }}}}\"", index - 1).unwrap();
    }
    // From the far end, since the near end is computed first otherwise.
    component.push_str("[[file]]\npath = \"x\"\ncontent = \"{{ component.a1999 }}\"\n");
    let renamed = component.replace("a1999 ", "A1999 ").replace("component.a1999", "component.A1999");
    let mistakes = Sandbox::app(&renamed).mistakes();
    assert!(mistakes.contains("values refer to each other more than"), "{mistakes}");
}

#[test]
fn templates() {
    assert_snapshot!(template("first\nsleep {{ component.slep }}\n").mistakes(), @"
    error: `component.slep` is undefined
     --> components/app/x.conf:2:10
      |
    2 | sleep {{ component.slep }}
      |          ^^^^^^^^^^^^^^
      = affects: web01/app
      = help: did you mean `component.sleep`?
    ");
    assert_snapshot!(template("{{ componet.sleep }}\n").mistakes(), @"
    error: `componet` is undefined
     --> components/app/x.conf:1:4
      |
    1 | {{ componet.sleep }}
      |    ^^^^^^^^^^^^^^
      = affects: web01/app
      = help: did you mean `component`?
    ");
    assert_snapshot!(template("{{ zzz }}\n").mistakes(), @"
    error: `zzz` is undefined
     --> components/app/x.conf:1:4
      |
    1 | {{ zzz }}
      |    ^^^
      = affects: web01/app
      = help: there are `batou_generated_header`, `component`, `environment`, `host` and `settings`
    ");
    assert_snapshot!(template("{{ component.address.port }}\n").mistakes(), @"
    error: `component.address.port` is undefined
     --> components/app/x.conf:1:4
      |
    1 | {{ component.address.port }}
      |    ^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: `component.address` has `connect`, `listen` and `listen_v6`
    ");
    assert_snapshot!(template("a\n{% if %}\n").mistakes(), @"
    error: not a valid template: unexpected `%}`
     --> components/app/x.conf:2:7
      |
    2 | {% if %}
      |       ^^
      = affects: web01/app
    ");
    assert_snapshot!(
        template(
            "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}x{% endfor %}{% endfor %}{% endfor %}\n"
        )
        .mistakes(),
        @"
    error: the template does too much work, or never ends
     --> components/app/x.conf:1:1
      |
    1 | {% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}x{% endfor %}{% endfor %}{% endfor %}
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: look for a loop that grows; a template may do about five million operations
    "
    );
    assert_snapshot!(template("{% include \"x.conf\" %}\n").mistakes(), @r#"
    error: `x.conf` includes itself
     --> components/app/x.conf:1:4
      |
    1 | {% include "x.conf" %}
      |    ^^^^^^^^^^^^^^^^
      = affects: web01/app
    "#);
    assert_snapshot!(template("{% include \"y.conf\" %}\n").mistakes(), @r#"
    error: there is no template `y.conf`
     --> components/app/x.conf:1:4
      |
    1 | {% include "y.conf" %}
      |    ^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: a template is named by its path in the component's folder; one from elsewhere in the project by `//` and its path there
    "#);
    assert_snapshot!(template("{% include \"../../batou.toml\" %}\n").mistakes(), @r#"
    error: `../../batou.toml` is not a path below the component's folder
     --> components/app/x.conf:1:4
      |
    1 | {% include "../../batou.toml" %}
      |    ^^^^^^^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
    "#);
    assert_snapshot!(template("{{ component.artifact }}\n").mistakes(), @"
    error: `component.artifact` does not exist yet while files, attributes and provided values are evaluated: use `component.path`, which stays the same across releases
     --> components/app/x.conf:1:4
      |
    1 | {{ component.artifact }}
      |    ^^^^^^^^^^^^^^^^^^
      = affects: web01/app
    ");
    assert_snapshot!(template("{{ component.sleep | nope }}\n").mistakes(), @"
    error: there is no filter `nope`
     --> components/app/x.conf:1:22
      |
    1 | {{ component.sleep | nope }}
      |                      ^^^^
      = affects: web01/app
    ");
    assert_snapshot!(template("{{ component.sleep / 0 }}{{ 1 + 'a' }}\n").mistakes(), @"
    error: `1 / 0` cannot be calculated
     --> components/app/x.conf:1:4
      |
    1 | {{ component.sleep / 0 }}{{ 1 + 'a' }}
      |    ^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
    ");
}

/// The engine itself would say `component[...]`, and show the end of the file.
#[test]
fn a_template_is_shown_where_it_is_wrong() {
    let told = |content: &str| {
        let told = mistakes(&format!("[[file]]\npath = \"x\"\ncontent = \'\'\'\n{content}\'\'\'\n"));
        told.split("\n  = affects").next().unwrap_or_default().to_owned()
    };
    insta::assert_snapshot!(told("{{ [1, 2][component.name | length] }}\n"), @"
    error: `[1, 2][component.name | length]` is undefined
     --> components/app/component.toml:4:4
      |
    4 | {{ [1, 2][component.name | length] }}
      |    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    ");
    insta::assert_snapshot!(told("{% for x in [1] %}\n{% if x %}\na\n{% endif %}\n\n"), @"
    error: not a valid template: this `{% for %}` has no `{% endfor %}`
     --> components/app/component.toml:4:1
      |
    4 | {% for x in [1] %}
      | ^^^^^^^^^^^^^^^^^^
    ");
}

#[test]
fn inline_templates_are_shown_in_component_toml() {
    assert_snapshot!(
        mistakes("[[file]]\npath = \"x\"\ncontent = \"\"\"\none\ntwo {{ nothing }}\n\"\"\"\n"),
        @"
    error: `nothing` is undefined
     --> components/app/component.toml:5:8
      |
    5 | two {{ nothing }}
      |        ^^^^^^^
      = affects: web01/app
      = help: there are `batou_generated_header`, `component`, `environment`, `host` and `settings`
    "
    );
    assert_snapshot!(mistakes("[[file]]\npath = \"x\"\ncontent = \"one\\ntwo {{ nothing }}\"\n"), @r#"
    error: `nothing` is undefined
     --> components/app/component.toml:3:24
      |
    3 | content = "one\ntwo {{ nothing }}"
      |                        ^^^^^^^
      = affects: web01/app
      = help: there are `batou_generated_header`, `component`, `environment`, `host` and `settings`
    "#);
    assert_snapshot!(
        mistakes(
            "[attributes]\na = \"x {{ host.nam }}\"\nb = \"{{ host.data.nothing }}\"\nc = [\"{{ host.data }\"]\n"
        ),
        @r#"
    error: `host.nam` is undefined
     --> components/app/component.toml:2:11
      |
    2 | a = "x {{ host.nam }}"
      |           ^^^^^^^^
      = affects: web01/app
      = help: did you mean `host.name`?

    error: `host.data.nothing` is undefined
     --> components/app/component.toml:3:9
      |
    3 | b = "{{ host.data.nothing }}"
      |         ^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: `host.data` has no members

    error: not a valid template: `}}` is expected here, not `}`
     --> components/app/component.toml:4:20
      |
    4 | c = ["{{ host.data }"]
      |                    ^
      = affects: web01/app
    "#
    );
}

/// The engine tells of neither what it is, nor, of `in`, where it begins.
#[test]
fn mistakes_that_the_engine_places_or_names_badly() {
    for (text, message, place) in [
        ("{% extends 'x.conf' %}", "`x.conf` extends itself", "1:4"),
        ("{{ 'z' in 1 }}", "`in` needs a list, a map or a string on its right side", "1:4"),
        ("{{ ('z' not in 1) }}", "`in` needs a list, a map or a string on its right side", "1:5"),
        ("{% if 'z' in 1 %}{% endif %}", "`in` needs a list, a map or a string on its right side", "1:7"),
    ] {
        let shown = template(text).mistakes();
        let begin = format!("error: {message}\n --> components/app/x.conf:{place}\n");
        assert!(shown.starts_with(&begin), "{text}\n{shown}");
    }
}

#[test]
fn mistakes_in_an_include_are_shown_there() {
    let sandbox = template("{% include \"inner.conf\" %}\n");
    sandbox.write("components/app/inner.conf", "fine\n{{ host.nme }}\n");
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: `host.nme` is undefined
     --> components/app/inner.conf:2:4
      |
    2 | {{ host.nme }}
      |    ^^^^^^^^
      called from
     --> components/app/x.conf:1:4
      |
    1 | {% include "inner.conf" %}
      |    ^^^^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: did you mean `host.name`?
    "#);
}

#[test]
fn an_included_file_must_be_text_and_inside() {
    let sandbox = template("{% include \"binary\" %}\n");
    sandbox.write("components/app/binary", b"\xff\xfe");
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: components/app/binary is not UTF-8 text (line 1)
     --> components/app/x.conf:1:4
      |
    1 | {% include "binary" %}
      |    ^^^^^^^^^^^^^^^^
      = affects: web01/app
    "#);
}

#[test]
fn a_file_that_renders_to_more_than_64_mib_is_refused() {
    let sandbox = template("{% set s = 'x' * 1000000 %}{% for a in range(70) %}{{ s }}{% endfor %}");
    assert_snapshot!(sandbox.mistakes(), @"
    error: the rendered file is larger than 64 MiB
     --> components/app/x.conf:1:1
      |
    1 | {% set s = 'x' * 1000000 %}{% for a in range(70) %}{{ s }}{% endfor %}
      | ^
      = affects: web01/app
      = help: use `template = false` for large files
    ");
}

#[test]
fn requirements() {
    assert_snapshot!(
        mistakes(
            "[[provide]]\nkey = \"database\"\nvalue = 1\n[[provide]]\nkey = \"x\"\n[[require]]\nkey = \"databse\"\n[[require]]\nkey = \"database\"\nhost = \"db09\"\nas = \"there\"\n\
             [[require]]\nkey = \"database\"\nas = \"host\"\n[[require]]\nkey = \"database\"\nas = \"a-b\"\n[[require]]\nkey = \"database\"\nas = \"twice\"\n\
             [[require]]\nkey = \"database\"\nas = \"twice\"\nreverse = true\ndirty = true\n[[require]]\nkey = \"database\"\nas = \"o\"\none = true\nsort = \"x\"\n"
        ),
        @r#"
    error: `value` is missing in [[provide]]
     --> components/app/component.toml:4:1
      |
    4 | [[provide]]
      | ^^^^^^^^^^^

    error: `host` cannot be the name of a template's variable
      --> components/app/component.toml:14:6
       |
    14 | as = "host"
       |      ^^^^^^
      = help: choose another name with `as`: letters, digits and `_`

    error: `a-b` cannot be the name of a template's variable
      --> components/app/component.toml:17:6
       |
    17 | as = "a-b"
       |      ^^^^^
      = help: choose another name with `as`: letters, digits and `_`

    error: `reverse` orders two components, and `dirty` leaves their order open
      --> components/app/component.toml:21:1
       |
    21 | [[require]]
       | ^^^^^^^^^^^
      = help: drop one of the two

    error: two requirements have the variable `twice`
      --> components/app/component.toml:22:7
       |
    22 | key = "database"
       |       ^^^^^^^^^^
      = help: give one of them another name with `as`

    error: `sort` orders a list, and `one = true` gives a single value
      --> components/app/component.toml:30:8
       |
    30 | sort = "x"
       |        ^^^
      = help: drop one of the two
    "#
    );
    assert_snapshot!(
        mistakes(
            "[[provide]]\nkey = \"database\"\nvalue = 1\n[[require]]\nkey = \"databse\"\n[[require]]\nkey = \"other\"\nhost = \"same\"\n"
        ),
        @r#"
    error: no component requires `database`
     --> components/app/component.toml:2:7
      |
    2 | key = "database"
      |       ^^^^^^^^^^
      = affects: web01/app
      = help: `databse` is required: did you mean that?

    error: no component provides `databse`
     --> components/app/component.toml:5:7
      |
    5 | key = "databse"
      |       ^^^^^^^^^
      = affects: web01/app
      = help: did you mean `database`?

    error: no component on the same host provides `other`
     --> components/app/component.toml:7:7
      |
    7 | key = "other"
      |       ^^^^^^^
      = affects: web01/app
      = help: place a component that provides it on a host; with `strict = false` there may be none
    "#
    );
    assert_snapshot!(
        mistakes(
            "[[provide]]\nkey = \"database\"\nvalue = 1\n[[require]]\nkey = \"database\"\nhost = \"db09\"\n"
        ),
        @r#"
    error: there is no host `db09`
     --> components/app/component.toml:6:8
      |
    6 | host = "db09"
      |        ^^^^^^
      = help: declare it in [hosts]
    "#
    );
    assert_snapshot!(
        mistakes("[[provide]]\nkey = \"a\"\nvalue = { x = 1 }\n[[require]]\nkey = \"a\"\nsort = \"y\"\n"),
        @r#"
    error: not every value of `a` has a field `y` to sort by
     --> components/app/component.toml:6:8
      |
    6 | sort = "y"
      |        ^^^
      = affects: web01/app
    "#
    );
    assert_snapshot!(
        mistakes(
            "[[provide]]\nkey = \"a\"\nvalue = 1\n[[provide]]\nkey = \"a\"\nvalue = 2\n[[require]]\nkey = \"a\"\none = true\n"
        ),
        @r#"
    error: `a` must be provided exactly once, but is provided 2 times: by `web01/app`
     --> components/app/component.toml:8:7
      |
    8 | key = "a"
      |       ^^^
      = affects: web01/app
      = help: drop `one = true` to get a list, or choose a provider with `host`
    "#
    );
    assert_snapshot!(
        mistakes("[[provide]]\nkey = \"a\"\nvalue = \"{{ a }}\"\n[[require]]\nkey = \"a\"\n"),
        @r#"
    error: values depend on each other in a cycle: provided `a` -> required `a` -> provided `a`
     --> components/app/component.toml:2:7
      |
    2 | key = "a"
      |       ^^^
      = affects: web01/app
      = help: one of them must not refer to the next
    "#
    );
}

#[test]
fn several_mistakes_are_shown_at_once_and_sorted() {
    let environment = "[environment]\nkep = 1\n[hosts]\n\"web{01..03}\" = [\"app\", \"worker\"]\n[components.app]\nslep = 3\n";
    let sandbox = Sandbox::new(&[
        ("environments/prod/environment.toml", environment),
        (
            "components/app/component.toml",
            "[attributes]\nsleep = 1\n[[file]]\npath = \"a\"\ncontent = \"{{ x }}\"\n",
        ),
        (
            "components/worker/component.toml",
            "[attributes]\npassword = { type = \"str\" }\n[[file]]\npath = \"b\"\n",
        ),
        ("components/worker/b", "{{ component.password }} {{ component.pasword }}\n"),
    ]);
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: `x` is undefined
     --> components/app/component.toml:5:15
      |
    5 | content = "{{ x }}"
      |               ^
      = affects: web01/app, web02/app, web03/app
      = help: there are `batou_generated_header`, `component`, `environment`, `host` and `settings`

    error: the attribute `password` of `worker` has no value
     --> components/worker/component.toml:2:1
      |
    2 | password = { type = "str" }
      | ^^^^^^^^
      = affects: web01/worker, web02/worker, web03/worker
      = help: set it in [components.worker] of environment.toml, or give it a default

    error: unknown key `kep` in [environment]
     --> environments/prod/environment.toml:2:1
      |
    2 | kep = 1
      | ^^^
      = help: did you mean `keep`?

    error: the component `app` declares no attribute `slep`
     --> environments/prod/environment.toml:6:1
      |
    6 | slep = 3
      | ^^^^
      = help: did you mean `sleep`?
    "#);
}

#[test]
fn a_template_that_is_missing_is_told_in_one_voice() {
    for (statement, told) in [
        ("{% include 'a' %}", "there is no template `a`"),
        ("{% import 'a' as b %}", "there is no template `a`"),
        ("{% extends 'a' %}", "there is no template `a`"),
        ("{% include ['a', 'b'] %}", "there is none of the templates ['a', 'b']"),
    ] {
        let told_now = template(statement).mistakes();
        assert_eq!(told_now.lines().next(), Some(format!("error: {told}").as_str()), "{statement}");
    }
}

#[test]
fn a_missing_folder_is_told_as_one() {
    assert_snapshot!(mistakes("[[directory]]\npath = \"x\"\nsource = \"nothing\"\n"), @r#"
    error: there is no folder components/app/nothing
     --> components/app/component.toml:3:10
      |
    3 | source = "nothing"
      |          ^^^^^^^^^
      = help: create it, or name another folder with `source`
    "#);
}
