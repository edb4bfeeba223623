//! A sub-component that one component provides, and another one adds.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value as Data};

use crate::starlark::definition::data::DefinitionData;
use crate::text::source::At;

/// A sub-component on its way from the component that provides it to the one that adds it.
#[derive(Debug, Clone)]
pub(crate) struct ProvidedSubComponent {
    pub(crate) kind: Arc<DefinitionData>,
    pub(crate) name: String,
    pub(crate) at: At,
    pub(crate) attributes: BTreeMap<String, Data>,
}

impl Object for ProvidedSubComponent {
    fn get_value(self: &Arc<Self>, key: &Data) -> Option<Data> {
        let key = key.as_str()?;
        if key == "name" {
            return Some(Data::from(self.name.as_str()));
        }
        self.attributes.get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let attributes = self.attributes.keys().map(|name| Data::from(name.as_str()));
        Enumerator::Values(std::iter::once(Data::from("name")).chain(attributes).collect())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(\"{}\"", self.kind.name(), self.name)?;
        for (name, value) in &self.attributes {
            write!(f, ", {name} = {value:?}")?;
        }
        f.write_str(")")
    }
}
