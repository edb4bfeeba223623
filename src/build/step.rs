//! Rendered steps as a manifest has them: what they depend on becomes digests.

use std::collections::BTreeMap;

use batou_environments::{Dependency, RenderedScript, RenderedStep};
use batou_release::{Assertions, Script, Step};

use super::layout::Layout;

/// A step of the component that is laid out so.
pub(super) fn step(rendered: &RenderedStep, layout: &Layout<'_>) -> Step {
    let digests = |dependencies| digests(dependencies, layout);
    let script = |rendered: &Option<RenderedScript>| rendered.as_ref().map(|one| script(one, layout));
    let assertions = &rendered.assertions;
    Step {
        name: rendered.name.clone(),
        verify: rendered.verify.clone(),
        update: rendered.update.clone(),
        revert: rendered.revert.clone(),
        irreversible: rendered.irreversible,
        timeout: rendered.timeout,
        directory: rendered.directory.clone(),
        environment: rendered.environment.clone(),
        script: script(&rendered.script),
        assertions: Assertions {
            path: assertions.path.clone(),
            newer: assertions.newer.clone(),
            unchanged: digests(&assertions.unchanged),
            script: script(&assertions.script),
        },
        creates: rendered.creates.clone(),
        unless: rendered.unless.clone(),
        only_if_path: rendered.only_if_path.clone(),
        triggers: digests(&rendered.triggers),
    }
}

fn digests(dependencies: &BTreeMap<String, Dependency>, layout: &Layout<'_>) -> BTreeMap<String, String> {
    let digest = |dependency: &Dependency| match dependency {
        Dependency::Entries(paths) => layout.contents(paths.iter().map(String::as_str)).to_string(),
        Dependency::Value(digest) => digest.clone(),
    };
    dependencies.iter().map(|(name, dependency)| (name.clone(), digest(dependency))).collect()
}

fn script(rendered: &RenderedScript, layout: &Layout<'_>) -> Script {
    let digest = layout.contents([rendered.path.as_str()]).to_string();
    Script { path: rendered.path.clone(), arguments: rendered.arguments.clone(), digest }
}
