//! JSON as values of Starlark.

use serde_json::Value as Json;
use starlark::values::dict::AllocDict;
use starlark::values::list::AllocList;
use starlark::values::{Heap, Value};

/// The parser bounds how deep a text may be nested.
pub(crate) fn value<'v>(json: &Json, heap: Heap<'v>) -> Value<'v> {
    match json {
        Json::Null => Value::new_none(),
        Json::Bool(flag) => Value::new_bool(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => heap.alloc(number),
            (None, Some(number)) => heap.alloc(number),
            (None, None) => heap.alloc(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => heap.alloc(text.as_str()),
        Json::Array(items) => heap.alloc(AllocList(items.iter().map(|item| value(item, heap)))),
        Json::Object(members) => {
            heap.alloc(AllocDict(members.iter().map(|(name, member)| (name.as_str(), value(member, heap)))))
        }
    }
}
