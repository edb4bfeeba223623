//! A project in a temporary folder.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use batou_environments::{
    Content, Dependency, Diagnostics, Dns, DnsError, Entry, Evaluation, Family, Offline, Options, Project,
    Rendered, RenderedUnit,
};
use batou_release::{Step, Unit};
use serde_json::Value;
use tempfile::TempDir;

#[allow(dead_code, reason = "other test programs lack other things")]
#[path = "../../../tests/common/left_out.rs"]
mod left_out;
#[path = "../../../tests/common/python.rs"]
mod python;
#[path = "../../../tests/common/script.rs"]
mod script;

use left_out::{Lacking, left_out};

/// Its files are gone when it is dropped.
pub(crate) struct Sandbox(TempDir);

impl Sandbox {
    /// A project named `shop` with these files.
    pub(crate) fn new(files: &[(&str, &str)]) -> Sandbox {
        let sandbox = Sandbox(TempDir::new().unwrap());
        sandbox.write("batou.toml", "[project]\nname = \"shop\"\n");
        for (path, content) in files {
            sandbox.write(path, content);
        }
        sandbox
    }

    /// One component `app` on the host `web01` of the environment `prod`.
    pub(crate) fn app(component: &str) -> Sandbox {
        let environment = "[environment]\nhost_domain = \"example.net\"\n[hosts]\nweb01 = [\"app\"]\n";
        Sandbox::new(&[
            ("environments/prod/environment.toml", environment),
            ("components/app/component.toml", component),
        ])
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn project(&self) -> Project {
        batou_environments::project(self.0.path()).unwrap()
    }

    pub(crate) fn evaluate_with(&self, dns: &dyn Dns) -> Result<Evaluation, Diagnostics> {
        let project = batou_environments::project(self.0.path())?;
        let options = Options { dns, user: "me".to_owned(), user_home: "/home/me".to_owned(), notes: None };
        batou_environments::evaluate(&project, "prod", &options)
    }

    pub(crate) fn evaluate(&self) -> Evaluation {
        self.evaluate_with(&Offline).unwrap_or_else(|diagnostics| panic!("{diagnostics}"))
    }

    /// The text of all mistakes.
    pub(crate) fn mistakes(&self) -> String {
        match self.evaluate_with(&Offline) {
            Ok(_) => panic!("the evaluation found nothing wrong"),
            Err(diagnostics) => diagnostics.to_string(),
        }
    }
}

/// What a script of this folder's parent makes of a value, with what `make python` installs; without that notes that
/// `test` is left out.
pub(crate) fn python(script: &str, given: &Value, test: &str) -> Option<Value> {
    let python = python::python("python", test)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    Some(script::answer(&python, &script, given))
}

/// The component of an evaluation.
pub(crate) fn component<'a>(evaluation: &'a Evaluation, host: &str, name: &str) -> &'a Rendered {
    let found = evaluation.components.iter().find(|one| one.host == host && one.component == name);
    found.unwrap_or_else(|| panic!("no {host}/{name}"))
}

/// The one step of a component.
pub(crate) fn step(evaluation: &Evaluation, host: &str, name: &str) -> Step<Dependency> {
    let [RenderedUnit { unit: Unit::Step(step), .. }] = component(evaluation, host, name).units.as_slice()
    else {
        panic!("not one step");
    };
    step.clone()
}

/// The text of a rendered file.
pub(crate) fn text(evaluation: &Evaluation, host: &str, name: &str, path: &str) -> String {
    match component(evaluation, host, name).entries.get(path) {
        Some(Entry::File { content: Content::Bytes(bytes), .. }) => String::from_utf8(bytes.clone()).unwrap(),
        other => panic!("{path} is {other:?}"),
    }
}

/// Answers from a table, and notes what it was asked.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) answers: Vec<(&'static str, IpAddr)>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Dns for Table {
    fn lookup(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, DnsError> {
        self.asked.lock().unwrap().push(format!("{name} {family:?}"));
        let found: Vec<IpAddr> =
            self.answers.iter().filter(|(known, _)| *known == name).map(|(_, address)| *address).collect();
        if found.is_empty() { Err(DnsError::NoAddress) } else { Ok(found) }
    }
}
