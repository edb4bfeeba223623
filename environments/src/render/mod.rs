//! From configured values to files and steps: every template of every deployed component, in parallel.

mod artifact;
mod step;

pub use step::{Dependency, RenderedAssertions, RenderedScript, RenderedStep};

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use batou_release::{HostName, Instance, show_artifact};
use minijinja::value::Value;
use minijinja::{Environment, Error, Template};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::component::files::{Body, Loaded};
use crate::component::item::Caller;
use crate::model::component::Component;
use crate::notes::{Notes, noted};
use crate::template::cause::{self, Causes};
use crate::text::diagnostic::{Diagnostic, Problems};
use crate::text::source::{At, Text};
use crate::values::origin::with_origins;
use crate::values::scope::Scope;

use crate::template;
use crate::values::World;

/// What a component is on a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rendered {
    /// The host's name.
    pub host: HostName,
    /// The component's name.
    pub component: String,
    /// By relative path: no `.`, `..` or empty parts.
    pub entries: BTreeMap<String, Entry>,
    /// By path: what the entry was made from (`attribute web.sleep`, `resource postgres from db01/postgres`, …) and
    /// 12 hex digits of the BLAKE3 digest of each. A [`Content::Source`] is its own cause and is not hashed here.
    pub causes: BTreeMap<String, BTreeMap<String, String>>,
    /// By path: the sub-components that declare the entry, as `Venv("py")`, from the outside to the inside. Without
    /// those that the component declares itself.
    pub breadcrumbs: BTreeMap<String, Vec<String>>,
    /// In their order.
    pub steps: Vec<RenderedStep>,
    /// Host and component of what must be activated before, directly.
    pub after: BTreeSet<Instance>,
}

/// One entry of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A file.
    File {
        /// What stands in it.
        content: Content,
        /// Nine bits, as declared.
        mode: u32,
    },
    /// A folder with nothing in it.
    Directory,
    /// A symlink.
    Symlink {
        /// Where it points, as it will be written.
        target: String,
    },
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// Rendered.
    Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
    /// To be taken from this file of the project as it is; may be large. Absolute, without symlinks.
    Source(PathBuf),
}

/// The rendered instances and what was wrong with them.
#[derive(Default)]
pub(crate) struct Rendering {
    pub(crate) components: Vec<Rendered>,
    pub(crate) problems: Problems,
    /// Whether anything is missing in them.
    pub(crate) incomplete: bool,
}

/// Renders the given instances; mistakes of one do not keep the others from being looked at.
///
/// All instances of a component are rendered together: its templates are compiled once for all of them, and not kept.
pub(crate) fn render(
    world: &Arc<World>,
    indices: &[usize],
    before: &[BTreeSet<usize>],
    notes: Option<Notes<'_>>,
) -> Rendering {
    let mut placed: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for index in indices {
        placed.entry(&world.instance(*index).component.name).or_default().push(*index);
    }
    let mut finished: BTreeMap<usize, InstanceRender<'_>> = placed
        .into_par_iter()
        .flat_map_iter(|(_, instances)| render_component(world, &instances, notes))
        .collect();
    let mut rendering = Rendering::default();
    for index in indices {
        let Some(mut instance) = finished.remove(index) else { continue };
        instance.rendered.after =
            before[*index].iter().map(|first| world.model.instance_name(*first)).collect();
        rendering.components.push(instance.rendered);
        rendering.problems.extend(instance.problems);
        rendering.incomplete |= instance.incomplete;
    }
    rendering
}

/// Renders one component wherever it is placed, template by template: a compiled one takes many times the room of its
/// text, so each goes as soon as its files are rendered for all instances, and what they include, with the component.
fn render_component<'a>(
    world: &'a Arc<World>,
    indices: &[usize],
    notes: Option<Notes<'_>>,
) -> Vec<(usize, InstanceRender<'a>)> {
    let mut instances: Vec<_> = indices.iter().map(|index| InstanceRender::new(world, *index)).collect();
    let Some(component) = instances.first().map(|instance| instance.component) else { return Vec::new() };
    let engine = component.engine.as_ref().clone();
    let users = users(&instances);
    for name in users.iter().filter(|(_, count)| **count > 1).map(|(name, _)| *name) {
        let Some(source) = component.source(name) else { continue };
        let file = || source.path().display().to_string();
        let compiled = noted(notes, file, || template::compile(&engine, name, &source));
        instances.par_iter_mut().for_each(|instance| {
            let index = instance.index;
            noted(notes, || world.model.subject(index), || instance.add_files(Some(name), Some(&compiled)));
        });
    }
    instances.par_iter_mut().for_each(|instance| {
        let index = instance.index;
        let rest = || {
            instance.add_own_files(&engine, &users);
            instance.add_files(None, None);
            instance.add_symlinks();
            instance.add_steps();
        };
        noted(notes, || world.model.subject(index), rest);
    });
    indices.iter().copied().zip(instances).collect()
}

/// The templates of all instances, and how many of these have each.
fn users<'a>(instances: &[InstanceRender<'a>]) -> BTreeMap<&'a str, usize> {
    let mut users = BTreeMap::new();
    for name in instances.iter().flat_map(|instance| instance.files.keys().copied().flatten()) {
        *users.entry(name).or_insert(0) += 1;
    }
    users
}

/// A template that many instances may use, or the mistake in it, which is one of each of them.
type Compiled<'a> = Result<Template<'a, 'a>, Error>;

/// The rendering of one component on one host.
pub(crate) struct InstanceRender<'a> {
    pub(crate) world: &'a Arc<World>,
    pub(crate) index: usize,
    pub(crate) component: &'a Component,
    /// What is still to be rendered, by template.
    files: BTreeMap<Option<&'a str>, Vec<&'a Loaded>>,
    scope: Value,
    /// The sub-component whose declaration is rendered.
    part: String,
    rendered: Rendered,
    problems: Problems,
    incomplete: bool,
}

impl<'a> InstanceRender<'a> {
    /// With all its files to render.
    fn new(world: &'a Arc<World>, index: usize) -> Self {
        let component = world.instance(index).component.as_ref();
        let mut files: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for file in &component.files {
            files.entry(file.body.template()).or_default().push(file);
        }
        InstanceRender {
            world,
            index,
            component,
            files,
            scope: Scope::value(world, index),
            part: String::new(),
            rendered: Rendered {
                host: world.model.host(index).name.clone(),
                component: component.name.clone(),
                entries: BTreeMap::new(),
                causes: BTreeMap::new(),
                breadcrumbs: BTreeMap::new(),
                steps: Vec::new(),
                after: BTreeSet::new(),
            },
            problems: Problems::default(),
            incomplete: false,
        }
    }

    /// Adds the files of a template, or those that have none.
    fn add_files(&mut self, template: Option<&'a str>, compiled: Option<&Compiled<'_>>) {
        for file in self.files.remove(&template).unwrap_or_default() {
            let (entry, mut used) = cause::collect(|| self.within(&file.by).file(file, compiled));
            if file.made {
                self.add_causes_of_code(&mut used);
            }
            self.add(&file.path, entry, used, &file.by);
        }
    }

    /// Adds the files of templates that no other instance has: code may make one for each host.
    fn add_own_files(&mut self, engine: &Environment<'_>, users: &BTreeMap<&'a str, usize>) {
        let component = self.component;
        for name in component.files.iter().filter_map(|file| file.body.template()) {
            let own = users.get(name) == Some(&1) && self.files.contains_key(&Some(name));
            let Some(source) = component.source(name).filter(|_| own) else { continue };
            let compiled = template::compile(engine, name, &source);
            self.add_files(Some(name), Some(&compiled));
        }
    }

    fn add_causes_of_code(&self, used: &mut Causes) {
        for (name, digest) in &self.component.causes {
            used.entry(name.clone()).or_insert_with(|| digest.clone());
        }
    }

    fn add_symlinks(&mut self) {
        for symlink in &self.component.definition.symlinks {
            let target = || self.within(&symlink.by).target(&symlink.to, &symlink.by);
            let (target, mut used) = cause::collect(target);
            self.add_causes_of_code(&mut used);
            self.add(&symlink.path, target.map(|target| Entry::Symlink { target }), used, &symlink.by);
        }
    }

    fn add(&mut self, path: &str, entry: Option<Entry>, used: Causes, by: &Caller) {
        self.incomplete |= entry.is_none();
        if !by.breadcrumb.is_empty() {
            self.rendered.breadcrumbs.insert(path.to_owned(), by.breadcrumb.clone());
        }
        if let Some(entry) = entry {
            self.rendered.entries.insert(path.to_owned(), entry);
            self.rendered.causes.insert(path.to_owned(), used);
        }
    }

    fn add_steps(&mut self) {
        let scope = Scope::of_steps(self.world, self.index);
        let declared = &self.component.definition.steps;
        for (step, by) in declared {
            let rendered = step.render(self.within(by), &scope, by);
            self.incomplete |= rendered.is_none();
            self.rendered.steps.extend(rendered);
        }
    }

    fn file(&mut self, file: &Loaded, compiled: Option<&Compiled<'_>>) -> Option<Entry> {
        let content = match &file.body {
            Body::Directory => return Some(Entry::Directory),
            Body::Source(path) => Content::Source(path.clone()),
            Body::Constant(name) => {
                self.own_cause(name);
                Content::Bytes(self.component.source(name)?.text().as_bytes().to_vec())
            }
            Body::Template(name) | Body::Inline(name, _) => {
                self.own_cause(name);
                Content::Bytes(self.template(compiled?, name, file)?)
            }
        };
        Some(Entry::File { content, mode: file.mode })
    }

    fn own_cause(&self, name: &str) {
        if let Some((name, digest)) = self.component.cause_of(name) {
            cause::record(name, digest);
        }
    }

    fn template(&mut self, compiled: &Compiled<'_>, name: &str, file: &Loaded) -> Option<Vec<u8>> {
        let inline = file.body.inline();
        let scope = Scope::with(&self.scope, file.by.variables.as_ref());
        let error = match compiled {
            Ok(template) => match template::render(template, &scope) {
                Ok(bytes) => return Some(bytes),
                Err(error) => &{ error },
            },
            Err(error) => error,
        };
        self.explain(error, (name, inline), &scope);
        None
    }

    /// Reports an error of the engine.
    fn explain(&mut self, error: &Error, (name, inline): (&str, Option<&Text>), scope: &Value) {
        let line = error.line();
        let place = |template: Option<&str>, part: Option<Range<usize>>| match (inline, template) {
            (Some(text), template) if template.is_none_or(|template| template == name) => match part {
                Some(part) => text.at.within(&text.value, part),
                None => text.at.clone(),
            },
            (_, template) => self.place(template.unwrap_or(name), part, line),
        };
        if let Some(diagnostic) = template::explain(error, scope, place) {
            self.report(*diagnostic);
        }
    }

    /// The place in one of the component's own template files.
    fn place(&self, template: &str, part: Option<Range<usize>>, line: Option<usize>) -> At {
        match self.component.source(template) {
            Some(source) => template::place_in(&source, part, line),
            None => template::place_in(
                &crate::text::source::Source::new(self.component.templates.relative(template), ""),
                None,
                None,
            ),
        }
    }

    /// What a text renders to.
    pub(crate) fn text_in(&mut self, text: &Text, scope: &Value) -> Option<String> {
        if text.literal {
            return self.without_nul(text.value.clone(), text);
        }
        match template::evaluate(&self.component.engine, &text.value, &text.at, scope) {
            Ok(value) => self.without_nul(value.to_string(), text),
            Err(mistake) => {
                if let Some(diagnostic) = mistake {
                    self.report(*diagnostic);
                }
                None
            }
        }
    }

    /// Neither commands, nor paths, nor variables can hold a NUL.
    fn without_nul(&mut self, value: String, text: &Text) -> Option<String> {
        if value.contains('\0') {
            self.report(Diagnostic::error("the text holds a NUL character").at(&text.at));
            return None;
        }
        Some(value)
    }

    fn target(&mut self, text: &Text, by: &Caller) -> Option<String> {
        let scope = Scope::with(&self.scope, by.variables.as_ref());
        let target = self.text_in(text, &scope)?;
        if target.is_empty() || target.len() > 4095 || target.chars().any(char::is_control) {
            let message =
                "a symlink's target must be a path of at most 4,095 bytes without control characters";
            self.report(Diagnostic::error(message).at(&text.at));
            return None;
        }
        Some(target)
    }

    /// Has what follows belong to a sub-component, for messages.
    fn within(&mut self, by: &Caller) -> &mut Self {
        self.part = by.within();
        self
    }

    pub(crate) fn report(&mut self, mut diagnostic: Diagnostic) {
        diagnostic.message = show_artifact(&diagnostic.message).into_owned();
        let subject = self.world.model.subject(self.index);
        let diagnostic = with_origins(diagnostic, self.world, self.index);
        self.problems.push(diagnostic.about(format!("{subject}{}", self.part)));
    }
}
