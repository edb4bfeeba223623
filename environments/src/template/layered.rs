//! Variables in front of a scope: what a caller adds to what every template sees.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value};

use crate::text::origin::{Selector, ValueOrigin};

/// A scope with the variables of a caller in front of its own names.
pub(crate) fn layered(scope: &Value, variables: Option<&Value>) -> Value {
    match variables {
        Some(front) => Value::from_object(Layered { front: front.clone(), back: scope.clone() }),
        None => scope.clone(),
    }
}

/// Where the values of a caller's variables come from, by the path that leads there from the name of a variable.
pub(crate) type Tracer = Arc<dyn Fn(&[Selector]) -> ValueOrigin + Send + Sync>;

/// A caller's variables.
pub(crate) struct Variables {
    values: Vec<(String, Value)>,
    tracer: Option<Tracer>,
}

impl Variables {
    /// As a map of the template language.
    pub(crate) fn map(values: Vec<(String, Value)>, tracer: Option<Tracer>) -> Value {
        Value::from_object(Variables { values, tracer })
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.values.iter().map(|(name, value)| (name, value))).finish()
    }
}

impl Object for Variables {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        self.values.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        names(self.values.iter().map(|(name, _)| name.clone()))
    }
}

/// Where the value at a path of the scope comes from; `None` if it is one of the scope's own.
pub(crate) fn handed_on(scope: &Value, path: &[Selector]) -> Option<ValueOrigin> {
    let layered = scope.downcast_object_ref::<Layered>()?;
    let Some(Selector::Name(name)) = path.first() else { return Some(ValueOrigin::Unknown) };
    defined(&layered.front, &Value::from(name.as_str()))?;
    let variables = layered.front.downcast_object_ref::<Variables>();
    let tracer = variables.and_then(|variables| variables.tracer.as_ref());
    Some(tracer.map_or(ValueOrigin::Unknown, |tracer| tracer(path)))
}

/// A caller's variables in front of a scope.
#[derive(Debug)]
struct Layered {
    front: Value,
    back: Value,
}

/// `component` for a sub-component: its own map, with the artifact of the component that it is part of.
#[derive(Debug)]
struct SubComponentScope {
    own: Value,
    whole: Value,
}

impl Object for Layered {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match defined(&self.front, key) {
            Some(own) if key.as_str() == Some("component") => {
                let whole = defined(&self.back, key)?;
                Some(Value::from_object(SubComponentScope { own, whole }))
            }
            Some(front) => Some(front),
            None => defined(&self.back, key),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let keys = [&self.front, &self.back].into_iter().filter_map(|layer| layer.try_iter().ok()).flatten();
        let all: BTreeSet<String> = keys.map(|key| key.to_string()).collect();
        names(all)
    }
}

impl Object for SubComponentScope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if key.as_str() == Some("artifact") { self.whole.get_item(key).ok() } else { defined(&self.own, key) }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        names(self.own.try_iter().into_iter().flatten().map(|key| key.to_string()))
    }
}

/// The value of a key, if there is one.
fn defined(layer: &Value, key: &Value) -> Option<Value> {
    layer.get_item(key).ok().filter(|value| !value.is_undefined())
}

fn names(names: impl IntoIterator<Item = String>) -> Enumerator {
    Enumerator::Values(names.into_iter().map(Value::from).collect())
}
