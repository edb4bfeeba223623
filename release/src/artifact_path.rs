//! `component.artifact` in the texts of steps: a token that the host replaces by the path of the component's artifact.
//!
//! The path is not known before the component's files are hashed, and its beginning only on the host. With a token,
//! steps are complete before that, and a fingerprint can tell a text that names the artifact from one that does not.

use std::borrow::Cow;

/// What `component.artifact` renders to. It is an absolute path of one part, so that joining something to it, or
/// asking whether it is absolute, needs no special case.
pub const ARTIFACT_TOKEN: &str = "/\u{10ba70}batou-component-artifact\u{10ba71}";

/// Private-use characters around the token's word, which nobody types by accident.
const MARKS: [char; 2] = ['\u{10ba70}', '\u{10ba71}'];

/// What is left of the token if the marks were encoded, as by `tojson` and `urlencode`.
const WORD: &str = "batou-component-artifact";

/// How the token is shown to people: as they wrote it.
const SHOWN: &str = "{{ component.artifact }}";

/// The first of the token's own characters in a text, and the bytes it takes.
pub fn artifact_mark(text: &str) -> Option<std::ops::Range<usize>> {
    let (start, mark) = text.char_indices().find(|(_, c)| MARKS.contains(c))?;
    Some(start..start + mark.len_utf8())
}

/// Whether the token is complete wherever it occurs in a text.
pub fn is_artifact_whole(text: &str) -> bool {
    text.split(ARTIFACT_TOKEN).all(|rest| artifact_mark(rest).is_none() && !rest.contains(WORD))
}

/// A text as it is shown to people: with the token as they wrote it.
pub fn show_artifact(text: &str) -> Cow<'_, str> {
    replace(text, SHOWN)
}

/// A text with the artifact's path in place of the token.
pub(crate) fn expand_artifact(text: &str, artifact: &str) -> String {
    replace(text, artifact).into_owned()
}

fn replace<'t>(text: &'t str, with: &str) -> Cow<'t, str> {
    if text.contains(ARTIFACT_TOKEN) {
        Cow::Owned(text.replace(ARTIFACT_TOKEN, with))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn it_is_an_absolute_path_of_one_part_around_which_nothing_is_escaped() {
        assert!(Path::new(ARTIFACT_TOKEN).is_absolute());
        assert_eq!(Path::new("/srv").join(ARTIFACT_TOKEN), Path::new(ARTIFACT_TOKEN));
        assert!(Path::new(&format!("{ARTIFACT_TOKEN}/x")).starts_with(ARTIFACT_TOKEN));
        assert_eq!(serde_json::json!(ARTIFACT_TOKEN).to_string(), format!("\"{ARTIFACT_TOKEN}\""));
        assert_eq!(ARTIFACT_TOKEN, format!("/{}{WORD}{}", MARKS[0], MARKS[1]));
    }

    #[test]
    fn a_part_of_it_is_told_from_the_whole() {
        let token = ARTIFACT_TOKEN;
        for whole in ["", "x", token, &format!("a {token}/b '{token}'"), &format!("/{token}{token}")] {
            assert!(is_artifact_whole(whole), "{whole}");
        }
        let changed = [
            token.to_uppercase(),
            token[1..].to_owned(),
            token[..20].to_owned(),
            format!("{token} {WORD}"),
            format!("{token}{}", MARKS[1]),
            token.replace('-', "_"),
            format!(r"/\udbea\ude70{WORD}\udbea\ude71"),
            format!("/%F4%8B%A9%B0{WORD}%F4%8B%A9%B1"),
            token.chars().rev().collect(),
        ];
        for changed in changed {
            assert!(!is_artifact_whole(&changed), "{changed}");
        }
    }

    #[test]
    fn a_mark_is_found_where_it_stands() {
        assert_eq!(artifact_mark("ä\u{10ba71}"), Some(2..6));
        assert_eq!(artifact_mark("\u{e0b0} a symbol of a font \u{f0001}"), None);
    }

    #[test]
    fn it_is_shown_as_it_was_written_and_replaced_everywhere() {
        let text = format!("cmp {ARTIFACT_TOKEN}/a {ARTIFACT_TOKEN}/b");
        assert_eq!(show_artifact(&text), "cmp {{ component.artifact }}/a {{ component.artifact }}/b");
        assert_eq!(expand_artifact(&text, "/srv/x"), "cmp /srv/x/a /srv/x/b");
        assert_eq!(show_artifact("cmp a b"), "cmp a b");
    }
}
