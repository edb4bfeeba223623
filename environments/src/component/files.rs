//! Finds the files that a component declares: walks folders, refuses duplicates, and tells templates from files that
//! are copied as they are.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::GlobSet;
use walkdir::{DirEntry, WalkDir};

use crate::component::declarations::{Declarations, FileDeclaration, Origin, SymlinkDeclaration};
use crate::component::item::Caller;
use crate::component::templates::{Located, ReadError, Templates, io_error};
use crate::text::diagnostic::{Diagnostic, Problems, visible_name};
use crate::text::source::{At, Text};

/// One entry of the component, before it is rendered for a host.
#[derive(Debug)]
pub(crate) struct ComponentFile {
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) body: Body,
    pub(crate) by: Arc<Caller>,
    /// Whether code made more of it than its name. Then it depends on everything that the code used.
    pub(crate) made: bool,
}

/// The content of a file.
#[derive(Debug)]
pub(crate) enum Body {
    /// A template without anything to render, by its name.
    Constant(String),
    /// A template, by its name.
    Template(String),
    /// A template written in the declaration, by its name; mistakes in it are shown there.
    Inline(String, Text),
    /// A file that is copied as it is.
    Source(PathBuf),
    /// A folder without anything in it.
    Directory,
}

impl Body {
    /// The text of a template that is written in the declaration.
    pub(crate) fn inline(&self) -> Option<&Text> {
        match self {
            Body::Inline(_, text) => Some(text),
            _ => None,
        }
    }

    /// The name of the template that is to be rendered.
    pub(crate) fn template(&self) -> Option<&str> {
        match self {
            Body::Template(name) | Body::Inline(name, _) => Some(name),
            Body::Constant(_) | Body::Source(_) | Body::Directory => None,
        }
    }
}

/// Finds the files that a component declares.
pub(crate) fn load(
    declarations: &Declarations,
    templates: &Arc<Templates>,
    problems: &mut Problems,
) -> Vec<ComponentFile> {
    let mut files = Vec::new();
    let mut places: Vec<DeclaredPath> = Vec::new();
    for declaration in &declarations.files {
        let first = files.len();
        let mut own = Problems::default();
        Finder { files: &mut files, templates, problems: &mut own }.declaration(declaration);
        problems.extend_within(&declaration.by.within(), own);
        places.extend(files[first..].iter().map(|file| DeclaredPath::of(file, declaration)));
    }
    places.extend(declarations.symlinks.iter().map(DeclaredPath::of_symlink));
    conflicts(&places, problems);
    drop_filled(&mut files, &places);
    files
}

/// Where a declared file comes from.
struct Source<'a> {
    name: &'a str,
    at: &'a At,
    located: &'a Located,
}

struct Finder<'a> {
    files: &'a mut Vec<ComponentFile>,
    templates: &'a Arc<Templates>,
    problems: &'a mut Problems,
}

impl Finder<'_> {
    fn declaration(&mut self, file: &FileDeclaration) {
        let (source, at, exclude) = match &file.origin {
            Origin::Inline(text) => return self.inline(file, text),
            Origin::Nothing => return self.push(file, file.path.clone(), 0o755, Body::Directory),
            Origin::Beside { path, at, exclude } | Origin::Folder { path, at, exclude } => {
                (self.templates.name(&file.by, path), at, exclude.as_ref())
            }
        };
        let located = match self.templates.locate(&source) {
            Ok(located) => located,
            Err(error) => return self.refuse(&error, at, file),
        };
        if located.is_dir() {
            self.walk(file, &source, &located.path, exclude);
            return;
        }
        if matches!(file.origin, Origin::Folder { .. }) {
            let path = self.templates.relative(&source);
            let message = format!("{} is a file, not a folder", path.display());
            let help = "declare it as a file";
            self.problems.push(Diagnostic::error(message).at(at).help(help));
            return;
        }
        if exclude.is_some() {
            let message = format!("`exclude` applies to folders, and {source} is a file");
            self.problems.push(Diagnostic::error(message).at(at));
        }
        self.file(file, file.path.clone(), &Source { name: &source, at, located: &located });
    }

    fn push(&mut self, file: &FileDeclaration, path: String, mode: u32, body: Body) {
        let written = matches!(file.origin, Origin::Inline(_));
        let by_code = file.by.is_code() && (written || body.template().is_some());
        self.files.push(ComponentFile { path, mode, body, by: Arc::clone(&file.by), made: by_code });
    }

    fn inline(&mut self, file: &FileDeclaration, text: &Text) {
        let name = self.templates.add_inline(&file.by, text);
        let body = if file.template && !text.literal && crate::template::is_template(&text.value) {
            Body::Inline(name, text.clone())
        } else {
            Body::Constant(name)
        };
        self.push(file, file.path.clone(), file.mode.unwrap_or(0o644), body);
    }

    /// One file below the component's folder.
    fn file(&mut self, file: &FileDeclaration, path: String, source: &Source<'_>) {
        let default = |executable: bool| file.mode.unwrap_or(if executable { 0o755 } else { 0o644 });
        if !file.template {
            match self.plain(source) {
                Ok(real) => {
                    self.push(file, path, default(source.located.is_executable()), Body::Source(real));
                }
                Err(error) => self.refuse(&error, source.at, file),
            }
            return;
        }
        match self.templates.get_located(source.name, source.located) {
            Ok(known) => {
                let name = source.name.to_owned();
                let template = crate::template::is_template(known.source.text());
                let body = if template { Body::Template(name) } else { Body::Constant(name) };
                self.push(file, path, default(known.executable), body);
            }
            Err(error) => self.refuse(&error, source.at, file),
        }
    }

    /// The real path of a file that is not a template.
    fn plain(&self, source: &Source<'_>) -> Result<PathBuf, ReadError> {
        let real = &source.located.path;
        if !source.located.is_file() {
            let opened = batou_system::fs::open_file(real);
            opened.map_err(|error| io_error(&self.templates.relative(source.name), error))?;
        }
        Ok(real.clone())
    }

    /// Everything below a folder, in the order of names. Links are followed as long as they stay in the project.
    fn walk(&mut self, file: &FileDeclaration, source: &str, real: &Path, exclude: Option<&GlobSet>) {
        let excluded = |path: &Path| {
            let below = path.strip_prefix(real).unwrap_or(path);
            let matches = |path: &Path| exclude.is_some_and(|globs| globs.is_match(path));
            matches(below) || path.file_name().is_some_and(|name| matches(Path::new(name)))
        };
        let mut entries = WalkDir::new(real).follow_links(true).min_depth(1).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) if excluded(entry.path()) => skip(&mut entries, &entry),
                Ok(entry) => {
                    if !self.entry(file, source, real, &entry) {
                        skip(&mut entries, &entry);
                    }
                }
                Err(error) if error.path().is_some_and(excluded) => {}
                Err(error) => self.unreadable(file, &error),
            }
        }
    }

    /// Adds one entry of a folder. Returns whether to look below it, too.
    fn entry(&mut self, file: &FileDeclaration, source: &str, real: &Path, entry: &DirEntry) -> bool {
        let below = entry.path().strip_prefix(real).unwrap_or(entry.path());
        let Some(below) = below.to_str().filter(|below| !below.chars().any(char::is_control)) else {
            let name = self.shown(entry.path());
            let message = format!("the name of {name} is not UTF-8, or contains a control character");
            self.problems.push(Diagnostic::error(message).at(&file.at).help("rename the file"));
            return false;
        };
        let (path, source) = (format!("{}/{below}", file.path), format!("{source}/{below}"));
        let located = match self.templates.locate(&source) {
            Ok(located) => located,
            Err(error) => {
                self.refuse(&error, &file.at, file);
                return false;
            }
        };
        if !entry.file_type().is_dir() {
            self.file(file, path, &Source { name: &source, at: &file.at, located: &located });
            return false;
        }
        if std::fs::read_dir(entry.path()).is_ok_and(|mut inside| inside.next().is_none()) {
            self.push(file, path, 0o755, Body::Directory);
        }
        true
    }

    /// Reports what cannot be read in a folder.
    fn unreadable(&mut self, file: &FileDeclaration, error: &walkdir::Error) {
        let path = error.path().map(|path| self.shown(path)).unwrap_or_default();
        let missing = error.io_error().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        let (message, help) = match error.io_error() {
            None => (format!("the symlink {path} leads back to a folder that contains it"), true),
            Some(_) if missing => (format!("the symlink {path} points to nothing"), true),
            Some(error) => (format!("cannot read {path}: {error}"), false),
        };
        let diagnostic = Diagnostic::error(message).at(&file.at);
        self.problems.push(if help {
            diagnostic.help("remove it, or name it in `exclude`")
        } else {
            diagnostic
        });
    }

    /// A path from the project's root, for people.
    fn shown(&self, path: &Path) -> String {
        visible_name(&self.templates.below_root(path).to_string_lossy())
    }

    fn refuse(&mut self, error: &ReadError, at: &At, file: &FileDeclaration) {
        let by = &file.by;
        if let (ReadError::Missing(path), Origin::Folder { .. }) = (error, &file.origin) {
            let message = format!("there is no folder {}", path.display());
            let help = "create it, or name another folder with `source`";
            self.problems.push(Diagnostic::error(message).at(at).help(help));
            return;
        }
        let diagnostic = Diagnostic::error(error.to_string()).at(at);
        self.problems.push(match error {
            ReadError::NotUtf8 { .. } => {
                let flag = by.flag("template", false);
                diagnostic.help(format!("save it as UTF-8, or set {flag} for files that are not text"))
            }
            ReadError::Io { source, .. } if source.kind() == std::io::ErrorKind::FileTooLarge => {
                diagnostic.help(format!("set {} for large files", by.flag("template", false)))
            }
            ReadError::Missing(_) => {
                diagnostic.help("create it, name another file with `source`, or give `content`")
            }
            ReadError::Outside(_) => diagnostic.help("copy it into the project"),
            ReadError::Elsewhere(_) => {
                diagnostic.help("name a file below it, or one from the project's root as \"//PATH\"")
            }
            ReadError::Io { .. } => diagnostic,
        });
    }
}

/// Leaves out what is below a folder.
fn skip(entries: &mut walkdir::IntoIter, entry: &DirEntry) {
    if entry.file_type().is_dir() {
        entries.skip_current_dir();
    }
}

/// A path of the release and where it is declared.
struct DeclaredPath<'a> {
    path: String,
    at: &'a At,
    by: &'a Caller,
    folder: bool,
}

impl<'a> DeclaredPath<'a> {
    fn of(file: &ComponentFile, declaration: &'a FileDeclaration) -> DeclaredPath<'a> {
        let folder = matches!(file.body, Body::Directory);
        DeclaredPath { path: file.path.clone(), at: &declaration.at, by: &declaration.by, folder }
    }

    fn of_symlink(symlink: &'a SymlinkDeclaration) -> DeclaredPath<'a> {
        DeclaredPath { path: symlink.path.clone(), at: &symlink.at, by: &symlink.by, folder: false }
    }
}

/// Reports paths that are declared twice, and files below which other entries would lie. A folder may be declared any
/// number of times.
fn conflicts(places: &[DeclaredPath<'_>], problems: &mut Problems) {
    let mut known: BTreeMap<&str, &DeclaredPath<'_>> = BTreeMap::new();
    for place in places {
        if let Some(earlier) = known.get(place.path.as_str()) {
            if !(earlier.folder && place.folder) {
                problems.push(twice(place, earlier));
            }
            continue;
        }
        known.insert(&place.path, place);
    }
    for (path, place) in &known {
        let parents = path.match_indices('/').filter_map(|(end, _)| known.get(&path[..end]));
        for parent in parents.filter(|parent| !parent.folder) {
            let message = format!("`{path}` cannot lie below `{}`, which is not a folder", parent.path);
            let help = "choose another path for one of the two";
            problems.push(Diagnostic::error(message).at(place.at).help(help).within(place.by.within()));
        }
    }
}

fn twice(place: &DeclaredPath<'_>, earlier: &DeclaredPath<'_>) -> Diagnostic {
    let line = earlier.at.source.position(earlier.at.span.start).0;
    let file = earlier.at.source.path();
    let already = if file == place.at.source.path() {
        format!("on line {line}")
    } else {
        format!("in {}:{line}", file.display())
    };
    let other = match earlier.by.breadcrumb.as_slice() {
        breadcrumb if breadcrumb.is_empty() || breadcrumb == place.by.breadcrumb => String::new(),
        breadcrumb => format!(" by `{}`", breadcrumb.join(" > ")),
    };
    let message = format!("the path `{}` is declared twice", place.path);
    Diagnostic::error(message)
        .at(place.at)
        .help(format!("it is already declared {already}{other}: keep one of the two"))
        .within(place.by.within())
}

/// Drops the entries of folders that exist anyway, because something lies in them.
fn drop_filled(files: &mut Vec<ComponentFile>, places: &[DeclaredPath<'_>]) {
    let mut filled: HashSet<&str> = HashSet::new();
    for place in places {
        filled.extend(place.path.match_indices('/').map(|(end, _)| &place.path[..end]));
    }
    files.retain(|file| !matches!(file.body, Body::Directory) || !filled.contains(file.path.as_str()));
}
