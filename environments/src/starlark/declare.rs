//! Files, folders, symlinks and steps: a call becomes the table that component.toml would hold.

use std::sync::Arc;

use minijinja::value::Value as Data;
use starlark::collections::SmallMap;
use starlark::values::dict::DictRef;
use starlark::values::list::ListRef;
use starlark::values::{Heap, Value, ValueLike};

use crate::component::item::{Item, ItemKind};
use crate::component::path;
use crate::file::{self, ConfigNode, KeyValue};
use crate::starlark::convert;
use crate::starlark::handle::ItemHandle;
use crate::starlark::node;
use crate::starlark::site::Site;
use crate::starlark::stop::Stop;
use crate::starlark::subcomponent::SubComponentValue;
use crate::starlark::subcomponent::configured::SubComponent;
use crate::starlark::trace::{CallTrace, GivenVariable, GivenVariables};
use crate::text::name::{BUILT_IN, is_identifier};
use crate::text::source::At;

/// A call of one of a component's methods.
pub(crate) struct Call<'a> {
    pub(crate) component: &'a Arc<SubComponent>,
    pub(crate) site: Site,
    pub(crate) trace: CallTrace,
}

impl Call<'_> {
    /// Declares an item by its path or name, and the keys of its table.
    pub(crate) fn item<'v>(
        &self,
        kind: ItemKind,
        first: Value<'v>,
        mut options: SmallMap<String, Value<'v>>,
        heap: Heap<'v>,
    ) -> Result<ItemHandle, Stop> {
        let is_unit = matches!(kind, ItemKind::Unit(_));
        let key = if is_unit { "name" } else { "path" };
        let variables = options.shift_remove("variables");
        let by = match variables {
            Some(given) => self.component.caller_with(self.variables(given, heap)?),
            None => self.component.caller(),
        };
        let relative = if is_unit { Self::relative(&mut options) } else { Vec::new() };
        let mut table = node::table(&options, &self.site, heap)?;
        for (name, value) in relative {
            let at = self.site.value(name);
            let node = Self::of_unit(name, value, &at, heap).map_err(|stop| stop.at(&at))?;
            table.insert(name.to_owned(), KeyValue { key: self.site.key(name), node });
        }
        let at = self.site.either(0, key);
        let node = node::node(first, key, &at, heap).map_err(|stop| stop.at(&at))?;
        table.insert(key.to_owned(), KeyValue { key: at, node });
        self.component.session.push(Item { kind, table, at: self.site.at.clone(), by });
        Ok(self.handle(kind, first))
    }

    fn handle(&self, kind: ItemKind, first: Value<'_>) -> ItemHandle {
        let given = first.unpack_str().unwrap_or_default();
        let component = self.component.session.own("path").to_string();
        if let ItemKind::Unit(_) = kind {
            return ItemHandle { kind, name: given.to_owned(), component };
        }
        // An invalid path is reported when the item is checked.
        let name = path::check(given).unwrap_or_else(|_| given.to_owned());
        self.component.declare(&name);
        ItemHandle { kind, name, component }
    }

    /// `variables = {…}` of a call.
    fn variables<'v>(&self, given: Value<'v>, heap: Heap<'v>) -> Result<GivenVariables, Stop> {
        let at = self.site.value("variables");
        let Some(dict) = DictRef::from_value(given) else {
            let message = format!("`variables` must be a dict, not `{}`", given.get_type());
            return Err(Stop::mistake(message).help("write variables = {\"name\": value}").at(&at));
        };
        let named = dict.iter().map(|(name, value)| {
            let name = name.unpack_str().unwrap_or_default();
            variable(name, value, heap).map_err(|stop| stop.at(&at))
        });
        let values = named.collect::<Result<Vec<(String, Data)>, Stop>>()?;
        let place =
            |(name, _): &(String, Data)| (name.clone(), GivenVariable { at: at.clone(), in_dict: true });
        Ok(GivenVariables { places: values.iter().map(place).collect(), values, trace: self.trace.clone() })
    }

    /// The options of a unit in which a file stands for itself, not for its path on the host.
    fn relative<'v>(options: &mut SmallMap<String, Value<'v>>) -> Vec<(&'static str, Value<'v>)> {
        let names = ["triggers", "script", "verify"].into_iter();
        let given = names.filter_map(|name| Some((name, options.shift_remove(name)?)));
        given.filter(|(_, value)| !value.is_none()).collect()
    }

    fn of_unit<'v>(name: &str, value: Value<'v>, at: &At, heap: Heap<'v>) -> Result<ConfigNode, Stop> {
        match (name, value.downcast_ref::<ItemHandle>(), DictRef::from_value(value)) {
            ("triggers" | "unchanged", ..) => Self::triggers(value, at, heap),
            ("script", Some(handle), _) => {
                Ok(ConfigNode { data: file::Data::String(handle.name.clone()), at: at.clone() })
            }
            ("verify", None, Some(assertions)) => {
                let mut table = file::Table::new();
                for (key, value) in assertions.iter().filter(|(_, value)| !value.is_none()) {
                    let Some(key) = key.unpack_str() else {
                        return Err(Stop::mistake("the keys of `verify` must be strings"));
                    };
                    let node = Self::of_unit(key, value, at, heap)?;
                    table.insert(key.to_owned(), KeyValue { key: at.clone(), node });
                }
                Ok(ConfigNode { data: file::Data::Table(table), at: at.clone() })
            }
            _ => node::node(value, name, at, heap),
        }
    }

    /// `triggers` as strings: paths relative to the component, and what is a string already.
    fn triggers<'v>(given: Value<'v>, at: &At, heap: Heap<'v>) -> Result<ConfigNode, Stop> {
        let one = [given];
        let items = ListRef::from_value(given).map_or(one.as_slice(), |list| list.content());
        let mut texts: Vec<ConfigNode> = Vec::new();
        let text = |text: String| ConfigNode { data: file::Data::String(text), at: at.clone() };
        for item in items {
            if let Some(part) = item.downcast_ref::<SubComponentValue>() {
                texts.extend(part.component().files().into_iter().map(text));
            } else if let Some(handle) = item.downcast_ref::<ItemHandle>() {
                if let ItemKind::Unit(kind) = handle.kind {
                    let message = format!("`triggers` cannot name a {kind}, and `{}` is one", handle.name);
                    let advice = "name the files, sub-components or resources that both depend on";
                    return Err(Stop::mistake(message).help(advice));
                }
                let slash = if handle.kind == ItemKind::Directory { "/" } else { "" };
                texts.push(text(format!("{}{slash}", handle.name)));
            } else {
                texts.push(node::node(*item, "triggers", at, heap)?);
            }
        }
        Ok(ConfigNode { data: file::Data::Array(texts), at: at.clone() })
    }
}

/// A variable for a template.
pub(crate) fn variable<'v>(name: &str, value: Value<'v>, heap: Heap<'v>) -> Result<(String, Data), Stop> {
    if !is_identifier(name) || BUILT_IN.contains(&name) {
        let message = format!("`{name}` cannot be the name of a template's variable");
        return Err(Stop::mistake(message).help("choose another name: letters, digits and `_`"));
    }
    Ok((name.to_owned(), convert::data(value, name, heap)?))
}
