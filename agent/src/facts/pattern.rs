//! Patterns for one name of a path: what `*`, `?`, `[…]` and `{…}` match.
//!
//! The controller has checked a pattern with `globset`, whose language this is; a test holds both to the same
//! answers. The agent does without that crate, whose regular expressions would be a sixth of the program. The one
//! difference is that here `?` and `[…]` stand for a character, not for one byte of it.

use std::iter::Peekable;
use std::str::Chars;

/// How deep alternatives may be nested.
const DEEPEST: usize = 32;

/// A checked pattern.
#[derive(Debug)]
pub(super) struct FilePattern(Vec<Token>);

#[derive(Debug)]
enum Token {
    One(char),
    Any,
    Many,
    Class { negated: bool, ranges: Vec<(char, char)> },
    Either(Vec<Vec<Token>>),
}

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FilePatternError {
    #[error("a `[` is not closed")]
    Class,
    #[error("a range in `[…]` ends before it begins")]
    Range,
    #[error("a `{{` is not closed, or a `}}` not opened")]
    Alternatives,
    #[error("a `\\` is at the end")]
    Escape,
    #[error("`{{…}}` are nested more than {DEEPEST} deep")]
    Depth,
}

impl FilePattern {
    /// Reads a pattern.
    pub(super) fn new(text: &str) -> Result<Self, FilePatternError> {
        let mut chars = text.chars().peekable();
        let mut branches = branches(&mut chars, 0)?;
        Ok(FilePattern(branches.pop().unwrap_or_default()))
    }

    /// Whether the whole name matches.
    pub(super) fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let mut start = vec![false; name.len() + 1];
        start[0] = true;
        follow(&self.0, &name, start)[name.len()]
    }
}

/// Reads a pattern to its end or, within braces, the alternatives up to the closing brace.
fn branches(chars: &mut Peekable<Chars<'_>>, depth: usize) -> Result<Vec<Vec<Token>>, FilePatternError> {
    if depth > DEEPEST {
        return Err(FilePatternError::Depth);
    }
    let (mut done, mut branch) = (Vec::new(), Vec::new());
    loop {
        let token = match chars.next() {
            None if depth > 0 => return Err(FilePatternError::Alternatives),
            Some('}') if depth == 0 => return Err(FilePatternError::Alternatives),
            None | Some('}') => break,
            Some(',') if depth > 0 => {
                done.push(std::mem::take(&mut branch));
                continue;
            }
            Some('{') => Token::Either(branches(chars, depth + 1)?),
            Some('[') => class(chars)?,
            Some('?') => Token::Any,
            Some('*') => Token::Many,
            Some('\\') => Token::One(chars.next().ok_or(FilePatternError::Escape)?),
            Some(other) => Token::One(other),
        };
        // Empty braces are ignored.
        if !matches!(&token, Token::Either(branches) if branches.is_empty()) {
            branch.push(token);
        }
    }
    done.push(branch);
    if depth > 0 {
        // Empty alternatives are ignored.
        done.retain(|branch| !branch.is_empty());
    }
    Ok(done)
}

/// Reads a class, whose opening bracket has been read, to its closing one. A `]` or `-` at the beginning is one of
/// its characters.
fn class(chars: &mut Peekable<Chars<'_>>) -> Result<Token, FilePatternError> {
    let negated = chars.next_if(|next| ['!', '^'].contains(next)).is_some();
    let mut ranges: Vec<(char, char)> = Vec::new();
    let mut in_range = false;
    loop {
        match (chars.next().ok_or(FilePatternError::Class)?, ranges.last_mut()) {
            (']', Some(_)) => break,
            ('-', Some(_)) if !in_range => in_range = true,
            (end, Some(range)) if in_range => {
                if end < range.0 {
                    return Err(FilePatternError::Range);
                }
                range.1 = end;
                in_range = false;
            }
            (single, _) => ranges.push((single, single)),
        }
    }
    if in_range {
        ranges.push(('-', '-'));
    }
    Ok(Token::Class { negated, ranges })
}

/// The places in the name that the tokens can lead to, from all the places `before` them. All are followed at once,
/// so the time is in proportion to the pattern and the name, however many stars there are.
fn follow(tokens: &[Token], name: &[char], before: Vec<bool>) -> Vec<bool> {
    tokens.iter().fold(before, |before, token| match token {
        Token::One(wanted) => pass(name, &before, |char| char == *wanted),
        Token::Any => pass(name, &before, |_| true),
        Token::Class { negated, ranges } => pass(name, &before, |char| {
            ranges.iter().any(|(first, last)| (*first..=*last).contains(&char)) != *negated
        }),
        Token::Many => {
            let first = before.iter().position(|here| *here).unwrap_or(before.len());
            (0..before.len()).map(|place| place >= first).collect()
        }
        Token::Either(branches) => {
            let mut after = vec![false; before.len()];
            for branch in branches {
                for (place, here) in follow(branch, name, before.clone()).into_iter().enumerate() {
                    after[place] |= here;
                }
            }
            after
        }
    })
}

/// The places after a character that fits.
fn pass(name: &[char], before: &[bool], fits: impl Fn(char) -> bool) -> Vec<bool> {
    let behind = name.iter().zip(before).map(|(char, here)| *here && fits(*char));
    std::iter::once(false).chain(behind).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        FilePattern::new(pattern).unwrap().matches(name)
    }

    #[test]
    fn a_character_is_a_character() {
        for pattern in ["caf?", "caf[é-ü]", "caf[!a-z]", "*é", "{tee,café}"] {
            assert!(matches(pattern, "café"), "{pattern}");
        }
        assert!(!matches("caf??", "café"));
    }

    #[test]
    fn many_stars_are_no_more_work_than_one() {
        assert!(!matches(&"*a".repeat(100), &"b".repeat(255)));
        assert!(matches(&"*a*".repeat(100), &"a".repeat(255)));
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        use FilePatternError::{Alternatives, Class, Depth, Escape, Range};
        let wrong =
            [("a[", Class), ("[]", Class), ("[b-a]", Range), ("{a", Alternatives), ("a}", Alternatives)];
        for (text, error) in wrong {
            assert_eq!(FilePattern::new(text).unwrap_err(), error, "{text}");
        }
        assert_eq!(FilePattern::new("a\\").unwrap_err(), Escape);
        assert_eq!(FilePattern::new(&"{".repeat(100_000)).unwrap_err(), Depth);
        assert_eq!(Escape.to_string(), "a `\\` is at the end");
        assert_eq!(Alternatives.to_string(), "a `{` is not closed, or a `}` not opened");
    }

    /// Texts of what means something in a pattern, and of two letters. A `*` follows no other: `globset` takes `{\\,**}` for
    /// a pattern over folders.
    fn pattern() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "a", "b", "*", "?", "[", "]", "{", "}", ",", "-", "!", "^", "\\", "[a-b]", "[!a]", "[]a]",
            "{a,b}", "{", "}", "{}", "{,a}",
        ]);
        prop::collection::vec(piece, 0..10).prop_map(|pieces| {
            let mut text = pieces.concat();
            while text.contains("**") {
                text = text.replace("**", "*");
            }
            text
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn a_pattern_matches_what_globset_says(text in pattern(), names in prop::collection::vec("[]ab,!^{}*?\\\\-]{0,5}", 8)) {
            let (theirs, ours) = (globset::Glob::new(&text), FilePattern::new(&text));
            prop_assert_eq!(theirs.is_ok(), ours.is_ok(), "{}", text);
            let (Ok(theirs), Ok(ours)) = (theirs, ours) else { return Ok(()) };
            let theirs = theirs.compile_matcher();
            for name in names {
                prop_assert_eq!(theirs.is_match(&name), ours.matches(&name), "{} on {}", text, name);
            }
        }
    }
}
