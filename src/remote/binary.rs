//! The programs that are copied to hosts as their agents.
//!
//! An agent comes from the folder of `BATOU_AGENTS`. Failing that, it is one that this program carries
//! ([`carried`](super::carried)), or this program itself, whose `batou agent` is the same code. All connections
//! share one copy of its bytes, packed and unpacked, which is made when the first of them sends it.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use batou_store::Digest;
use batou_system::fs::{is_taken, metadata, open_file, read};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::carried::{CARRIED, Carried};

/// An agent's program, under the name it has on hosts.
#[derive(Clone, Debug)]
pub struct Binary(Arc<AgentProgram>);

#[derive(Debug)]
struct AgentProgram {
    digest: Digest,
    source: ProgramSource,
    plain: OnceLock<Plain>,
    /// Held while the program is read, so that it is read only once.
    reading: Mutex<()>,
    packed: OnceLock<Vec<u8>>,
}

#[derive(Debug)]
enum ProgramSource {
    Carried(&'static Carried),
    /// A file in the folder.
    File(PathBuf),
    /// This program. It is sent unpacked: on a fast network, packing it takes longer than it saves.
    Own(PathBuf),
}

#[derive(Debug)]
struct Plain {
    bytes: Vec<u8>,
    /// The checksum that POSIX `cksum` prints.
    sum: u32,
}

/// A program on its way to a host.
#[derive(Debug)]
pub(super) struct Upload<'a> {
    /// What is sent.
    pub(super) bytes: &'a [u8],
    /// Whether gzip has to unpack the bytes.
    pub(super) packed: bool,
    /// The program's size in bytes.
    pub(super) size: usize,
    /// The program's checksum, as POSIX `cksum` prints it.
    pub(super) sum: u32,
}

/// Where agents for hosts come from.
#[derive(Debug)]
pub struct Binaries {
    own: PathBuf,
    folder: Option<PathBuf>,
    carried: &'static [Carried],
    /// Those that have been asked for, by processor.
    found: Mutex<BTreeMap<String, Binary>>,
}

/// No binary for a host's processor.
#[derive(Debug, thiserror::Error)]
pub enum BinaryError {
    /// The host is of a kind for which there is no agent.
    #[error("the host is a {machine} machine, and this batou has agents for {} only{}", known.join(", "), remedy(wanted, folder.as_deref()))]
    Kind {
        /// The host's `uname -m`.
        machine: String,
        /// The kinds for which there is an agent even without a folder.
        known: Vec<String>,
        /// The file names that would be accepted in the folder.
        wanted: Vec<String>,
        /// The folder of `BATOU_AGENTS`, in which none of them was found.
        folder: Option<PathBuf>,
    },
    /// What the folder has under a binary's name is no program.
    #[error(
        "BATOU_AGENTS: {} {problem}, and is to be an agent's program: put that in its place, or leave the variable out",
        path.display()
    )]
    Unusable {
        /// What is there.
        path: PathBuf,
        /// What it is instead.
        problem: &'static str,
    },
    /// What the folder has cannot be run on this machine.
    #[error(
        "BATOU_AGENTS: {} cannot be run: put an agent's program for this machine in its place, or leave the variable out",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What the folder has was run on this machine, and did not answer as an agent does.
    #[error(
        "BATOU_AGENTS: {} was started as this machine's agent and {problem}: put an agent's program in its place, or leave the \
         variable out",
        path.display()
    )]
    NoAgent {
        /// The file.
        path: PathBuf,
        /// What it did instead.
        problem: String,
    },
    /// The binary cannot be read.
    #[error("cannot read the agent's binary {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Binaries {
    /// `own` is this program; `folder` (`BATOU_AGENTS`) holds others by target triple, and takes precedence.
    pub fn new(own: PathBuf, folder: Option<PathBuf>) -> Self {
        Binaries { own, folder, carried: CARRIED, found: Mutex::default() }
    }

    /// The binary for hosts of the controller's own kind, for which it is looked up first.
    pub fn own(&self) -> Result<Binary, BinaryError> {
        self.find(std::env::consts::ARCH)
    }

    /// The program that runs as this machine's agent, without being copied: the one in the folder, or else this
    /// program.
    pub fn own_path(&self) -> Result<PathBuf, BinaryError> {
        let Some(path) = self.in_folder(std::env::consts::ARCH)? else { return Ok(self.own.clone()) };
        // A copy on a host is made executable there.
        match metadata(&path) {
            Ok(found) if found.mode() & 0o111 == 0 => {
                Err(BinaryError::Unusable { path, problem: "is not executable" })
            }
            _ => Ok(path),
        }
    }

    /// The error of a program that could not be run as this machine's agent, if it is one of the folder's.
    pub fn not_run(&self, path: PathBuf, source: io::Error) -> Result<BinaryError, io::Error> {
        if path == self.own { Err(source) } else { Ok(BinaryError::Foreign { path, source }) }
    }

    /// The error of a program that was run as this machine's agent and did not answer as one, if it is one of the folder's.
    pub fn no_agent(&self, path: PathBuf, problem: String) -> Option<BinaryError> {
        (path != self.own).then_some(BinaryError::NoAgent { path, problem })
    }

    /// The binary for a host whose `uname -m` says `machine`.
    pub fn find(&self, machine: &str) -> Result<Binary, BinaryError> {
        let processor = architecture(machine);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(binary) = found.get(processor) {
            return Ok(binary.clone());
        }
        let binary = self.look(machine)?;
        found.insert(processor.to_owned(), binary.clone());
        Ok(binary)
    }

    fn look(&self, machine: &str) -> Result<Binary, BinaryError> {
        let wanted = triples(machine);
        if let Some(path) = self.in_folder(machine)? {
            return Ok(Binary::new(hash(&path)?, ProgramSource::File(path)));
        }
        if let Some(carried) =
            self.carried.iter().find(|carried| wanted.iter().any(|name| name == carried.target))
        {
            return Ok(Binary::new(Digest::from_bytes(carried.digest), ProgramSource::Carried(carried)));
        }
        if architecture(machine) == std::env::consts::ARCH {
            return Ok(Binary::new(hash(&self.own)?, ProgramSource::Own(self.own.clone())));
        }
        let mut known: Vec<String> =
            self.carried.iter().map(|carried| carried.processor().to_owned()).collect();
        known.push(std::env::consts::ARCH.to_owned());
        known.sort();
        known.dedup();
        Err(BinaryError::Kind { machine: machine.to_owned(), known, wanted, folder: self.folder.clone() })
    }

    /// The file for this kind of machine, if there is one.
    fn in_folder(&self, machine: &str) -> Result<Option<PathBuf>, BinaryError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let paths = triples(machine).into_iter().map(|name| folder.join(name));
        let Some(path) = paths.into_iter().find(|path| is_taken(path)) else { return Ok(None) };
        match metadata(&path) {
            Ok(found) if found.is_file() => Ok(Some(path)),
            Ok(found) if found.is_dir() => Err(BinaryError::Unusable { path, problem: "is a folder" }),
            Ok(_) => Err(BinaryError::Unusable { path, problem: "is a pipe, a socket or a device" }),
            Err(source) => Err(BinaryError::Io { path, source }),
        }
    }
}

fn remedy(wanted: &[String], folder: Option<&Path>) -> String {
    let Some(first) = wanted.first() else { return String::new() };
    match folder {
        Some(folder) => {
            format!(
                ": the folder of BATOU_AGENTS, {}, has neither {}",
                folder.display(),
                wanted.join(" nor ")
            )
        }
        None => format!(": put one into a folder, as {first}, and name the folder in BATOU_AGENTS"),
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
    // The host's answer becomes part of a path, so only a plain word is accepted.
    if !processor.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Vec::new();
    }
    libc.iter().map(|libc| format!("{processor}-unknown-linux-{libc}")).collect()
}

fn hash(path: &Path) -> Result<Digest, BinaryError> {
    let failed = |source| BinaryError::Io { path: path.to_owned(), source };
    let mut hasher = blake3::Hasher::new();
    open_file(path).and_then(|file| hasher.update_reader(file).map(drop)).map_err(failed)?;
    Ok(Digest::from_bytes(*hasher.finalize().as_bytes()))
}

impl Binary {
    fn new(digest: Digest, source: ProgramSource) -> Self {
        let (plain, packed) = (OnceLock::new(), OnceLock::new());
        Binary(Arc::new(AgentProgram { digest, source, plain, reading: Mutex::default(), packed }))
    }

    /// Names the program on a host.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// What is sent to a host; `gzip` says whether the host has it.
    pub(super) fn upload(&self, gzip: bool) -> Result<Upload<'_>, BinaryError> {
        let plain = self.0.plain()?;
        let packed = if gzip { self.0.packed(plain) } else { None };
        let bytes = packed.unwrap_or(&plain.bytes);
        Ok(Upload { bytes, packed: packed.is_some(), size: plain.bytes.len(), sum: plain.sum })
    }
}

impl AgentProgram {
    fn plain(&self) -> Result<&Plain, BinaryError> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plain) = self.plain.get() {
            return Ok(plain);
        }
        let bytes = match &self.source {
            ProgramSource::Carried(carried) => carried.unpack(),
            ProgramSource::File(path) | ProgramSource::Own(path) => {
                read(path).map_err(|source| BinaryError::Io { path: path.clone(), source })?
            }
        };
        let sum = cksum(&bytes);
        Ok(self.plain.get_or_init(|| Plain { bytes, sum }))
    }

    fn packed(&self, plain: &Plain) -> Option<&[u8]> {
        match &self.source {
            ProgramSource::Carried(carried) => Some(carried.packed),
            ProgramSource::File(_) => Some(self.packed.get_or_init(|| pack(&plain.bytes))),
            ProgramSource::Own(_) => None,
        }
    }
}

impl Carried {
    fn processor(&self) -> &'static str {
        self.target.split('-').next().unwrap_or(self.target)
    }

    fn unpack(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        GzDecoder::new(self.packed)
            .read_to_end(&mut bytes)
            .expect("it was packed when this program was built");
        bytes
    }
}

/// Packs at the fastest level: better compression would take longer than it saves.
fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packing = GzEncoder::new(Vec::new(), Compression::fast());
    packing.write_all(bytes).and_then(|()| packing.finish()).expect("nothing fails in memory")
}

/// The checksum of POSIX `cksum`: CRC-32 (polynomial 04C11DB7, not reflected) over the bytes and then their
/// count, lowest byte first, complemented (POSIX.1-2024, `cksum`).
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
    use std::fs::{self, File};
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

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

    /// A program that is carried, as `build.rs` packs it.
    fn carried(target: &'static str, program: &[u8]) -> Carried {
        let digest = *blake3::hash(program).as_bytes();
        Carried { target, digest, packed: pack(program).leak() }
    }

    fn with(own: &Path, folder: Option<&Path>, carried: Vec<Carried>) -> Binaries {
        let binaries = Binaries::new(own.to_owned(), folder.map(Path::to_owned));
        Binaries { carried: carried.leak(), ..binaries }
    }

    #[test]
    fn what_is_carried_is_sent_packed_and_named_by_what_is_in_it() {
        let program = b"#!/bin/sh\n".repeat(1000);
        let binaries = with(Path::new("/none"), None, vec![carried("s390x-unknown-linux-gnu", &program)]);
        let binary = binaries.find("s390x").unwrap();
        assert_eq!(binary.digest(), Digest::of(&program));
        let packed = binary.upload(true).unwrap();
        assert!(packed.packed && packed.bytes.len() < program.len());
        let mut unpacking =
            Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        unpacking.stdin.take().unwrap().write_all(packed.bytes).unwrap();
        assert_eq!(unpacking.wait_with_output().unwrap().stdout, program);
        let plain = binary.upload(false).unwrap();
        assert!(!plain.packed && plain.bytes == program);
        for upload in [packed, plain] {
            assert_eq!((upload.size, upload.sum), (program.len(), cksum(&program)));
        }
    }

    #[test]
    fn the_folder_goes_before_what_is_carried_and_that_before_this_program() {
        let folder = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        let name = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
        let digest = |carried: Vec<Carried>| {
            let binaries = with(&own, Some(folder.path()), carried);
            (binaries.own().unwrap().digest(), binaries.own_path().unwrap())
        };
        assert_eq!(digest(Vec::new()), (hash(&own).unwrap(), own.clone()));
        let ours = || vec![carried(name.clone().leak(), b"carried")];
        assert_eq!(digest(ours()), (Digest::of(b"carried"), own.clone()), "what is here is not unpacked");
        let path = folder.path().join(&name);
        fs::write(&path, "in the folder").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(digest(ours()), (Digest::of(b"in the folder"), path));
    }

    #[test]
    fn what_is_no_file_is_no_program() {
        let own = std::env::consts::ARCH;
        for machine in ["s390x", own] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(format!("{machine}-unknown-linux-musl"));
            let told = || {
                let binaries = with(Path::new("/none"), Some(folder.path()), Vec::new());
                let found = binaries.find(machine).err().map(|error| error.to_string());
                let run = binaries.own_path().err().map(|error| error.to_string());
                (found, run.filter(|_| machine == own))
            };
            let says = |problem: &str| {
                let error = BinaryError::Unusable { path: path.clone(), problem: "PROBLEM" }.to_string();
                Some(error.replace("PROBLEM", problem))
            };
            mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
            let pipe = says("is a pipe, a socket or a device");
            assert_eq!(told(), (pipe.clone(), pipe.filter(|_| machine == own)));
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            assert_eq!(told(), (says("is a folder"), says("is a folder").filter(|_| machine == own)));
            fs::remove_dir(&path).unwrap();
            fs::write(&path, "a program").unwrap();
            assert_eq!(told(), (None, says("is not executable").filter(|_| machine == own)));
        }
    }

    #[test]
    fn all_hosts_share_one_copy() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("s390x-unknown-linux-gnu"), vec![0; 1 << 20]).unwrap();
        let binaries = with(Path::new("/none"), Some(folder.path()), Vec::new());
        let address = |packed| binaries.find("s390x").unwrap().upload(packed).unwrap().bytes.as_ptr().addr();
        for packed in [true, false] {
            let addresses: Vec<usize> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| address(packed))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(addresses, [addresses[0]; 8]);
        }
    }

    #[test]
    fn another_processor_needs_a_binary_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let binaries =
            with(Path::new("/none"), Some(folder.path()), vec![carried("mips-unknown-linux-gnu", b"")]);
        let error = binaries.find("s390x").unwrap_err();
        assert!(matches!(error, BinaryError::Kind { ref machine, .. } if machine == "s390x"));
        let kinds = error.to_string();
        assert!(kinds.contains("mips") && kinds.contains(std::env::consts::ARCH), "{kinds}");
        let looked_for = format!(
            "{}, has neither s390x-unknown-linux-gnu nor s390x-unknown-linux-musl",
            folder.path().display()
        );
        assert!(kinds.ends_with(&looked_for), "{kinds}");
        let path = folder.path().join("s390x-unknown-linux-musl");
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        assert_eq!(binaries.find("s390x").unwrap().digest(), hash(&path).unwrap());
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
