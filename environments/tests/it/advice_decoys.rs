//! Code hands values on in many ways. A mistake names a value only where it is certain to be the one that failed, and
//! never one that merely stands beside it.

use super::common::Sandbox;

/// All are set, but `decoy` is never what fails.
const ENVIRONMENT: &str = "[hosts]\nweb01 = [\"app\"]\n\
    [components.app]\nport = \"x\"\ndecoy = \"d\"\nlist = [\"a\", \"b\"]\ndb = { port = \"x\" }\nflag = true\n";

const ATTRIBUTES: &str = "attributes = {\"port\": \"p\", \"decoy\": \"p\", \"list\": [], \"flag\": False, \"db\": {\"port\": \"p\"}}\n";

/// The names of the values that the only mistake is said to be about.
fn named(before: &str, body: &str) -> String {
    let sandbox = Sandbox::app("");
    std::fs::remove_file(sandbox.root().join("components/app/component.toml")).unwrap();
    let indented = body.replace('\n', "\n    ");
    let code = format!("{ATTRIBUTES}{before}\ndef configure(c):\n    {indented}\n");
    sandbox.write("components/app/component.star", code);
    sandbox.write("environments/prod/environment.toml", ENVIRONMENT);
    match sandbox.evaluate_with(&batou_environments::Offline) {
        Ok(_) => "nothing: there is no mistake".to_owned(),
        Err(mistakes) => {
            let mistake = mistakes.iter().next().unwrap();
            let names: Vec<_> = mistake.set.iter().map(|set| set.name.as_str()).collect();
            names.join(" ")
        }
    }
}

/// How a value is handed on: statements at the top of the file, statements, the value at last, and what an operation on
/// it and a condition about it name.
type Row = (&'static str, &'static str, &'static str, [&'static str; 2]);

fn check(rows: &[Row]) {
    let mut wrong = Vec::new();
    for (before, statements, value, [operation, condition]) in rows {
        let begin = if statements.is_empty() { String::new() } else { format!("{statements}\n") };
        let failing = [
            (format!("{begin}({value}) - 1"), operation),
            (format!("{begin}if ({value}) != 1:\n    fail(\"bad\")"), condition),
        ];
        for (body, expected) in failing {
            // The decoy was read, too.
            let body = format!("c.decoy\n{body}");
            let found = named(before, &body);
            if found != **expected {
                wrong.push(format!("{before}\n{body}\n  names `{found}`, not `{expected}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const NONE: [&str; 2] = [""; 2];
const PORT: [&str; 2] = ["port"; 2];

#[test]
fn what_is_certain_is_named() {
    check(&[
        ("", "", "c.port", PORT),
        ("", "p = c.port", "p", PORT),
        ("", "p = c.port\nlen(p)", "p", PORT),
        ("", "p = c.port\nq = p", "q", PORT),
        ("", "p, q = c.port, c.decoy", "p", PORT),
        ("", "q, p = c.decoy, c.port", "p", PORT),
        ("", "(q, (r, p)) = (c.decoy, (1, c.port))", "p", PORT),
        ("", "", "[c.decoy, c.port][1]", PORT),
        ("", "", "{\"a\": c.decoy, \"b\": c.port}[\"b\"]", PORT),
        ("", "xs = (c.decoy, c.port)", "xs[1]", PORT),
        ("", "xs = [c.decoy, c.port]", "xs[1]", PORT),
        ("", "xs = {\"a\": c.decoy, \"b\": c.port}", "xs[\"b\"]", PORT),
        ("", "", "c.db[\"port\"]", ["db"; 2]),
        ("", "d = c.db", "d[\"port\"]", ["db"; 2]),
        ("", "", "c.list[0]", ["list"; 2]),
        ("", "", "c.port.join([\"u\", \"v\"])", ["", "port"]),
        ("def f(p, q):\n    return p - 1 + q", "", "f(c.port, c.decoy)", ["port", "port"]),
        ("def f(q, p):\n    return p - 1", "", "f(p = c.port, q = c.decoy)", PORT),
        ("def f(q, p):\n    return q and p - 1", "r = c.port", "f(c.decoy, r)", PORT),
        ("", "f = lambda q, p: p - 1", "f(c.decoy, c.port)", PORT),
        ("", "p = c.port\ndef f(q):\n    return p - 1", "f(c.decoy)", PORT),
    ]);
}

#[test]
fn what_code_may_have_changed_is_not_named() {
    check(&[
        ("", "xs = [c.decoy]\nxs.append(\"u\")", "xs[1]", NONE),
        ("", "xs = [c.decoy]\nxs.insert(0, \"u\")", "xs[0]", NONE),
        ("", "xs = [c.decoy]\nxs[0] = \"u\"", "xs[0]", NONE),
        ("", "xs = [c.decoy]\nxs += [\"u\"]", "xs[1]", NONE),
        ("", "xs = [c.decoy]\nxs.extend([\"u\"])", "xs[1]", NONE),
        ("", "xs = [c.decoy, \"u\"]\nxs.pop(0)", "xs[0]", NONE),
        ("", "xs = [c.decoy]\nys = xs\nys[0] = \"u\"", "xs[0]", NONE),
        ("", "xs = [c.decoy]\nys = (xs,)\nys[0][0] = \"u\"", "xs[0]", NONE),
        ("def f(x):\n    x[0] = \"u\"", "xs = [c.decoy]\nf(xs)", "xs[0]", NONE),
        ("", "xs = [c.decoy]\ndef f():\n    xs[0] = \"u\"\nf()", "xs[0]", NONE),
        ("", "x = {\"a\": c.decoy}\nx[\"a\"] = \"u\"", "x[\"a\"]", NONE),
        ("", "x = {\"a\": c.decoy}\nx.update({\"a\": \"u\"})", "x[\"a\"]", NONE),
        ("", "x = {\"a\": c.decoy}\nx |= {\"a\": \"u\"}", "x[\"a\"]", NONE),
        ("", "x = {}\nx.setdefault(\"a\", c.decoy)\nx[\"a\"] = \"u\"", "x[\"a\"]", NONE),
        ("", "x = {\"b\": \"u\"}\ny = x.setdefault(\"b\", c.decoy)", "y", NONE),
        ("", "x = {\"b\": \"u\"}\ny = x.pop(\"b\", c.decoy)", "y", NONE),
        ("", "x = {\"b\": \"u\"}\ny = x.get(\"b\", c.decoy)", "y", NONE),
        ("", "x = c.list\nx[0] = \"u\"", "x[0]", NONE),
        ("", "x = c.list\nx.append(\"u\")", "x[2]", NONE),
        ("", "x = c.db\nx[\"port\"] = \"u\"", "x[\"port\"]", NONE),
        // Each time, code gets a copy of its own.
        ("", "c.list.append(\"u\")", "c.list[1]", ["list"; 2]),
        ("def f(p):\n    p.append(\"u\")", "for p in [c.list]:\n    f(p)", "p[2]", NONE),
        ("", "for p in [[c.decoy]]:\n    p[0] = \"u\"", "p[0]", NONE),
        ("", "x = struct(a = [c.decoy])\nx.a[0] = \"u\"", "x.a[0]", NONE),
        ("", "x, y = [c.decoy], 1\nx[0] = \"u\"", "x[0]", NONE),
        ("", "f = lambda x: x.append(\"u\")\nx = [c.decoy]\nf(x)", "x[1]", NONE),
        ("def f(p):\n    p[0] = \"u\"\n    return p[0] - 1", "", "f([c.decoy])", NONE),
        ("", "p = c.decoy\np = \"u\"", "p", NONE),
        ("", "p = c.decoy\np += \"u\"", "p", NONE),
        ("", "p, q = c.decoy, \"u\"\np, q = q, p", "p", NONE),
        ("", "p = [c.decoy]\np[0], q = \"u\", 1", "p[0]", NONE),
        ("", "for q in [1]:\n    p = c.decoy\nfor p in [\"u\"]:\n    pass", "p", NONE),
    ]);
}

#[test]
fn what_stands_beside_the_value_is_not_named() {
    check(&[
        ("", "for p in [c.decoy, \"u\"]:\n    p", "p", NONE),
        ("", "for p in [c.decoy, \"u\"][1:]:\n    p", "p", NONE),
        ("", "for p in {c.decoy: 1, \"u\": 2}:\n    p", "p", NONE),
        ("", "for k in {\"a\": c.decoy}:\n    k", "k", NONE),
        ("", "for k, v in {\"u\": c.decoy}.items():\n    k", "k", NONE),
        ("", "for p, q in [(\"u\", c.decoy)]:\n    p", "p", NONE),
        ("", "for p, q in zip([\"u\"], [c.decoy]):\n    p", "p", NONE),
        ("", "for i, p in enumerate([c.decoy, \"u\"]):\n    p", "p", NONE),
        ("", "p = [c.decoy for q in [1]] + [\"u\"]", "p[1]", NONE),
        ("", "", "[p for p in [c.decoy, \"u\"] if p == \"u\"][0]", NONE),
        ("", "", "{p: q for p, q in [(\"a\", c.decoy), (\"a\", \"u\")]}[\"a\"]", NONE),
        ("", "", "reversed([c.decoy, \"u\"])[0]", NONE),
        ("", "", "sorted([\"u\", c.decoy])[1]", NONE),
        ("", "", "[c.decoy, \"u\"][-1]", NONE),
        ("", "", "[c.decoy, \"u\"][1:][0]", NONE),
        ("", "i = 1", "[c.decoy, \"u\"][i]", NONE),
        ("", "", "{\"a\": \"u\", \"b\": c.decoy}[\"a\"]", NONE),
        ("", "", "{\"a\": \"u\", c.decoy: 1}[\"a\"]", NONE),
        ("", "", "struct(a = c.decoy, b = \"u\").b", NONE),
        ("", "s = struct(a = c.decoy, b = \"u\")", "s.b", NONE),
        ("R = record(a = str, b = str)", "r = R(a = c.decoy, b = \"u\")", "r.b", NONE),
        ("", "", "max(c.decoy, \"u\")", NONE),
        ("", "", "min([\"a\", c.decoy])", NONE),
        ("", "", "getattr(struct(a = \"u\"), \"a\", c.decoy)", NONE),
        ("", "", "(\"u\" or c.decoy)", NONE),
        ("", "", "(c.decoy and \"u\")", NONE),
        ("", "", "(c.port if c.flag else c.decoy)", NONE),
        ("", "", "(\"u\" if c.flag else c.decoy)", NONE),
        ("", "", "(c.decoy if not c.flag else \"u\")", NONE),
        ("", "if c.flag:\n    p = \"u\"\nelse:\n    p = c.decoy", "p", NONE),
        ("", "", "\"u\".replace(\"u\", c.decoy)", NONE),
        ("", "", "\"{}{}\".format(\"u\", c.decoy)", NONE),
        ("", "p = c.decoy", "f\"u{p}\"", NONE),
        ("", "", "[c.decoy].index(c.decoy) and \"u\" or \"v\"", NONE),
        ("def f(p, q):\n    return q", "", "f(c.decoy, \"u\")", NONE),
        ("def f(p):\n    return \"u\"", "", "f(c.decoy)", NONE),
        ("def f(p, q = \"u\"):\n    return q - 1", "", "f(c.decoy)", NONE),
        ("def f(*p):\n    return p[1] - 1", "", "f(c.decoy, \"u\")", NONE),
        ("def f(p, *q):\n    return q[0] - 1", "", "f(c.decoy, \"u\")", NONE),
        ("def f(p, q):\n    return q - 1", "", "f(*[c.decoy, \"u\"])", NONE),
        ("def f(p, q):\n    return q - 1", "", "f(c.decoy, **{\"q\": \"u\"})", NONE),
        ("def f(q, p):\n    return p - 1", "g = partial(f, c.decoy)", "g(\"u\")", NONE),
        ("def f(q, p):\n    return q - 1", "def g(f):\n    return f(c.decoy)", "g(partial(f, \"u\"))", NONE),
        ("def f(g, p):\n    return g(p)", "", "f(lambda p: \"u\" - 1, c.decoy)", NONE),
        ("", "f = lambda p: (lambda: \"u\")()", "f(c.decoy)", NONE),
        ("", "", "[(lambda p: \"u\")(c.decoy)][0]", NONE),
        (
            "def f(p, d, g):\n    def h():\n        return p - 1\n    return g() if g else f(d, d, h)",
            "",
            "f(\"u\", c.decoy, None)",
            NONE,
        ),
    ]);
}

/// The first field is what is at the top of the file, the second is in `configure`.
fn check_bodies(rows: &[(&str, &str, &str)]) {
    let found = rows.iter().map(|(before, body, expected)| (body, named(before, body), expected));
    let wrong: Vec<_> = found.filter(|(_, found, expected)| found != *expected).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_fail_names_what_decided() {
    check_bodies(&[
        ("", "if c.port == \"x\" and c.flag:\n    fail(\"bad\")", "flag port"),
        ("", "if c.decoy == \"p\" or c.port == \"x\":\n    fail(\"bad\")", ""),
        ("", "if not (c.port == \"y\" or c.flag == False):\n    fail(\"bad\")", "flag port"),
        ("", "if not (c.decoy == \"d\" and c.port == \"y\"):\n    fail(\"bad\")", ""),
        ("", "if c.port == \"y\":\n    pass\nelse:\n    fail(\"bad\")", "port"),
        ("", "if c.port == \"y\":\n    return\nfail(\"bad %s\" % c.decoy)", "port"),
        ("", "if c.decoy == \"d\":\n    if c.port == \"x\":\n        fail(\"bad\")", "port"),
        ("", "if c.decoy == \"p\":\n    return\nif c.port == \"x\":\n    fail(\"bad\")", "port"),
        ("", "if c.decoy == \"p\":\n    pass\nelif c.port == \"x\":\n    fail(\"bad %s\" % c.decoy)", "port"),
        ("", "if c.decoy:\n    print(1)\nfail(\"always\")", ""),
        ("", "c.port == \"y\" or fail(\"bad %s\" % c.decoy)", "port"),
        ("", "c.port == \"x\" and fail(\"bad %s\" % c.decoy)", "port"),
        ("", "if max(c.decoy, \"u\") == \"u\":\n    fail(\"bad\")", ""),
        ("", "if len([c.decoy, 1]) > 1:\n    fail(\"bad\")", ""),
        ("", "if c.port in [\"x\", c.decoy]:\n    fail(\"bad\")", ""),
        ("", "if c.port in [\"x\", \"y\"]:\n    fail(\"bad\")", "port"),
        ("", "if c.port not in (\"a\", \"b\"):\n    fail(\"bad\")", "port"),
        ("", "if c.port.startswith(\"x\"):\n    fail(\"bad\")", "port"),
        ("", "if \"x\".startswith(c.port, 0):\n    fail(\"bad\")", ""),
        ("", "if len(c.list) > 1:\n    fail(\"bad %s\" % c.decoy)", "list"),
        ("", "n = len(c.list) + 1\nif n > 1:\n    fail(\"bad\")", "list"),
        ("", "bad = c.port == \"x\" and c.flag\nif bad:\n    fail(\"bad\")", "flag port"),
        ("", "if c.port == \"x\" if c.flag else c.decoy == \"d\":\n    fail(\"bad\")", ""),
        ("", "if (c.decoy, 1) == (\"d\", 1):\n    fail(\"bad\")", ""),
        ("", "if {\"a\": c.decoy, \"b\": 1}.get(\"b\"):\n    fail(\"bad\")", ""),
        ("", "if c.db.get(\"none\", c.decoy) == \"d\":\n    fail(\"bad\")", ""),
        ("", "if any([c.decoy, c.port]):\n    fail(\"bad\")", ""),
        ("", "if \"x\".join([c.decoy, \"u\"]):\n    fail(\"bad\")", ""),
        ("def len(x):\n    return 7", "if len(c.decoy) > 1:\n    fail(\"bad\")", ""),
        ("def ok(p, q):\n    return q", "if not ok(c.decoy, False):\n    fail(\"bad\")", ""),
        ("def f(p, q):\n    if p == \"x\":\n        fail(\"bad %s\" % q)", "f(c.port, c.decoy)", "port"),
        ("def f(m):\n    fail(m)", "if c.port == \"x\":\n    f(c.decoy)", "port"),
        ("", "for p in c.list:\n    if p == \"b\":\n        fail(\"bad %s\" % p)", "list"),
        ("", "for p in [c.decoy, \"u\"]:\n    if p == \"u\":\n        fail(\"bad %s\" % p)", ""),
        ("", "for p in [\"a\"]:\n    if c.port == p:\n        continue\n    fail(\"bad %s\" % p)", "port"),
        ("", "c.decoy == \"d\" and (c.port == \"y\" or fail(\"bad\"))", "port"),
        ("", "c.decoy == \"d\" and c.port == \"x\" and fail(\"bad\")", "decoy port"),
        ("def f():\n    fail(\"bad\")", "if c.port == \"x\":\n    q = f()", "port"),
        ("", "fail(\"bad %s and %s\" % (c.port, c.flag))", "flag port"),
        ("", "fail(\"bad %s\" % [c.decoy, 1][1])", ""),
    ]);
}

/// A condition around it or before it says nothing if another one, which cannot be read, is nearer.
#[test]
fn a_fail_that_is_not_plainly_reached_names_nothing() {
    let before = "def need(ok, m):\n    return ok or fail(m)\ndef stop(m):\n    fail(m)\nD = {\"x\": None}";
    let fails = [
        "q = fail(\"bad\") if c.port == \"x\" else 1",
        "q = c.port == 5 or fail(\"bad\")",
        "return c.port == 5 or fail(\"bad\")",
        "c.file(\"a\", content = D.get(c.port) or fail(\"bad %s\" % c.decoy))",
        "print(c.port == 5 or fail(\"bad\"))",
        "(c.port == 5 or fail(\"bad\")) and c.flag",
        "if c.port == 5 or fail(\"bad\"):\n    pass",
        "q = [D.get(c.port) or fail(\"bad\")]",
        "need(c.port == 5, \"bad %s\" % c.decoy)",
        "q = [stop(\"bad\") for p in c.list]",
        "print(stop(\"bad\"))",
        "(lambda p: p == 5 or fail(\"bad\"))(c.port)",
        "need = lambda ok, m: ok or fail(m)\nneed(c.port == 5, \"bad\")",
        "(lambda p: stop(p))(c.port)",
        "def chk(p):\n    return p == 5 or fail(\"bad\")\nchk(c.port)",
        "[fail(p) for p in c.list if p == \"a\"]",
        "{p: fail(p) for p in c.list if p == \"a\"}",
        "for p in c.list:\n    fail(\"bad %s\" % c.decoy)",
        "for p in c.list:\n    stop(p)",
    ];
    let guards = [
        "if c.port == 5:\n    return\nelif c.port == 6:\n    return",
        "if c.port == \"x\":\n    pass\nelse:\n    return",
        "if c.port == 5:\n    return\nelse:\n    pass",
        "if c.flag:\n    if c.port == 5:\n        return",
        "for p in c.list:\n    if p == \"q\":\n        return",
        "for p in c.list:\n    if p == \"q\":\n        break",
        "if c.port == 5:\n    fail(\"other\")",
        "c.port == \"x\" or fail(\"other\")",
        "q = None if c.port == \"x\" else fail(\"other\")",
    ];
    let guarded = guards.map(|guard| format!("{guard}\nfail(\"bad %s\" % c.decoy)"));
    let fails = fails.into_iter().chain(guarded.iter().map(String::as_str));
    let below = |fail: &str| format!("if c.decoy == \"d\":\n    {}", fail.replace('\n', "\n    "));
    let behind = |fail: &str| format!("if c.decoy == \"q\":\n    return\n{fail}");
    let bodies: Vec<_> = fails.flat_map(|fail| [fail.to_owned(), below(fail), behind(fail)]).collect();
    let rows: Vec<_> = bodies.iter().map(|body| (before, body.as_str(), "")).collect();
    check_bodies(&rows);
}

#[test]
fn a_missing_item_names_the_key_where_the_list_is_the_authors() {
    check_bodies(&[
        ("", "[1, 2][len(c.list)]", ""),
        ("", "[1, 2][c.port]", "port"),
        ("", "{\"a\": 1}[c.port]", "port"),
        ("TABLE = {\"a\": 1}", "TABLE[c.port]", "port"),
        ("", "{\"a\": c.decoy}[c.port]", ""),
        ("", "c.db[c.port]", "db port"),
        // A text has no items by name, and a list none by a text.
        ("", "c.decoy[c.flag]", "flag"),
        ("", "c.list[c.port]", "port"),
        ("", "c.list[c.port:]", "port"),
        ("", "c.list[c.port:c.flag]", ""),
        ("", "c.list[c.port:\"a\"]", ""),
        ("", "c.list[\"a\":c.port]", ""),
        ("", "c.list[1:-1:c.port]", "port"),
        ("", "c.list[0:1:0]", ""),
        ("", "c.list[7]", "list"),
        ("SEVEN = 7", "c.list[SEVEN]", "list"),
    ]);
}

#[test]
fn of_two_operands_the_wrong_one_is_named() {
    check_bodies(&[
        ("", "1 // c.port", "port"),
        ("", "c.flag in c.decoy", "flag"),
        ("", "1 in c.decoy", ""),
        ("", "\"a\" in c.flag", "flag"),
        ("", "{}[c.list]", "list"),
        ("", "{c.list: c.decoy}", "list"),
        ("", "\"%d\" % c.port", "port"),
        ("", "\"%d %s\" % (c.port, c.decoy)", ""),
        ("", "\"%s %s\" % c.decoy", ""),
        ("", "int(c.port)", "port"),
        ("", "max(c.list, c.flag)", ""),
        ("", "(c.decoy or 1) - 1", ""),
    ]);
}

/// The sub-component was made in an earlier call of the function that adds it.
#[test]
fn an_argument_of_another_call_is_not_named() {
    check_bodies(&[(
        "def part(c):\n    c.p - 1\nPart = definition(configure = part, attributes = {\"p\": \"a\"})\n\
         def make(c, p, made):\n    part = Part(\"a\", p = p)\n    if made:\n        c.add(made)\n    return part\n",
        "made = make(c, \"u\", None)\nmake(c, c.decoy, made)",
        "",
    )]);
}
