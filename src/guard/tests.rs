#![allow(clippy::unwrap_used)]
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;
use crate::testing::SharedBuffer;
use crate::ui::Verbosity;

/// A git repository with a project in its folder `shop`.
struct Fixture {
    folder: TempDir,
    name: &'static str,
    seen: SharedBuffer,
}

impl Fixture {
    fn plain() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("shop")).unwrap();
        std::fs::write(folder.path().join("shop/batou.toml"), "[project]\nname = \"shop\"\n").unwrap();
        Self { folder, name: "shop", seen: SharedBuffer::default() }
    }

    fn committed() -> Self {
        let fixture = Self::plain();
        fixture.git(&["init", "--quiet", "--initial-branch=main"]);
        fixture.commit();
        fixture
    }

    fn project(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message=x"]);
    }

    fn git(&self, arguments: &[&str]) {
        let identity = ["-c", "user.name=x", "-c", "user.email=x@example.net", "-c", "commit.gpgSign=false"];
        let done = Command::new("git")
            .arg("-C")
            .arg(self.folder.path())
            .args(identity)
            .args(arguments)
            .env_remove("GIT_DIR")
            .env_remove("GIT_INDEX_FILE")
            .stdout(Stdio::null())
            .status();
        assert!(done.unwrap().success(), "{arguments:?}");
    }

    fn check(&self, branch: Option<&str>, dirty: bool) -> Result<(), String> {
        let mut policy = policy();
        policy.branch = branch.map(str::to_owned);
        self.check_with(&policy, dirty)
    }

    fn check_with(&self, policy: &Policy, dirty: bool) -> Result<(), String> {
        let ui = Ui::to_writers(Verbosity::default(), Box::new(io::sink()), Box::new(self.seen.clone()));
        check_repository(&self.project(), policy, dirty, &ui).map_err(|error| {
            assert_eq!(error.exit_code(), 2);
            assert!(error.hints()[0].contains("--dirty"));
            error.to_string()
        })
    }

    fn said(&self) -> String {
        self.seen.text()
    }
}

/// The policy of an environment that is reached over ssh.
fn policy() -> Policy {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("batou.toml", "[project]\nname = \"shop\"\n");
    write(
        "environments/prod/environment.toml",
        "[environment]\nconnect_method = \"ssh\"\n\n[hosts]\nweb01 = []\n",
    );
    let project = batou_environments::project(folder.path()).unwrap();
    batou_environments::policy(&project, "prod").unwrap().0
}

#[test]
fn a_clean_repository_may_be_released() {
    let fixture = Fixture::committed();
    assert_eq!(fixture.check(None, false), Ok(()));
    assert_eq!(fixture.check(Some("main"), false), Ok(()));
    assert_eq!(fixture.said(), "");
}

#[test]
fn a_folder_that_is_no_repository_gives_a_notice() {
    let fixture = Fixture::plain();
    assert_eq!(fixture.check(None, false), Ok(()));
    assert!(fixture.said().contains("in no git repository"), "{}", fixture.said());
}

#[test]
fn changes_that_are_not_committed_refuse_a_release() {
    let fixture = Fixture::committed();
    fixture.write("shop/batou.toml", "[project]\nname = \"other\"\n");
    fixture.write("shop/new\nline", "");
    let error = fixture.check(None, false).unwrap_err();
    assert_eq!(error, "the project has 2 changes that are not committed: shop/batou.toml, shop/new^Jline");
    assert_eq!(fixture.check(None, true), Ok(()));
}

#[test]
fn changes_outside_of_the_project_and_our_own_do_not_count() {
    let fixture = Fixture::committed();
    fixture.write("elsewhere", "x");
    fixture.write("shop/result/dev/x", "x");
    fixture.write("shop/work/dev/x", "x");
    assert_eq!(fixture.check(None, false), Ok(()));
    fixture.write("shop/components/work/x", "x");
    let error = fixture.check(None, false).unwrap_err();
    assert!(error.contains("1 change that is not committed: shop/components/"), "{error}");
}

#[test]
fn ignored_files_do_not_count() {
    let fixture = Fixture::committed();
    fixture.write("shop/.gitignore", "*.log\n");
    fixture.commit();
    fixture.write("shop/build.log", "x");
    assert_eq!(fixture.check(None, false), Ok(()));
}

#[test]
fn a_repository_without_commits_has_changes() {
    let fixture = Fixture::plain();
    fixture.git(&["init", "--quiet"]);
    assert!(fixture.check(None, false).unwrap_err().contains("not committed"));
}

#[test]
fn another_branch_refuses_a_release() {
    let fixture = Fixture::committed();
    let error = fixture.check(Some("production"), false).unwrap_err();
    assert_eq!(error, "prod is released from branch production, and branch main is checked out");
    fixture.git(&["checkout", "--quiet", "--detach"]);
    let error = fixture.check(Some("production"), false).unwrap_err();
    assert!(error.ends_with("is not the tip of that branch, here or on a remote"), "{error}");
    assert_eq!(fixture.check(Some("production"), true), Ok(()));
}

#[test]
fn a_branch_that_cannot_be_checked_refuses_a_release() {
    let fixture = Fixture::plain();
    let error = fixture.check(Some("main"), false).unwrap_err();
    let wanted = "prod is released from branch main, and that cannot be checked: the project's folder is in no git repository";
    assert_eq!(error, wanted);
    assert_eq!(fixture.check(Some("main"), true), Ok(()));
}

#[test]
fn what_counts_is_the_commit_at_the_tip_of_the_branch() {
    let fixture = Fixture::committed();
    fixture.git(&["checkout", "--quiet", "--detach"]);
    assert_eq!(fixture.check(Some("main"), false), Ok(()), "as CI checks it out");
    fixture.write("shop/new", "x");
    fixture.commit();
    assert!(fixture.check(Some("main"), false).is_err(), "behind it");
    fixture.git(&["update-ref", "refs/remotes/team/origin/main", "HEAD"]);
    assert!(fixture.check(Some("main"), false).is_err(), "of no remote");
    fixture.git(&["remote", "add", "team/origin", "."]);
    assert_eq!(fixture.check(Some("main"), false), Ok(()));
    assert!(fixture.check(Some("origin/main"), false).is_err(), "a part of a name");
}

#[test]
fn a_tag_is_no_branch() {
    let fixture = Fixture::committed();
    fixture.git(&["tag", "main"]);
    assert_eq!(fixture.check(Some("main"), false), Ok(()));
    fixture.git(&["tag", "production"]);
    assert!(fixture.check(Some("production"), false).is_err());
    fixture.git(&["tag", "refs/heads/production"]);
    assert!(fixture.check(Some("production"), false).is_err());
}

#[test]
fn commits_that_are_not_pushed_refuse_a_release() {
    let fixture = Fixture::committed();
    let upstream = tempfile::tempdir().unwrap();
    fixture.git(&["clone", "--quiet", "--bare", ".", upstream.path().to_str().unwrap()]);
    fixture.git(&["remote", "add", "origin", upstream.path().to_str().unwrap()]);
    fixture.git(&["fetch", "--quiet", "origin"]);
    fixture.git(&["branch", "--quiet", "--set-upstream-to=origin/main"]);
    assert_eq!(fixture.check(None, false), Ok(()));
    fixture.write("elsewhere", "x");
    fixture.commit();
    assert_eq!(fixture.check(None, false), Ok(()), "the commit does not touch the project");
    fixture.write("shop/new", "x");
    fixture.commit();
    assert_eq!(fixture.check(None, false).unwrap_err(), "the project has 1 commit that is not pushed");
}

#[test]
fn changes_in_a_submodule_count_whatever_git_is_told_to_ignore() {
    let fixture = Fixture::committed();
    fixture.git(&["init", "--quiet", "shop/library"]);
    fixture.write("shop/library/file", "x");
    fixture.git(&["-C", "shop/library", "add", "--all"]);
    fixture.git(&["-C", "shop/library", "commit", "--quiet", "--message=x"]);
    fixture.git(&["-c", "advice.addEmbeddedRepo=false", "add", "--all"]);
    fixture.git(&["commit", "--quiet", "--message=x"]);
    fixture.git(&["config", "diff.ignoreSubmodules", "all"]);
    assert_eq!(fixture.check(None, false), Ok(()));
    fixture.write("shop/library/file", "y");
    assert!(fixture.check(None, false).unwrap_err().ends_with("not committed: shop/library"));
}

#[test]
fn the_name_of_the_projects_folder_is_no_pattern() {
    let mut fixture = Fixture::plain();
    let odd = fixture.folder.path().join("sh*[o]p");
    std::fs::rename(fixture.project(), &odd).unwrap();
    fixture.git(&["init", "--quiet", "--initial-branch=main"]);
    fixture.commit();
    fixture.name = "sh*[o]p";
    fixture.write("sh*[o]p/work/dev/x", "x");
    assert_eq!(fixture.check(None, false), Ok(()));
}

#[test]
fn a_local_environment_is_not_guarded() {
    let fixture = Fixture::committed();
    fixture.write("shop/new", "x");
    let mut policy = policy();
    policy.connect_method = ConnectMethod::Local;
    assert_eq!(fixture.check_with(&policy, false), Ok(()));
}

#[test]
fn only_the_environments_own_name_confirms() {
    let mut policy = policy();
    assert!(answered(&policy, "prod\n").is_ok());
    for other in ["", "y", "yes", "production"] {
        assert_eq!(answered(&policy, other).unwrap_err().exit_code(), 1, "{other}");
    }
    let ui = Ui::to_writers(Verbosity::default(), Box::new(io::sink()), Box::new(io::sink()));
    assert!(confirm(&policy, false, &ui).is_ok(), "it is not protected");
    policy.protected = true;
    assert!(confirm(&policy, true, &ui).is_ok());
}
