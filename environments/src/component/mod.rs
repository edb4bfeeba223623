//! What components declare: items as they are written, checked declarations, and the files that belong to them.

pub(crate) mod attribute;
pub(crate) mod declarations;
pub(crate) mod files;
pub(crate) mod interface;
pub(crate) mod item;
pub(crate) mod path;
pub(crate) mod templates;
pub(crate) mod unit;
