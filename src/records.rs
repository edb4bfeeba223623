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
    name: "the release record",
    kind: "a release record",
    version: 1,
    renewal: Some("build the environment again"),
};
/// The folder in the store that holds the records.
pub const FOLDER: &str = "releases";
/// The fewest digits that may name a release.
pub const SHORTEST: usize = 4;

/// The records of one store.
pub struct Records<'t> {
    directory: PathBuf,
    /// Is told about records that were damaged and had to be dropped.
    tell: Box<dyn Fn(&str) + 't>,
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

    /// Reads a record; one with parts that contradict each other is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let record: Self = FORMAT.read(bytes)?;
        let digests = record.hosts.iter().map(|(name, host)| (name, host.digest()));
        // The names become part of a path.
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
    /// It is not a record, or it has another version.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The ids in it do not match its content.
    #[error("the release record is damaged: its ids are not those of its content")]
    Inconsistent,
}

/// A record's place in its environment's order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RecordFile {
    number: u64,
    id: Digest,
    path: PathBuf,
}

impl<'t> Records<'t> {
    /// The records of a store; `tell` is told about those that were damaged and had to be dropped.
    pub fn of(store: &Store, tell: impl Fn(&str) + 't) -> Self {
        Self { directory: store.root().join(FOLDER), tell: Box::new(tell) }
    }

    /// Makes a release the newest of its environment. Writes nothing if it already is. Returns whether it was
    /// written.
    pub fn save(&self, record: &Record) -> Result<bool, CommandError> {
        let folder = self.folder(&record.release.project, &record.release.environment);
        let places = places(&folder)?;
        if places.last().is_some_and(|newest| newest.id == record.id && newest.has_content()) {
            return Ok(false);
        }
        let number = places.last().map_or(1, |newest| newest.number + 1);
        for above in [&self.directory, &self.directory.join(&record.release.project), &folder] {
            if fs::symlink_metadata(above).is_ok() && !above.is_dir() {
                remove(above)?;
            }
        }
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
        places.iter().filter_map(|place| self.read(&place.path).transpose()).collect()
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

    /// The record whose release's id begins with `prefix`: the newest one if a release was recorded twice.
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
            [one] => self.read(&one.path),
            several => Err(ambiguous(prefix, several)),
        }
    }

    /// The artifacts of all recorded releases whose id begins with `prefix`, sorted.
    pub fn find_artifacts(&self, prefix: &str) -> Result<Vec<ArtifactId>, CommandError> {
        let mut found = BTreeSet::new();
        for (project, environment) in self.environments()? {
            for record in self.list(&project, &environment)? {
                found.extend(record.artifacts().into_iter().filter(|id| id.to_string().starts_with(prefix)));
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Drops the records beyond each environment's `keep`, and returns the artifacts of the others, which the
    /// store keeps.
    pub fn prune(&self) -> Result<Vec<ArtifactId>, CommandError> {
        let mut roots = BTreeSet::new();
        for (project, environment) in self.environments()? {
            let places = places(&self.folder(&project, &environment))?;
            let (mut keep, mut kept) = (None, 0);
            for place in places.iter().rev() {
                if keep.is_some_and(|keep| kept >= keep) {
                    remove(&place.path)?;
                } else if let Some(record) = self.read(&place.path)? {
                    // The newest record's `keep` applies to all.
                    keep.get_or_insert(record.keep.max(1));
                    roots.extend(record.artifacts());
                    kept += 1;
                }
            }
        }
        Ok(roots.into_iter().collect())
    }

    /// A record; `None` if it is gone or damaged. A damaged record is removed, since it would keep others from
    /// being read. The environment's next build records it again if that gives the same release.
    fn read(&self, path: &Path) -> Result<Option<Record>, CommandError> {
        let decoded = match batou_system::fs::read(path) {
            Ok(bytes) => Record::decode(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => Err(RecordError::Inconsistent),
            Err(error) => return Err(unusable(path, error)),
        };
        match decoded {
            Ok(record) => Ok(Some(record)),
            Err(error @ (RecordError::Format(FormatError::Malformed { .. }) | RecordError::Inconsistent)) => {
                remove(path)?;
                (self.tell)(&format!("{} was dropped: {error}", path.display()));
                Ok(None)
            }
            Err(error) => Err(unusable(path, error)),
        }
    }

    fn folder(&self, project: &str, environment: &str) -> PathBuf {
        self.directory.join(project).join(environment)
    }
}

impl RecordFile {
    /// After a power cut a record may be missing or empty. Nothing else is checked, because that would mean
    /// reading the record in every build.
    fn has_content(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|found| found.is_file() && found.len() > 0)
    }
}

/// The records in a folder, by number. Other files are not ours and are left alone.
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
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
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

fn remove(path: &Path) -> Result<(), CommandError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
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
    fn recorded(folder: &Path, contents: &[&str], keep: u32) -> (Records<'static>, Vec<Record>) {
        let store = store(folder);
        let records = Records::of(&store, |_| {});
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
    fn a_damaged_record_is_dropped_once_and_keeps_no_other_from_being_read() {
        for damaged in 0..3 {
            for bytes in [Some(&b""[..]), Some(b"{}"), None] {
                let folder = tempfile::tempdir().unwrap();
                let (_, saved) = recorded(folder.path(), &["a", "b", "c"], 2);
                let told = std::cell::RefCell::new(Vec::new());
                let records =
                    Records::of(&store(folder.path()), |text| told.borrow_mut().push(text.to_owned()));
                let path = places(&records.folder("shop", "prod")).unwrap()[damaged].path.clone();
                match bytes {
                    Some(bytes) => fs::write(&path, bytes).unwrap(),
                    None => fs::remove_file(&path).and_then(|()| fs::create_dir(&path)).unwrap(),
                }
                let mut whole = saved.clone();
                whole.remove(damaged);
                for _ in 0..2 {
                    assert_eq!(records.list("shop", "prod").unwrap(), whole);
                }
                assert_eq!(told.borrow().len(), 1, "{told:?}");
                assert_eq!(records.find(&saved[damaged].id.to_string()).unwrap(), None);
                assert_eq!(records.prune().unwrap().len(), 2, "two are kept");
                assert!(records.save(&saved[damaged]).unwrap());
                assert_eq!(records.list("shop", "prod").unwrap().last(), Some(&saved[damaged]));
            }
        }
    }

    #[test]
    fn an_empty_newest_record_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let (records, saved) = recorded(folder.path(), &["a", "b"], 10);
        fs::write(&places(&records.folder("shop", "prod")).unwrap()[1].path, "").unwrap();
        assert!(records.save(&saved[1]).unwrap());
        assert_eq!(records.list("shop", "prod").unwrap(), saved);
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
