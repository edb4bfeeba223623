//! From configured values to files and units: every template of every deployed component, in parallel.

mod files;
mod instance;
mod rendered;
mod unit;

pub use rendered::{Content, Dependency, Entry, Rendered, RenderedUnit};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

use crate::notes::{Notes, noted};
use crate::template;
use crate::text::diagnostic::Problems;
use crate::values::LazyValues;
use instance::InstanceRender;

/// The rendered instances, and what is wrong with them.
#[derive(Default)]
pub(crate) struct Rendering {
    pub(crate) components: Vec<Rendered>,
    pub(crate) problems: Problems,
    /// Whether anything is missing in them.
    pub(crate) incomplete: bool,
}

/// Renders the given instances. A mistake in one does not stop the others from being checked.
///
/// All instances of a component are rendered together: its templates are compiled once for all of them, and not kept.
pub(crate) fn render(
    values: &Arc<LazyValues>,
    indices: &[usize],
    before: &[BTreeSet<usize>],
    notes: Option<Notes<'_>>,
) -> Rendering {
    let mut placed: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for index in indices {
        placed.entry(&values.instance(*index).component.name).or_default().push(*index);
    }
    let mut finished: BTreeMap<usize, InstanceRender<'_>> = placed
        .into_par_iter()
        .flat_map_iter(|(_, instances)| render_component(values, &instances, notes))
        .collect();
    let mut rendering = Rendering::default();
    for index in indices {
        let Some(mut instance) = finished.remove(index) else { continue };
        instance.rendered.after =
            before[*index].iter().map(|first| values.model.instance_name(*first)).collect();
        rendering.components.push(instance.rendered);
        rendering.problems.extend(instance.problems);
        rendering.incomplete |= instance.incomplete;
    }
    rendering
}

/// Renders one component on all its hosts, template by template. A compiled template takes many times the memory of
/// its text, so each is dropped as soon as its files are rendered for all instances; included templates are dropped
/// with the component.
fn render_component<'a>(
    values: &'a Arc<LazyValues>,
    indices: &[usize],
    notes: Option<Notes<'_>>,
) -> Vec<(usize, InstanceRender<'a>)> {
    let mut instances: Vec<_> = indices.iter().map(|index| InstanceRender::new(values, *index)).collect();
    let Some(component) = instances.first().map(|instance| instance.component) else { return Vec::new() };
    let engine = component.engine.as_ref().clone();
    let users = users(&instances);
    for name in users.iter().filter(|(_, count)| **count > 1).map(|(name, _)| *name) {
        let Some(source) = component.source(name) else { continue };
        let file = || source.path().display().to_string();
        let compiled = noted(notes, file, || template::compile(&engine, name, &source));
        instances.par_iter_mut().for_each(|instance| {
            let index = instance.index;
            noted(notes, || values.model.subject(index), || instance.add_files(Some(name), Some(&compiled)));
        });
    }
    instances.par_iter_mut().for_each(|instance| {
        let index = instance.index;
        let rest = || {
            instance.add_own_files(&engine, &users);
            instance.add_files(None, None);
            instance.add_symlinks();
            instance.add_units();
        };
        noted(notes, || values.model.subject(index), rest);
    });
    indices.iter().copied().zip(instances).collect()
}

/// The templates of all instances, and how many instances have each of them.
fn users<'a>(instances: &[InstanceRender<'a>]) -> BTreeMap<&'a str, usize> {
    let mut users = BTreeMap::new();
    for name in instances.iter().flat_map(|instance| instance.files.keys().copied().flatten()) {
        *users.entry(name).or_insert(0) += 1;
    }
    users
}
