//! The texts of the loaded Starlark files, so that a place that the interpreter names can be shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use starlark::codemap::FileSpan;
use starlark::syntax::AstModule;

use crate::starlark::places::{self, CallSites};
use crate::text::source::{At, SourceText};

/// How the names of files that are shipped inside the program begin.
pub(crate) const LIBRARY: &str = "@batou//";

/// By name: the path relative to the project, or `@batou//NAME`.
#[derive(Debug, Default)]
pub(crate) struct SourceTexts(Mutex<BTreeMap<String, File>>);

#[derive(Debug)]
struct File {
    source: Arc<SourceText>,
    /// None are known before it is parsed.
    places: Arc<CallSites>,
}

impl SourceTexts {
    pub(crate) fn add(&self, name: &str, source: &Arc<SourceText>) {
        let file = File { source: Arc::clone(source), places: Arc::default() };
        self.known().insert(name.to_owned(), file);
    }

    /// Adds what parsing a file has shown.
    pub(crate) fn parsed(&self, name: &str, file: &AstModule) {
        let places = Arc::new(CallSites::of(file));
        if let Some(known) = self.known().get_mut(name) {
            known.places = places;
        }
    }

    /// Whether a place is in one of the user's own files, and neither in the library nor in the interpreter itself.
    pub(crate) fn is_own(&self, span: &FileSpan) -> bool {
        is_own(span.filename()) && self.known().contains_key(span.filename())
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<SourceText>> {
        self.known().get(name).map(|file| Arc::clone(&file.source))
    }

    /// The places in a file.
    pub(crate) fn places(&self, source: &SourceText) -> Arc<CallSites> {
        let known = self.known();
        let file = source.path().to_str().and_then(|name| known.get(name));
        file.map(|file| Arc::clone(&file.places)).unwrap_or_default()
    }

    /// The place of one of the interpreter's spans.
    pub(crate) fn at(&self, span: &FileSpan) -> At {
        let source =
            self.get(span.filename()).unwrap_or_else(|| SourceText::new(span.filename(), span.file.source()));
        At::new(&source, places::range(span.span))
    }

    /// Where a dict's key or a list's item is written within a part of a file; the whole part if it is not found there.
    pub(crate) fn name_in(&self, part: &At, name: &str) -> At {
        let found = self.places(&part.source).name_in(&part.span, name);
        found.map_or_else(|| part.clone(), |place| At::new(&part.source, place))
    }

    /// Where an assignment at the top of a file gives a global its value; the beginning of the file if it gets its value
    /// in another way.
    pub(crate) fn global(&self, source: &Arc<SourceText>, name: &str) -> At {
        At::new(source, self.places(source).global(name).unwrap_or(0..0))
    }

    /// A text of the interpreter, with functions named without the file that defines them.
    pub(crate) fn without_files(&self, text: String) -> String {
        self.known().keys().fold(text, |text, file| text.replace(&format!("{file}."), ""))
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a file is the user's own, and not part of the library.
pub(crate) fn is_own(name: &str) -> bool {
    !name.starts_with(LIBRARY)
}

/// The folder in which the files beside a Starlark file are found; the library has none.
pub(crate) fn folder_of(name: &str) -> Option<PathBuf> {
    is_own(name).then(|| Path::new(name).parent().unwrap_or(Path::new("")).to_owned())
}
