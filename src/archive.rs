//! A built release in one file, for machines without a network: its record and everything it needs, in the
//! archive format of the store. What is read is trusted only as far as its digests match.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use batou_store::{ObjectId, Store, export as write_archive, import_archive};

use crate::error::CommandError;
use crate::outfile;
use crate::records::{Record, RecordError};

/// The name of the release's record in the archive.
const RECORD: &str = "release.json";

/// Writes a release and everything it needs to a file, which appears whole or not at all.
pub fn export(store: &Store, record: &Record, path: &Path) -> Result<(), CommandError> {
    let failed = |error: io::Error| outfile::unwritable(path, error);
    let mut temporary = tempfile::Builder::new();
    // Like any new file: the umask decides what is left of it.
    temporary.permissions(Permissions::from_mode(0o666));
    let mut file = temporary.tempfile_in(outfile::folder_of(path)).map_err(failed)?;
    let records = [(RECORD.to_owned(), record.encode())];
    let written = write_archive(store, &record.artifacts(), &records, io::BufWriter::new(file.as_file_mut()));
    written.map_err(|error| outfile::unwritable(path, error))?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Reads a release from a file into the store. After an error, the store has nothing of it, or nothing that can
/// be used.
pub fn import(store: &Store, path: &Path) -> Result<Record, CommandError> {
    let refuse = |error: ImportError| refused(path).because(error);
    let file = File::open(path).map_err(|error| refused(path).because(error))?;
    let (_, records) =
        import_archive(store, io::BufReader::new(file)).map_err(|error| refused(path).because(error))?;
    let named =
        records.iter().find(|(name, _)| name == RECORD).ok_or_else(|| refuse(ImportError::NoRelease))?;
    let record = Record::decode(&named.1).map_err(|error| refuse(error.into()))?;
    for artifact in record.artifacts() {
        if !store.contains(&ObjectId::Artifact(artifact))? {
            return Err(refuse(ImportError::Incomplete(artifact.to_string())));
        }
    }
    Ok(record)
}

fn refused(path: &Path) -> CommandError {
    CommandError::input(format!("{} cannot be imported", path.display()))
}

/// Why an archive is not a release.
#[derive(Debug, thiserror::Error)]
enum ImportError {
    #[error("it holds no {RECORD}")]
    NoRelease,
    #[error("its {RECORD} cannot be used")]
    Record(#[from] RecordError),
    #[error("the artifact {0} is missing")]
    Incomplete(String),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{artifact, component, record, store};

    #[test]
    fn a_release_goes_from_store_to_store() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (store(here.path()), store(there.path()));
        let id = artifact(&from, "web", &[("f", b"1"), ("link", b"->f")]);
        let record = record(vec![component("web", id, &[])], 10);
        let file = here.path().join("release.tar.zst");
        export(&from, &record, &file).unwrap();
        assert_eq!(import(&to, &file).unwrap(), record);
        let name = batou_store::Name::new("web").unwrap();
        to.check_out(&[(id, &name)]).unwrap();
        let path = to.artifact_path(&id, &name);
        assert_eq!(std::fs::read(path.join("link")).unwrap(), b"1");
    }

    #[test]
    fn a_cut_archive_stores_nothing() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (store(here.path()), store(there.path()));
        let id = artifact(&from, "web", &[("f", b"1")]);
        let file = here.path().join("release.tar.zst");
        export(&from, &record(vec![component("web", id, &[])], 10), &file).unwrap();
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        assert_eq!(import(&to, &file).unwrap_err().exit_code(), 2);
        assert!(!to.contains(&ObjectId::Artifact(id)).unwrap());
    }

    #[test]
    fn an_archive_whose_record_names_more_than_it_holds_is_refused() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (store(here.path()), store(there.path()));
        let id = artifact(&from, "web", &[("f", b"1")]);
        let complete = record(vec![component("web", id, &[])], 10);
        let file = here.path().join("release.tar.zst");
        let records = [(RECORD.to_owned(), complete.encode())];
        write_archive(&from, &[], &records, File::create(&file).unwrap()).unwrap();
        let causes = import(&to, &file).unwrap_err().causes();
        assert!(causes[0].contains("is missing"), "{causes:?}");
    }
}
