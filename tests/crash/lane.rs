//! A project whose one local host can be put back, again and again, to where a release is about to begin.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use regex::Regex;
use walkdir::WalkDir;

use crate::common::{Output, Sandbox, Strace};

pub(crate) const BATOU: &str = env!("CARGO_BIN_EXE_batou");
/// Where the host's deployment is, seen from the project.
const TARGET: &str = "work/dev";

/// A component that is the same in both releases.
const STEADY: &str = "[[file]]\npath = \"sub/file\"\ncontent = \"steady\\n\"\n";

/// What is about to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Nothing is in force yet.
    First,
    /// Release 2 follows release 1.
    Switch,
    /// Release 1 comes back after release 2.
    Rollback,
    /// Release 2 follows release 1, and fails: a step of it does.
    Failing,
}

/// What is in force: the text of each file below `current`, by its path there; `None` without a `current`.
pub(crate) type InForce = Option<BTreeMap<String, String>>;

/// A project, its host, and the state to which that is put back.
pub(crate) struct Lane {
    pub(crate) sandbox: Sandbox,
    scenario: Scenario,
}

impl Lane {
    /// Prepares the project, and the host up to the release in question.
    pub(crate) fn new(scenario: Scenario) -> Self {
        let lane = Self { sandbox: Sandbox::new(), scenario };
        release_1(&lane.sandbox);
        if scenario != Scenario::First {
            lane.sandbox.batou(&["switch", "dev"]).success();
        }
        release_2(&lane.sandbox);
        if scenario == Scenario::Failing {
            lane.fail();
        }
        if scenario == Scenario::Rollback {
            lane.sandbox.batou(&["switch", "dev"]).success();
        }
        lane.sandbox.batou(&["build", "dev"]).success();
        fs::create_dir_all(lane.sandbox.project().join("work")).unwrap();
        lane.shell("mv work base");
        lane.reset();
        lane
    }

    /// What is about to happen here.
    pub(crate) fn scenario(&self) -> Scenario {
        self.scenario
    }

    /// Puts the host back.
    pub(crate) fn reset(&self) {
        self.shell("{ chmod -R u+w work && rm -rf work; } 2>&-; cp -a base work");
    }

    /// Gives the project a step that fails.
    pub(crate) fn fail(&self) {
        let step = "[[step]]\nname = \"fail\"\nverify = \"false\"\nupdate = \"echo so >&2; exit 7\"\n";
        self.sandbox.write("components/steady/component.toml", format!("{STEADY}{step}"));
    }

    /// Takes that step away again.
    pub(crate) fn mend(&self) {
        self.sandbox.write("components/steady/component.toml", STEADY);
    }

    /// The release in question.
    pub(crate) fn release(&self) -> [&'static str; 2] {
        [if self.scenario == Scenario::Rollback { "rollback" } else { "switch" }, "dev"]
    }

    /// Runs the release with its agent under strace. With `orphan`, the controller is killed when the agent has ended.
    pub(crate) fn traced(&self, strace: &Strace, orphan: bool) -> Output {
        let agents = self.sandbox.home().join("agents");
        fs::create_dir_all(&agents).unwrap();
        fs::write(agents.join("armed"), "").unwrap();
        let prefix = strace.prefix().iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let then = if orphan { "kill -KILL $PPID" } else { "" };
        // Only the first agent is traced: the controller may start others, to ask what has become of it.
        let script = format!(
            "#!/bin/sh\nif rm '{}' 2>&-; then\n{prefix} '{BATOU}' \"$@\"\n{then}\nexit\nfi\nexec '{BATOU}' \"$@\"\n",
            agents.join("armed").display(),
        );
        for libc in ["gnu", "musl"] {
            let path = agents.join(format!("{}-unknown-linux-{libc}", std::env::consts::ARCH));
            fs::write(&path, &script).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        Output::of(self.sandbox.command(&self.release()).env("BATOU_AGENTS", &agents))
    }

    /// The host's target directory.
    pub(crate) fn target(&self) -> PathBuf {
        self.sandbox.project().join(TARGET)
    }

    /// What is in force now, read as a program reads it: through `current`.
    pub(crate) fn in_force(&self) -> InForce {
        let current = self.target().join("current");
        current.symlink_metadata().ok()?;
        let components = fs::read_dir(&current).unwrap().map(|entry| entry.unwrap().path());
        let components = components.filter(|path| path.is_dir());
        let files = components.flat_map(|component| WalkDir::new(component).follow_links(true));
        let files = files.map(Result::unwrap).filter(|entry| entry.file_type().is_file());
        let text = |path: PathBuf| {
            let name = path.strip_prefix(&current).unwrap().display().to_string();
            (name, fs::read_to_string(&path).unwrap())
        };
        Some(files.map(|entry| text(entry.into_path())).collect())
    }

    /// All that the next agent can meet on the host, but for what differs each time: times, the names of temporary files, and
    /// what the file system says of a file besides its content.
    pub(crate) fn state(&self) -> blake3::Hash {
        let target = self.target();
        let mut hasher = blake3::Hasher::new();
        // The target directory may not be there yet.
        for entry in WalkDir::new(&target).sort_by_file_name().into_iter().flatten() {
            let path = entry.path().strip_prefix(&target).unwrap().display().to_string();
            let kind = entry.file_type();
            let content = if kind.is_symlink() {
                fs::read_link(entry.path()).unwrap().display().to_string().into_bytes()
            } else if kind.is_file() {
                fs::read(entry.path()).unwrap()
            } else {
                Vec::new()
            };
            let mode = entry.metadata().unwrap().permissions().mode();
            let text = format!("{}|{kind:?}|{mode:o}|{}", steady(&path), content.len());
            hasher.update(text.as_bytes());
            // What checked-out files looked like: their times and inodes.
            if !path.starts_with("store/stats/") {
                hasher.update(steady(&String::from_utf8_lossy(&content)).as_bytes());
            }
        }
        hasher.finalize()
    }

    /// Whether a release has begun and not ended: there is an intent, and the journal has no line about it.
    pub(crate) fn is_interrupted(&self) -> bool {
        let line_count = |folder: &str| {
            let journal = fs::read_to_string(self.sandbox.project().join(folder).join("dev/journal"));
            journal.map_or(0, |text| text.lines().count())
        };
        self.target().join("intent.json").exists() && line_count("work") == line_count("base")
    }

    /// Nothing half-done is left, and every object of the host's store is whole.
    pub(crate) fn is_tidy(&self, context: &str) {
        self.sandbox.batou(&["gc", "dev"]).success();
        let left: Vec<_> = WalkDir::new(self.target())
            .into_iter()
            .map(|entry| entry.unwrap().into_path())
            .filter(|path| {
                let name = path.file_name().unwrap().to_str().unwrap();
                let folder = path.parent().unwrap();
                name.starts_with(".batou-")
                    || name == "intent.json"
                    || ["tmp", "leases"]
                        .iter()
                        .any(|temporary| folder.ends_with(format!("store/{temporary}")))
            })
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}\n{context}");
        self.sandbox.batou(&["verify", "dev"]).success();
        let store = self.target().join("store");
        Output::of(self.sandbox.command(&["store", "verify"]).env("BATOU_STORE", store)).success();
    }

    fn shell(&self, script: &str) {
        Output::of(self.sandbox.program("sh").args(["-c", script])).success();
    }
}

/// A text without what differs from run to run: times, numbers of processes, random names.
fn steady(text: &str) -> String {
    static DIFFERS: LazyLock<Regex> = LazyLock::new(|| {
        let times = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z";
        let names = r"\.batou-[[:alnum:]]+|\b(lease|batch)-\d+-\d+-[[:xdigit:]]+";
        let numbers = r#""(group|session|started)":\d+"#;
        Regex::new(&format!("{times}|{names}|{numbers}")).unwrap()
    });
    DIFFERS.replace_all(text, "…").into_owned()
}

fn release_1(sandbox: &Sandbox) {
    sandbox.write("batou.toml", "[project]\nname = \"crash\"\n");
    environment(sandbox, &["app", "steady", "former"]);
    app(sandbox, 1);
    sandbox.write("components/steady/component.toml", STEADY);
    sandbox.write("components/former/component.toml", "[[file]]\npath = \"file\"\ncontent = \"former\\n\"\n");
}

/// One file changes, one component comes with a step, and one goes.
fn release_2(sandbox: &Sandbox) {
    environment(sandbox, &["app", "steady", "later"]);
    app(sandbox, 2);
    sandbox.write(
        "components/later/component.toml",
        "[[file]]\npath = \"file\"\nmode = \"0755\"\ncontent = \"later\\n\"\n[[symlink]]\npath = \"link\"\n\
         to = \"file\"\n[[step]]\nname = \"touch\"\nverify = \"test -e touched\"\nupdate = \"touch touched\"\n\
         revert = \"rm touched\"\n",
    );
    fs::remove_dir_all(sandbox.project().join("components/former")).unwrap();
}

fn environment(sandbox: &Sandbox, components: &[&str]) {
    let text = format!("[environment]\nconnect_method = \"local\"\n\n[hosts]\nlocalhost = {components:?}\n");
    sandbox.write("environments/dev/environment.toml", text);
}

fn app(sandbox: &Sandbox, release: u32) {
    let text = format!(
        "[[file]]\npath = \"changing\"\ncontent = \"release {release}\\n\"\n[[file]]\npath = \"same\"\n\
         content = \"same\\n\"\n"
    );
    sandbox.write("components/app/component.toml", text);
}
