//! The templates of a component: found beside it or elsewhere in the project, read when they are first named, and kept.
//!
//! A name is a path below the component's folder; one that begins with `//` is a path from the project's root.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::{Environment, Error, ErrorKind};

use crate::component::item::Caller;
use crate::project::Project;
use crate::template::cause;
use crate::text::source::{SourceText, Text};

/// Templates larger than this are refused: a file of this size is not configuration.
const LARGEST_TEMPLATE: u64 = 16 * 1024 * 1024;

/// The templates of a component, each read once.
pub(crate) struct Templates {
    root: PathBuf,
    folder: PathBuf,
    read: Mutex<BTreeMap<String, Known>>,
    folders: Mutex<BTreeMap<PathBuf, PathBuf>>,
}

/// A template that was read.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) source: Arc<SourceText>,
    pub(crate) digest: String,
    pub(crate) executable: bool,
    inline: bool,
}

/// Why a template cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    #[error("{} lies outside the project", .0.display())]
    Outside(PathBuf),
    #[error("`{0}` is not a path below the component's folder")]
    Elsewhere(String),
    #[error("{} is not UTF-8 text (line {line})", .path.display())]
    NotUtf8 { path: PathBuf, line: usize },
    #[error("cannot read {}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl Known {
    /// Whether it is written in a declaration, rather than in a file of its own.
    pub(crate) fn is_inline(&self) -> bool {
        self.inline
    }
}

/// A file or folder of the project that was found: its real path, and what it is.
pub(super) struct Located {
    pub(super) path: PathBuf,
    meta: Metadata,
}

impl Located {
    pub(super) fn is_dir(&self) -> bool {
        self.meta.is_dir()
    }

    pub(super) fn is_file(&self) -> bool {
        self.meta.is_file()
    }

    /// Whether its owner may run it.
    pub(super) fn is_executable(&self) -> bool {
        self.meta.permissions().mode() & 0o100 != 0
    }
}

impl Templates {
    /// The templates of the component in a folder of the project.
    pub(crate) fn new(project: &Project, folder: PathBuf) -> Arc<Templates> {
        let root = project.root.clone();
        Arc::new(Templates { root, folder, read: Mutex::default(), folders: Mutex::default() })
    }

    /// The name of the template that a caller means. It begins with `//` if it is not below the component's folder.
    pub(crate) fn name(&self, by: &Caller, source: &str) -> String {
        if source.starts_with("//") || by.folder == self.folder {
            return source.to_owned();
        }
        format!("//{}/{source}", by.folder.display())
    }

    /// The path of a template from the project's root.
    pub(crate) fn relative(&self, name: &str) -> PathBuf {
        name.strip_prefix("//").map_or_else(|| self.folder.join(name), PathBuf::from)
    }

    /// A real path, as it is shown: from the project's root.
    pub(crate) fn below_root<'p>(&self, real: &'p Path) -> &'p Path {
        real.strip_prefix(&self.root).unwrap_or(real)
    }

    /// A template by its path below the component's folder.
    pub(crate) fn get(&self, name: &str) -> Result<Known, ReadError> {
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        self.get_located(name, &self.locate(name)?)
    }

    /// The same, of a file that was found already.
    pub(super) fn get_located(&self, name: &str, located: &Located) -> Result<Known, ReadError> {
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        let known = self.read(name, located)?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(read.entry(name.to_owned()).or_insert(known).clone())
    }

    /// A template written in a declaration, under a name that no file has.
    pub(crate) fn add_inline(&self, by: &Caller, text: &Text) -> String {
        let hex = blake3::hash(text.value.as_bytes()).to_hex();
        let name = self.name(by, &format!("#{hex}"));
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.entry(name.clone()).or_insert_with(|| Known {
            source: SourceText::new(text.at.source.path(), text.value.as_str()),
            digest: cause::digest(text.value.as_bytes()),
            executable: false,
            inline: true,
        });
        name
    }

    pub(crate) fn known(&self, name: &str) -> Option<Known> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Where a file below the component's folder really is. A folder is resolved once for all files in it.
    pub(super) fn locate(&self, name: &str) -> Result<Located, ReadError> {
        if !Path::new(name.strip_prefix("//").unwrap_or(name))
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_)))
        {
            return Err(ReadError::Elsewhere(name.to_owned()));
        }
        let relative = self.relative(name);
        let missing = |error| match error {
            // The user has to create the file, not only its folder.
            ReadError::Missing(_) => ReadError::Missing(relative.clone()),
            error => error,
        };
        let folder = self.real_folder(relative.parent().unwrap_or(&self.folder)).map_err(missing)?;
        let Some(std::path::Component::Normal(last)) = relative.components().next_back() else {
            return Err(ReadError::Outside(relative));
        };
        let path = folder.join(last);
        let meta = std::fs::symlink_metadata(&path).map_err(|error| io_error(&relative, error))?;
        if !meta.is_symlink() {
            return Ok(Located { path, meta });
        }
        let path = inside(&self.root, &relative)?;
        let meta = std::fs::metadata(&path).map_err(|error| io_error(&relative, error))?;
        Ok(Located { path, meta })
    }

    fn real_folder(&self, folder: &Path) -> Result<PathBuf, ReadError> {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(real) = folders.get(folder) {
            return Ok(real.clone());
        }
        let real = inside(&self.root, folder)?;
        folders.insert(folder.to_owned(), real.clone());
        Ok(real)
    }

    fn read(&self, name: &str, located: &Located) -> Result<Known, ReadError> {
        let relative = self.relative(name);
        let read = batou_system::fs::read_at_most(&located.path, LARGEST_TEMPLATE);
        let bytes = read.map_err(|error| io_error(&relative, error))?;
        let digest = cause::digest(&bytes);
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.split(|byte| *byte == b'\n').skip(1).count();
            ReadError::NotUtf8 { path: relative.clone(), line }
        })?;
        let source = SourceText::new(relative, text);
        Ok(Known { source, digest, executable: located.is_executable(), inline: false })
    }

    /// The cause for a template: its file and the digest of its content.
    pub(crate) fn cause(&self, name: &str, known: &Known) -> (String, String) {
        let path = if known.inline { known.source.path().to_owned() } else { self.relative(name) };
        (format!("file {}", path.display()), known.digest.clone())
    }

    /// Lets an engine find these templates, and note which ones a template includes.
    pub(crate) fn attach(self: &Arc<Self>, mut engine: Environment<'static>) -> Environment<'static> {
        let including = Arc::clone(self);
        engine.set_path_join_callback(move |name, parent| {
            let name = joined(name, parent);
            if let Ok(known) = including.get(&name) {
                let (name, digest) = including.cause(&name, &known);
                cause::record(name, digest);
            }
            name
        });
        let loading = Arc::clone(self);
        engine.set_loader(move |name| match loading.get(name) {
            Ok(known) => Ok(Some(known.source.text().to_owned())),
            Err(ReadError::Missing(_)) => Ok(None),
            Err(error) => Err(Error::new(ErrorKind::InvalidOperation, error.to_string())),
        });
        engine.set_auto_reload(false);
        engine
    }
}

/// The name of a template that another one includes: relative to the component, or, in a template whose own name begins
/// with `//`, relative to that one's folder.
fn joined<'s>(name: &'s str, parent: &str) -> Cow<'s, str> {
    match parent.rsplit_once('/') {
        Some((folder, _)) if parent.starts_with("//") && !name.starts_with("//") => {
            Cow::Owned(format!("{folder}/{name}"))
        }
        _ => Cow::Borrowed(name),
    }
}

/// The real path of a file of the project; refused if a symlink leads outside.
fn inside(root: &Path, relative: &Path) -> Result<PathBuf, ReadError> {
    match root.join(relative).canonicalize() {
        Ok(path) if path.starts_with(root) => Ok(path),
        Ok(_) => Err(ReadError::Outside(relative.to_owned())),
        Err(error) => Err(io_error(relative, error)),
    }
}

pub(super) fn io_error(relative: &Path, source: io::Error) -> ReadError {
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::Missing(relative.to_owned()),
        _ => ReadError::Io { path: relative.to_owned(), source },
    }
}
