//! One run of a component's `configure` on one host: what it has declared so far, and where it asks for values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::Value as Data;
use starlark::values::{Heap, Value};

use crate::component::item::{Item, within};
use crate::starlark::component::StarlarkComponent;
use crate::starlark::placement::Placement;
use crate::starlark::program::StarlarkProgram;
use crate::starlark::sources::SourceTexts;
use crate::starlark::stop::Stop;
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::source::At;

/// What a run does at an unmet requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunMode {
    /// It stops there, and is repeated when more is provided.
    Normal,
    /// It goes on with a placeholder, to learn what it would provide.
    Phantom,
}

/// The state of a run.
pub(crate) struct ConfigureSession {
    pub(crate) program: Arc<StarlarkProgram>,
    pub(crate) placement: Arc<dyn Placement>,
    pub(crate) mode: RunMode,
    /// What templates of the component see.
    pub(crate) scope: Data,
    /// The names of the component's attributes.
    pub(crate) attributes: Vec<String>,
    /// Makes a sub-component of one that another component provides, for code that requires it. It is passed in,
    /// because sub-components know their session and a session must not know them.
    pub(crate) adopt: Adopt,
    state: Mutex<SessionState>,
}

/// A sub-component in the interpreter, if the data is one that is provided.
pub(crate) type Adopt = for<'v> fn(&Data, &Arc<ConfigureSession>, Heap<'v>) -> Option<Value<'v>>;

#[derive(Default)]
struct SessionState {
    items: Vec<Item>,
    problems: Problems,
    /// Sub-components that were made here and are neither added nor provided yet.
    unused: BTreeMap<usize, Unused>,
    /// How many were made.
    made: usize,
    /// Those whose `configure` is under way, the innermost last.
    running: Vec<UnderWay>,
    /// Why the run cannot go on, where the interpreter could not be told.
    noted: Option<Stop>,
}

/// A sub-component that is neither added nor provided yet.
pub(crate) struct Unused {
    /// `Venv("py")`
    pub(crate) shown: String,
    pub(crate) at: At,
}

/// A component or sub-component whose `configure` is under way.
#[derive(Clone)]
pub(crate) struct UnderWay {
    /// The sub-components from below the component down to this one.
    pub(crate) breadcrumb: Vec<String>,
    /// Where its files are found, relative to the project.
    pub(crate) folder: Option<PathBuf>,
    /// Where its code stands.
    pub(crate) code_at: At,
    /// Where it and the sub-components around it were made, the innermost first.
    pub(crate) made: Vec<At>,
}

/// What a run leaves behind.
pub(crate) struct Left {
    pub(crate) items: Vec<Item>,
    pub(crate) problems: Problems,
    pub(crate) unused: Vec<Unused>,
    pub(crate) noted: Option<Stop>,
}

impl std::fmt::Debug for ConfigureSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl ConfigureSession {
    pub(crate) fn new(
        declared: &StarlarkComponent,
        placement: Arc<dyn Placement>,
        mode: RunMode,
        adopt: Adopt,
    ) -> Arc<ConfigureSession> {
        Arc::new(ConfigureSession {
            program: Arc::clone(&declared.program),
            mode,
            scope: placement.scope(),
            attributes: declared.attributes.keys().cloned().collect(),
            adopt,
            placement,
            state: Mutex::default(),
        })
    }

    pub(crate) fn sources(&self) -> &SourceTexts {
        &self.program.sources
    }

    pub(crate) fn root(&self) -> &Path {
        &self.program.root
    }

    /// `host/component`, and the sub-components whose `configure` is under way.
    pub(crate) fn subject(&self) -> String {
        let host = self.placement.subject();
        match self.innermost() {
            Some(running) => format!("{host}{}", within(&running.breadcrumb)),
            None => host,
        }
    }

    pub(crate) fn push(&self, item: Item) {
        self.state().items.push(item);
    }

    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        let diagnostic = diagnostic.about(self.subject());
        self.state().problems.push(diagnostic);
    }

    /// Notes a sub-component that is made here, and gives the number under which it is known.
    pub(crate) fn made(&self, unused: Unused) -> usize {
        let mut state = self.state();
        state.made += 1;
        let number = state.made;
        state.unused.insert(number, unused);
        number
    }

    /// Notes that a sub-component is added or provided.
    pub(crate) fn used(&self, number: usize) {
        self.state().unused.remove(&number);
    }

    pub(crate) fn enter(&self, running: UnderWay) {
        self.state().running.push(running);
    }

    /// Ends a `configure` that went well. After a mistake it is not called: what is still under way shows where the
    /// mistake was.
    pub(crate) fn leave(&self) {
        self.state().running.pop();
    }

    pub(crate) fn innermost(&self) -> Option<UnderWay> {
        self.state().running.last().cloned()
    }

    /// Notes why the run ends, where there is no way to tell the interpreter: it asks for attributes without
    /// expecting an error.
    pub(crate) fn note(&self, stop: Stop) {
        self.state().noted.get_or_insert(stop);
    }

    /// Takes everything out, which also breaks cycles of references.
    pub(crate) fn take(&self) -> Left {
        let SessionState { items, problems, unused, noted, .. } = std::mem::take(&mut *self.state());
        Left { items, problems, unused: unused.into_values().collect(), noted }
    }

    fn state(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConfigureSession {
    /// A built-in value of the component: `path`, `state` or `features`.
    pub(crate) fn own(&self, name: &str) -> Data {
        self.scope.get_attr("component").and_then(|own| own.get_attr(name)).unwrap_or_default()
    }
}
