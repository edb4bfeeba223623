//! DNS is asked where it is needed, and nowhere else.

use insta::assert_snapshot;

use super::common::{Sandbox, Table, component, text};

fn sandbox(environment: &str, content: &str) -> Sandbox {
    let component = format!(
        "[attributes]\na = {{ type = \"address\", default = \"www.example.net:80\" }}\nb = {{ type = \"address\", default = \"other.example.net:81\" }}\n\
         [[file]]\npath = \"out\"\ncontent = '''{content}'''\n"
    );
    Sandbox::new(&[
        (
            "environments/prod/environment.toml",
            &format!(
                "[environment]\n{environment}\n[hosts]\nweb01 = [\"app\"]\n[resolver]\n\"fixed.example.net\" = [\"192.0.2.10\", \"2001:db8::10\"]\n\"v6.example.net\" = \"2001:db8::11\"\n"
            ),
        ),
        ("components/app/component.toml", &component),
    ])
}

fn table() -> Table {
    let answers = vec![
        ("www.example.net", "192.0.2.9".parse().unwrap()),
        ("www.example.net", "192.0.2.4".parse().unwrap()),
        ("www.example.net", "2001:db8::4".parse().unwrap()),
    ];
    Table { answers, ..Table::default() }
}

#[test]
fn only_listen_asks_and_the_least_answer_holds() {
    let dns = table();
    let sandbox = sandbox(
        "require_v6 = true",
        "{{ component.a.listen }} {{ component.a.listen_v6 }} {{ component.b.connect }}",
    );
    let evaluation = sandbox.evaluate_with(&dns).unwrap();
    assert_eq!(
        text(&evaluation, "web01", "app", "out"),
        "192.0.2.4:80 [2001:db8::4]:80 other.example.net:81"
    );
    let mut asked = dns.asked.lock().unwrap().clone();
    asked.sort();
    assert_eq!(asked, ["www.example.net V4", "www.example.net V6"]);
    assert!(
        component(&evaluation, "web01", "app").causes["out"]
            .contains_key("DNS answer for www.example.net (IPv4)")
    );
    assert!(evaluation.unresolved.is_empty());
}

#[test]
fn offline_puts_a_documentation_address_and_says_so() {
    let evaluation = sandbox("", "{{ component.a.listen }}").evaluate();
    assert_eq!(text(&evaluation, "web01", "app", "out"), "192.0.2.1:80");
    assert_eq!(evaluation.unresolved, ["www.example.net"]);
}

#[test]
fn the_resolver_of_the_environment_comes_first() {
    let dns = table();
    let sandbox = sandbox("require_v6 = \"optional\"", "");
    sandbox.write(
        "components/app/component.toml",
        "[attributes]\na = { type = \"address\", default = \"Fixed.example.net:80\" }\nb = { type = \"address\", default = \"v6.example.net:80\" }\n\
         [[file]]\npath = \"out\"\ncontent = \"{{ component.a.listen }} {{ component.a.listen_v6 }} {{ component.b.listen_v6.host }}\"\n",
    );
    let evaluation = sandbox.evaluate_with(&dns).unwrap();
    assert_eq!(text(&evaluation, "web01", "app", "out"), "192.0.2.10:80 [2001:db8::10]:80 2001:db8::11");
    assert!(dns.asked.lock().unwrap().is_empty());
}

#[test]
fn what_cannot_be_resolved_is_a_mistake_unless_it_is_optional() {
    let wrong = |environment: &str, content: &str| {
        sandbox(environment, content).evaluate_with(&table()).unwrap_err().to_string()
    };
    assert_snapshot!(wrong("", "{{ component.b.listen }}"), @"
    error: `other.example.net` has no IPv4 address; add it to [resolver] or to DNS
     --> components/app/component.toml:6:26
      |
    6 | content = '''{{ component.b.listen }}'''
      |                          ^^^^^^^^^
      = affects: web01/app
    ");
    assert_snapshot!(wrong("", "{{ component.a.listen_v6 }}"), @"
    error: there is no IPv6 address for `www.example.net:80`: `require_v6` is false in [environment]
     --> components/app/component.toml:6:26
      |
    6 | content = '''{{ component.a.listen_v6 }}'''
      |                          ^^^^^^^^^^^^
      = affects: web01/app
    ");
    let optional =
        sandbox("require_v4 = \"optional\"", "{% if component.b.listen %}yes{% else %}no{% endif %}");
    assert_eq!(text(&optional.evaluate_with(&table()).unwrap(), "web01", "app", "out"), "no");
}
