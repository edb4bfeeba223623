//! Global functions of Jinja2: `dict` and `cycler`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::value::{Kwargs, Object, ObjectRepr, Rest, Value, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State};

pub(crate) fn add_to(engine: &mut Environment<'_>) {
    engine.add_function("dict", dict);
    engine.add_function("cycler", cycler);
}

/// A map from a map or from pairs, and from named arguments.
fn dict(state: &State<'_, '_>, given: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let given = given.into_values();
    let (from, keywords): (Option<Value>, Kwargs) = from_args(&given)?;
    let mut pairs: Vec<(Value, Value)> = Vec::new();
    if let Some(from) = from {
        crate::print::defined(&from)?;
        for item in crate::bound::items(state, &from)? {
            pairs.push(match from.kind() {
                ValueKind::Map => (item.clone(), from.get_item(&item)?),
                _ => pair(&item)?,
            });
        }
    }
    for name in keywords.args() {
        pairs.push((Value::from(name), keywords.get(name)?));
    }
    Ok(Value::from_pairs(pairs))
}

/// A list or tuple of two.
pub(crate) fn pair(item: &Value) -> Result<(Value, Value), Error> {
    let parts = item.try_iter()?.take(3).collect::<Vec<Value>>();
    <[Value; 2]>::try_from(parts).map(|[key, value]| (key, value)).map_err(|_| {
        Error::new(ErrorKind::InvalidOperation, format!("{item} is not a pair of a key and a value"))
    })
}

/// Gives its values in turn.
#[derive(Debug)]
struct Cycler {
    values: Vec<Value>,
    next: AtomicUsize,
}

fn cycler(values: Rest<Value>) -> Result<Value, Error> {
    if values.is_empty() {
        return Err(Error::new(ErrorKind::InvalidOperation, "`cycler` needs at least one value"));
    }
    Ok(Value::from_object(Cycler { values: values.0, next: AtomicUsize::new(0) }))
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let current = self.values.get(self.next.load(Ordering::Relaxed));
        (key.as_str() == Some("current")).then(|| current.cloned().unwrap_or_default())
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        given: &[Value],
    ) -> Result<Value, Error> {
        let () = from_args(given)?;
        let at = self.next.load(Ordering::Relaxed);
        match method {
            "next" => {
                self.next.store((at + 1) % self.values.len(), Ordering::Relaxed);
                Ok(self.values[at].clone())
            }
            "reset" => {
                self.next.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}
