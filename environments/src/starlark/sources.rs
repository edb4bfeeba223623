//! The texts of the loaded Starlark files, so that a place that the interpreter names can be shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use starlark::codemap::FileSpan;

use crate::source::{At, Source};

/// What the names of files that are shipped inside the program begin with.
pub(crate) const LIBRARY: &str = "@batou//";

/// By name: the path relative to the project, or `@batou//NAME`.
#[derive(Debug, Default)]
pub(crate) struct Sources(Mutex<BTreeMap<String, Arc<Source>>>);

impl Sources {
    pub(crate) fn add(&self, name: &str, source: &Arc<Source>) {
        self.known().insert(name.to_owned(), Arc::clone(source));
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<Source>> {
        self.known().get(name).cloned()
    }

    /// The place of one of the interpreter's spans.
    pub(crate) fn at(&self, span: &FileSpan) -> At {
        let source =
            self.get(span.filename()).unwrap_or_else(|| Source::new(span.filename(), span.file.source()));
        let range = span.span.begin().get() as usize..span.span.end().get() as usize;
        At::new(&source, range)
    }

    /// A text in which functions are named without the file that they are from.
    pub(crate) fn without_files(&self, text: String) -> String {
        self.known().keys().fold(text, |text, file| text.replace(&format!("{file}."), ""))
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Source>>> {
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
