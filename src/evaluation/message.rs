//! The request and its answer: messages that consist of a length and `MessagePack` with the names of fields.
//! More compact encodings would not allow types to leave fields out.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use batou_environments::{Diagnostics, Evaluation, ExplainedEnvironment, Rendered, Typed};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::limits::Limits;

/// The one message to the child.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct EvaluationRequest {
    pub(super) root: PathBuf,
    pub(super) environment: String,
    /// Whether names may be looked up in DNS.
    pub(super) lookup: bool,
    pub(super) user: String,
    pub(super) user_home: String,
    pub(super) limits: Limits,
    /// The component whose attributes are to be explained.
    pub(super) explain: Option<Typed>,
}

/// What the child answers: any number of components, then one of the other parts.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum AnswerPart {
    /// One of the evaluation's components, in order. Each has its own message, so that neither side ever holds
    /// all of them twice.
    Component(Rendered),
    /// The rest of the evaluation.
    Rest(Box<Evaluation>),
    /// The explanation that was asked for, in place of an evaluation.
    Explained(Box<ExplainedEnvironment>),
    /// The project's mistakes.
    Mistakes(Diagnostics),
}

/// Writes one message. Whoever has a buffer flushes it after the last one.
pub(super) fn write<M: Serialize>(to: &mut impl Write, message: &M) -> io::Result<()> {
    let bytes = rmp_serde::to_vec_named(message).map_err(io::Error::other)?;
    to.write_all(&(bytes.len() as u64).to_be_bytes())?;
    to.write_all(&bytes)
}

/// Reads one message; `None` if the input ends before its first byte.
pub(super) fn read<M: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<M>> {
    let mut length = Vec::with_capacity(8);
    from.take(8).read_to_end(&mut length)?;
    if length.is_empty() {
        return Ok(None);
    }
    let length = length.try_into().map(u64::from_be_bytes).map_err(|_| io::ErrorKind::UnexpectedEof)?;
    // The buffer grows as bytes arrive, so a length that is announced but never sent costs nothing.
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    rmp_serde::from_slice(&bytes).map(Some).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{BTreeMap, BTreeSet};

    use batou_environments::{Content, Dependency, Entry, RenderedUnit};
    use batou_release::{
        ARTIFACT_TOKEN, Assertions, HostPath, Instance, Newer, Script, ScriptPath, Step, Unit,
    };

    use super::*;

    fn unit() -> RenderedUnit {
        let path = || HostPath::new(format!("{ARTIFACT_TOKEN}/x")).unwrap();
        let script = Script {
            path: ScriptPath::new("run").unwrap(),
            arguments: vec!["a".to_owned()],
            digest: Dependency::Entries(vec!["run".to_owned()]),
        };
        let dependencies = BTreeMap::from([
            ("etc/".to_owned(), Dependency::Entries(vec!["etc/a".to_owned()])),
            ("resource:db".to_owned(), Dependency::Value("12".to_owned())),
        ]);
        let step = Step {
            name: "s".to_owned(),
            verify: None,
            update: Some(format!("{ARTIFACT_TOKEN}/x")),
            revert: None,
            irreversible: true,
            timeout: 5,
            directory: Some("d".to_owned()),
            environment: BTreeMap::from([("A".to_owned(), "b".to_owned())]),
            script: Some(script.clone()),
            assertions: Assertions {
                path: Some(path()),
                newer: Some(Newer { path: path(), than: vec![path()] }),
                unchanged: dependencies.clone(),
                script: Some(script),
            },
            creates: Some(path()),
            unless: None,
            only_if_path: None,
            triggers: dependencies,
        };
        RenderedUnit { unit: Unit::Step(step), breadcrumb: vec!["Venv(\"py\")".to_owned()] }
    }

    fn rendered() -> Rendered {
        let bytes = Content::Bytes(vec![0, 200, 255]);
        let entries = BTreeMap::from([
            ("file".to_owned(), Entry::File { content: bytes, mode: 0o755 }),
            ("folder".to_owned(), Entry::Directory),
            ("link".to_owned(), Entry::Symlink { target: "/ä".to_owned() }),
            ("source".to_owned(), Entry::File { content: Content::Source("/p/x".into()), mode: 0o644 }),
        ]);
        Rendered {
            host: "web01".parse().unwrap(),
            component: "app".to_owned(),
            entries,
            causes: BTreeMap::new(),
            breadcrumbs: BTreeMap::new(),
            units: vec![unit()],
            after: BTreeSet::from([Instance {
                host: "db01".parse().unwrap(),
                component: "postgres".parse().unwrap(),
            }]),
        }
    }

    #[test]
    fn a_component_arrives_as_it_was_sent() {
        let mut sent = Vec::new();
        write(&mut sent, &AnswerPart::Component(rendered())).unwrap();
        let mut from = sent.as_slice();
        let Some(AnswerPart::Component(arrived)) = read(&mut from).unwrap() else {
            panic!("another message")
        };
        assert_eq!(format!("{arrived:?}"), format!("{:?}", rendered()));
        assert!(read::<AnswerPart>(&mut from).unwrap().is_none());
    }

    #[test]
    fn a_message_that_ends_early_is_an_error() {
        let mut sent = Vec::new();
        write(&mut sent, &AnswerPart::Component(rendered())).unwrap();
        let refused = |mut bytes: &[u8]| read::<AnswerPart>(&mut bytes).unwrap_err().kind();
        for length in [1, 7, 8, 9, sent.len() - 1] {
            assert_eq!(refused(&sent[..length]), io::ErrorKind::UnexpectedEof, "{length}");
        }
        assert_eq!(refused(&[0xff; 9]), io::ErrorKind::UnexpectedEof, "announced and never sent");
        assert_eq!(refused(&[0, 0, 0, 0, 0, 0, 0, 1, 0xc1]), io::ErrorKind::Other, "not MessagePack");
    }

    /// What the child found is shown like what is found here.
    #[test]
    fn a_mistake_is_shown_alike_on_both_sides() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("batou.toml"), "[project]\nname = \"shop\"\n\n\nnmae = 1\n")
            .unwrap();
        let mistakes = batou_environments::project(folder.path()).unwrap_err();
        let mut sent = Vec::new();
        write(&mut sent, &AnswerPart::Mistakes(mistakes.clone())).unwrap();
        let Some(AnswerPart::Mistakes(arrived)) = read(&mut sent.as_slice()).unwrap() else {
            panic!("another")
        };
        assert_eq!(arrived.to_string(), mistakes.to_string());
        let drawn = |mistakes: &Diagnostics| {
            let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::none());
            let mut drawn = String::new();
            handler.render_report(&mut drawn, mistakes.iter().next().unwrap()).unwrap();
            drawn
        };
        assert_eq!(drawn(&arrived), drawn(&mistakes));
        assert!(drawn(&arrived).contains("nmae = 1"));
    }
}
