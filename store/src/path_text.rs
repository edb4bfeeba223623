//! Paths in JSON, whatever bytes they consist of: text where they are UTF-8, and else the bytes as numbers.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PathText<'a> {
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
}

pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = path.as_os_str().as_bytes();
    let text = path.to_str().map_or(PathText::Bytes(bytes.into()), |text| PathText::Text(text.into()));
    text.serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    Ok(match PathText::deserialize(deserializer)? {
        PathText::Text(text) => PathBuf::from(text.into_owned()),
        PathText::Bytes(bytes) => OsString::from_vec(bytes.into_owned()).into(),
    })
}
