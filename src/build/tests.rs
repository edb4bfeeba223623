#![allow(clippy::unwrap_used)]
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use batou_environments::{Offline, Options, evaluate, project};
use batou_release::{Step, Unit, show_artifact};
use batou_store::{Node, Silent};
use tempfile::TempDir;

use super::*;
use crate::testing::store;

/// A project with two hosts that share a component, and a source that is no template.
struct Fixture {
    folder: TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let fixture = Self { folder, store };
        fixture.write("batou.toml", "[project]\nname = \"shop\"\n");
        fixture.write(
            "environments/prod/environment.toml",
            "[environment]\nhost_domain = \"example.net\"\nservice_user = \"shop\"\n\n\
             [hosts]\nweb01 = [\"web\"]\nweb02 = [\"web\", \"plain\"]\n",
        );
        fixture.write(
            "components/web/component.toml",
            "[attributes]\nsleep = 1\n\n[[file]]\npath = \"etc/web.conf\"\ncontent = \"sleep {{ component.sleep }}\\n\"\n\n\
             [[file]]\npath = \"logo.png\"\ntemplate = false\n\n[[symlink]]\npath = \"data\"\nto = \"{{ component.state }}\"\n\n\
             [[step]]\nname = \"show\"\nupdate = \"cat {{ component.artifact }}/etc/web.conf\"\n",
        );
        fixture.write(
            "components/plain/component.toml",
            "[[file]]\npath = \"host\"\ncontent = \"{{ host.name }}\"\n",
        );
        fs::write(fixture.root().join("components/web/logo.png"), b"\x89PNG\0").unwrap();
        fixture
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn evaluate(&self) -> Evaluation {
        let options = Options {
            dns: &Offline,
            user: "someone".to_owned(),
            user_home: "/home/someone".to_owned(),
            notes: None,
        };
        evaluate(&project(&self.root()).unwrap(), "prod", &options).unwrap()
    }

    fn build(&self) -> Built {
        build(&self.evaluate(), &self.store, &Progress::silent()).unwrap()
    }
}

/// Everything below a folder: path, inode, size, time of the last change in nanoseconds.
fn snapshot(folder: &Path) -> BTreeSet<(PathBuf, u64, u64, i64)> {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let changed = metadata.ctime() * 1_000_000_000 + metadata.ctime_nsec();
            (entry.into_path(), metadata.ino(), metadata.size(), changed)
        })
        .collect()
}

#[test]
fn an_unchanged_build_writes_nothing() {
    let fixture = Fixture::new();
    let first = fixture.build();
    assert_eq!(first.stored, 2, "both hosts share one artifact of web");
    let (release, hosts) = (first.release.clone(), first.hosts.clone());
    drop(first);
    let before = snapshot(fixture.store.root());
    let second = fixture.build();
    assert_eq!((second.stored, &second.release, &second.hosts), (0, &release, &hosts));
    assert_eq!(snapshot(fixture.store.root()), before);
}

#[test]
fn what_is_built_is_what_was_rendered() {
    let fixture = Fixture::new();
    let built = fixture.build();
    let web = built.hosts["web01"].manifest().component("web").unwrap();
    fixture.store.check_out(&[(web.artifact, &web.name)]).unwrap();
    let path = fixture.store.artifact_path(&web.artifact, &web.name);
    assert_eq!(fs::read(path.join("etc/web.conf")).unwrap(), b"sleep 1\n");
    assert_eq!(fs::read(path.join("logo.png")).unwrap(), b"\x89PNG\0");
    assert_eq!(fs::read_link(path.join("data")).unwrap(), Path::new("/srv/shop/state/web"));
    let files = fixture.store.files(&fixture.store.artifact(&web.artifact).unwrap().tree).unwrap();
    let Some((_, Node::File { mode, .. })) = files.iter().find(|(path, _)| path.as_str() == "logo.png")
    else {
        panic!("{files:?}")
    };
    assert_eq!(mode.bits(), 0o444);
}

#[test]
fn steps_leave_the_artifacts_path_to_the_host() {
    let built = Fixture::new().build();
    let web = built.hosts["web02"].manifest().component("web").unwrap();
    let Unit::Step(step) = &web.units[0];
    let update = step.update.as_deref().unwrap();
    assert_eq!(show_artifact(update), "cat {{ component.artifact }}/etc/web.conf");
    let expanded = step.expanded("/srv/x").unwrap();
    assert_eq!(expanded.update.as_deref(), Some("cat /srv/x/etc/web.conf"));
}

fn first_step(built: &Built) -> Step {
    let Unit::Step(step) = &built.hosts["web01"].manifest().component("web").unwrap().units[0];
    step.clone()
}

/// The digests of a step's triggers, of a project whose component `web` has these files besides its step.
fn triggers(files: &str, triggers: &str) -> BTreeMap<String, String> {
    let fixture = Fixture::new();
    let step = format!("[[step]]\nname = \"s\"\nupdate = \"true\"\ntriggers = {triggers}\n");
    fixture.write("components/web/component.toml", &format!("{files}\n{step}"));
    first_step(&fixture.build()).triggers.clone()
}

#[test]
fn a_trigger_changes_with_the_content_mode_and_kind_of_the_files_that_it_names() {
    let files = "[[file]]\npath = \"etc/app.conf\"\ncontent = \"1\"\n[[file]]\npath = \"etc/sub/a.ini\"\ncontent = \"1\"\n\
        [[file]]\npath = \"run\"\ncontent = \"1\"\n[[symlink]]\npath = \"etc/data\"\nto = \"x\"\n";
    let all = "[\"etc/app.conf\", \"etc/\", \"*.ini\"]";
    let old = triggers(files, all);
    assert!(old.values().all(|digest| digest.len() == 64));
    let changed = |from: &str, to: &str| {
        assert!(files.contains(from), "{from}");
        let new = triggers(&files.replacen(from, to, 1), all);
        let differing = old.keys().filter(|name| old[*name] != new[*name]);
        differing.map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    let file = |path: &str| format!("path = \"{path}\"\ncontent = ");
    let with = |path: &str, content: &str| format!("{}\"{content}\"", file(path));
    assert_eq!(changed(&with("run", "1"), &with("run", "2")), "");
    assert_eq!(changed(&with("etc/app.conf", "1"), &with("etc/app.conf", "2")), "etc/ etc/app.conf");
    let executable = format!("mode = \"0755\"\n{}", with("etc/app.conf", "1"));
    assert_eq!(changed(&with("etc/app.conf", "1"), &executable), "etc/ etc/app.conf");
    assert_eq!(changed(&with("etc/sub/a.ini", "1"), &with("etc/sub/a.ini", "2")), "*.ini etc/");
    assert_eq!(changed("to = \"x\"", "to = \"y\""), "etc/");
    let file_for_link = "[[file]]\npath = \"etc/data\"\ncontent = \"x\"";
    assert_eq!(changed("[[symlink]]\npath = \"etc/data\"\nto = \"x\"", file_for_link), "etc/");
}

#[test]
fn a_folders_trigger_changes_with_its_names() {
    let digest = |name: &str| {
        triggers(&format!("[[file]]\npath = \"etc/{name}\"\ncontent = \"\"\n"), "[\"etc/\"]")["etc/"].clone()
    };
    assert_ne!(digest("app.conf"), digest("app.cnf"));
    let empty = |more: &str| {
        triggers(&format!("[[directory]]\npath = \"etc\"\n{more}"), "[\"etc/\"]")["etc/"].clone()
    };
    assert_ne!(empty(""), empty("[[directory]]\npath = \"etc/new\"\n"));
}

#[test]
fn a_changed_script_is_a_changed_step() {
    let digests = |script: &str| {
        let fixture = Fixture::new();
        fixture.write(
            "components/web/component.toml",
            &format!(
                "[[file]]\npath = \"run\"\nmode = \"0755\"\ncontent = \"{script}\"\n\
                 [[step]]\nname = \"s\"\nscript = \"run\"\nverify = {{ script = \"run\" }}\n"
            ),
        );
        let step = first_step(&fixture.build());
        (step.script.unwrap().digest, step.assertions.script.unwrap().digest)
    };
    let (one, other) = (digests("1"), digests("2"));
    assert_eq!(one.0, one.1);
    assert_ne!(one.0, other.0);
}

#[test]
fn a_change_is_built_alone_and_gives_another_release() {
    let fixture = Fixture::new();
    let before = fixture.build().release;
    fixture.write("components/plain/component.toml", "[[file]]\npath = \"host\"\ncontent = \"changed\"\n");
    let after = fixture.build();
    assert_eq!(after.stored, 1);
    assert_ne!(before.id(), after.release.id());
    assert_eq!(before.hosts["web01"], after.release.hosts["web01"]);
    assert_ne!(before.hosts["web02"], after.release.hosts["web02"]);
}

#[test]
fn a_source_that_changes_while_it_is_built_is_refused() {
    let fixture = Fixture::new();
    let evaluation = fixture.evaluate();
    let web = evaluation.components.iter().find(|one| one.component == "web").unwrap();
    let sources = SourceHasher::open(&fixture.folder.path().join("cache"));
    let layout = ComponentLayout::of(web, &sources, &Silent).unwrap();
    fs::write(fixture.root().join("components/web/logo.png"), b"other").unwrap();
    let error = layout.add_to(&fixture.store.batch().unwrap(), &Silent).unwrap_err();
    assert!(error.to_string().ends_with("logo.png changed while it was built"), "{error}");
    assert!(!fixture.store.contains(&ObjectId::Artifact(layout.id)).unwrap());
}

#[test]
fn a_large_source_that_is_as_it_was_is_neither_read_nor_stored_again() {
    let fixture = Fixture::new();
    let logo = fixture.root().join("components/web/logo.png");
    fs::write(&logo, vec![7; 300 << 10]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(60));
    fixture.build();
    fixture.write(
        "components/web/component.toml",
        "[[file]]\npath = \"logo.png\"\ntemplate = false\nmode = \"0644\"\n",
    );
    let evaluation = fixture.evaluate();
    let web = evaluation.components.iter().find(|one| one.component == "web").unwrap();
    let sources = SourceHasher::open(&fixture.store.root().join(SOURCES).join("shop"));
    let layout = ComponentLayout::of(web, &sources, &Silent).unwrap();
    assert_eq!(sources.bytes_read(), 0);
    assert!(!fixture.store.contains(&ObjectId::Artifact(layout.id)).unwrap(), "it is another artifact");
    fs::remove_file(logo).unwrap();
    layout.add_to(&fixture.store.batch().unwrap(), &Silent).unwrap();
}

#[test]
fn causes_stand_beside_the_manifest() {
    let built = Fixture::new().build();
    let causes = &built.hosts["web01"].causes()["web"]["etc/web.conf"];
    assert!(causes.contains_key("attribute web.sleep"), "{causes:?}");
}
