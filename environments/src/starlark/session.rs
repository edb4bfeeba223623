//! One run of a component's `configure` on one host: what it has declared so far, and whom it asks.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use minijinja::Value as Data;

use crate::component::item::{Item, within};
use crate::starlark::declared::Declared;
use crate::starlark::program::Program;
use crate::starlark::sources::Sources;
use crate::starlark::stop::Stop;
use crate::starlark::subcomponent::frame::Frame;
use crate::template;
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::source::At;
use crate::values::World;
use crate::values::scope::Scope;

/// How a run takes a requirement that nobody meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It stops there, and is made again when there is more.
    Normal,
    /// It goes on with a value that stands for any, to learn what it would provide.
    Phantom,
}

/// See the module.
pub(crate) struct Session {
    pub(crate) program: Arc<Program>,
    pub(crate) world: Arc<World>,
    pub(crate) index: usize,
    pub(crate) mode: Mode,
    /// What templates of the component see.
    pub(crate) scope: Data,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    items: Vec<Item>,
    problems: Problems,
    /// Sub-components that were made here.
    made: Vec<Arc<Frame>>,
    /// Those whose `configure` is under way, the innermost last.
    running: Vec<Arc<Frame>>,
    /// Why the run cannot go on, where the interpreter could not be told.
    noted: Option<Stop>,
}

/// What a run leaves behind.
pub(crate) struct Left {
    pub(crate) items: Vec<Item>,
    pub(crate) problems: Problems,
    pub(crate) made: Vec<Arc<Frame>>,
    pub(crate) running: Vec<Arc<Frame>>,
    pub(crate) noted: Option<Stop>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("index", &self.index).finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(declared: &Declared, world: &Arc<World>, index: usize, mode: Mode) -> Arc<Session> {
        Arc::new(Session {
            program: Arc::clone(&declared.program),
            world: Arc::clone(world),
            index,
            mode,
            scope: Scope::value(world, index),
            state: Mutex::default(),
        })
    }

    pub(crate) fn sources(&self) -> &Sources {
        &self.program.sources
    }

    pub(crate) fn root(&self) -> &Path {
        &self.program.root
    }

    /// `host/component`, and the sub-components whose `configure` is under way.
    pub(crate) fn subject(&self) -> String {
        let host = self.world.model.subject(self.index);
        match self.innermost() {
            Some(frame) => format!("{host}{}", within(&frame.breadcrumb())),
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

    pub(crate) fn made(&self, frame: &Arc<Frame>) {
        self.state().made.push(Arc::clone(frame));
    }

    pub(crate) fn enter(&self, frame: &Arc<Frame>) {
        self.state().running.push(Arc::clone(frame));
    }

    /// Ends a `configure` that went well: after a mistake, those that were under way tell where it was.
    pub(crate) fn leave(&self) {
        self.state().running.pop();
    }

    pub(crate) fn innermost(&self) -> Option<Arc<Frame>> {
        self.state().running.last().cloned()
    }

    /// Notes why the run ends, where there is no way to tell the interpreter: it asks for attributes without
    /// expecting an error.
    pub(crate) fn note(&self, stop: Stop) {
        self.state().noted.get_or_insert(stop);
    }

    /// Takes everything out, so that nothing is held in a circle.
    pub(crate) fn take(&self) -> Left {
        let State { items, problems, made, running, noted } = std::mem::take(&mut *self.state());
        Left { items, problems, made, running, noted }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// The names of the component's attributes.
    pub(crate) fn attribute_names(&self) -> Vec<String> {
        self.world.instance(self.index).component.interface.attributes.keys().cloned().collect()
    }

    /// What the component itself has under a name: `path`, `state` or `features`.
    pub(crate) fn own(&self, name: &str) -> Data {
        self.scope.get_attr("component").and_then(|own| own.get_attr(name)).unwrap_or_default()
    }

    /// The value of a text that may be a template.
    pub(crate) fn evaluate(&self, text: &str, at: &At, scope: &Data) -> Result<Data, Stop> {
        let engine = &self.world.instance(self.index).component.engine;
        template::evaluate(engine, text, at, scope).map_err(|mistake| match mistake {
            Some(diagnostic) => Stop::Diagnosed(diagnostic),
            None => Stop::Reported,
        })
    }
}

impl Session {
    /// The platform of the host.
    pub(crate) fn own_platform(&self) -> Option<String> {
        self.world.model.host(self.index).platform.clone()
    }
}
