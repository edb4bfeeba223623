//! What was built into the controller's store, so that it can be named, compared, exported and kept.
//!
//! A record is the file `releases/<project>/<environment>/<number>-<release id>.json` in the store, written whole.
//! The last `keep` of each environment are roots of the store's collection, which removes the older ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use batou_store::{ArtifactId, Digest, Name, Store};
use serde::{Deserialize, Serialize};

use crate::build::Built;
use crate::error::CommandError;
use batou_release::{Format, FormatError, HostName, HostRelease, Release};

static FORMAT: Format = Format {
    name: "the record",
    kind: "the record of a release",
    version: 1,
    renewal: Some("build the environment again"),
};
/// The folder in the store that holds the records.
pub const FOLDER: &str = "releases";
/// The fewest digits by which a release is named.
pub const SHORTEST: usize = 4;

/// The records of one store.
pub struct Records {
    directory: PathBuf,
}

/// One built release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    format: u32,
    /// The release's id.
    pub id: Digest,
    /// When it was first recorded, RFC 3339 UTC.
    pub when: String,
    /// How many records of its environment are kept.
    pub keep: u32,
    /// The release.
    pub release: Release,
    /// Each host's manifest and causes.
    pub hosts: BTreeMap<HostName, HostRelease>,
}

impl Record {
    /// The record of what was just built.
    pub fn of(built: &Built, keep: u32) -> Self {
        Self {
            format: FORMAT.version,
            id: built.release.id(),
            when: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            keep,
            release: built.release.clone(),
            hosts: built.hosts.clone(),
        }
    }

    /// Reads a record; one whose parts contradict each other is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let record: Self = FORMAT.read(bytes)?;
        let digests = record.hosts.iter().map(|(name, host)| (name, host.digest()));
        // The names become a path.
        let named =
            [&record.release.project, &record.release.environment].map(|name| Name::new(name.as_str()));
        let consistent = named.iter().all(Result::is_ok)
            && record.id == record.release.id()
            && digests.eq(record.release.hosts.iter().map(|(name, digest)| (name, *digest)));
        if consistent { Ok(record) } else { Err(RecordError::Inconsistent) }
    }

    /// The bytes that [`Record::decode`] reads.
    ///
    /// # Panics
    /// Never: a record is plain data.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a record is plain data")
    }

    /// The artifacts of all hosts, each once.
    pub fn artifacts(&self) -> Vec<ArtifactId> {
        let all = self.hosts.values().flat_map(|host| host.manifest().artifacts());
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Why a file is not a usable record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is no record, or one of another version.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The ids in it are not those of its content.
    #[error("the record is damaged: its ids are not those of its content")]
    Inconsistent,
}

/// A record's place in its environment's order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RecordFile {
    number: u64,
    id: Digest,
    path: PathBuf,
}

impl Records {
    /// Those of a store.
    pub fn of(store: &Store) -> Self {
        Self { directory: store.root().join(FOLDER) }
    }

    /// Makes a release the newest of its environment. If it already is, nothing is written. Whether it was written.
    pub fn save(&self, record: &Record) -> Result<bool, CommandError> {
        let folder = self.folder(&record.release.project, &record.release.environment);
        let places = places(&folder)?;
        if places.last().is_some_and(|newest| newest.id == record.id) {
            return Ok(false);
        }
        let number = places.last().map_or(1, |newest| newest.number + 1);
        fs::create_dir_all(&folder).map_err(|error| unusable(&folder, error))?;
        let path = folder.join(format!("{number:08}-{}.json", record.id));
        batou_store::fs::atomic_write(&path, &record.encode(), batou_store::fs::PRIVATE, false)?;
        for same in places.iter().filter(|place| place.id == record.id) {
            remove(&same.path)?;
        }
        Ok(true)
    }

    /// The records of an environment, oldest first.
    pub fn list(&self, project: &str, environment: &str) -> Result<Vec<Record>, CommandError> {
        let places = places(&self.folder(project, environment))?;
        places.iter().map(|place| read(&place.path)).collect()
    }

    /// The projects and environments that have records, sorted.
    pub fn environments(&self) -> Result<Vec<(String, String)>, CommandError> {
        let mut environments = Vec::new();
        for project in names(&self.directory)? {
            for environment in names(&self.directory.join(&project))? {
                environments.push((project.clone(), environment));
            }
        }
        Ok(environments)
    }

    /// The record whose release's id begins so: the newest one, should a release be recorded twice.
    pub fn find(&self, prefix: &str) -> Result<Option<Record>, CommandError> {
        if prefix.len() < SHORTEST || !prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Ok(None);
        }
        let mut found: Vec<RecordFile> = Vec::new();
        for (project, environment) in self.environments()? {
            let places = places(&self.folder(&project, &environment))?;
            found.extend(places.into_iter().filter(|place| place.id.to_string().starts_with(prefix)));
        }
        found.dedup_by_key(|place| place.id);
        match &found[..] {
            [] => Ok(None),
            [one] => read(&one.path).map(Some),
            several => Err(ambiguous(prefix, several)),
        }
    }

    /// The artifacts of all recorded releases whose id begins so, sorted.
    pub fn find_artifacts(&self, prefix: &str) -> Result<Vec<ArtifactId>, CommandError> {
        let mut found = BTreeSet::new();
        for (project, environment) in self.environments()? {
            for record in self.list(&project, &environment)? {
                found.extend(record.artifacts().into_iter().filter(|id| id.to_string().starts_with(prefix)));
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Drops the records beyond each environment's `keep`; the artifacts of those that stay are what the store keeps.
    pub fn prune(&self) -> Result<Vec<ArtifactId>, CommandError> {
        let mut roots = BTreeSet::new();
        for (project, environment) in self.environments()? {
            let places = places(&self.folder(&project, &environment))?;
            let Some(newest) = places.last() else { continue };
            let keep = read(&newest.path)?.keep.max(1) as usize;
            let (dropped, kept) = places.split_at(places.len().saturating_sub(keep));
            for place in kept {
                roots.extend(read(&place.path)?.artifacts());
            }
            for place in dropped {
                remove(&place.path)?;
            }
        }
        Ok(roots.into_iter().collect())
    }

    fn folder(&self, project: &str, environment: &str) -> PathBuf {
        self.directory.join(project).join(environment)
    }
}

/// The records in a folder, by number. Other files are none of ours and left alone.
fn places(folder: &Path) -> Result<Vec<RecordFile>, CommandError> {
    let place = |name: String| {
        let (number, id) = name.strip_suffix(".json")?.split_once('-')?;
        Some(RecordFile { number: number.parse().ok()?, id: id.parse().ok()?, path: folder.join(&name) })
    };
    let mut places: Vec<_> = names(folder)?.into_iter().filter_map(place).collect();
    places.sort_by_key(|place| place.number);
    Ok(places)
}

fn names(folder: &Path) -> Result<Vec<String>, CommandError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| unusable(folder, error))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| unusable(folder, error))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

fn read(path: &Path) -> Result<Record, CommandError> {
    let bytes = fs::read(path).map_err(|error| unusable(path, error))?;
    Record::decode(&bytes).map_err(|error| unusable(path, error))
}

fn remove(path: &Path) -> Result<(), CommandError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable(path, error)),
        _ => Ok(()),
    }
}

fn unusable(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CommandError {
    CommandError::failed(format!("{} cannot be used", path.display())).because(error)
}

fn ambiguous(prefix: &str, found: &[RecordFile]) -> CommandError {
    let ids: Vec<_> = found.iter().map(|place| place.id.short()).collect();
    CommandError::input(format!("{prefix} is the beginning of several releases: {}", ids.join(", ")))
        .hint("give more of its digits")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{artifact, component, record, store};

    /// Records of a store with as many releases of one component as there are contents.
    fn recorded(folder: &Path, contents: &[&str], keep: u32) -> (Records, Vec<Record>) {
        let store = store(folder);
        let records = Records::of(&store);
        let saved = contents.iter().map(|content| {
            let id = artifact(&store, "web", &[("f", content.as_bytes())]);
            let record = record(vec![component("web", id, &[])], keep);
            records.save(&record).unwrap();
            record
        });
        let saved = saved.collect();
        (records, saved)
    }

    #[test]
    fn the_newest_release_is_saved_once() {
        let folder = tempfile::tempdir().unwrap();
        let (records, saved) = recorded(folder.path(), &["a", "b"], 10);
        assert!(!records.save(&saved[1]).unwrap());
        assert_eq!(records.list("shop", "prod").unwrap(), saved);
        assert_eq!(records.environments().unwrap(), [("shop".to_owned(), "prod".to_owned())]);
    }

    #[test]
    fn an_older_release_that_comes_back_is_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let (records, saved) = recorded(folder.path(), &["a", "b"], 10);
        assert!(records.save(&saved[0]).unwrap());
        let ids: Vec<_> = records.list("shop", "prod").unwrap().iter().map(|record| record.id).collect();
        assert_eq!(ids, [saved[1].id, saved[0].id]);
    }

    #[test]
    fn releases_are_found_by_the_beginning_of_their_id() {
        let folder = tempfile::tempdir().unwrap();
        let (records, saved) = recorded(folder.path(), &["a", "b"], 10);
        let found = records.find(&saved[0].id.to_string()[..12]).unwrap();
        assert_eq!(found.as_ref(), Some(&saved[0]));
        let artifact = saved[0].artifacts()[0];
        assert_eq!(records.find_artifacts(&artifact.short()).unwrap(), [artifact]);
        for unknown in ["", "0", "prod", "../..", "00000000"] {
            assert_eq!(records.find(unknown).unwrap(), None, "{unknown}");
        }
    }

    #[test]
    fn only_the_last_ones_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (records, saved) = recorded(folder.path(), &["a", "b", "c"], 2);
        let roots: BTreeSet<_> = records.prune().unwrap().into_iter().collect();
        assert_eq!(roots, saved[1..].iter().flat_map(Record::artifacts).collect());
        assert_eq!(records.list("shop", "prod").unwrap(), saved[1..]);
    }

    #[test]
    fn a_record_that_contradicts_itself_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (_, saved) = recorded(folder.path(), &["a"], 2);
        let mut wrong = saved[0].clone();
        wrong.id = Digest::of(b"wrong");
        assert!(matches!(Record::decode(&wrong.encode()), Err(RecordError::Inconsistent)));
        let mut wrong = saved[0].clone();
        let host = wrong.hosts.get_mut("web01").unwrap();
        *host = HostRelease::new(crate::testing::manifest("web01", Vec::new()), host.causes().clone());
        assert!(matches!(Record::decode(&wrong.encode()), Err(RecordError::Inconsistent)));
        let mut wrong = saved[0].clone();
        wrong.release.project = "../elsewhere".to_owned();
        wrong.id = wrong.release.id();
        assert!(matches!(Record::decode(&wrong.encode()), Err(RecordError::Inconsistent)));
        let newer = String::from_utf8(saved[0].encode()).unwrap().replacen("\"format\":1", "\"format\":2", 1);
        assert!(matches!(
            Record::decode(newer.as_bytes()),
            Err(RecordError::Format(FormatError::Newer { found: 2, .. }))
        ));
    }
}
