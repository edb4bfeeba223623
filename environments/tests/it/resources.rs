//! `provide` and `require`.

use insta::assert_snapshot;

use super::common::{Sandbox, component, text};

pub(crate) fn sandbox(hosts: &str, components: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new(&[("environments/prod/environment.toml", &format!("[hosts]\n{hosts}\n"))]);
    for (name, text) in components {
        sandbox.write(&format!("components/{name}/component.toml"), text);
    }
    sandbox
}

pub(crate) const WEB: &str = "[attributes]\naddress = { type = \"address\", default = \"{{ host.fqdn }}:8080\" }\n\
    [[provide]]\nkey = \"web\"\nvalue = \"{{ component.address }}\"\n";

pub(crate) fn requirer(require: &str, content: &str) -> String {
    format!("[[require]]\nkey = \"web\"\n{require}\n[[file]]\npath = \"out\"\ncontent = '''{content}'''\n")
}

#[test]
fn a_list_comes_in_the_order_of_hosts_and_keeps_its_types() {
    let lb =
        requirer("", "{% for web in web %}{{ web.connect.host }}:{{ web.connect.port + 1 }} {% endfor %}");
    let sandbox =
        sandbox("web02 = [\"web\"]\nlb = [\"lb\"]\nweb01 = [\"web\"]", &[("web", WEB), ("lb", &lb)]);
    let evaluation = sandbox.evaluate();
    assert_eq!(text(&evaluation, "lb", "lb", "out"), "web01:8081 web02:8081 ");
    let order: Vec<_> = evaluation.components.iter().map(|one| one.host.as_str()).collect();
    assert_eq!(order, ["web01", "web02", "lb"]);
    let lb = component(&evaluation, "lb", "lb");
    assert_eq!(lb.after.len(), 2);
    let causes: Vec<&String> = lb.causes["out"].keys().collect();
    assert_eq!(
        causes,
        ["file components/lb/component.toml", "resource web from web01/web", "resource web from web02/web"]
    );
}

#[test]
fn one_same_host_and_named_host() {
    let one = requirer("one = true\nas = \"server\"\nhost = \"same\"", "{{ server }}");
    let named = requirer("one = true\nhost = \"WEB02.\"", "{{ web }}");
    let hosts = "web01 = [\"web\", \"one\"]\nweb02 = [\"web\", \"one\", \"named\"]";
    let evaluation = sandbox(hosts, &[("web", WEB), ("one", &one), ("named", &named)]).evaluate();
    assert_eq!(text(&evaluation, "web01", "one", "out"), "web01:8080");
    assert_eq!(text(&evaluation, "web02", "named", "out"), "web02:8080");
}

#[test]
fn requirements_that_are_not_strict_may_stay_open() {
    let many = requirer("strict = false", "{{ web | length }}");
    let one = requirer("strict = false\none = true", "{{ web is none }}");
    let evaluation = sandbox("a = [\"many\", \"one\"]", &[("many", &many), ("one", &one)]).evaluate();
    assert_eq!(text(&evaluation, "a", "many", "out"), "0");
    assert_eq!(text(&evaluation, "a", "one", "out"), "True");
}

#[test]
fn a_field_sorts() {
    let provider = "[[provide]]\nkey = \"web\"\nvalue = { name = \"{{ host.name }}\", weight = \"{{ host.data.weight | int }}\" }\n";
    let lb = requirer("sort = \"weight\"", "{{ web | map(attribute='name') | join(' ') }}");
    let hosts =
        "a = [\"web\", \"lb\"]\nb = [\"web\"]\n[host.a]\ndata-weight = \"20\"\n[host.b]\ndata-weight = \"3\"";
    assert_eq!(text(&sandbox(hosts, &[("web", provider), ("lb", &lb)]).evaluate(), "a", "lb", "out"), "b a");
}

#[test]
fn reverse_and_dirty_change_the_order() {
    let order = |require: &str| {
        let other = requirer(require, "{{ web }}");
        let evaluation =
            sandbox("a = [\"web\"]\nb = [\"other\"]", &[("web", WEB), ("other", &other)]).evaluate();
        let names: Vec<String> = evaluation.components.iter().map(|one| one.component.clone()).collect();
        let after: Vec<usize> = evaluation.components.iter().map(|one| one.after.len()).collect();
        (names.join(" "), after)
    };
    assert_eq!(order(""), ("web other".to_owned(), vec![0, 1]));
    assert_eq!(order("reverse = true"), ("other web".to_owned(), vec![0, 1]));
    assert_eq!(order("dirty = true"), ("web other".to_owned(), vec![0, 0]));
}

#[test]
fn what_is_ignored_still_provides_and_passes_on_what_it_waits_for() {
    let db = "[[provide]]\nkey = \"db\"\nvalue = 1\n";
    let web = format!("{WEB}[[require]]\nkey = \"db\"\n");
    let lb = requirer("one = true", "{{ web }}");
    let hosts = "a = [\"db\"]\nb = [\"!web\"]\nc = [\"lb\"]";
    let evaluation = sandbox(hosts, &[("db", db), ("web", &web), ("lb", &lb)]).evaluate();
    assert_eq!(text(&evaluation, "c", "lb", "out"), "b:8080");
    assert_eq!(evaluation.ignored.iter().map(ToString::to_string).collect::<Vec<_>>(), ["b/web"]);
    assert_eq!(evaluation.components.len(), 2);
    let after: Vec<_> = component(&evaluation, "c", "lb").after.iter().map(ToString::to_string).collect();
    assert_eq!(after, ["a/db"]);
}

#[test]
fn attributes_may_use_resources_and_pass_them_on() {
    let db = "[[provide]]\nkey = \"db\"\nvalue = { host = \"{{ host.name }}\", ports = [5432] }\n";
    let app = "[attributes]\nurl = \"db://{{ db.host }}:{{ db.ports[0] }}\"\n[[require]]\nkey = \"db\"\none = true\n[[provide]]\nkey = \"web\"\nvalue = \"{{ component.url }}\"\n";
    let lb = requirer("one = true", "{{ web }}");
    let evaluation =
        sandbox("z = [\"db\"]\na = [\"lb\"]\nm = [\"app\"]", &[("db", db), ("app", app), ("lb", &lb)])
            .evaluate();
    assert_eq!(text(&evaluation, "a", "lb", "out"), "db://z:5432");
}

#[test]
fn cycles_are_shown_with_their_members() {
    let part = |provides: &str, requires: &str, more: &str| {
        format!("[[provide]]\nkey = \"{provides}\"\nvalue = 1\n[[require]]\nkey = \"{requires}\"\n{more}\n")
    };
    let (a, b, c) = (part("a", "c", ""), part("b", "a", ""), part("c", "b", ""));
    let cycle = sandbox("h1 = [\"a\", \"b\"]\nh2 = [\"c\"]", &[("a", &a), ("b", &b), ("c", &c)]);
    assert_snapshot!(cycle.mistakes(), @r#"
    error: components require each other in a cycle: h1/a -> h1/b -> h2/c -> h1/a
     --> components/a/component.toml:5:7
      |
    5 | key = "c"
      |       ^^^
      = help: `dirty = true` on one of the requirements leaves their order open
    "#);
    let open = part("c", "b", "dirty = true");
    cycle.write("components/c/component.toml", &open);
    assert_eq!(cycle.evaluate().components.len(), 3);
}

#[test]
fn values_in_a_cycle_are_shown_with_their_members() {
    let part = |provides: &str, requires: &str, more: &str| {
        format!(
            "[[provide]]\nkey = \"{provides}\"\nvalue = \"{{{{ {requires} }}}}\"\n[[require]]\nkey = \"{requires}\"\none = true\n{more}\n"
        )
    };
    let cycle =
        sandbox("h = [\"a\", \"b\"]", &[("a", &part("x", "y", "")), ("b", &part("y", "x", "dirty = true"))]);
    assert_snapshot!(cycle.mistakes(), @r#"
    error: values depend on each other in a cycle: provided `x` of h/a -> required `y` of h/a -> provided `y` of h/b -> required `x` of h/b -> provided `x` of h/a
     --> components/a/component.toml:2:7
      |
    2 | key = "x"
      |       ^^^
      = affects: h/a
      = help: one of them must not refer to the next
    "#);
}
