//! From configured values to files: every template of every deployed component, in parallel.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use minijinja::value::Value;
use rayon::prelude::*;

use crate::cause::{self, Causes};
use crate::component::Component;
use crate::diagnostic::{Diagnostic, Problems};
use crate::scope::Scope;
use crate::source::{At, Text};
use crate::sources::{Body, Loaded};
use crate::step::Step;
use crate::template;
use crate::world::World;

/// What a component is on a host.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// The host's name.
    pub host: String,
    /// The component's name.
    pub component: String,
    /// By relative path: no `.`, `..` or empty parts.
    pub entries: BTreeMap<String, Entry>,
    /// By path: what the entry was made from (`attribute web.sleep`, `resource postgres from db01/postgres`, …) and
    /// 12 hex digits of the BLAKE3 digest of each. A [`Content::Source`] is its own cause and is not hashed here.
    pub causes: BTreeMap<String, BTreeMap<String, String>>,
    /// Host and component of what must be activated before, directly.
    pub after: BTreeSet<(String, String)>,
}

/// One entry of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Rendered.
    Bytes(Vec<u8>),
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
pub(crate) fn render(world: &Arc<World>, indices: &[usize], before: &[BTreeSet<usize>]) -> Rendering {
    let results: Vec<(Rendered, Problems, bool)> = indices
        .par_iter()
        .map(|index| {
            let mut instance = InstanceRender::new(world, *index, None);
            let mut rendered = instance.files();
            rendered.after = before[*index].iter().map(|first| name(world, *first)).collect();
            // The steps' texts are rendered again once the artifact is known: here for their mistakes only.
            if let Err(found) = InstanceRender::steps(world, *index, "/artifact") {
                instance.problems.extend(found);
                instance.incomplete = true;
            }
            (rendered, instance.problems, instance.incomplete)
        })
        .collect();
    let mut rendering = Rendering::default();
    for (rendered, found, incomplete) in results {
        rendering.components.push(rendered);
        rendering.problems.extend(found);
        rendering.incomplete |= incomplete;
    }
    rendering
}

fn name(world: &World, index: usize) -> (String, String) {
    (world.model.host(index).name.clone(), world.instance(index).component.name.clone())
}

/// The rendering of one component on one host.
pub(crate) struct InstanceRender<'a> {
    world: &'a World,
    index: usize,
    component: &'a Component,
    scope: Value,
    problems: Problems,
    incomplete: bool,
}

impl<'a> InstanceRender<'a> {
    fn new(world: &'a Arc<World>, index: usize, artifact: Option<&str>) -> Self {
        let component = world.instance(index).component.as_ref();
        let scope = Scope::value(world, index, artifact);
        InstanceRender { world, index, component, scope, problems: Problems::default(), incomplete: false }
    }

    /// The steps with the artifact's path in them.
    pub(crate) fn steps(world: &'a Arc<World>, index: usize, artifact: &str) -> Result<Vec<Step>, Problems> {
        let mut instance = InstanceRender::new(world, index, Some(artifact));
        let declared = &instance.component.definition.steps;
        let steps: Vec<Option<Step>> =
            declared.iter().map(|step| step.render(|text| instance.text(text))).collect();
        match steps.into_iter().collect() {
            Some(steps) => Ok(steps),
            None => Err(instance.problems),
        }
    }

    fn files(&mut self) -> Rendered {
        let (host, component) = name(self.world, self.index);
        let mut entries = BTreeMap::new();
        let mut causes = BTreeMap::new();
        for file in &self.component.files {
            let (entry, used) = cause::collect(|| self.file(file));
            self.incomplete |= entry.is_none();
            if let Some(entry) = entry {
                add(&file.path, entry, used, &mut entries, &mut causes);
            }
        }
        for symlink in &self.component.definition.symlinks {
            let (target, used) = cause::collect(|| self.target(&symlink.to));
            self.incomplete |= target.is_none();
            if let Some(target) = target {
                add(&symlink.path, Entry::Symlink { target }, used, &mut entries, &mut causes);
            }
        }
        Rendered { host, component, entries, causes, after: BTreeSet::new() }
    }

    fn file(&mut self, file: &Loaded) -> Option<Entry> {
        let content = match &file.body {
            Body::Directory => return Some(Entry::Directory),
            Body::Source(path) => Content::Source(path.clone()),
            Body::Constant(name) => {
                self.own_cause(name);
                Content::Bytes(self.component.source(name)?.text().as_bytes().to_vec())
            }
            Body::Template(name) => Content::Bytes(self.template(name, None)?),
            Body::Inline(name, text) => Content::Bytes(self.template(name, Some(text))?),
        };
        Some(Entry::File { content, mode: file.mode })
    }

    fn own_cause(&self, name: &str) {
        if let Some((name, digest)) = self.component.cause_of(name) {
            cause::record(name, digest);
        }
    }

    fn template(&mut self, name: &str, inline: Option<&Text>) -> Option<Vec<u8>> {
        self.own_cause(name);
        let error = match template::render(&self.component.engine, name, &self.scope) {
            Ok(bytes) => return Some(bytes),
            Err(error) => error,
        };
        let line = error.line();
        let place = |template: Option<&str>, part: Option<Range<usize>>| match (inline, template) {
            (Some(text), template) if template.is_none_or(|template| template == name) => match part {
                Some(part) => text.at.within(&text.value, part),
                None => text.at.clone(),
            },
            (_, template) => self.place(template.unwrap_or(name), part, line),
        };
        if let Some(diagnostic) = template::explain(&error, &self.scope, place) {
            self.report(*diagnostic);
        }
        None
    }

    /// The place in one of the component's own template files.
    fn place(&self, template: &str, part: Option<Range<usize>>, line: Option<usize>) -> At {
        match self.component.source(template) {
            Some(source) => template::place_in(&source, part, line),
            None => template::place_in(
                &crate::source::Source::new(self.component.folder.join(template), ""),
                None,
                None,
            ),
        }
    }

    fn text(&mut self, text: &Text) -> Option<String> {
        match template::evaluate(&self.component.engine, &text.value, &text.at, &self.scope) {
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

    fn target(&mut self, text: &Text) -> Option<String> {
        let target = self.text(text)?;
        if target.is_empty() || target.len() > 4095 || target.chars().any(char::is_control) {
            let message =
                "a symlink's target must be a path of at most 4,095 bytes without control characters";
            self.report(Diagnostic::error(message).at(&text.at));
            return None;
        }
        Some(target)
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.problems.push(diagnostic.about(self.world.model.subject(self.index)));
    }
}

fn add(
    path: &str,
    entry: Entry,
    used: Causes,
    entries: &mut BTreeMap<String, Entry>,
    causes: &mut BTreeMap<String, BTreeMap<String, String>>,
) {
    entries.insert(path.to_owned(), entry);
    causes.insert(path.to_owned(), used);
}
