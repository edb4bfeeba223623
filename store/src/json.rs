//! How records are encoded.

use serde::Serialize;

/// The compact JSON of a value that always has one, since its keys are texts and it holds no floating-point numbers.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("names, numbers and digests are always valid JSON")
}
