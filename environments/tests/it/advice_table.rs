//! Which values a mistake names, row by row: only those that are exactly what the failing operation was given.

use super::common::Sandbox;

/// `port` is a text and `other` a number in the environment; so is the host's `data-port`. What begins with `own` is the
/// component's.
const ENVIRONMENT: &str = "[hosts]\nweb01 = [\"app\"]\n[host.web01]\ndata-port = \"z\"\n[settings]\nport = \"y\"\n\
    [components.app]\nport = \"x\"\nother = 3\nlist = [\"a\"]\nlinks = [\"up\"]\nup = \"../x\"\nzero = 0\ndb = { port = \"d\" }\nboth = { port = \"d\" }\n";

/// The names of the values that the only mistake is said to be about.
fn named(sandbox: &Sandbox) -> String {
    sandbox.write("environments/prod/environment.toml", ENVIRONMENT);
    let Err(mistakes) = sandbox.evaluate_with(&batou_environments::Offline) else {
        return "nothing: there is no mistake".to_owned();
    };
    let mistake = mistakes.iter().next().unwrap();
    let names: Vec<_> = mistake.set.iter().map(|set| set.name.as_str()).collect();
    names.join(" ")
}

fn check(rows: &[(&str, &str)], run: impl Fn(&str) -> Sandbox) {
    let wrong = rows.iter().filter_map(|(text, expected)| {
        let found = named(&run(text));
        (found != *expected).then(|| format!("{text}\n  names `{found}`, not `{expected}`"))
    });
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn template(text: &str) -> Sandbox {
    Sandbox::app(&format!(
        "[attributes]\nport = \"p\"\nother = 2\nown = \"o\"\nown_number = 7\nlist = []\nlinks = []\nup = \"u\"\nzero = 1\n\
         db = {{ type = \"dict\", default = {{ host = \"h\", port = \"p\" }} }}\n\
         both = {{ type = \"dict\", default = {{ host = \"h\", port = \"p\" }} }}\n\
         same = \"{{{{ component.port }}}}\"\nurl = \"http://{{{{ component.port }}}}\"\n\
         mixed = [\"{{{{ component.port }}}}\", \"u\"]\nalone = [\"{{{{ component.port }}}}\"]\n\
         [[provide]]\nkey = \"k\"\nvalue = \"{{{{ component.port }}}}\"\n[[require]]\nkey = \"k\"\n\
         [[file]]\npath = \"x\"\ncontent = '''{{{{ component.port }}}}{{{{ component.other }}}}{{{{ host.data.port }}}}{text}'''\n"
    ))
}

#[test]
fn a_template_names_what_failed() {
    let rows = [
        // The operation's own operands.
        ("{{ component.port - 1 }}", "port"),
        ("{{ 1 + component.port }}", "port"),
        ("{{ component.up + component.list }}", "list up"),
        ("{{ -component.port }}", "port"),
        ("{{ component.other + component.port }}", "other port"),
        ("{{ component.other - component.port }}", "port"),
        ("{{ 10 / component.zero }}", "zero"),
        ("{{ component.port | round }}", "port"),
        ("{{ component.port | round(2) }}", "port"),
        ("{{ component.port | abs }}", "port"),
        ("{{ range(component.port) }}", "port"),
        ("{{ component.other[1:] }}", "other"),
        ("{{ 'a' in component.other }}", "other"),
        ("{% for x in component.other %}{% endfor %}", "other"),
        ("{% for a, b in component.list %}{% endfor %}", "list"),
        ("{% set a, b = component.other %}", "other"),
        ("{{ component['port'] - 1 }}", "port"),
        ("{{ component.db.port - 1 }}", "db"),
        ("{{ component.list[0] - 1 }}", "list"),
        ("{{ component.list | first - 1 }}", "list"),
        ("{{ host.data.port - 1 }}", "host.data.port"),
        ("{{ settings.port - 1 }}", "settings.port"),
        ("{{ [][component.other] }}", "other"),
        ("{{ {'a': 1}[component.port] }}", "port"),
        ("{{ component.list[component.other] }}", "list other"),
        // Through the template's own names.
        ("{% set p = component.port %}{{ p - 1 }}", "port"),
        ("{% with p = component.port %}{{ p - 1 }}{% endwith %}", "port"),
        ("{% for p in [component.port] %}{{ p - 1 }}{% endfor %}", "port"),
        ("{% set a, b = (1, component.port) %}{{ b - 1 }}", "port"),
        ("{{ ['u', component.port][1] - 1 }}", "port"),
        ("{{ {'a': component.port, 'b': 1}.a - 1 }}", "port"),
        ("{% macro m(a, p) %}{{ p - 1 }}{% endmacro %}{{ m(1, component.port) }}", "port"),
        ("{% macro m(a, p=2) %}{{ a + p }}{% endmacro %}{{ m(p=1, a=component.port) }}", ""),
        ("{% macro m(a, p=2) %}{{ a - p }}{% endmacro %}{{ m(p=1, a=component.port) }}", "port"),
        ("{% set ns = namespace(p=component.port) %}{{ ns.p - 1 }}", "port"),
        ("{% set ns = namespace() %}{% set ns.p = component.port %}{{ ns.p - 1 }}", "port"),
        ("{% set p %}{{ component.port }}{% endset %}{{ p | filesizeformat }}", "port"),
        ("{{ (component.other if component.other else component.list) - 'a' }}", ""),
        ("{{ (component.port if component.other else component.up) - 1 }}", "port"),
        ("{{ (component.port or component.up) - 1 }}", "port"),
        // Through what the component makes of it.
        ("{{ component.same - 1 }}", "port"),
        ("{{ component.alone[0] - 1 }}", "port"),
        ("{{ component.mixed[0] - 1 }}", "port"),
        ("{{ k[0] - 1 }}", "port"),
        ("{% for a in component.alone %}{{ a - 1 }}{% endfor %}", "port"),
    ];
    check(&rows, template);
}

#[test]
fn a_template_does_not_name_what_stands_beside() {
    let rows = [
        // A literal that fails by itself.
        ("{{ [component.port, 'u'][1] + 1 }}", ""),
        ("{{ {'a': component.port, 'b': 'u'}.b + 1 }}", ""),
        ("{{ {'a': component.port} + 1 }}", ""),
        ("{{ [component.port] - 1 }}", ""),
        ("{{ component.other - 'a' }}", ""),
        ("{{ 'a' + component.other }}", ""),
        ("{{ 'a' - component.port }}", ""),
        ("{{ component.own - component.port }}", ""),
        ("{{ component.own + component.other }}", ""),
        ("{{ (component.port ~ 'a') - 1 }}", ""),
        ("{{ 'a' ~ ('u' - component.other) }}", ""),
        ("{{ component.other | round('x') }}", ""),
        ("{{ component.url - component.other }}", ""),
        ("{{ component.url - 1 }}", ""),
        ("{{ component.mixed - 1 }}", ""),
        ("{{ component.mixed[1] - 1 }}", ""),
        // One of several, and nobody knows which.
        ("{{ ('u' if component.other else component.port) - 1 }}", ""),
        ("{{ ('' or component.port and 'u') - 1 }}", ""),
        ("{{ (component.port if component.port else component.up) - 1 }}{{ component.up }}", "port"),
        ("{{ component.up }}{{ (component.port if component.port else component.up) - 1 }}", ""),
        ("{{ (component.port | default('u')) - 1 }}", ""),
        ("{% for p in [component.port, 'u'] %}{{ p - 1 }}{% endfor %}", ""),
        ("{% for p in component.mixed %}{{ p - 1 }}{% endfor %}", ""),
        ("{{ [component.port, 1] | sum }}", ""),
        ("{{ (component.list + [component.port]) | sum }}", ""),
        (
            "{% macro m(p) %}{{ p - 1 }}{% endmacro %}{% if component.zero %}{{ m(component.port) }}{% endif %}{{ m('u') }}",
            "",
        ),
        (
            "{% macro m(p) %}{{ p - 1 }}{% endmacro %}{% set f = m %}{% if component.zero %}{{ m(component.port) }}{% endif %}{{ f('u') }}",
            "",
        ),
        ("{% set p = 1 %}{% macro m() %}{{ p - 1 }}{% endmacro %}{% set p = 'u' %}{{ m() }}", ""),
        ("{% set ns = namespace(p=component.port) %}{% set ns.p = 'u' %}{{ ns.p - 1 }}", ""),
        (
            "{% set ns = namespace(p=1) %}{% if component.zero %}{% set ns.p = component.port %}{% endif %}{% set ns.p = 'u' %}{{ ns.p - 1 }}",
            "",
        ),
        ("{% set p %}{{ component.other }}{% endset %}{{ p - 1 }}", ""),
        ("{% set p %}a{{ component.port }}{% endset %}{{ p | filesizeformat }}", ""),
        ("{{ component.port * 2.5 }}", ""),
        ("{{ [component.port][component.other] }}", ""),
        ("{% for k in {'a': component.port} %}{{ k - 1 }}{% endfor %}", ""),
        ("{{ ({'a': component.port} | first) - 1 }}", ""),
        ("{{ component.both - 1 }}", ""),
        ("{{ k - 1 }}", ""),
        ("{{ k[5] }}", ""),
        ("{{ k[5].port }}", ""),
        ("{{ k[-5] }}", ""),
        // What the author or the engine got wrong.
        ("{{ component.port | nothing }}", ""),
        ("{{ component.port is nothing }}", ""),
        ("{{ nothing(component.port) }}", ""),
        ("{{ component.port.nothing() }}", ""),
        ("{{ component.port | replace('a') }}", ""),
        ("{{ component.other | round(1, 2, 3, 4) }}", ""),
        ("{{ loop(component.list) }}", ""),
        ("{% include component.port %}", ""),
        ("{{ component.port", ""),
    ];
    check(&rows, template);
}

fn code(body: &str) -> Sandbox {
    let sandbox = Sandbox::app("");
    std::fs::remove_file(sandbox.root().join("components/app/component.toml")).unwrap();
    let (before, body) = body.split_once("---").unwrap_or(("", body));
    let indented = body.trim().replace('\n', "\n    ");
    let code = format!(
        "attributes = {{\"port\": \"p\", \"other\": 2, \"own\": \"o\", \"list\": [], \"links\": [], \"up\": \"u\", \
         \"zero\": 1, \"db\": {{\"port\": \"p\"}}, \"both\": {{\"host\": \"h\", \"port\": \"p\"}}}}\nLIMIT = 5\n{before}\ndef configure(c):\n    {indented}\n"
    );
    sandbox.write("components/app/component.star", code);
    sandbox
}

#[test]
fn code_names_what_failed() {
    let rows = [
        ("c.port - 1", "port"),
        ("1 + c.port", "port"),
        ("c.port < 1", "port"),
        ("-c.port", "port"),
        ("c.other + c.port", "other port"),
        ("c.other - c.port", "port"),
        ("1 // c.zero", "zero"),
        ("int(c.port)", "port"),
        ("len(c.other)", "other"),
        ("\"a\" in c.other", "other"),
        ("c.list[7]", "list"),
        ("c.db[\"none\"]", "db"),
        ("for x in c.other:\n    pass", "other"),
        ("[x for x in c.other]", "other"),
        ("a, b = c.list", "list"),
        ("c.expand(c.other)", "other"),
        ("c.db[\"port\"] - 1", "db"),
        ("c.host.data[\"port\"] - 1", "host.data.port"),
        ("c.settings.port - 1", "settings.port"),
        // Through names, calls and lambdas.
        ("a, b = 1, c.port\nb - 1", "port"),
        ("a, (b, d) = 1, (2, c.port)\nd - 1", "port"),
        ("for a, b in [(1, c.port)]:\n    b - 1", "port"),
        ("[1, c.port][1] - 1", "port"),
        ("{\"a\": c.port}[\"a\"] - 1", "port"),
        ("(lambda p: p - 1)(c.port)", "port"),
        ("f = lambda p: p - 1\nf(c.port)", "port"),
        ("f = lambda: c.port - 1\nf()", "port"),
        ("def f(a, p):\n    p - a\n---f(1, p = c.port)", "port"),
        ("def f(d):\n    d.port - 1\n---f(c)", "port"),
        ("p = c.port\ndef f():\n    return p - 1\nf()", "port"),
        // Sub-components, and what templates are given.
        (
            "def part(c):\n    c.port - 1\nPart = definition(configure = part, attributes = {\"port\": \"a\"})\n---c.add(Part(\"p\", port = c.port))",
            "port",
        ),
        (
            "def part(c):\n    c.parent.port - 1\nPart = definition(configure = part)\n---c.add(Part(\"p\"))",
            "port",
        ),
        (
            "def part(c):\n    c.root.port - 1\nPart = definition(configure = part)\n---c.add(Part(\"p\"))",
            "port",
        ),
        (
            "def part(c):\n    c.file(\"x\", content = \"{{ component.port - 1 }}\")\nPart = definition(configure = part, attributes = {\"port\": \"a\"})\n---p = Part(\"p\", port = c.port)\nc.add(p)",
            "port",
        ),
        (
            "def inner(c):\n    c.p - 1\nInner = definition(configure = inner, attributes = {\"p\": \"a\"})\ndef part(c):\n    c.add(Inner(\"i\", p = c.port))\nPart = definition(configure = part, attributes = {\"port\": \"a\"})\n---c.add(Part(\"p\", port = c.port))",
            "port",
        ),
        ("c.file(\"x\", content = \"{{ p - 1 }}\", variables = {\"p\": c.port})", "port"),
        ("v = {\"p\": c.port}\nc.file(\"x\", content = \"{{ p - 1 }}\", variables = v)", "port"),
        ("c.expand(\"{{ p - 1 }}\", p = c.port)", "port"),
        ("c.expand(\"{{ p.port - 1 }}\", p = c.db)", "db"),
        ("c.expand(\"{{ component.port - 1 }}\")", "port"),
        // Reasons of a `fail`.
        ("if c.port != \"p\":\n    fail(\"bad\")", "port"),
        ("if len(c.list) < LIMIT:\n    fail(\"bad\")", "list"),
        ("n = len(c.list)\nif n < 5:\n    fail(\"bad\")", "list"),
        ("fail(\"bad port %s\" % c.port)", "port"),
        ("if c.other == 3 and c.port == \"x\":\n    fail(\"bad\")", "other port"),
        ("if c.port != c.own:\n    fail(\"bad\")", "port"),
        ("c.port == \"p\" or fail(\"bad\")", "port"),
    ];
    check(&rows, code);
}

#[test]
fn code_does_not_name_what_stands_beside() {
    let rows = [
        ("[c.port, \"u\"][1] - 1", ""),
        ("{\"a\": c.port, \"b\": \"u\"}[\"b\"] - 1", ""),
        ("[c.port] - 1", ""),
        ("c.other - \"a\"", ""),
        ("\"a\" + c.other", ""),
        ("\"a\" - c.port", ""),
        ("c.own - c.port", ""),
        ("(c.port + \"a\") - 1", ""),
        ("\"%d %d\" % c.port", ""),
        ("(c.port if c.other == 9 else \"u\") - 1", ""),
        ("(c.port and \"u\") - 1", ""),
        ("for p in [c.port, \"u\"]:\n    p - 1", ""),
        ("p = c.port\nif c.other:\n    p = \"u\"\np - 1", ""),
        ("a, b = c.port, \"u\"\nb - 1", ""),
        ("def f(p):\n    return \"u\"\n---f(c.port) - 1", ""),
        ("def f(p):\n    p = \"u\"\n    p - 1\n---f(c.port)", ""),
        ("def f(*p):\n    p[0] - 1\n---f(\"u\", c.port)", ""),
        ("def f(p):\n    p - 1\n---[f(x) for x in [c.port, \"u\"]]", ""),
        ("sorted([c.port, \"u\"], key = lambda p: p - 1)", ""),
        ("c.port.nothing", ""),
        ("c.port.nothing()", ""),
        ("nothing(c.port)", ""),
        ("def f(a, b):\n    pass\n---f(c.port)", ""),
        ("len(c.port, c.other)", ""),
        ("\"abc\".index(c.port)", ""),
        (
            "def part(c):\n    c.port - 1\nPart = definition(configure = part, attributes = {\"port\": \"a\"})\n---c.port\nc.add(Part(\"p\"))",
            "",
        ),
        (
            "def part(c):\n    c.port - 1\nPart = definition(configure = part, attributes = {\"port\": \"a\"})\n---c.add(Part(\"p\", port = \"u\"))\nc.port",
            "",
        ),
        (
            "def part(c):\n    c.file(\"x\", content = \"{{ component.port - 1 }}\")\nPart = definition(configure = part, attributes = {\"port\": \"a\"})\n---c.port\nc.add(Part(\"p\"))",
            "",
        ),
        ("c.port\nc.expand(\"{{ p - 1 }}\", p = \"u\")", ""),
        ("c.expand(\"{{ p - 1 }}\", p = c.port + \"u\")", ""),
        (
            "c.file(\"x\", content = \"{{ p.b - 1 }}\", variables = {\"p\": {\"a\": c.port, \"b\": \"u\"}})",
            "",
        ),
        ("x = c.port if c.other == 9 else \"u\"\nif x == \"u\":\n    fail(\"bad\")", ""),
        ("x = c.db.get(\"none\") or \"u\"\nif x == \"u\":\n    fail(\"bad\")", ""),
        ("if c == None or c.port:\n    fail(\"bad\")", ""),
        ("fail(\"always\")", ""),
        // A part of the whole, which the component has by default.
        ("if \"host\" in c.both:\n    fail(\"bad\")", ""),
        ("if c.both.get(\"host\") == \"h\":\n    fail(\"bad\")", ""),
        ("fail(\"host is %s\" % c.both.get(\"host\"))", ""),
        ("if len(c.both) == 2:\n    fail(\"bad\")", ""),
        ("d = c.both\nif d[\"host\"] == \"h\":\n    fail(\"bad\")", ""),
        ("c.both - 1", ""),
        ("if type(c.both) == \"dict\":\n    fail(\"bad\")", ""),
        ("if type(c.db) == \"dict\":\n    fail(\"bad\")", ""),
    ];
    check(&rows, code);
}
