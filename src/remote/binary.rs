//! The program that is copied to hosts as their agent: this very binary, or one for another kind of processor.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use batou_store::Digest;

/// An agent's binary, as it is named and checked on a host.
#[derive(Clone, Debug)]
pub struct Binary {
    /// Where it is here.
    pub path: PathBuf,
    /// Names it on the host.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Where agents for hosts come from.
#[derive(Clone, Debug)]
pub struct Binaries {
    own: PathBuf,
    folder: Option<PathBuf>,
    /// That of the controller's own kind, which every host is asked for: hashed once.
    first: OnceLock<Binary>,
}

/// No binary for a host's processor.
#[derive(Debug, thiserror::Error)]
pub enum BinaryError {
    /// The host is of a kind for which there is no agent.
    #[error("the host is of the kind {machine}, and this batou runs on {} only", std::env::consts::ARCH)]
    Kind {
        /// The host's `uname -m`.
        machine: String,
        /// The names that would do.
        wanted: Vec<String>,
        /// The folder that was looked into.
        folder: Option<PathBuf>,
    },
    /// The binary cannot be read.
    #[error("cannot read the agent's binary {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Binaries {
    /// `own` is this program; `folder` (`BATOU_AGENTS`) holds others by target triple, and wins.
    pub fn new(own: PathBuf, folder: Option<PathBuf>) -> Self {
        Binaries { own, folder, first: OnceLock::new() }
    }

    /// The binary for hosts of the controller's own kind, which is asked for first.
    pub fn own(&self) -> Result<Binary, BinaryError> {
        if let Some(binary) = self.first.get() {
            return Ok(binary.clone());
        }
        let binary = self.find(std::env::consts::ARCH)?;
        Ok(self.first.get_or_init(|| binary).clone())
    }

    /// Where [`Binaries::own`] is.
    pub fn own_path(&self) -> PathBuf {
        self.other(std::env::consts::ARCH).unwrap_or_else(|| self.own.clone())
    }

    /// The binary for a host whose `uname -m` says `machine`.
    pub fn find(&self, machine: &str) -> Result<Binary, BinaryError> {
        if let Some(path) = self.other(machine) {
            return describe(&path);
        }
        if architecture(machine) == std::env::consts::ARCH {
            return describe(&self.own);
        }
        let wanted = triples(machine);
        let machine = machine.to_owned();
        Err(BinaryError::Kind { machine, wanted, folder: self.folder.clone() })
    }
}

impl Binaries {
    fn other(&self, machine: &str) -> Option<PathBuf> {
        let folder = self.folder.as_ref()?;
        triples(machine).into_iter().map(|name| folder.join(name)).find(|path| path.is_file())
    }
}

/// Rust's name for what `uname -m` says.
fn architecture(machine: &str) -> &str {
    match machine {
        "arm64" => "aarch64",
        "amd64" => "x86_64",
        "i386" | "i486" | "i586" | "i686" => "x86",
        "armv7l" | "armv6l" => "arm",
        other => other,
    }
}

fn triples(machine: &str) -> Vec<String> {
    let (processor, libc) = match architecture(machine) {
        "x86" => ("i686", ["gnu", "musl"]),
        "arm" => ("armv7", ["gnueabihf", "musleabihf"]),
        "riscv64" => ("riscv64gc", ["gnu", "musl"]),
        other => (other, ["gnu", "musl"]),
    };
    // What a host says becomes part of a path: only a plain word may.
    if !processor.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Vec::new();
    }
    libc.iter().map(|libc| format!("{processor}-unknown-linux-{libc}")).collect()
}

fn describe(path: &Path) -> Result<Binary, BinaryError> {
    let failed = |source| BinaryError::Io { path: path.to_owned(), source };
    let mut hasher = blake3::Hasher::new();
    File::open(path).and_then(|file| hasher.update_reader(file).map(drop)).map_err(failed)?;
    let digest = Digest::from_bytes(*hasher.finalize().as_bytes());
    Ok(Binary { path: path.to_owned(), digest, size: hasher.count() })
}

impl Binary {
    /// The file's bytes, and its checksum as POSIX `cksum` prints it.
    pub fn read(&self) -> Result<(Vec<u8>, u32), BinaryError> {
        let failed = |source| BinaryError::Io { path: self.path.clone(), source };
        let mut bytes = Vec::new();
        File::open(&self.path).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(failed)?;
        let sum = cksum(&bytes);
        Ok((bytes, sum))
    }
}

/// The checksum of POSIX `cksum`: CRC-32 (polynomial 04C11DB7, not reflected) over the bytes and then their count,
/// lowest byte first, complemented (POSIX.1-2024, `cksum`).
fn cksum(bytes: &[u8]) -> u32 {
    const CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_CKSUM);
    let mut digest = CRC.digest();
    digest.update(bytes);
    let mut count = bytes.len();
    while count > 0 {
        digest.update(&count.to_le_bytes()[..1]);
        count >>= 8;
    }
    digest.finalize()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_checksum_is_that_of_cksum() {
        for size in [0, 1, 255, 256, 70_000] {
            let bytes: Vec<u8> = (0..size).map(|i: u32| (i % 251) as u8).collect();
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &bytes).unwrap();
            let stdin = Stdio::from(File::open(file.path()).unwrap());
            let output = Command::new("cksum").stdin(stdin).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{} {size}\n", cksum(&bytes)));
        }
    }

    #[test]
    fn another_processor_needs_a_binary_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        let binaries = Binaries::new(own.clone(), Some(folder.path().to_owned()));
        assert_eq!(binaries.own().unwrap().path, own);
        let error = binaries.find("s390x").unwrap_err();
        assert!(matches!(error, BinaryError::Kind { ref machine, .. } if machine == "s390x"));
        let path = folder.path().join("s390x-unknown-linux-musl");
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        assert_eq!(binaries.find("s390x").unwrap().path, path);
    }

    #[test]
    fn a_machine_that_is_a_path_finds_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let binaries = Binaries::new(PathBuf::from("/bin/sh"), Some(folder.path().join("below")));
        assert!(
            matches!(binaries.find("../x").unwrap_err(), BinaryError::Kind { wanted, .. } if wanted.is_empty())
        );
    }
}
