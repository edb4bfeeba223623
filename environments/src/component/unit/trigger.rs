//! What a step depends on besides its own texts: files of its component, and resources.
//!
//! What a trigger names is hashed with the component's files. The manifest holds that digest, and the step runs when
//! it differs from the recorded one. So the host need not notice changes, and an interrupted release does not lose
//! any.

use globset::{Glob, GlobMatcher};

use crate::component::declarations::Require;
use crate::component::item::Caller;
use crate::component::path;
use crate::text::diagnostic::{Diagnostic, Problems, nearest};
use crate::text::source::Text;

/// One of `triggers`.
#[derive(Debug)]
pub(crate) struct Trigger {
    /// As it was written.
    pub(crate) text: Text,
    pub(crate) of: TriggerTarget,
}

/// What a trigger names.
#[derive(Debug)]
pub(crate) enum TriggerTarget {
    /// `"etc/app.conf"`, or the folder `"etc/"`: everything below it.
    Path(String),
    /// `"*.conf"`
    Pattern(GlobMatcher),
    /// `"resource:KEY"`: what is required under this key.
    Resource(String),
}

impl Trigger {
    pub(crate) fn new(text: Text, problems: &mut Problems) -> Option<Trigger> {
        let of = match text.value.strip_prefix("resource:") {
            Some(key) => Ok(TriggerTarget::Resource(key.to_owned())),
            None => files(&text.value),
        };
        match of {
            Ok(of) => Some(Trigger { text, of }),
            Err(message) => {
                problems.push(Diagnostic::error(message).at(&text.at));
                None
            }
        }
    }

    /// Those of the component's files that it names. It is a mistake if there are none.
    pub(crate) fn paths<'a>(&self, files: &[&'a str]) -> Result<Vec<&'a str>, Box<Diagnostic>> {
        let mut found: Vec<&str> = files.iter().copied().filter(|path| self.names(path)).collect();
        found.sort_unstable();
        if found.is_empty() { Err(Box::new(self.nothing(files))) } else { Ok(found) }
    }

    fn names(&self, path: &str) -> bool {
        match &self.of {
            TriggerTarget::Path(named) => {
                path.strip_prefix(named.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            TriggerTarget::Pattern(glob) => glob.is_match(path),
            TriggerTarget::Resource(_) => false,
        }
    }

    fn nothing(&self, files: &[&str]) -> Diagnostic {
        let text = &self.text.value;
        let diagnostic =
            Diagnostic::error(format!("`{text}` matches no file of the component")).at(&self.text.at);
        match nearest(text, files.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic
                .help("triggers are paths of the component's files, folders (\"etc/\"), patterns (\"*.conf\") or \"resource:KEY\""),
        }
    }

    /// The positions of the requirements that a resource trigger names; `None` for other triggers. It is a mistake if
    /// the component does not require the key.
    pub(crate) fn requirements(
        &self,
        requires: &[Require],
        by: &Caller,
    ) -> Option<Result<Vec<usize>, Box<Diagnostic>>> {
        let TriggerTarget::Resource(key) = &self.of else { return None };
        let all = requires.iter().enumerate();
        let named: Vec<usize> =
            all.filter(|(_, require)| require.key.value == *key).map(|(index, _)| index).collect();
        if !named.is_empty() {
            return Some(Ok(named));
        }
        let message = format!("the component does not require `{key}`");
        let help = match nearest(key, requires.iter().map(|require| require.key.value.as_str())) {
            Some(near) => format!("did you mean `resource:{near}`?"),
            None => format!("add {}", by.declaration("require", "key", key)),
        };
        Some(Err(Box::new(Diagnostic::error(message).at(&self.text.at).help(help))))
    }
}

fn files(text: &str) -> Result<TriggerTarget, String> {
    let path = path::check(text).map_err(|error| error.to_string())?;
    if !text.contains(['*', '?', '[', '{']) {
        return Ok(TriggerTarget::Path(path));
    }
    match Glob::new(&path) {
        Ok(glob) => Ok(TriggerTarget::Pattern(glob.compile_matcher())),
        Err(error) => Err(format!("`{text}` is not a pattern of file names: {}", error.kind())),
    }
}

/// One digest (64 hex digits) of several texts. Each is hashed with its length, so that other texts that look the same
/// when joined have another digest.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::text::source::{At, SourceText};

    fn named(trigger: &str, files: &[&str]) -> String {
        let at = At { source: SourceText::new("component.toml", trigger), span: 0..trigger.len() };
        let text = Text { value: trigger.to_owned(), at, literal: false };
        let trigger = Trigger::new(text, &mut Problems::default()).unwrap();
        match trigger.paths(files) {
            Ok(paths) => paths.join(" "),
            Err(diagnostic) => format!("{diagnostic}: {}", diagnostic.help.clone().unwrap()),
        }
    }

    #[test]
    fn files_folders_and_patterns() {
        let files = ["etc/b.conf", "etc/a.conf", "etc/sub/c.ini", "etcetera", "top.conf"];
        assert_eq!(named("etc/a.conf", &files), "etc/a.conf");
        assert_eq!(named("./etc//a.conf", &files), "etc/a.conf");
        assert_eq!(named("etc/", &files), "etc/a.conf etc/b.conf etc/sub/c.ini");
        assert_eq!(named("*.conf", &files), "etc/a.conf etc/b.conf top.conf");
        assert_eq!(named("etc/*.{ini,conf}", &files), "etc/a.conf etc/b.conf etc/sub/c.ini");
        assert_eq!(named("etc", &files), named("etc/", &files));
        assert!(named("tip.conf", &files).contains("did you mean `top.conf`?"));
        assert!(named("*.toml", &files).contains("matches no file"));
    }

    #[test]
    fn a_digest_tells_its_parts_apart() {
        assert_ne!(digest(["ab", "c"]), digest(["a", "bc"]));
        assert_ne!(digest(["", "a"]), digest(["a"]));
        assert_eq!(digest(["a", "b"]), digest(["a", "b"]));
    }
}
