//! Wording of messages: foreign text made harmless, the nearest known name, lists of names.

use std::borrow::Cow;

/// Text for a terminal: control characters as `^[`, tabs kept, line ends as they are.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(dangerous) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            c if !dangerous(c) => shown.push(c),
            '\x7f' => shown.push_str("^?"),
            c if u32::from(c) < 0x20 => {
                shown.push('^');
                shown.push(char::from(c as u8 + 0x40));
            }
            c => {
                use std::fmt::Write;
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    Cow::Owned(shown)
}

/// Like [`visible`] for a name or a path, which stays on its line.
pub(crate) fn visible_name(text: &str) -> String {
    visible(text).replace('\n', "^J").replace('\t', "^I")
}

/// How many characters of a message are shown from its start, and from its end.
const HEAD: usize = 1500;
const TAIL: usize = 500;

/// A message without its middle, if it quotes megabytes of text.
pub(super) fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= HEAD + TAIL || text.chars().count() <= HEAD + TAIL {
        return Cow::Borrowed(text);
    }
    let head: String = text.chars().take(HEAD).collect();
    let begin_of_tail = text.char_indices().rev().take(TAIL).last().map_or(0, |(index, _)| index);
    Cow::Owned(format!("{head} … {}", &text[begin_of_tail..]))
}

/// Control characters, and the marks that reorder text on a terminal.
pub(super) fn dangerous(c: char) -> bool {
    (c.is_control() && c != '\t' && c != '\n')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// How many letters of a name must be there to tell which one was begun.
const BEGUN: usize = 4;

/// The known name that is nearest to a word, for "did you mean `x`?"; `None` if none is near. A word that only has other
/// numbers, as of another host, is not near; the only name that begins with the word is.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<_> =
        known.into_iter().filter(|candidate| !is_numbered_otherwise(word, candidate)).collect();
    let near = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 4)
        .min();
    let mut begun = known.iter().filter(|candidate| word.len() >= BEGUN && candidate.starts_with(word));
    match (near, begun.next(), begun.next()) {
        (Some((_, candidate)), ..) => Some(candidate),
        (None, Some(candidate), None) => Some(candidate),
        (None, ..) => None,
    }
}

/// Whether two names are alike but for their numbers: `web01` and `web2`, not `web01` and `web1`.
fn is_numbered_otherwise(one: &str, other: &str) -> bool {
    let letters = |name: &str| name.replace(|c: char| c.is_ascii_digit(), "");
    let numbers = |name: &str| -> Vec<String> {
        let parts = name.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
        parts.map(|part| part.trim_start_matches('0').to_owned()).collect()
    };
    letters(one) == letters(other) && numbers(one) != numbers(other)
}

/// Names for a sentence: "`a`, `b` and `c`".
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_offered() {
        let hosts = ["web01", "web02", "db"];
        for (word, near) in [
            ("wbe01", Some("web01")),
            ("web1", Some("web01")),
            ("web03", None),
            ("web10", None),
            ("dbs", Some("db")),
            ("cache", None),
        ] {
            assert_eq!(nearest(word, hosts), near, "{word}");
        }
        let keys = ["target_directory", "timeout", "require_v4", "require_v6"];
        for (word, near) in [
            ("target_dir", Some("target_directory")),
            ("time", Some("timeout")),
            ("requ", None),
            ("tar", None),
        ] {
            assert_eq!(nearest(word, keys), near, "{word}");
        }
    }

    #[test]
    fn control_characters_are_shown_not_sent() {
        assert_eq!(visible("a\x1b[31m\x7f\u{9b}\u{202e}"), "a^[[31m^?\\u{9b}\\u{202e}");
    }

    #[test]
    fn a_long_message_keeps_its_begin_and_its_end() {
        let text = format!("begin {} end", "ä".repeat(2000));
        let shown = bounded(&text);
        assert!(shown.starts_with("begin ä") && shown.ends_with("ä end") && shown.contains("ä … ä"));
        assert_eq!(shown.chars().count(), HEAD + 3 + TAIL);
        assert_eq!(bounded(&text[..2000]), text[..2000]);
    }

    #[test]
    fn names_the_nearest_word_only_if_it_is_near() {
        assert_eq!(nearest("hots", ["hosts", "settings"]), Some("hosts"));
        assert_eq!(nearest("zzz", ["hosts", "settings"]), None);
    }
}
