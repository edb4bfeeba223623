//! Files, folders, links and modes.

use batou_environments::{Content, Entry};
use insta::assert_snapshot;

use super::common::{Sandbox, component, text};
use std::os::unix::fs::PermissionsExt;

fn make_executable(sandbox: &Sandbox, path: &str) {
    std::fs::set_permissions(sandbox.root().join(path), std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn mode(entry: &Entry) -> u32 {
    match entry {
        Entry::File { mode, .. } => *mode,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_brings_everything_below_it_but_what_is_excluded() {
    let sandbox =
        Sandbox::app("[[file]]\npath = \"etc\"\nsource = \"conf/\"\nexclude = [\"*.bak\", \"skip\"]\n");
    sandbox.write("components/app/conf/a.conf", "host {{ host.name }}\n");
    sandbox.write("components/app/conf/deep/run.sh", "#!/bin/sh\n");
    sandbox.write("components/app/conf/deep/old.bak", "{{ broken");
    sandbox.write("components/app/conf/skip/b.conf", "{{ broken");
    make_executable(&sandbox, "components/app/conf/deep/run.sh");
    std::fs::create_dir_all(sandbox.root().join("components/app/conf/empty")).unwrap();
    let evaluation = sandbox.evaluate();
    let entries = &component(&evaluation, "web01", "app").entries;
    assert_eq!(entries.keys().collect::<Vec<_>>(), ["etc/a.conf", "etc/deep/run.sh", "etc/empty"]);
    assert_eq!(text(&evaluation, "web01", "app", "etc/a.conf"), "host web01\n");
    assert_eq!(entries["etc/empty"], Entry::Directory);
    assert_eq!((mode(&entries["etc/a.conf"]), mode(&entries["etc/deep/run.sh"])), (0o644, 0o755));
}

#[test]
fn an_executable_source_stays_executable_unless_a_mode_says_otherwise() {
    let sandbox = Sandbox::app(
        "[[file]]\npath = \"a\"\n[[file]]\npath = \"b\"\nsource = \"a\"\nmode = \"rw-r-----\"\n[[file]]\npath = \"c\"\nsource = \"a\"\ntemplate = false\n",
    );
    sandbox.write("components/app/a", "x");
    make_executable(&sandbox, "components/app/a");
    let evaluation = sandbox.evaluate();
    let entries = &component(&evaluation, "web01", "app").entries;
    assert_eq!([mode(&entries["a"]), mode(&entries["b"]), mode(&entries["c"])], [0o755, 0o640, 0o755]);
}

#[test]
fn files_that_are_no_templates_are_left_where_they_are() {
    let sandbox = Sandbox::app(
        "[[file]]\npath = \"logo.png\"\ntemplate = false\n[[file]]\npath = \"raw\"\ntemplate = false\ncontent = \"{{ x }}\"\n",
    );
    sandbox.write("components/app/logo.png", b"\x89PNG{{ \xff");
    let evaluation = sandbox.evaluate();
    let app = component(&evaluation, "web01", "app");
    let path = sandbox.root().join("components/app/logo.png");
    assert_eq!(app.entries["logo.png"], Entry::File { content: Content::Source(path), mode: 0o644 });
    assert_eq!(text(&evaluation, "web01", "app", "raw"), "{{ x }}");
    assert!(app.causes["logo.png"].is_empty());
}

#[test]
fn links_inside_the_project_are_followed_and_cycles_of_them_refused() {
    let sandbox = Sandbox::app("[[file]]\npath = \"etc\"\n");
    sandbox.write("shared/common.conf", "shared\n");
    std::fs::create_dir_all(sandbox.root().join("components/app/etc")).unwrap();
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, sandbox.root().join("components/app/etc").join(name)).unwrap();
    };
    link("../../../shared/common.conf", "common.conf");
    assert_eq!(text(&sandbox.evaluate(), "web01", "app", "etc/common.conf"), "shared\n");
    link("/etc/hostname", "leak");
    assert!(sandbox.mistakes().contains("etc/leak lies outside the project"));
    std::fs::remove_file(sandbox.root().join("components/app/etc/leak")).unwrap();
    link("..", "round");
    let mistakes = sandbox.mistakes();
    assert!(mistakes.contains("etc/round leads back to a folder that contains it"), "{mistakes}");
}

#[test]
fn a_linked_folder_outside_the_project_is_not_walked() {
    let outside = tempfile::TempDir::new().unwrap();
    for name in ["key", "other"] {
        std::fs::write(outside.path().join(name), "private").unwrap();
    }
    let sandbox = Sandbox::app("[[file]]\npath = \"etc\"\n[[file]]\npath = \"bin\"\ntemplate = false\n");
    for folder in ["etc", "bin"] {
        std::fs::create_dir_all(sandbox.root().join("components/app").join(folder)).unwrap();
        std::os::unix::fs::symlink(
            outside.path(),
            sandbox.root().join("components/app").join(folder).join("out"),
        )
        .unwrap();
    }
    let mistakes = sandbox.mistakes();
    assert!(mistakes.contains("etc/out") && mistakes.contains("bin/out"), "{mistakes}");
    assert_eq!(mistakes.matches("lies outside the project").count(), 2, "{mistakes}");
}

#[test]
fn what_is_excluded_may_be_anything() {
    let etc = |exclude: &str| Sandbox::app(&format!("[[file]]\npath = \"etc\"\n{exclude}\n"));
    let link = |sandbox: &Sandbox| {
        sandbox.write("components/app/etc/app.conf", "x");
        let path = |name: &str| sandbox.root().join("components/app/etc").join(name);
        // As an editor leaves it beside a file that is being changed.
        std::os::unix::fs::symlink("me@host.1234", path(".#app.conf")).unwrap();
        std::os::unix::fs::symlink(".", path("up")).unwrap();
        std::os::unix::fs::symlink("/etc", path("out")).unwrap();
    };
    let plain = etc("");
    link(&plain);
    let mistakes = plain.mistakes();
    assert!(mistakes.contains("the symlink components/app/etc/.#app.conf points to nothing"), "{mistakes}");
    assert_eq!(mistakes.matches("error: ").count(), 3, "{mistakes}");
    let excluding = etc("exclude = [\".#*\", \"up\", \"out\"]");
    link(&excluding);
    let evaluation = excluding.evaluate();
    assert_eq!(component(&evaluation, "web01", "app").entries.keys().collect::<Vec<_>>(), ["etc/app.conf"]);
}

#[test]
fn what_is_no_file_is_not_read_as_one() {
    let app = "[[file]]\npath = \"conf\"\n[[file]]\npath = \"icon\"\ntemplate = false\n[[file]]\npath = \"etc\"\nsource = \"etc\"\n\
               [[file]]\npath = \"run.sh\"\nmode = \"0755\"\n[[step]]\nname = \"run\"\nscript = \"run.sh\"\n";
    let code = "load(\"//lib/own.star\", \"own\")\ndef configure(c):\n    own(read(\"text\"))\n    for name in glob([\"*.d\"]):\n        \
                c.file(name)\ncomponent(\"code\", configure = configure)\n";
    let files = [
        ("batou.toml", "[project]\nname = \"shop\"\n[facts]\nkernel = \"hostname\"\n"),
        ("environments/base/environment.toml", ""),
        (
            "environments/prod/environment.toml",
            "[environment]\ninherits = \"base\"\n[hosts]\nweb01 = [\"app\", \"code\"]\n",
        ),
        ("environments/prod/facts.lock", ""),
        ("components/app/component.toml", app),
        ("components/app/conf", "{% include \"part\" %}"),
        ("components/app/part", ""),
        ("components/app/icon", ""),
        ("components/app/etc/one", ""),
        ("components/app/run.sh", "true"),
        ("components/code/component.star", code),
        ("components/code/text", ""),
        ("components/code/x.d", ""),
        ("lib/own.star", "def own(text):\n    pass\n"),
    ];
    Sandbox::new(&files).evaluate();
    for (path, _) in files {
        for kind in ["pipe", "socket", "device", "folder"] {
            // A folder may be the source of a file, or contain others. No link out of the project is followed, save of TOML.
            let is_source = ["conf", "icon", "one", "run.sh", "x.d"].iter().any(|name| path.ends_with(name));
            if (kind == "folder" && is_source) || (kind == "device" && !path.ends_with("toml")) {
                continue;
            }
            let sandbox = Sandbox::new(&files);
            let place = sandbox.root().join(path);
            std::fs::remove_file(&place).unwrap();
            match kind {
                "pipe" => {
                    assert!(std::process::Command::new("mkfifo").arg(&place).status().unwrap().success());
                }
                "socket" => drop(std::os::unix::net::UnixListener::bind(&place).unwrap()),
                "device" => std::os::unix::fs::symlink("/dev/zero", &place).unwrap(),
                _ => std::fs::create_dir(&place).unwrap(),
            }
            let mistakes = sandbox.mistakes();
            assert!(
                mistakes.contains(path) && mistakes.contains("and no file"),
                "{path}, a {kind}: {mistakes}"
            );
        }
    }
}

#[test]
fn an_environment_that_cannot_be_read_is_one_all_the_same() {
    let sandbox = Sandbox::app("");
    let place = |name: &str| sandbox.root().join("environments").join(name);
    for name in ["pipe", "gone", "folder", "none"] {
        std::fs::create_dir(place(name)).unwrap();
    }
    let pipe = std::process::Command::new("mkfifo").arg(place("pipe/environment.toml")).status().unwrap();
    assert!(pipe.success());
    std::os::unix::fs::symlink("nowhere", place("gone/environment.toml")).unwrap();
    std::fs::create_dir(place("folder/environment.toml")).unwrap();
    let names = batou_environments::environment_names(&sandbox.project()).unwrap();
    assert_eq!(names, ["folder", "gone", "pipe", "prod"]);
}

#[test]
fn a_mistake_behind_an_escape_is_shown_in_its_line() {
    let sandbox = Sandbox::app(
        "[[file]]\npath = \"x\"\ncontent = \"\"\"\nsay \\\"hello\\\"\n{{ host.nam }}\n\"\"\"\n[[file]]\npath = \"y\"\n\
         content = \"a\\n{{ host.nam }}\\n\"\n",
    );
    assert_snapshot!(sandbox.mistakes(), @r#"
    error: `host.nam` is undefined
     --> components/app/component.toml:5:4
      |
    5 | {{ host.nam }}
      |    ^^^^^^^^
      = affects: web01/app
      = help: did you mean `host.name`?

    error: `host.nam` is undefined
     --> components/app/component.toml:9:18
      |
    9 | content = "a\n{{ host.nam }}\n"
      |                  ^^^^^^^^
      = affects: web01/app
      = help: did you mean `host.name`?
    "#);
}

#[test]
fn file_names_that_look_like_options_are_only_names() {
    let sandbox = Sandbox::app(
        "[[file]]\npath = \"-rf\"\ncontent = \"x\"\n[[file]]\npath = \"$(id)\"\ncontent = \"y\"\n",
    );
    assert_eq!(text(&sandbox.evaluate(), "web01", "app", "-rf"), "x");
}

#[test]
fn directories_are_empty_or_have_a_source_and_others_may_add_to_them() {
    let sandbox = Sandbox::app(
        "[[directory]]\npath = \"empty\"\n[[directory]]\npath = \"plugins\"\n[[directory]]\npath = \"plugins\"\n\
         [[directory]]\npath = \"etc\"\nsource = \"conf\"\nmode = \"0600\"\nexclude = [\"*.bak\"]\n\
         [[file]]\npath = \"plugins/one\"\ncontent = \"1\"\n",
    );
    sandbox.write("components/app/conf/a.conf", "host {{ host.name }}\n");
    sandbox.write("components/app/conf/a.bak", "{{ broken");
    let evaluation = sandbox.evaluate();
    let entries = &component(&evaluation, "web01", "app").entries;
    assert_eq!(entries.keys().collect::<Vec<_>>(), ["empty", "etc/a.conf", "plugins/one"]);
    assert_eq!(entries["empty"], Entry::Directory);
    assert_eq!(mode(&entries["etc/a.conf"]), 0o600);
    assert_eq!(text(&evaluation, "web01", "app", "etc/a.conf"), "host web01\n");
}

#[test]
fn sources_may_be_shared_by_components() {
    let sandbox = Sandbox::app(
        "[[file]]\npath = \"a\"\nsource = \"//shared/a.conf\"\n[[file]]\npath = \"b\"\ncontent = \"{% include '//shared/a.conf' %}\"\n\
         [[directory]]\npath = \"c\"\nsource = \"//shared/deep\"\n",
    );
    sandbox.write("shared/a.conf", "{% include 'part' %} {% include 'deep/part' %}");
    sandbox.write("shared/part", "{{ host.name }}");
    sandbox.write("shared/deep/part", "deep");
    sandbox.write("components/app/part", "not this one");
    let evaluation = sandbox.evaluate();
    for path in ["a", "b"] {
        assert_eq!(text(&evaluation, "web01", "app", path), "web01 deep");
        let causes = &component(&evaluation, "web01", "app").causes[path];
        assert!(causes.contains_key("file shared/deep/part"), "{causes:?}");
    }
    assert_eq!(text(&evaluation, "web01", "app", "c/part"), "deep");
}

#[test]
fn mistakes_in_directories_and_sources_are_shown() {
    let sandbox = Sandbox::app(
        "features = [\"web\", \"Web\", \"web\"]\n\
         [[directory]]\npath = \"a\"\nmode = \"0700\"\n[[directory]]\npath = \"b\"\nsource = \"file\"\n\
         [[directory]]\npath = \"c\"\ncontent = \"x\"\n[[file]]\npath = \"d\"\nsource = \"//../x\"\n\
         [[file]]\npath = \"e\"\nsource = \"///etc/passwd\"\n[[directory]]\npath = \"f\"\n[[symlink]]\npath = \"f\"\nto = \"x\"\n",
    );
    sandbox.write("components/app/file", "x");
    assert_snapshot!("directories_and_sources", sandbox.mistakes());
}

#[test]
fn a_source_in_a_folder_that_is_missing_is_named_whole() {
    let sandbox = Sandbox::app("[[file]]\npath = \"etc/app.conf\"\n");
    let shown = sandbox.mistakes();
    assert!(shown.contains("there is no file components/app/etc/app.conf"), "{shown}");
}
