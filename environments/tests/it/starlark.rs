//! `component.star`: what code can declare.

use batou_environments::{Entry, Evaluation};
use insta::{assert_debug_snapshot, assert_snapshot};

use super::common::{self, Sandbox, Table, component, text};

/// Hosts with components, and component.star by component.
fn sandbox(hosts: &str, components: &[(&str, &str)]) -> Sandbox {
    let environment = format!("[environment]\nhost_domain = \"example.net\"\n[hosts]\n{hosts}\n");
    let sandbox = Sandbox::new(&[("environments/prod/environment.toml", &environment)]);
    for (name, text) in components {
        sandbox.write(&format!("components/{name}/component.star"), text);
    }
    sandbox
}

/// One component `app` on `web01`.
pub(crate) fn app(code: &str) -> Sandbox {
    sandbox("web01 = [\"app\"]", &[("app", code)])
}

/// What `configure` with this body writes into the file `out`.
fn out(body: &str) -> String {
    let lines = body.lines().map(|line| format!("    {line}\n")).collect::<Vec<_>>().concat();
    text(&app(&format!("def configure(c):\n{lines}")).evaluate(), "web01", "app", "out")
}

fn paths(evaluation: &Evaluation, host: &str, name: &str) -> Vec<String> {
    component(evaluation, host, name).entries.keys().cloned().collect()
}

#[test]
fn a_component_has_attributes_features_and_what_templates_see() {
    let sandbox = app(r#"
"""The application."""
doc = "serves"
attributes = {
    "port": 8080,
    "tags": ["a", "b"],
    "limits": {"files": 10},
    "address": attribute("address", default = "{{ host.fqdn }}:{{ component.port }}", doc = "where it listens"),
    "level": attribute("choice", choices = ["low", "high"], default = "low"),
    "must": attribute("int"),
}
features = ["instance1", "instance2"]

def configure(c):
    lines = [
        c.name, c.path, c.state, ",".join(c.features), str(c.platform),
        c.host.name, c.host.fqdn, c.host.address, c.host.data["alias"], c.host.data.get("none", "-"),
        c.environment.name, c.environment.service_user, c.environment.hosts[0].fqdn,
        c.settings.mail, c.settings["ports"]["http"],
        c.port + 1, "|".join(c.tags), c.limits["files"], c.address, c.address.connect.host, c.address.connect.port,
        c.level, c.must, c.root == c, c.parent, "name" in c.host, len(c.settings), [name for name in c.settings],
        hasattr(c, "port"), getattr(c, "nothing", 7),
    ]
    c.file("out", content = "\n".join([str(line) for line in lines]), template = False)
"#);
    sandbox.write(
        "environments/prod/environment.toml",
        "[environment]\nhost_domain = \"example.net\"\nservice_user = \"shop\"\nplatform = \"debian12\"\n\
         [hosts]\nweb01 = [\"app:instance2\"]\n[host.web01]\ndata-alias = \"w\"\n\
         [settings]\nmail = \"ops@example.net\"\nports = { http = 80 }\n\
         [components.app]\nmust = \"9002\"\nlimits = { files = 20 }\n",
    );
    let evaluation = sandbox.evaluate();
    assert_snapshot!(text(&evaluation, "web01", "app", "out"), @r#"
    app
    /srv/shop/current/app
    /srv/shop/state/app
    instance2
    debian12
    web01
    web01.example.net
    web01.example.net
    w
    -
    prod
    shop
    web01.example.net
    ops@example.net
    80
    8081
    a|b
    20
    web01.example.net:8080
    web01.example.net
    8080
    low
    9002
    True
    None
    True
    2
    ["mail", "ports"]
    True
    7
    "#);
    let causes = &component(&evaluation, "web01", "app").causes["out"];
    assert!(causes.contains_key("attribute app.port"), "{causes:?}");
    assert!(causes.contains_key("file components/app/component.star"), "{causes:?}");
    assert!(causes.contains_key("host data alias"), "{causes:?}");
}

#[test]
fn every_kind_of_item_has_the_keys_of_its_table() {
    let sandbox = app(r#"
def configure(c):
    a = c.file("bin/run", mode = "0755", variables = {"answer": 42})
    b = c.file("inline", content = "{{ component.name }} {{ x }}", variables = {"x": [1, 2]})
    raw = c.file("raw", content = "{{ no }}", template = False)
    source = c.file("from", source = "conf/a.conf", mode = None)
    d = c.directory("conf", source = "conf", exclude = ["*.bak"])
    empty = c.directory("empty")
    link = c.symlink("data", to = "{{ component.state }}")
    to_file = c.symlink("current", to = a)
    step = c.step("restart", update = "systemctl restart {{ x }}", verify = "true", timeout = "5m",
                  environment = {"A": "b"}, variables = {"x": "app"})
    paths = [h.path for h in [a, b, raw, source, d, empty, link, to_file]]
    c.file("out", content = "\n".join(paths + [step.name, a.name, str(b)]) + "\n")
"#);
    sandbox.write("components/app/bin/run", "#!/bin/sh\necho {{ answer }}\n");
    sandbox.write("components/app/conf/a.conf", "a = {{ host.name }}\n");
    sandbox.write("components/app/conf/a.bak", "old");
    let evaluation = sandbox.evaluate();
    assert_snapshot!(text(&evaluation, "web01", "app", "out"), @"
    /srv/shop/current/app/bin/run
    /srv/shop/current/app/inline
    /srv/shop/current/app/raw
    /srv/shop/current/app/from
    /srv/shop/current/app/conf
    /srv/shop/current/app/empty
    /srv/shop/current/app/data
    /srv/shop/current/app/current
    restart
    bin/run
    /srv/shop/current/app/inline
    ");
    assert_eq!(text(&evaluation, "web01", "app", "bin/run"), "#!/bin/sh\necho 42\n");
    assert_eq!(text(&evaluation, "web01", "app", "inline"), "app [1, 2]");
    assert_eq!(text(&evaluation, "web01", "app", "raw"), "{{ no }}");
    assert_eq!(text(&evaluation, "web01", "app", "from"), "a = web01\n");
    assert_debug_snapshot!(paths(&evaluation, "web01", "app"), @r#"
    [
        "bin/run",
        "conf/a.conf",
        "current",
        "data",
        "empty",
        "from",
        "inline",
        "out",
        "raw",
    ]
    "#);
    let entries = &component(&evaluation, "web01", "app").entries;
    assert!(matches!(&entries["bin/run"], Entry::File { mode: 0o755, .. }));
    assert!(
        matches!(&entries["current"], Entry::Symlink { target } if target.ends_with("/current/app/bin/run"))
    );
    assert!(matches!(&entries["empty"], Entry::Directory));
    let step = common::step(&evaluation, "web01", "app");
    assert_eq!(step.update.as_deref(), Some("systemctl restart app"));
    assert_eq!(step.timeout, 300);
}

#[test]
fn several_components_are_made_in_a_loop() {
    let sandbox = sandbox(
        "web01 = [\"zope1\", \"zope2\"]",
        &[(
            "zope",
            r#"
def make(number):
    def configure(c):
        c.file("zope.conf", content = "port = %d, {{ component.port }}\n" % c.port)
    component("zope%d" % number, attributes = {"port": 9000 + number}, features = ["x"], doc = "a zope", configure = configure)

for number in range(1, 3):
    make(number)
"#,
        )],
    );
    let evaluation = sandbox.evaluate();
    assert_eq!(text(&evaluation, "web01", "zope1", "zope.conf"), "port = 9001, 9001\n");
    assert_eq!(text(&evaluation, "web01", "zope2", "zope.conf"), "port = 9002, 9002\n");
}

const VENV: &str = r#"
def _configure(c):
    c.file(c.name + "/bin/run", source = "run.sh")
    c.file(c.name + "/version", content = "{{ component.version }} {{ component.full }} {{ component.name }}\n")
    if c.nested:
        c.add(Venv("%s-inner" % c.name, nested = False))

def _debian(c):
    c.file(c.name + "/debian", content = c.platform)

Venv = definition(
    attributes = {
        "version": "3.11",
        "full": "python{{ component.version }}",
        "nested": False,
        "port": attribute("int", default = 1),
    },
    configure = _configure,
    platforms = {"debian12": _debian},
    doc = "a virtual environment",
)
New = Venv.variant(version = "3.12")
"#;

#[test]
fn sub_components_nest_and_vary() {
    let sandbox = app(r#"
load("//lib/venv.star", "New", "Venv")

def configure(c):
    py = c.add(Venv("py", nested = True, port = "80"))
    new = c.add(New("new"))
    c.file("other", content = "")
    c.file("out", content = " ".join([py.name, py.version, py.full, str(py.port), new.full, str(py.root == c), py.parent.name, str(py)]))
"#);
    sandbox.write("lib/venv.star", VENV);
    sandbox.write("lib/run.sh", "#!/bin/sh\n# {{ component.full }} on {{ host.name }}\n");
    sandbox.write(
        "environments/prod/environment.toml",
        "[environment]\nplatform = \"debian12\"\n[hosts]\nweb01 = [\"app\"]\n",
    );
    let evaluation = sandbox.evaluate();
    assert_eq!(
        text(&evaluation, "web01", "app", "out"),
        "py 3.11 python3.11 80 python3.12 True app Venv(\"py\")"
    );
    assert_eq!(text(&evaluation, "web01", "app", "py-inner/version"), "3.11 python3.11 py-inner\n");
    assert_eq!(text(&evaluation, "web01", "app", "new/bin/run"), "#!/bin/sh\n# python3.12 on web01\n");
    // What a platform adds is not a variant's.
    assert_eq!(
        paths(&evaluation, "web01", "app"),
        [
            "new/bin/run",
            "new/version",
            "other",
            "out",
            "py-inner/bin/run",
            "py-inner/debian",
            "py-inner/version",
            "py/bin/run",
            "py/debian",
            "py/version"
        ]
    );
}

#[test]
fn a_definition_can_serve_a_platform() {
    let sandbox = app(r#"
Deb = definition(attributes = {"version": "?"}, configure = lambda c: c.file("deb", content = c.version) and None)
Any = definition(attributes = {"version": "1", "other": 2}, platforms = {"debian12": Deb})

def configure(c):
    c.add(Any("x", version = "7"))
"#);
    sandbox.write(
        "environments/prod/environment.toml",
        "[environment]\nplatform = \"debian12\"\n[hosts]\nweb01 = [\"app\"]\n",
    );
    assert_eq!(text(&sandbox.evaluate(), "web01", "app", "deb"), "7");
}

const PROVIDER: &str = r#"
attributes = {"address": attribute("address", default = "{{ host.fqdn }}:80"), "weight": 1}
Server = record(name = str, weight = int)
Role = enum("web", "db")

def configure(c):
    c.provide("address", c.address)
    c.provide("server", Server(name = c.host.name, weight = c.weight))
    c.provide("struct", struct(name = c.host.name, role = Role("web"), tags = ["x", ("y", 1)], none = None, f = 1.5))
    c.provide("dict", {"path": c.file("f", content = "x"), "big": 4294967296, "set": set([1])})
"#;

#[test]
fn values_pass_between_components_with_their_types() {
    let sandbox = sandbox(
        "web02 = [\"app\"]\nweb01 = [\"app\", \"same\"]\nlb = [\"lb\"]",
        &[
            ("app", PROVIDER),
            (
                "lb",
                r#"
load("@batou//network.star", "joined")
def configure(c):
    addresses = c.require("address")
    servers = c.require("server", sort = "weight")
    structs = c.require("struct", host = "web02")
    one = c.require_one("dict", host = c.environment.hosts[1])
    c.require("struct")
    c.require("dict")
    none = c.require_one("nobody", strict = False)
    empty = c.require("nobody", strict = False)
    first = structs[0]
    lines = [
        joined(addresses), sorted(addresses)[0].host, addresses[0] < addresses[1], addresses[0] == addresses[0],
        [s.name for s in servers], first.name, first.role, first.tags, first.none, first.f, first,
        one["path"], one["big"], one["set"], none, empty,
        address("[::1]:8080").connect.port, sorted([address("b:1"), address("a:2"), address("a:1")]),
    ]
    c.file("out", content = "\n".join([str(line) for line in lines]) + "\n{% for a in addresses %}{{ a.connect.port }} {% endfor %}{{ server.name }}",
           variables = {"addresses": addresses, "server": servers[0]})
"#,
            ),
            (
                "same",
                "def configure(c):\n    c.file(\"out\", content = str(c.require(\"address\", host = \"same\")))\n\
                 \x20   c.require(\"struct\")\n    c.require(\"dict\")\n",
            ),
        ],
    );
    let environment = "[environment]\nhost_domain = \"example.net\"\n[hosts]\nweb02 = [\"app\"]\n\
                       web01 = [\"app\", \"same\"]\nlb = [\"lb\"]\n[components.\"app@web01\"]\nweight = 2\n";
    sandbox.write("environments/prod/environment.toml", environment);
    let evaluation = sandbox.evaluate();
    assert_snapshot!(text(&evaluation, "lb", "lb", "out"), @r#"
    web01.example.net:80,web02.example.net:80
    web01.example.net
    True
    True
    ["web02", "web01"]
    web02
    web
    ["x", ["y", 1]]
    None
    1.5
    struct(name="web02", role="web", tags=["x", ["y", 1]], none=None, f=1.5)
    /srv/shop/current/app/f
    4294967296
    [1]
    None
    []
    8080
    [a:1, a:2, b:1]
    80 80 web02
    "#);
    assert_eq!(text(&evaluation, "web01", "same", "out"), "[web01.example.net:80]");
    let causes: Vec<&String> = component(&evaluation, "lb", "lb").causes["out"].keys().collect();
    assert!(causes.iter().any(|cause| *cause == "resource server from web02/app"), "{causes:?}");
}

#[test]
fn sub_components_are_adopted_also_in_reverse() {
    let sandbox = sandbox(
        "web01 = [\"shop\", \"blog\", \"nginx\"]",
        &[
            (
                "nginx",
                r#"
load("//lib/vhost.star", "VHost")
def configure(c):
    for vhost in sorted(c.require("vhost", reverse = True), key = lambda v: v.name):
        c.add(vhost)
        c.file("has-" + vhost.name, content = "{} {}".format(vhost.port, vhost.address))
    c.provide("web", "up")
"#,
            ),
            (
                "shop",
                "load(\"//lib/vhost.star\", \"VHost\")\ndef configure(c):\n    c.provide(\"vhost\", VHost(\"shop\", port = 81))\n",
            ),
            (
                "blog",
                "load(\"//lib/vhost.star\", \"VHost\")\ndef configure(c):\n    c.provide(\"vhost\", VHost(\"blog\"))\n",
            ),
        ],
    );
    sandbox.write(
        "lib/vhost.star",
        "VHost = definition(\n    attributes = {\"port\": 80, \"address\": attribute(\"address\", default = \"{{ host.fqdn }}:{{ component.port }}\")},\n\
         configure = lambda c: c.file(c.name + \".conf\", source = \"vhost.conf\") and None,\n)\n",
    );
    sandbox.write("lib/vhost.conf", "listen {{ component.port }} as {{ component.name }}\n");
    sandbox.write("components/user/component.toml", "[[require]]\nkey = \"web\"\n");
    sandbox.write(
        "environments/prod/environment.toml",
        "[environment]\nhost_domain = \"example.net\"\n[hosts]\nweb01 = [\"shop\", \"blog\", \"nginx\", \"user\"]\n",
    );
    let evaluation = sandbox.evaluate();
    assert_eq!(text(&evaluation, "web01", "nginx", "shop.conf"), "listen 81 as shop\n");
    assert_eq!(text(&evaluation, "web01", "nginx", "has-blog"), "80 web01.example.net:80");
    let order: Vec<_> = evaluation.components.iter().map(|one| one.component.as_str()).collect();
    assert_eq!(order, ["nginx", "blog", "shop", "user"]);
}

/// What somebody provides has its values, not those of whoever reads it, and they are values, not templates.
#[test]
fn a_provided_sub_component_has_the_attributes_of_where_it_was_made() {
    let sandbox = sandbox(
        "web01 = [\"shop\"]\nlb = [\"proxy\", \"table\"]",
        &[
            (
                "shop",
                r#"
Site = definition(
    attributes = {"port": 80, "url": "http://{{ host.name }}:{{ component.port }}"},
    configure = lambda c: c.file(c.name, content = "{{ component.url }} on {{ host.name }}") and None,
)
def configure(c):
    c.provide("site", Site("shop", port = 81))
    c.file("own", content = "{{ site.url }}", variables = {"site": Site("own")})
"#,
            ),
            (
                "proxy",
                r#"
def configure(c):
    sites = c.require("site")
    c.file("out", content = "{% for site in sites %}{{ site.name }} {{ site.url }}{% endfor %}", variables = {"sites": sites})
    c.file("code", content = c.add(sites[0]).url)
"#,
            ),
        ],
    );
    let table =
        "[[require]]\nkey = \"site\"\none = true\n[[file]]\npath = \"out\"\ncontent = \"{{ site.url }}\"\n";
    sandbox.write("components/table/component.toml", table);
    let evaluation = sandbox.evaluate();
    assert_eq!(text(&evaluation, "web01", "shop", "own"), "http://web01:80");
    assert_eq!(text(&evaluation, "lb", "proxy", "out"), "shop http://web01:81");
    assert_eq!(text(&evaluation, "lb", "proxy", "code"), "http://web01:81");
    assert_eq!(text(&evaluation, "lb", "proxy", "shop"), "http://web01:81 on lb");
    assert_eq!(text(&evaluation, "lb", "table", "out"), "http://web01:81");
}

#[test]
fn a_file_may_begin_with_a_byte_order_mark() {
    let evaluation = app("\u{feff}def configure(c):\r\n    c.file(\"out\", content = \"x\")\r\n").evaluate();
    assert_eq!(text(&evaluation, "web01", "app", "out"), "x");
}

#[test]
fn texts_files_and_patterns() {
    let sandbox = app(r#"
HEAD = read("head.txt")
def configure(c):
    text = c.template("a.tpl", who = "you")
    shared = c.template("//lib/shared.tpl")
    names = glob("conf/**/*.conf", exclude = ["skip*"])
    many = glob(["*.txt", "*.tpl"])
    expanded = c.expand("{{ component.name | upper }}-{{ n + 1 }}", n = 1)
    c.file("out", content = "\n".join([HEAD, read("head.txt"), text, shared, str(names), str(many), expanded]), template = False)
"#);
    sandbox.write("components/app/head.txt", "head {{ raw }}");
    sandbox.write("components/app/a.tpl", "Hello {{ who }}{% include 'inc.tpl' %}");
    sandbox.write("components/app/inc.tpl", " from {{ host.name }}");
    sandbox.write("lib/shared.tpl", "shared by {{ component.name }}");
    for path in ["conf/a.conf", "conf/x/b.conf", "conf/skip.conf", "conf/c.txt"] {
        sandbox.write(&format!("components/app/{path}"), "");
    }
    let evaluation = sandbox.evaluate();
    assert_snapshot!(text(&evaluation, "web01", "app", "out"), @r#"
    head {{ raw }}
    head {{ raw }}
    Hello you from web01
    shared by app
    ["conf/a.conf", "conf/x/b.conf"]
    ["a.tpl", "head.txt", "inc.tpl"]
    APP-2
    "#);
    let causes: Vec<&String> = component(&evaluation, "web01", "app").causes["out"].keys().collect();
    for wanted in [
        "file components/app/head.txt",
        "file components/app/a.tpl",
        "file components/app/inc.tpl",
        "file lib/shared.tpl",
    ] {
        assert!(causes.iter().any(|cause| *cause == wanted), "{wanted}: {causes:?}");
    }
}

#[test]
fn encoders_keep_the_order_and_hashes_are_stable() {
    let body = r#"value = {"z": 1, "a": [True, None, 1.5, "x: y"], "s": struct(b = 2, a = {"n": []})}
lines = [
    json.encode(value), json.encode(value, indent = 2, sort_keys = True),
    str(json.decode("{\"b\": [1, 2.5, null, true], \"a\": {}}")),
    yaml.encode(value),
    toml.encode({"title": "t", "list": [1, 2], "table": {"k": "v"}, "last": True}),
    ini.encode({"main": {"port": 80, "on": True, "list": ["a", "b"]}, "x": {}}),
    hashing.sha256("a"), hashing.sha512("a")[:16], hashing.md5("a"), hashing.blake3("a"),
    hashing.crypt("secret", salt = "abcdefgh"), hashing.crypt("secret", salt = "abcdefgh", method = "sha256", rounds = 1000),
]
c.file("out", content = "\n".join(lines), template = False)"#;
    assert_snapshot!(out(body));
}

#[test]
fn the_language_has_its_extensions() {
    let code = r#"
Point = record(x = int, y = field(int, 0))
def double(x: int) -> int:
    return x * 2
def configure(c):
    name = "f"
    lines = [
        f"{name}-string", double(2), map(double, [1, 2]), filter(lambda x: x > 1, [1, 2]), partial(double, 4)(),
        Point(x = 1).y, sorted(["b", "a"], reverse = True), sorted([3, -4], key = lambda x: -x),
        [i for i in range(3) if i], {k: v for k, v in [("a", 1)]}, "%s" % 1, "a-{}".format(2), len(set([1, 1])),
    ]
    c.file("out", content = "\n".join([str(line) for line in lines]))
"#;
    assert_snapshot!(text(&app(code).evaluate(), "web01", "app", "out"), @r#"
    f-string
    4
    [2, 4]
    [2]
    8
    0
    ["b", "a"]
    [3, -4]
    [1, 2]
    {"a": 1}
    1
    a-2
    1
    "#);
}

#[test]
fn names_are_asked_of_dns_while_code_runs() {
    let sandbox = app(
        "attributes = {\"address\": attribute(\"address\", default = \"{{ host.fqdn }}:80\")}\n\
         def configure(c):\n    c.file(\"out\", content = str(c.address.listen) + \" \" + c.address.listen.host)\n",
    );
    let dns =
        Table { answers: vec![("web01.example.net", "192.0.2.7".parse().unwrap())], ..Table::default() };
    let evaluation = sandbox.evaluate_with(&dns).unwrap();
    assert_eq!(text(&evaluation, "web01", "app", "out"), "192.0.2.7:80 192.0.2.7");
    assert_eq!(*dns.asked.lock().unwrap(), ["web01.example.net V4"]);
}

#[test]
fn steps_have_triggers_of_every_kind() {
    let sandbox = sandbox(
        "web01 = [\"app\", \"db\"]",
        &[
            (
                "app",
                r#"
Part = definition(configure = lambda c: c.file(c.name + "/a", content = "") and None)
def configure(c):
    part = c.add(Part("part"))
    file = c.file("file", content = "")
    folder = c.directory("conf", source = "conf")
    link = c.symlink("link", to = "file")
    database = c.require_one("database")
    c.step(
        "run",
        update = "echo {{ database }}",
        triggers = [part, file, folder, link, "conf/*.conf", "resource:database"],
        variables = {"database": database},
        verify = {"path": "{{ host.name }}", "unchanged": ["file"]},
        environment = {"NAME": c.expand("{{ host.name }}")},
    )
"#,
            ),
            ("db", "def configure(c):\n    c.provide(\"database\", c.host.name)\n"),
        ],
    );
    sandbox.write("components/app/conf/x.conf", "");
    let step = common::step(&sandbox.evaluate(), "web01", "app");
    let triggers: Vec<_> = step.triggers.keys().map(String::as_str).collect();
    assert_eq!(triggers, ["conf/", "conf/*.conf", "file", "link", "part/a", "resource:database"]);
    assert_eq!(step.update.as_deref(), Some("echo web01"));
    assert_eq!(step.environment["NAME"], "web01");
    assert_eq!(step.assertions.unchanged["file"], step.triggers["file"]);

    let other = "def configure(c):\n    c.provide(\"database\", \"other\")\n";
    sandbox.write("components/db/component.star", other);
    let changed = common::step(&sandbox.evaluate(), "web01", "app");
    assert_ne!(changed.triggers["resource:database"], step.triggers["resource:database"]);
    assert_eq!(changed.triggers["conf/"], step.triggers["conf/"]);
}

#[test]
fn warnings_do_not_end_the_evaluation() {
    let sandbox = app(r#"
Venv = definition(configure = lambda c: None)
warn("old style")
def configure(c):
    print("port", 1)
    Venv("forgotten")
    c.file("out", content = "")
"#);
    let evaluation = sandbox.evaluate();
    let warnings: Vec<String> = evaluation.warnings.iter().map(|warning| format!("{warning:#}")).collect();
    assert_snapshot!(warnings.join("\n\n"), @r#"
    warning: old style
     --> components/app/component.star:3:1
      |
    3 | warn("old style")
      | ^^^^^^^^^^^^^^^^^

    warning: port 1
     --> components/app/component.star:5:5
      |
    5 |     print("port", 1)
      |     ^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: print() is for debugging; remove it when you are done

    warning: `Venv("forgotten")` is made, but neither added nor provided
     --> components/app/component.star:6:5
      |
    6 |     Venv("forgotten")
      |     ^^^^^^^^^^^^^^^^^
      = affects: web01/app
      = help: add it with c.add(…), or remove it
    "#);
}

/// An empty message would say nothing about the place that it stands at.
#[test]
fn what_is_shown_is_never_empty() {
    for code in ["print()", "print(\"\")", "warn(\" \")"] {
        let sandbox = app(&format!("def configure(c):\n    {code}\n    c.file(\"out\", content = \"\")\n"));
        let evaluation = sandbox.evaluate();
        let shown: Vec<String> = evaluation.warnings.iter().map(|warning| warning.message.clone()).collect();
        assert_eq!(shown, ["(an empty string)"], "{code}");
    }
    for code in ["fail()", "fail(\"\\n\")"] {
        let shown = app(&format!("def configure(c):\n    {code}\n")).mistakes();
        assert!(shown.starts_with("error: (an empty string)\n"), "{code}: {shown}");
    }
}

#[test]
fn the_reference_has_every_function_with_types() {
    let entries = batou_environments::starlark_reference();
    let shown: Vec<String> = entries
        .iter()
        .map(|entry| format!("{}{}{}", entry.of, if entry.of.is_empty() { "" } else { "." }, entry.signature))
        .collect();
    assert_snapshot!(shown.join("\n"));
    for entry in &entries {
        assert!(!entry.doc.is_empty(), "{}.{} has no documentation", entry.of, entry.name);
    }
}

#[test]
fn whoever_listens_hears_what_is_evaluated() {
    let sandbox = app("load(\"//lib/a.star\", \"a\")\ndef configure(c):\n    c.file(\"x\", content = a)\n");
    sandbox.write("lib/a.star", "a = \"\"\n");
    let heard = std::sync::Mutex::new(Vec::new());
    let listen = |note: Option<&str>| heard.lock().unwrap().push(note.unwrap_or("-").to_owned());
    let options = batou_environments::Options {
        dns: &batou_environments::Offline,
        user: "me".to_owned(),
        user_home: "/home/me".to_owned(),
        notes: Some(&listen),
    };
    batou_environments::evaluate(&sandbox.project(), "prod", &options).unwrap();
    let heard = heard.into_inner().unwrap();
    // Each file when it is parsed, and when it is run: in between, what it loads.
    let wanted = [
        "components/app/component.star",
        "-",
        "lib/a.star",
        "-",
        "lib/a.star",
        "-",
        "components/app/component.star",
        "-",
        "web01/app (components/app/component.star)",
        "-",
    ];
    assert_eq!(heard[..wanted.len()], wanted);
}
