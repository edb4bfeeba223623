//! Where values that code or a template went wrong with were set: a mistake shows in the component, and what is to be
//! changed often stands in an environment.

use crate::text::diagnostic::Diagnostic;
use crate::values::LazyValues;

/// With the places in environment.toml of those attributes that the shown lines name.
pub(crate) fn with_origins(diagnostic: Diagnostic, values: &LazyValues, index: usize) -> Diagnostic {
    let overrides = &values.instance(index).overrides;
    let named = |name: &str| diagnostic.shown_texts().any(|text| names(text, name));
    let found: Vec<_> = overrides.iter().filter(|(name, _)| named(name)).collect();
    let set =
        found.into_iter().map(|(name, member)| (name.clone(), member.node.at.clone())).collect::<Vec<_>>();
    set.iter().fold(diagnostic, |diagnostic, (name, at)| diagnostic.set_at(name, at))
}

/// Whether a text has `c.NAME` or `component.NAME`; in `c.address.NAME` it is another one's.
fn names(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(start, _)| {
        let owner = text[..start].strip_suffix('.').map(|before| {
            let rest = before.trim_end_matches(is_part);
            (before.len() > rest.len(), rest.ends_with(['.', ']', ')']))
        });
        let ends = !text[start + name.len()..].starts_with(is_part);
        ends && matches!(owner, Some((true, false)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_attributes_of_a_component_are_named() {
        for text in ["c.port", "f(c.port)", "{{ component.port }}", "c.host or c.port + 1"] {
            assert!(names(text, "port"), "{text}");
        }
        for text in ["port", "c.ports", "c.export", "c.address.port", "f().port", "x[0].port", ".port", ""] {
            assert!(!names(text, "port"), "{text}");
        }
    }
}
