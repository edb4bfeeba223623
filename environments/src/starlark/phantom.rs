//! A placeholder for a value that is not provided yet: whatever is done with it gives a placeholder again. With it, a
//! run can go on that is made only to learn what it would provide.

use std::cmp::Ordering;
use std::fmt;

use allocative::Allocative;
use minijinja::value::Value as Data;
use starlark::any::ProvidesStaticType;
use starlark::collections::StarlarkHasher;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_simple_value;
use starlark::values::Demand;
use starlark::values::{Heap, NoSerialize, StarlarkValue, Value, starlark_value};

use crate::starlark::as_data::{AsData, Convertible};
use crate::starlark::stop::Stop;

/// The placeholder.
#[derive(Debug, Clone, Copy, ProvidesStaticType, NoSerialize, Allocative)]
pub(crate) struct Phantom;

starlark_simple_value!(Phantom);

impl fmt::Display for Phantom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("phantom")
    }
}

impl AsData for Phantom {
    fn as_data(&self, _what: &str) -> Result<Data, Stop> {
        Ok(Data::from(""))
    }
}

#[starlark_value(type = "phantom")]
impl<'v> StarlarkValue<'v> for Phantom {
    fn provide(&'v self, demand: &mut Demand<'_, 'v>) {
        demand.provide_value(Convertible(self));
    }

    fn get_attr(&self, _attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        Some(heap.alloc(Phantom))
    }

    fn at(&self, _index: Value<'v>, heap: Heap<'v>) -> starlark::Result<Value<'v>> {
        Ok(heap.alloc(Phantom))
    }

    fn iterate_collect(&self, heap: Heap<'v>) -> starlark::Result<Vec<Value<'v>>> {
        Ok(vec![heap.alloc(Phantom)])
    }

    fn length(&self) -> starlark::Result<i32> {
        Ok(1)
    }

    fn invoke(
        &self,
        _me: Value<'v>,
        _args: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        Ok(eval.heap().alloc(Phantom))
    }

    fn add(&self, _rhs: Value<'v>, heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        Some(Ok(heap.alloc(Phantom)))
    }

    fn radd(&self, _lhs: Value<'v>, heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        Some(Ok(heap.alloc(Phantom)))
    }

    fn mul(&self, _rhs: Value<'v>, heap: Heap<'v>) -> Option<starlark::Result<Value<'v>>> {
        Some(Ok(heap.alloc(Phantom)))
    }

    fn is_in(&self, _other: Value<'v>) -> starlark::Result<bool> {
        Ok(true)
    }

    fn equals(&self, _other: Value<'v>) -> starlark::Result<bool> {
        Ok(true)
    }

    fn compare(&self, _other: Value<'v>) -> starlark::Result<Ordering> {
        Ok(Ordering::Equal)
    }

    fn write_hash(&self, _hasher: &mut StarlarkHasher) -> starlark::Result<()> {
        Ok(())
    }
}
