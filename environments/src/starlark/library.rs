//! The Starlark files that are shipped inside the program: `load("@batou//NAME", …)`.

/// By name.
const FILES: [(&str, &str); 1] = [("network.star", include_str!("library/network.star"))];

/// The text of a file.
pub(crate) fn file(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of all files.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}
