//! Text for people: foreign text made safe to print, sizes, numbers of things.

use std::fmt::Write as _;
use std::ops::Deref;

/// How many bytes of somebody else's sentences are shown at most.
const LONGEST: usize = 8 << 10;

/// Text that somebody else wrote, with its control characters shown (`^[` for escape) instead of obeyed.
/// Newlines and tabs are kept.
pub fn visible(text: &str) -> String {
    shown(text, |character| matches!(character, '\n' | '\t'))
}

/// Like [`visible`], for a name, which stays on its line.
pub fn visible_name(text: &str) -> String {
    shown(text, |_| false)
}

/// Like [`visible_name`], for somebody else's sentences. Their lines are joined into one, so that no line of
/// theirs can be taken for one of ours, and shortened to a readable length.
pub fn one_line(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut line = visible_name(&lines.join("; "));
    if line.len() > LONGEST {
        line.truncate(line.floor_char_boundary(LONGEST));
        line.push('…');
    }
    line
}

fn shown(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            _ if keep(character) => shown.push(character),
            '\x7f' => shown.push_str("^?"),
            '\0'..='\x1f' => {
                shown.push('^');
                shown.push(char::from(character as u8 + 0x40));
            }
            '\u{80}'..='\u{9f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => {
                let _ = write!(shown, "<U+{:04X}>", u32::from(character));
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// Names in a row; a long list is cut: "a, b and 7 more".
pub fn some_of<T: Deref<Target = str>>(names: &[T]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(Deref::deref).collect();
    let more = names.len() - shown.len();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// A number and its noun: "1 file", "3 files".
pub fn plural(count: usize, noun: &str) -> Plural<'_> {
    Plural { count, noun }
}

/// See [`plural`].
#[derive(Clone, Copy, Debug)]
pub struct Plural<'a> {
    count: usize,
    noun: &'a str,
}

impl std::fmt::Display for Plural<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {}{}", self.count, self.noun, if self.count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_are_shown() {
        assert_eq!(visible("\x1b[31mred\x07\r\n\tend\x7f"), "^[[31mred^G^M\n\tend^?");
        assert_eq!(visible_name("a\nb\tc"), "a^Jb^Ic");
        assert_eq!(visible("\u{9b}31m \u{202e}gpj"), "<U+009B>31m <U+202E>gpj");
        assert_eq!(visible("übergröße"), "übergröße");
        assert_eq!(one_line("disk\r\n\nerror: all is well\n"), "disk; error: all is well");
        assert_eq!(one_line(&"x".repeat(1 << 20)).len(), LONGEST + '…'.len_utf8());
    }

    #[test]
    fn nouns_agree() {
        assert_eq!(plural(1, "host").to_string(), "1 host");
        assert_eq!(plural(0, "host").to_string(), "0 hosts");
    }

    proptest! {
        #[test]
        fn sentences_of_others_stay_on_their_line(text in any::<String>()) {
            let line = one_line(&text);
            prop_assert!(!line.chars().any(char::is_control) && line.len() <= LONGEST + '…'.len_utf8());
        }

        #[test]
        fn no_control_character_survives(text in any::<String>()) {
            prop_assert!(!visible_name(&text).chars().any(char::is_control));
            prop_assert!(visible(&text).chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
        }
    }
}
