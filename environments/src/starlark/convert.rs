//! Values of Starlark as values of templates and resources, and back. Only data passes: a function would mean nothing
//! on another host.

use minijinja::value::{Value as Data, ValueKind};
use starlark::values::dict::{AllocDict, DictRef};
use starlark::values::enumeration::EnumValue;
use starlark::values::float::StarlarkFloat;
use starlark::values::list::{AllocList, ListRef};
use starlark::values::record::Record;
use starlark::values::set::SetRef;
use starlark::values::structs::{AllocStruct, StructRef};
use starlark::values::tuple::TupleRef;
use starlark::values::{Heap, UnpackValue, Value, ValueLike};

use crate::starlark::as_data::Convertible;
use crate::starlark::fields::Fields;
use crate::starlark::netloc::Netloc;
use crate::starlark::session::ConfigureSession;
use crate::starlark::stop::Stop;
use crate::template::address::{Address, NetLoc};

/// How deep lists may be nested. Deeper ones probably contain themselves.
const DEEPEST: usize = 64;

/// A value as data. `what` names it in messages.
pub(crate) fn data<'v>(value: Value<'v>, what: &str, heap: Heap<'v>) -> Result<Data, Stop> {
    Conversion { path: Vec::new(), what, heap }.data(value)
}

struct Conversion<'a, 'v> {
    path: Vec<String>,
    what: &'a str,
    heap: Heap<'v>,
}

impl<'v> Conversion<'_, 'v> {
    fn data(&mut self, value: Value<'v>) -> Result<Data, Stop> {
        if self.path.len() > DEEPEST {
            return Err(Stop::mistake(format!("{} is nested more than {DEEPEST} levels deep", self.what)));
        }
        if let Some(scalar) = self.scalar(value)? {
            return Ok(scalar);
        }
        if let Some(list) = ListRef::from_value(value) {
            return self.list(list.content());
        }
        if let Some(tuple) = TupleRef::from_value(value) {
            return self.list(tuple.content());
        }
        if let Some(dict) = DictRef::from_value(value) {
            return self.dict(&dict);
        }
        if let Some(fields) = StructRef::from_value(value) {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| (name.as_str().to_owned(), value)).collect();
            return self.fields(fields);
        }
        if let Some(record) = Record::from_value(value) {
            let fields: Vec<_> =
                record.iter().map(|(name, value)| (name.to_owned(), value.to_value())).collect();
            return self.fields(fields);
        }
        if EnumValue::from_value(value).is_some() {
            let inner = value.get_attr("value", self.heap).ok().flatten();
            return match inner {
                Some(inner) => self.data(inner),
                None => Err(self.refused(value)),
            };
        }
        if value.get_type() == "range" || SetRef::unpack_value_opt(value).is_some() {
            let items = value.iterate(self.heap).map_err(|_| self.refused(value))?;
            return self.list(&items.collect::<Vec<_>>());
        }
        self.own(value)
    }

    fn scalar(&self, value: Value<'v>) -> Result<Option<Data>, Stop> {
        Ok(if value.is_none() {
            Some(Data::from(()))
        } else if let Some(text) = value.unpack_str() {
            Some(Data::from(text))
        } else if let Some(flag) = value.unpack_bool() {
            Some(Data::from(flag))
        } else if let Some(float) = value.downcast_ref::<StarlarkFloat>() {
            Some(Data::from(float.0))
        } else if value.get_type() == "int" {
            let number = i64::unpack_value(value).ok().flatten().map(Data::from);
            let large = || u64::unpack_value(value).ok().flatten().map(Data::from);
            let message = || Stop::mistake(format!("{} does not fit into 64 bits", self.named()));
            Some(number.or_else(large).ok_or_else(message)?)
        } else {
            None
        })
    }

    /// The types that batou adds.
    fn own(&self, value: Value<'v>) -> Result<Data, Stop> {
        if let Some(Convertible(own)) = value.request_value::<Convertible<'v>>() {
            return own.as_data(&self.named());
        }
        Err(self.refused(value))
    }

    fn refused(&self, value: Value<'v>) -> Stop {
        let kind = value.get_type();
        let article = if kind.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
        Stop::mistake(format!("{} must be data, not {article} {kind}", self.named())).help(
            "data means strings, numbers, booleans, None, lists, dicts, structs, records, addresses, files and \
             sub-components",
        )
    }

    /// The value that is being converted, as `` `value.backends[0]` ``.
    fn named(&self) -> String {
        format!("`{}{}`", self.what, self.path.concat())
    }

    fn list(&mut self, items: &[Value<'v>]) -> Result<Data, Stop> {
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            list.push(self.within(format!("[{index}]"), *item)?);
        }
        Ok(Data::from(list))
    }

    fn dict(&mut self, dict: &DictRef<'v>) -> Result<Data, Stop> {
        let mut pairs: Vec<(Data, Data)> = Vec::new();
        for (key, value) in dict.iter() {
            let at = format!("[{}]", key.to_repr());
            let key = self.within(at.clone(), key)?;
            pairs.push((key, self.within(at, value)?));
        }
        Ok(Data::from_pairs(pairs))
    }

    fn fields(&mut self, fields: Vec<(String, Value<'v>)>) -> Result<Data, Stop> {
        let mut members = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let value = self.within(format!(".{name}"), value)?;
            members.push((name, value));
        }
        Ok(Fields::value(members))
    }

    fn within(&mut self, step: String, value: Value<'v>) -> Result<Data, Stop> {
        self.path.push(step);
        let data = self.data(value)?;
        self.path.pop();
        Ok(data)
    }
}

/// Data as a value of Starlark. Values that belong to a run, such as addresses, note their mistakes in the session.
pub(crate) fn value<'v>(
    data: &Data,
    session: &std::sync::Arc<ConfigureSession>,
    heap: Heap<'v>,
) -> Result<Value<'v>, Stop> {
    if let Some(fields) = data.downcast_object_ref::<Fields>() {
        let members: Result<Vec<(String, Value<'v>)>, Stop> =
            fields.iter().map(|(name, data)| Ok((name.clone(), value(data, session, heap)?))).collect();
        return Ok(heap.alloc(AllocStruct(members?)));
    }
    if let Some(sub_component) = (session.adopt)(data, session, heap) {
        return Ok(sub_component);
    }
    if data.downcast_object_ref::<Address>().is_some() || data.downcast_object_ref::<NetLoc>().is_some() {
        return Ok(heap.alloc(Netloc::new(data.clone(), session)));
    }
    Ok(match data.kind() {
        ValueKind::None | ValueKind::Undefined => Value::new_none(),
        ValueKind::Bool => Value::new_bool(data.is_true()),
        ValueKind::Number => number(data, heap),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = data.try_iter().map_err(|_| Stop::Reported)?;
            let items: Result<Vec<Value<'v>>, Stop> = items.map(|item| value(&item, session, heap)).collect();
            heap.alloc(AllocList(items?))
        }
        ValueKind::Map => {
            let keys = data.try_iter().map_err(|_| Stop::Reported)?;
            let pairs: Result<Vec<(Value<'v>, Value<'v>)>, Stop> = keys
                .map(|key| {
                    let item = data.get_item(&key).map_err(|_| Stop::Reported)?;
                    Ok((value(&key, session, heap)?, value(&item, session, heap)?))
                })
                .collect();
            heap.alloc(AllocDict(pairs?))
        }
        ValueKind::Invalid => return Err(Stop::Reported),
        _ => heap.alloc(data.to_string()),
    })
}

fn number<'v>(data: &Data, heap: Heap<'v>) -> Value<'v> {
    if data.is_integer() {
        if let Ok(number) = i64::try_from(data.clone()) {
            return heap.alloc(number);
        }
        if let Ok(number) = u64::try_from(data.clone()) {
            return heap.alloc(number);
        }
    }
    heap.alloc(f64::try_from(data.clone()).unwrap_or_default())
}
