//! The types of attributes, and templates that keep them.

use super::common::{Sandbox, text};

/// What `{{ EXPRESSION }}` gives in a component with these attributes.
fn eval(attributes: &str, expression: &str) -> String {
    let component = format!(
        "[attributes]\n{attributes}\n[[file]]\npath = \"out\"\ncontent = '''{{{{ {expression} }}}}'''\n"
    );
    text(&Sandbox::app(&component).evaluate(), "web01", "app", "out")
}

#[test]
fn strings_become_the_declared_type() {
    assert_eq!(eval("a = { type = \"int\", default = \"9002\" }", "component.a + 1"), "9003");
    assert_eq!(eval("a = { type = \"float\", default = \"1.5\" }", "component.a * 2"), "3.0");
    assert_eq!(eval("a = { type = \"float\", default = 2 }", "component.a / 4"), "0.5");
    assert_eq!(eval("a = { type = \"bool\", default = \"no\" }", "component.a is false"), "True");
    assert_eq!(eval("a = { type = \"list\", default = \"x, y,\" }", "component.a | length"), "2");
    assert_eq!(eval("a = { type = \"literal\", default = \"{ b = [1, 2] }\" }", "component.a.b | sum"), "3");
    assert_eq!(eval("a = { type = \"literal\", default = [1] }", "component.a[0]"), "1");
    assert_eq!(eval("a = { choices = [\"x\", \"y\"], default = \"y\" }", "component.a"), "y");
    assert_eq!(eval("a = { type = \"path\", default = \"/srv/x\" }", "component.a"), "/srv/x");
}

#[test]
fn a_single_template_keeps_its_type_and_others_give_text() {
    let attributes = "n = 5\nsame = { type = \"int\", default = \"{{ component.n + 1 }}\" }\ntext = \"{{ component.n }}\"\n\
                      list = { type = \"list\", default = [\"{{ component.n }}\", \"a{{ component.n }}\"] }\n\
                      joined = { type = \"int\", default = \"{{ component.n }}{{ component.n }}\" }\nspaced = { type = \"int\", default = \" {{- component.n -}} \" }";
    assert_eq!(eval(attributes, "component.same * 2"), "12");
    assert_eq!(eval(attributes, "component.text ~ '|' ~ (component.text is string)"), "5|True");
    assert_eq!(eval(attributes, "component.list[0] + 1"), "6");
    assert_eq!(eval(attributes, "component.list[1]"), "a5");
    assert_eq!(eval(attributes, "component.joined + 1"), "56");
    assert_eq!(eval(attributes, "component.spaced + 1"), "6");
}

#[test]
fn addresses_know_their_parts() {
    let attributes = "a = { type = \"address\", default = \"{{ host.fqdn }}:8080\" }\nb = { type = \"address\", default = \"{{ component.a }}\" }\n\
                      c = { type = \"address\", default = \"[2001:db8::1]:443\" }\nd = { type = \"address\", default = \"192.0.2.7:80\" }";
    assert_eq!(eval(attributes, "component.a"), "web01.example.net:8080");
    assert_eq!(eval(attributes, "component.a.connect.host"), "web01.example.net");
    assert_eq!(eval(attributes, "component.b.connect.port + 1"), "8081");
    assert_eq!(eval(attributes, "component.a == component.b"), "True");
    assert_eq!(eval(attributes, "component.c.connect"), "[2001:db8::1]:443");
    assert_eq!(eval(attributes, "component.d.listen"), "192.0.2.7:80");
}

#[test]
fn attributes_refer_to_each_other_in_any_order() {
    let attributes = "a = \"{{ component.z }}a\"\nm = \"m\"\nz = \"{{ component.m }}z\"";
    assert_eq!(eval(attributes, "component.a"), "mza");
}

#[test]
fn what_component_is_can_be_listed() {
    assert_eq!(eval("b = 1\na = 2", "component | list | sort | join(',')"), "a,b,features,name,path,state");
    assert_eq!(eval("", "component.path"), "/srv/shop/current/app");
}

#[test]
fn a_value_of_the_wrong_type_is_shown_in_one_line() {
    let refused = |attribute: &str| Sandbox::app(&format!("[attributes]\na = {attribute}\n")).mistakes();
    let nul = refused("{ type = \"path\", default = \"a\\u0000b\" }");
    assert!(nul.contains("must be a path, which cannot contain a NUL character"), "{nul}");
    let lines = refused("{ type = \"literal\", default = \"a\\nb\" }");
    assert!(lines.contains("must be a TOML value, not \"a\\nb\"\n"), "{lines}");
    let long = refused(&format!("{{ type = \"int\", default = \"{{{{ 'x' * {} }}}}\" }}", 10_000));
    assert!(long.contains(&format!("not \"{}…\"\n", "x".repeat(100))), "{long}");
}
