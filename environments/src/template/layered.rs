//! Variables in front of a scope: what a caller adds to what every template sees.

use std::collections::BTreeSet;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, Value};

/// A scope with the variables of a caller in front of its own names.
pub(crate) fn layered(scope: &Value, variables: Option<&Value>) -> Value {
    match variables {
        Some(front) => Value::from_object(Layered { front: front.clone(), back: scope.clone() }),
        None => scope.clone(),
    }
}

/// Whether a name stands for a caller's variable in a scope.
pub(crate) fn is_variable(scope: &Value, name: &str) -> bool {
    let layered = scope.downcast_object_ref::<Layered>();
    layered.is_some_and(|layered| defined(&layered.front, &Value::from(name)).is_some())
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
