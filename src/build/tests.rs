#![allow(clippy::unwrap_used)]
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use batou_environments::{Offline, Options, evaluate, project};
use batou_store::{Node, Silent};
use tempfile::TempDir;

use super::*;
use crate::evaluation::FromHere;
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

    fn evaluate(&self) -> batou_environments::Evaluation {
        let options = Options {
            dns: &Offline,
            user: "someone".to_owned(),
            user_home: "/home/someone".to_owned(),
            notes: None,
        };
        evaluate(&project(&self.root()).unwrap(), "prod", &options).unwrap()
    }

    fn build(&self) -> Built {
        let evaluation = Evaluation::from_here(self.evaluate());
        build(&evaluation, &self.store, &Progress::silent()).unwrap()
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
    let web = built.hosts["web01"].manifest.component("web").unwrap();
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
fn steps_name_the_artifact_where_it_is_on_the_host() {
    let built = Fixture::new().build();
    let web = built.hosts["web02"].manifest.component("web").unwrap();
    let folder = directory_name(&web.artifact, &web.name);
    let Unit::Step(step) = &web.units[0];
    let update = step.update.as_deref().unwrap();
    assert_eq!(update, format!("cat /srv/shop/store/artifacts/{folder}/etc/web.conf"));
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
    let sources = Sources::open(&fixture.folder.path().join("cache"));
    let layout = Layout::of(web, &sources, &Silent).unwrap();
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
    let sources = Sources::open(&fixture.store.root().join(SOURCES).join("shop"));
    let layout = Layout::of(web, &sources, &Silent).unwrap();
    assert_eq!(sources.bytes_read(), 0);
    assert!(!fixture.store.contains(&ObjectId::Artifact(layout.id)).unwrap(), "it is another artifact");
    fs::remove_file(logo).unwrap();
    layout.add_to(&fixture.store.batch().unwrap(), &Silent).unwrap();
}

#[test]
fn causes_stand_beside_the_manifest() {
    let built = Fixture::new().build();
    let causes = &built.hosts["web01"].causes["web"]["etc/web.conf"];
    assert!(causes.contains_key("attribute web.sleep"), "{causes:?}");
}
