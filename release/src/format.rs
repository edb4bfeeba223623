//! JSON documents that state the version of their format, so that one from another batou is not taken for a damaged
//! one.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A kind of document.
#[derive(Debug)]
pub struct Format {
    /// What it is called: `the manifest`.
    pub name: &'static str,
    /// What a document of this kind is: `a manifest`.
    pub kind: &'static str,
    /// The version that is written, and the only one that is read.
    pub version: u32,
    /// What to do about a document of an older version, if that is the same wherever one is found.
    pub renewal: Option<&'static str>,
}

/// Why a document cannot be read. The version, which every document has, is checked before the rest.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It is something else.
    #[error("not {}", format.kind)]
    Malformed {
        /// What was to be read.
        format: &'static Format,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// It was written by a newer batou.
    #[error("{} has format {found}, and this batou knows formats up to {}: use a newer batou", format.name, format.version)]
    Newer {
        /// What was to be read.
        format: &'static Format,
        /// Its version.
        found: u32,
    },
    /// It is of the version that is read, and has something of a kind that only a newer batou knows.
    #[error("{} has a {kind}, which this batou does not know: use a newer batou", format.name)]
    Kind {
        /// What was to be read.
        format: &'static Format,
        /// The kind, as it is written in the document.
        kind: String,
    },
    /// It was written by a batou from before the first release.
    #[error(
        "{} has format {found}, of a batou from before the first release, which this one does not read{}",
        format.name,
        format.remedy()
    )]
    Older {
        /// What was to be read.
        format: &'static Format,
        /// Its version.
        found: u32,
    },
}

impl Format {
    /// Reads a document.
    pub fn read<T: DeserializeOwned>(&'static self, bytes: &[u8]) -> Result<T, FormatError> {
        let malformed = |source| FormatError::Malformed { format: self, source };
        let FormatVersion { format: found } = serde_json::from_slice(bytes).map_err(malformed)?;
        if found > self.version {
            return Err(FormatError::Newer { format: self, found });
        }
        if found < self.version {
            return Err(FormatError::Older { format: self, found });
        }
        serde_json::from_slice(bytes).map_err(malformed)
    }

    fn remedy(&self) -> String {
        self.renewal.map_or(String::new(), |renewal| format!(": {renewal}"))
    }
}

#[derive(Deserialize)]
struct FormatVersion {
    format: u32,
}
