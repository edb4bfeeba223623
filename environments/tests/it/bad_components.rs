//! What is said of mistakes in component.toml, in templates and in values. The texts stand in snapshots.

use super::common::Sandbox;

fn snapshot(name: &str, component: &str) {
    insta::assert_snapshot!(name, Sandbox::app(component).mistakes());
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
    snapshot(
        "component_unknown_keys",
        "[atributes]\n[[file]]\npaht = \"x\"\n[[step]]\nname = \"a\"\nupdate = \"b\"\ntimeot = 3\n",
    );
    snapshot(
        "component_wrong_types",
        "[attributes]\na = 1979-05-27\nname = \"x\"\n\"a-b\" = 1\nb = { type = \"strin\" }\nc = {}\nd = { type = \"choice\" }\n\
         e = { type = \"int\", choices = [\"x\"] }\n[[file]]\npath = 3\n[[require]]\nkey = \"x\"\none = \"yes\"\n",
    );
    snapshot("component_table_not_list", "[file]\npath = \"x\"\n");
}

#[test]
fn later_features_are_not_supported_yet() {
    snapshot(
        "component_later_features",
        "[attributes]\npassword = { type = \"secret\" }\n[[link]]\npath = \"/x\"\nto = \"y\"\n[[copy]]\n[[service]]\n[[check]]\n\
         [[step]]\nname = \"a\"\nupdate = \"b\"\nuser = \"root\"\nafter = \"services\"\n",
    );
}

#[test]
fn paths_and_modes() {
    snapshot(
        "component_paths",
        "[[file]]\npath = \"../x\"\ncontent = \"\"\n[[file]]\npath = \"/etc/passwd\"\ncontent = \"\"\n[[file]]\npath = \"a/b\"\ncontent = \"\"\n\
         [[file]]\npath = \"./a//b\"\ncontent = \"\"\n[[symlink]]\npath = \"a\"\nto = \"x\"\n[[file]]\npath = \"{{ host.name }}\"\ncontent = \"\"\n",
    );
    snapshot(
        "component_modes",
        "[[file]]\npath = \"a\"\ncontent = \"\"\nmode = \"4755\"\n[[file]]\npath = \"b\"\ncontent = \"\"\nmode = \"rwxr-xr\"\n\
         [[file]]\npath = \"c\"\ncontent = \"\"\nmode = 755\n",
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
    insta::assert_snapshot!("component_sources", sandbox.mistakes());
}

#[test]
fn steps() {
    snapshot(
        "component_steps",
        "[[step]]\nname = \"a\"\n[[step]]\nname = \"b\"\nupdate = \"x\"\n[[step]]\nname = \"b\"\nupdate = \"y\"\ntimeout = \"soon\"\n\
         [[step]]\nname = \"c\\nd\"\nupdate = \"{{ nothing }}\"\n[step.environment]\n\"A-B\" = \"x\"\nC = 1\n",
    );
    snapshot("component_step_undefined", "[[step]]\nname = \"a\"\nupdate = \"rm -rf {{ component.pth }}\"\n");
}

#[test]
fn values() {
    snapshot("value_missing", "[attributes]\npassword = { type = \"str\" }\n");
    snapshot(
        "value_types",
        "[attributes]\nport = { type = \"int\", default = \"x\" }\nratio = { type = \"float\", default = true }\non = { type = \"bool\", default = \"maybe\" }\n\
         size = { type = \"choice\", choices = [\"small\", \"large\"], default = \"huge\" }\nname_ = { type = \"str\", default = 3 }\n\
         any = { type = \"literal\", default = \"[1,\" }\nwhere = { type = \"path\", default = \"\" }\nmap = { type = \"dict\", default = [] }\n",
    );
    snapshot(
        "value_addresses",
        "[attributes]\na = { type = \"address\", default = \"{{ host.fqdn }}\" }\nb = { type = \"address\", default = \"web01:0\" }\n\
         c = { type = \"address\", default = \"we b:80\" }\n",
    );
    snapshot(
        "value_circle",
        "[attributes]\nc = \"{{ component.a }}\"\nb = \"{{ component.c }}\"\na = \"{{ component.b }}\"\n",
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
    let snapshot = |name: &str, text: &str| insta::assert_snapshot!(name, template(text).mistakes());
    snapshot("template_undefined", "first\nsleep {{ component.slep }}\n");
    snapshot("template_undefined_name", "{{ componet.sleep }}\n");
    snapshot("template_undefined_far", "{{ zzz }}\n");
    snapshot("template_undefined_address", "{{ component.address.port }}\n");
    snapshot("template_syntax", "a\n{% if %}\n");
    snapshot(
        "template_endless",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}x{% endfor %}{% endfor %}{% endfor %}\n",
    );
    snapshot("template_recursive", "{% include \"x.conf\" %}\n");
    snapshot("template_include_missing", "{% include \"y.conf\" %}\n");
    snapshot("template_include_outside", "{% include \"../../batou.toml\" %}\n");
    snapshot("template_artifact", "{{ component.artifact }}\n");
    snapshot("template_filter", "{{ component.sleep | nope }}\n");
    snapshot("template_division", "{{ component.sleep / 0 }}{{ 1 + 'a' }}\n");
}

#[test]
fn inline_templates_are_shown_in_component_toml() {
    snapshot("template_inline", "[[file]]\npath = \"x\"\ncontent = \"\"\"\none\ntwo {{ nothing }}\n\"\"\"\n");
    snapshot("template_inline_escaped", "[[file]]\npath = \"x\"\ncontent = \"one\\ntwo {{ nothing }}\"\n");
    snapshot(
        "template_attribute",
        "[attributes]\na = \"x {{ host.nam }}\"\nb = \"{{ host.data.nothing }}\"\nc = [\"{{ host.data }\"]\n",
    );
}

#[test]
fn mistakes_in_an_include_are_shown_there() {
    let sandbox = template("{% include \"inner.conf\" %}\n");
    sandbox.write("components/app/inner.conf", "fine\n{{ host.nme }}\n");
    insta::assert_snapshot!("template_include", sandbox.mistakes());
}

#[test]
fn an_included_file_must_be_text_and_inside() {
    let sandbox = template("{% include \"binary\" %}\n");
    sandbox.write("components/app/binary", b"\xff\xfe");
    insta::assert_snapshot!("template_include_binary", sandbox.mistakes());
}

#[test]
fn a_file_that_renders_to_more_than_64_mib_is_refused() {
    let sandbox = template("{% set s = 'x' * 1000000 %}{% for a in range(70) %}{{ s }}{% endfor %}");
    insta::assert_snapshot!("template_too_large", sandbox.mistakes());
}

#[test]
fn requirements() {
    snapshot(
        "require_bad",
        "[[provide]]\nkey = \"database\"\nvalue = 1\n[[provide]]\nkey = \"x\"\n[[require]]\nkey = \"databse\"\n[[require]]\nkey = \"database\"\nhost = \"db09\"\nas = \"there\"\n\
         [[require]]\nkey = \"database\"\nas = \"host\"\n[[require]]\nkey = \"database\"\nas = \"a-b\"\n[[require]]\nkey = \"database\"\nas = \"twice\"\n\
         [[require]]\nkey = \"database\"\nas = \"twice\"\nreverse = true\ndirty = true\n[[require]]\nkey = \"database\"\nas = \"o\"\none = true\nsort = \"x\"\n",
    );
    snapshot(
        "require_unsatisfied",
        "[[provide]]\nkey = \"database\"\nvalue = 1\n[[require]]\nkey = \"databse\"\n[[require]]\nkey = \"other\"\nhost = \"same\"\n",
    );
    snapshot(
        "require_unknown_host",
        "[[provide]]\nkey = \"database\"\nvalue = 1\n[[require]]\nkey = \"database\"\nhost = \"db09\"\n",
    );
    snapshot(
        "require_sort",
        "[[provide]]\nkey = \"a\"\nvalue = { x = 1 }\n[[require]]\nkey = \"a\"\nsort = \"y\"\n",
    );
    snapshot(
        "require_ambiguous",
        "[[provide]]\nkey = \"a\"\nvalue = 1\n[[provide]]\nkey = \"a\"\nvalue = 2\n[[require]]\nkey = \"a\"\none = true\n",
    );
    snapshot("require_itself", "[[provide]]\nkey = \"a\"\nvalue = \"{{ a }}\"\n[[require]]\nkey = \"a\"\n");
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
    insta::assert_snapshot!("several_mistakes", sandbox.mistakes());
}
