//! What `groupby` gives.

use std::sync::Arc;

use minijinja::Error;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value};

/// One group: a tuple whose parts have names.
#[derive(Debug)]
pub(crate) struct Group {
    grouper: Value,
    list: Value,
}

impl Group {
    pub(crate) fn new(group: &Value) -> Result<Group, Error> {
        let list =
            group.get_item_by_index(1)?.try_iter()?.checked().collect::<Result<Vec<Value>, Error>>()?;
        Ok(Group { grouper: group.get_item_by_index(0)?, list: Value::from(list) })
    }
}

impl Object for Group {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match (key.as_usize(), key.as_str()) {
            (Some(0), _) | (_, Some("grouper")) => Some(self.grouper.clone()),
            (Some(1), _) | (_, Some("list")) => Some(self.list.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(2)
    }
}
