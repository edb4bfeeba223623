//! What environments can set on a component: attributes and features.

use std::collections::BTreeMap;

use crate::component::attribute::{self, AttributeDeclaration};
use crate::file::TableReader;
use crate::project::inventory::ComponentUse;
use crate::text::diagnostic::{Diagnostic, Problems, listed, nearest};
use crate::text::name::is_component;
use crate::text::source::Text;

/// The attributes and features of a component.
#[derive(Debug, Default)]
pub(crate) struct Interface {
    pub(crate) attributes: BTreeMap<String, AttributeDeclaration>,
    /// `None` if a component.toml does not list features: then environments may name any.
    pub(crate) features: Option<Vec<Text>>,
}

/// Reads `features` and `[attributes]` of component.toml.
pub(crate) fn read(reader: &mut TableReader<'_, '_>) -> Interface {
    let features = reader.has("features").then(|| reader.texts("features"));
    // Makes the key known even if it is absent, so that it is suggested for a misspelt one.
    reader.node("features");
    let mut interface = Interface { attributes: BTreeMap::new(), features };
    let table = reader.table("attributes");
    for (name, member) in table.into_iter().flat_map(|(table, _)| table) {
        if let Some(declaration) = attribute::check(name, &member.key, &member.node, reader.problems) {
            interface.attributes.insert(name.clone(), declaration);
        }
    }
    interface.check_features(reader.problems);
    interface
}

impl Interface {
    /// Reports features that no environment could name, and those that are declared twice.
    pub(crate) fn check_features(&self, problems: &mut Problems) {
        let features = self.features.as_deref().unwrap_or_default();
        for (index, feature) in features.iter().enumerate() {
            if !is_component(&feature.value) {
                let message = format!("`{}` cannot be a feature's name", feature.value);
                let help = "a name is a lower-case letter, then lower-case letters, digits, `_` and `-`";
                problems.push(Diagnostic::error(message).at(&feature.at).help(help));
            }
            if features[..index].iter().any(|earlier| earlier.value == feature.value) {
                let message = format!("the feature `{}` is declared twice", feature.value);
                problems.push(Diagnostic::error(message).at(&feature.at).help("drop one of the two"));
            }
        }
    }

    /// The features of a component where it is used: those that the environment names, or else all. A feature that the
    /// component does not have is reported.
    pub(crate) fn features_of(&self, usage: &ComponentUse, problems: &mut Problems) -> Vec<String> {
        let Some(declared) = &self.features else { return usage.features.clone() };
        if usage.features.is_empty() {
            return declared.iter().map(|feature| feature.value.clone()).collect();
        }
        for feature in &usage.features {
            let names = || declared.iter().map(|feature| feature.value.as_str());
            if names().any(|name| name == feature) {
                continue;
            }
            let help = match nearest(feature, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if declared.is_empty() => "declare it in `features` of the component".to_owned(),
                None => format!("it has {}", listed(names())),
            };
            let message = format!("the component `{}` has no feature `{feature}`", usage.name);
            problems.push(Diagnostic::error(message).at(&usage.at).help(help));
        }
        let named = |feature: &&Text| usage.features.contains(&feature.value);
        declared.iter().filter(named).map(|feature| feature.value.clone()).collect()
    }
}
