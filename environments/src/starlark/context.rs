//! What native functions find in the interpreter: whether a file is loaded or a component is configured.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use starlark::any::ProvidesStaticType;
use starlark::eval::Evaluator;

use crate::component::attribute::Declaration;
use crate::starlark::definition::data::Kind;
use crate::starlark::files::Files;
use crate::starlark::session::Session;
use crate::starlark::site::Site;
use crate::starlark::sources::{Sources, folder_of, is_own};
use crate::starlark::stop::Stop;
use crate::template::cause::{self, Causes};
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::source::{At, Text};

/// See the module.
#[derive(ProvidesStaticType)]
pub(crate) enum Context {
    Load(Loading),
    Run(Arc<Session>),
}

/// A file that is being loaded.
pub(crate) struct Loading {
    pub(crate) root: PathBuf,
    pub(crate) sources: Arc<Sources>,
    numbers: Arc<AtomicUsize>,
    made: Mutex<Made>,
}

/// What a file has declared.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) components: Vec<Draft>,
    /// Definitions, and what each takes from the one that it is a variant of.
    pub(crate) definitions: Vec<(Arc<Kind>, Option<Arc<Kind>>)>,
    /// The platforms that are served by a definition.
    pub(crate) platforms: BTreeMap<(usize, String), Arc<Kind>>,
    pub(crate) causes: Causes,
    pub(crate) problems: Problems,
}

/// A component whose file is not loaded to the end yet.
pub(crate) struct Draft {
    pub(crate) name: Text,
    pub(crate) number: usize,
    pub(crate) at: At,
    pub(crate) attributes: BTreeMap<String, Declaration>,
    pub(crate) features: Vec<Text>,
    pub(crate) doc: Option<String>,
}

impl Loading {
    pub(crate) fn new(root: &Path, sources: &Arc<Sources>, numbers: &Arc<AtomicUsize>) -> Loading {
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

    pub(crate) fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Context {
    /// The context of an evaluation. Every one has it.
    pub(crate) fn of<'a>(eval: &Evaluator<'_, 'a, '_>) -> Result<&'a Context, Stop> {
        eval.extra.and_then(|extra| extra.downcast_ref::<Context>()).ok_or(Stop::Reported)
    }

    pub(crate) fn sources(&self) -> &Sources {
        match self {
            Context::Load(loading) => &loading.sources,
            Context::Run(session) => session.sources(),
        }
    }

    /// The file that is being loaded; a mistake during a run.
    pub(crate) fn loading(&self, what: &str) -> Result<&Loading, Stop> {
        match self {
            Context::Load(loading) => Ok(loading),
            Context::Run(_) => {
                Err(Stop::mistake(format!("{what}() belongs to the top of a file, not into `configure`"))
                    .help("what `configure` needs can be given to it as a global variable"))
            }
        }
    }

    /// The run; a mistake while a file is loaded.
    pub(crate) fn session(&self, what: &str) -> Result<&Arc<Session>, Stop> {
        match self {
            Context::Run(session) => Ok(session),
            Context::Load(_) => Err(Stop::mistake(format!("{what} belongs into `configure`"))
                .help("when a file is loaded, neither host nor environment are known")),
        }
    }

    /// The files that code can read: those in the folder of the definition that is configured, or of the file that
    /// is loaded.
    pub(crate) fn files(&self, site: &Site) -> Files<'_> {
        match self {
            Context::Load(loading) => {
                let folder = folder_of(&site.at.source.path().to_string_lossy());
                Files { root: &loading.root, folder }
            }
            Context::Run(session) => {
                let folder = session.innermost().and_then(|running| running.folder);
                Files { root: session.root(), folder }
            }
        }
    }

    /// Notes an input.
    pub(crate) fn record(&self, (name, digest): (String, String)) {
        match self {
            Context::Load(loading) => drop(loading.made().causes.insert(name, digest)),
            Context::Run(_) => cause::record(name, digest),
        }
    }

    pub(crate) fn warn(&self, diagnostic: Diagnostic) {
        let diagnostic = diagnostic.warning();
        match self {
            Context::Load(loading) => loading.made().problems.push(diagnostic),
            Context::Run(session) => session.report(diagnostic),
        }
    }
}

/// The innermost place of a call in the user's own files.
pub(crate) fn own_place(eval: &Evaluator<'_, '_, '_>, sources: &Sources) -> Option<At> {
    let stack = eval.call_stack();
    let own = stack.frames.iter().rev().filter_map(|frame| frame.location.as_ref());
    own.into_iter().find(|span| is_own(span.filename())).map(|span| sources.at(span))
}
