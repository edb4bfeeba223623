//! What native functions find in the interpreter: whether a file is being loaded or a component is being configured.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use starlark::any::ProvidesStaticType;
use starlark::eval::Evaluator;

use crate::component::attribute::AttributeDeclaration;
use crate::starlark::definition::data::DefinitionData;
use crate::starlark::files::ReadableFiles;
use crate::starlark::session::ConfigureSession;
use crate::starlark::site::Site;
use crate::starlark::sources::{SourceTexts, folder_of};
use crate::starlark::stop::Stop;
use crate::template::cause::{self, UsedValues};
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::source::{At, Text};

/// What the interpreter is doing.
#[derive(ProvidesStaticType)]
pub(crate) enum CallContext {
    Load(Loading),
    Run(Arc<ConfigureSession>),
}

/// A file that is being loaded.
pub(crate) struct Loading {
    pub(crate) root: PathBuf,
    pub(crate) sources: Arc<SourceTexts>,
    numbers: Arc<AtomicUsize>,
    made: Mutex<Drafts>,
}

/// What a file has declared.
#[derive(Default)]
pub(crate) struct Drafts {
    pub(crate) components: Vec<Draft>,
    /// Definitions, each with the one that it takes its code from, if it is a variant without its own.
    pub(crate) definitions: Vec<(Arc<DefinitionData>, Option<Arc<DefinitionData>>)>,
    /// The platforms that are served by a definition.
    pub(crate) platforms: BTreeMap<(usize, String), Arc<DefinitionData>>,
    pub(crate) causes: UsedValues,
    pub(crate) problems: Problems,
}

/// A component whose file is not loaded completely yet.
pub(crate) struct Draft {
    pub(crate) name: Text,
    pub(crate) number: usize,
    pub(crate) at: At,
    pub(crate) attributes: BTreeMap<String, AttributeDeclaration>,
    pub(crate) features: Vec<Text>,
    pub(crate) doc: Option<String>,
}

impl Loading {
    pub(crate) fn new(root: &Path, sources: &Arc<SourceTexts>, numbers: &Arc<AtomicUsize>) -> Loading {
        Loading {
            root: root.to_owned(),
            sources: Arc::clone(sources),
            numbers: Arc::clone(numbers),
            made: Mutex::default(),
        }
    }

    /// A number that no other definition or component has.
    pub(crate) fn number(&self) -> usize {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn made(&self) -> MutexGuard<'_, Drafts> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CallContext {
    /// The context of an evaluation. Every evaluation has one.
    pub(crate) fn of<'a>(eval: &Evaluator<'_, 'a, '_>) -> Result<&'a CallContext, Stop> {
        eval.extra.and_then(|extra| extra.downcast_ref::<CallContext>()).ok_or(Stop::Reported)
    }

    pub(crate) fn sources(&self) -> &SourceTexts {
        match self {
            CallContext::Load(loading) => &loading.sources,
            CallContext::Run(session) => session.sources(),
        }
    }

    /// The file that is being loaded; during a run, asking for it is a mistake.
    pub(crate) fn loading(&self, what: &str) -> Result<&Loading, Stop> {
        match self {
            CallContext::Load(loading) => Ok(loading),
            CallContext::Run(_) => {
                Err(Stop::mistake(format!("{what}() belongs at the top of a file, not in `configure`"))
                    .help("keep what `configure` needs in a global variable"))
            }
        }
    }

    /// The run; while a file is loaded, asking for it is a mistake.
    pub(crate) fn session(&self, what: &str) -> Result<&Arc<ConfigureSession>, Stop> {
        match self {
            CallContext::Run(session) => Ok(session),
            CallContext::Load(_) => Err(Stop::mistake(format!("{what} belongs in `configure`"))
                .help("while a file is loaded, neither the host nor the environment is known")),
        }
    }

    /// The files that code can read: those in the folder of the definition that is being configured, or of the file
    /// that is being loaded.
    pub(crate) fn files(&self, site: &Site) -> ReadableFiles<'_> {
        match self {
            CallContext::Load(loading) => {
                let folder = folder_of(&site.at.source.path().to_string_lossy());
                ReadableFiles { root: &loading.root, folder }
            }
            CallContext::Run(session) => {
                let folder = session.innermost().and_then(|running| running.folder);
                ReadableFiles { root: session.root(), folder }
            }
        }
    }

    /// Records an input as a cause.
    pub(crate) fn record(&self, (name, digest): (String, String)) {
        match self {
            CallContext::Load(loading) => drop(loading.made().causes.insert(name, digest)),
            CallContext::Run(_) => cause::record(name, digest),
        }
    }

    pub(crate) fn warn(&self, diagnostic: Diagnostic) {
        let diagnostic = diagnostic.warning();
        match self {
            CallContext::Load(loading) => loading.made().problems.push(diagnostic),
            CallContext::Run(session) => session.report(diagnostic),
        }
    }
}

/// The innermost place of a call in the user's own files.
pub(crate) fn own_place(eval: &Evaluator<'_, '_, '_>, sources: &SourceTexts) -> Option<At> {
    let stack = eval.call_stack();
    let own = stack.frames.iter().rev().filter_map(|frame| frame.location.as_ref());
    own.into_iter().find(|span| sources.is_own(span)).map(|span| sources.at(span))
}
