//! A component or sub-component while it is configured: its attributes, and what it has declared.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use minijinja::value::{Enumerator, Object, Value as Data};
use starlark::eval::Evaluator;

use crate::component::attribute::plain;
use crate::component::item::Caller;
use crate::file::{self, ConfigNode};
use crate::starlark::component::StarlarkComponent;
use crate::starlark::definition::data::DefinitionData;
use crate::starlark::session::{ConfigureSession, UnderWay, Unused};
use crate::starlark::stop::Stop;
use crate::starlark::trace::{CallTrace, GivenVariables};
use crate::template;
use crate::template::elsewhere::reported_error;
use crate::template::layered::{Variables, layered};
use crate::text::diagnostic::Diagnostic;
use crate::text::source::At;

/// A component or sub-component in a run.
#[derive(Debug)]
pub(crate) struct SubComponent {
    pub(crate) session: Arc<ConfigureSession>,
    pub(crate) of: SubComponentOf,
    pub(crate) name: String,
    /// Where it was made.
    pub(crate) at: At,
    /// What it was made with.
    pub(crate) arguments: BTreeMap<String, Data>,
    /// The number under which the run knows it, if it was made there.
    made: OnceLock<usize>,
    defaults: Mutex<BTreeMap<String, Default>>,
    place: Mutex<Standing>,
}

/// What a component or sub-component is made from.
#[derive(Debug)]
pub(crate) enum SubComponentOf {
    /// The component itself.
    Component {
        folder: PathBuf,
        number: usize,
    },
    Definition(Arc<DefinitionData>),
}

/// A default that was asked for.
#[derive(Debug)]
enum Default {
    Running,
    Known(Data),
}

/// How far its configuration has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Made,
    /// It was provided to others, which may add it.
    Provided,
    Configuring,
    Done,
}

#[derive(Debug)]
struct Standing {
    stage: Stage,
    parent: Option<Arc<SubComponent>>,
    /// Paths relative to the component, its sub-components' too.
    files: Vec<String>,
    caller: Option<Arc<Caller>>,
}

impl SubComponent {
    /// The component itself, at the top.
    pub(crate) fn top(declared: &StarlarkComponent, session: &Arc<ConfigureSession>) -> Arc<SubComponent> {
        let of = SubComponentOf::Component { folder: declared.folder.clone(), number: declared.number };
        SubComponent::new(session, of, declared.name.clone(), &declared.at, BTreeMap::new())
    }

    pub(crate) fn new(
        session: &Arc<ConfigureSession>,
        of: SubComponentOf,
        name: String,
        at: &At,
        arguments: BTreeMap<String, Data>,
    ) -> Arc<SubComponent> {
        let place = Standing { stage: Stage::Made, parent: None, files: Vec::new(), caller: None };
        Arc::new(SubComponent {
            session: Arc::clone(session),
            of,
            name,
            at: at.clone(),
            arguments,
            made: OnceLock::new(),
            defaults: Mutex::default(),
            place: Mutex::new(place),
        })
    }

    pub(crate) fn kind(&self) -> Option<&Arc<DefinitionData>> {
        match &self.of {
            SubComponentOf::Component { .. } => None,
            SubComponentOf::Definition(kind) => Some(kind),
        }
    }

    /// The number of its code.
    pub(crate) fn number(&self) -> usize {
        match &self.of {
            SubComponentOf::Component { number, .. } => *number,
            SubComponentOf::Definition(kind) => kind.number,
        }
    }

    /// Where its files are found, relative to the project.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        match &self.of {
            SubComponentOf::Component { folder, .. } => Some(folder.clone()),
            SubComponentOf::Definition(kind) => kind.folder.clone(),
        }
    }

    /// `Venv("py")`, or the component's name.
    pub(crate) fn shown(&self) -> String {
        self.kind().map_or_else(|| self.name.clone(), |kind| kind.shown(&self.name))
    }

    pub(crate) fn parent(&self) -> Option<Arc<SubComponent>> {
        self.place().parent.clone()
    }

    /// The sub-components from below the component down to this one.
    pub(crate) fn breadcrumb(&self) -> Vec<String> {
        if self.kind().is_none() {
            return Vec::new();
        }
        let mut breadcrumb = self.parent().map(|parent| parent.breadcrumb()).unwrap_or_default();
        breadcrumb.push(self.shown());
        breadcrumb
    }

    pub(crate) fn stage(&self) -> Stage {
        self.place().stage
    }

    pub(crate) fn set_stage(&self, stage: Stage) {
        self.place().stage = stage;
        if let Some(number) = self.made.get() {
            self.session.used(*number);
        }
    }

    /// Lets the run warn if it is neither added nor provided.
    pub(crate) fn note_made(&self) {
        let unused = Unused { shown: self.shown(), at: self.at.clone() };
        let _ = self.made.set(self.session.made(unused));
    }

    /// Where it and the sub-components around it were made, the innermost first.
    pub(crate) fn made(&self) -> Vec<At> {
        if self.kind().is_none() {
            return Vec::new();
        }
        let around = self.parent().map(|parent| parent.made()).unwrap_or_default();
        std::iter::once(self.at.clone()).chain(around).collect()
    }

    /// Begins its configuration, below a parent if it is a sub-component.
    pub(crate) fn begin(
        self: &Arc<Self>,
        parent: Option<&Arc<SubComponent>>,
        eval: &Evaluator<'_, '_, '_>,
    ) -> Result<(), Stop> {
        self.place().parent = parent.cloned();
        self.set_stage(Stage::Configuring);
        let (breadcrumb, folder, code_at) = (self.breadcrumb(), self.folder(), self.code_at());
        self.session.enter(UnderWay { breadcrumb, folder, code_at, made: self.made() });
        let variables = if self.kind().is_some() {
            let trace = CallTrace::of(eval, self.made()).beginning();
            let own = ("component".to_owned(), self.snapshot()?);
            Variables::map(vec![own], Some(trace.tracer(BTreeMap::new())))
        } else {
            Variables::map(Vec::new(), None)
        };
        let caller = Caller {
            breadcrumb: self.breadcrumb(),
            folder: self.folder().unwrap_or_default(),
            variables: Some(variables),
        };
        self.place().caller = Some(Arc::new(caller));
        Ok(())
    }

    /// Ends its configuration. What it declared counts as its parent's, too.
    pub(crate) fn end(&self) {
        let (files, parent) = {
            let mut place = self.place();
            place.stage = Stage::Done;
            (place.files.clone(), place.parent.clone())
        };
        if let Some(parent) = parent {
            parent.place().files.extend(files);
        }
    }

    pub(crate) fn declare(&self, path: &str) {
        self.place().files.push(path.to_owned());
    }

    /// What it has declared so far.
    pub(crate) fn files(&self) -> Vec<String> {
        self.place().files.clone()
    }

    /// Who declares an item.
    pub(crate) fn caller(&self) -> Arc<Caller> {
        self.place().caller.clone().unwrap_or_default()
    }

    /// The same with variables for its templates, which a call gives to them.
    pub(crate) fn caller_with(&self, given: GivenVariables) -> Arc<Caller> {
        let own = self.caller();
        if given.values.is_empty() {
            return own;
        }
        let before = own.variables.iter().flat_map(pairs);
        let all: Vec<(String, Data)> = before.chain(given.values).collect();
        let tracer = given.trace.tracer(given.places);
        Arc::new(Caller { variables: Some(Variables::map(all, Some(tracer))), ..Caller::clone(&own) })
    }

    /// What a definition for a platform takes over: the attributes that both have.
    pub(crate) fn arguments_for(
        self: &Arc<Self>,
        kind: &DefinitionData,
    ) -> Result<BTreeMap<String, Data>, Stop> {
        let mut arguments = BTreeMap::new();
        for name in kind.attributes.keys() {
            if let Some(value) = self.attribute(name) {
                arguments.insert(name.clone(), value?);
            }
        }
        Ok(arguments)
    }

    /// Where its code stands.
    pub(crate) fn code_at(&self) -> At {
        match &self.of {
            SubComponentOf::Component { .. } => self.at.clone(),
            SubComponentOf::Definition(kind) => kind.at.clone(),
        }
    }

    /// The names of its attributes.
    pub(crate) fn attribute_names(&self) -> Vec<String> {
        match self.kind() {
            Some(kind) => kind.attributes.keys().cloned().collect(),
            None => self.session.attributes.clone(),
        }
    }

    /// The value of an attribute; `None` if there is none of this name.
    pub(crate) fn attribute(self: &Arc<Self>, name: &str) -> Option<Result<Data, Stop>> {
        let Some(kind) = self.kind() else {
            let value = self.session.placement.attribute(name)?;
            return Some(value);
        };
        kind.attributes.get(name)?;
        match self.arguments.get(name) {
            Some(value) => Some(Ok(value.clone())),
            None => Some(self.default(kind, name)),
        }
    }

    fn default(self: &Arc<Self>, kind: &Arc<DefinitionData>, name: &str) -> Result<Data, Stop> {
        match self.defaults().get(name) {
            Some(Default::Known(value)) => return Ok(value.clone()),
            Some(Default::Running) => {
                let message = format!("the attribute `{name}` of `{}` depends on itself", self.shown());
                return Err(Stop::mistake(message));
            }
            None => {}
        }
        let declaration = kind.attributes.get(name).ok_or(Stop::Reported)?;
        let node = declaration.default.as_ref().ok_or(Stop::Reported)?;
        self.defaults().insert(name.to_owned(), Default::Running);
        let value = self.evaluate(node)?;
        let written = !matches!(&node.data, file::Data::String(text) if template::is_template(text));
        let address = |location| self.session.placement.address(location);
        let value = declaration.kind.convert(&value, written, address).map_err(|reason| {
            let message = format!("the attribute `{name}` of `{}` {reason}", self.shown());
            Stop::Diagnosed(Box::new(Diagnostic::error(message).at(&node.at)))
        })?;
        self.defaults().insert(name.to_owned(), Default::Known(value.clone()));
        Ok(value)
    }

    /// The value of a part of a file, with strings evaluated as templates.
    fn evaluate(self: &Arc<Self>, node: &ConfigNode) -> Result<Data, Stop> {
        match &node.data {
            file::Data::String(text) if template::is_template(text) => {
                let own = Data::from_object(AttributesObject(Arc::clone(self)));
                let scope = layered(&self.session.scope, Some(&Data::from_pairs([("component", own)])));
                self.session.placement.evaluate(text, &node.at, &scope)
            }
            file::Data::Array(items) => {
                let items: Result<Vec<Data>, Stop> = items.iter().map(|item| self.evaluate(item)).collect();
                Ok(Data::from(items?))
            }
            file::Data::Table(table) => {
                let pairs: Result<Vec<(String, Data)>, Stop> = table
                    .iter()
                    .map(|(name, member)| Ok((name.clone(), self.evaluate(&member.node)?)))
                    .collect();
                Ok(Data::from_pairs(pairs?))
            }
            _ => Ok(plain(node)),
        }
    }

    /// Every attribute, for the templates of what it declares.
    fn snapshot(self: &Arc<Self>) -> Result<Data, Stop> {
        let mut pairs = vec![("name".to_owned(), Data::from(self.name.as_str()))];
        for name in ["path", "state", "features"] {
            pairs.push((name.to_owned(), self.session.own(name)));
        }
        for name in self.attribute_names() {
            let value = self.attribute(&name).unwrap_or(Err(Stop::Reported))?;
            pairs.push((name, value));
        }
        Ok(Data::from_pairs(pairs))
    }

    fn defaults(&self) -> MutexGuard<'_, BTreeMap<String, Default>> {
        self.defaults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self) -> MutexGuard<'_, Standing> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pairs(map: &Data) -> Vec<(String, Data)> {
    let keys = map.try_iter().into_iter().flatten();
    keys.filter_map(|key| Some((key.to_string(), map.get_item(&key).ok()?))).collect()
}

/// `component` in the defaults of a sub-component's attributes, which may need each other.
#[derive(Debug)]
struct AttributesObject(Arc<SubComponent>);

impl Object for AttributesObject {
    fn get_value(self: &Arc<Self>, key: &Data) -> Option<Data> {
        let component = &self.0;
        match key.as_str()? {
            "name" => Some(Data::from(component.name.as_str())),
            name @ ("path" | "state" | "features") => Some(component.session.own(name)),
            name => match component.attribute(name)? {
                Ok(value) => Some(value),
                Err(stop) => {
                    component.session.note(stop);
                    Some(Data::from(reported_error()))
                }
            },
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let own = ["name", "path", "state", "features"].map(str::to_owned);
        Enumerator::Values(own.into_iter().chain(self.0.attribute_names()).map(Data::from).collect())
    }
}
