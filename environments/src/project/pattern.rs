//! Host patterns: `web{01..12}` and `{a,b}`, expanded to the names that they stand for.
//!
//! There is no `*`: the hosts of an environment are those that are written down.

/// A pattern that expands to more names than this is taken for a typing mistake.
const MOST: usize = 10_000;

/// Why a pattern is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostPatternError {
    #[error("the host pattern `{0}` opens a `{{` and never closes it")]
    Unclosed(String),
    #[error("the host pattern `{0}` closes a `}}` that it never opened")]
    Unopened(String),
    #[error(
        "`{{{1}}}` in the host pattern `{0}` is neither a range like {{01..12}} nor a choice like {{a,b}}"
    )]
    Nothing(String, String),
    #[error("the range `{{{1}}}` in the host pattern `{0}` runs backwards")]
    Backwards(String, String),
    #[error("the host pattern `{0}` stands for more than {MOST} hosts")]
    TooMany(String),
}

/// Whether the key of a table is a pattern rather than a name.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['{', '}'])
}

/// The names that a pattern stands for, in its order; a plain name stands for itself.
pub(crate) fn expand(pattern: &str) -> Result<Vec<String>, HostPatternError> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some(open) = rest.find(['{', '}']) {
        if rest[open..].starts_with('}') {
            return Err(HostPatternError::Unopened(pattern.to_owned()));
        }
        let inside = &rest[open + 1..];
        let close = inside.find('}').ok_or_else(|| HostPatternError::Unclosed(pattern.to_owned()))?;
        let choices = choices(pattern, &inside[..close])?;
        if names.len().saturating_mul(choices.len()) > MOST {
            return Err(HostPatternError::TooMany(pattern.to_owned()));
        }
        let literal = &rest[..open];
        names = names
            .iter()
            .flat_map(|name| choices.iter().map(move |choice| format!("{name}{literal}{choice}")))
            .collect();
        rest = &inside[close + 1..];
    }
    for name in &mut names {
        name.push_str(rest);
    }
    Ok(names)
}

fn choices(pattern: &str, inside: &str) -> Result<Vec<String>, HostPatternError> {
    let nothing = || HostPatternError::Nothing(pattern.to_owned(), inside.to_owned());
    if let Some((first, last)) = inside.split_once("..") {
        return range(pattern, inside, first.trim(), last.trim());
    }
    let choices: Vec<String> = inside.split(',').map(|choice| choice.trim().to_owned()).collect();
    if choices.len() < 2 || choices.iter().any(|choice| choice.is_empty() || choice.contains('{')) {
        return Err(nothing());
    }
    Ok(choices)
}

/// Numbers from `first` to `last`, padded to the width of a `first` with leading zeros: `01..12` gives 01, 02, …, 12.
fn range(pattern: &str, inside: &str, first: &str, last: &str) -> Result<Vec<String>, HostPatternError> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u32>().ok()).flatten()
    };
    let (Some(from), Some(to)) = (number(first), number(last)) else {
        return Err(HostPatternError::Nothing(pattern.to_owned(), inside.to_owned()));
    };
    if from > to {
        return Err(HostPatternError::Backwards(pattern.to_owned(), inside.to_owned()));
    }
    if (to - from) as usize >= MOST {
        return Err(HostPatternError::TooMany(pattern.to_owned()));
    }
    let width = if first.starts_with('0') { first.len() } else { 1 };
    Ok((from..=to).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_keep_their_zeros() {
        assert_eq!(expand("web{08..11}").unwrap(), ["web08", "web09", "web10", "web11"]);
        assert_eq!(expand("web{8..11}").unwrap(), ["web8", "web9", "web10", "web11"]);
    }

    #[test]
    fn choices_and_ranges_combine() {
        assert_eq!(expand("{a,b}{1..2}.x").unwrap(), ["a1.x", "a2.x", "b1.x", "b2.x"]);
        assert_eq!(expand("web01").unwrap(), ["web01"]);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(matches!(expand("web{01..12"), Err(HostPatternError::Unclosed(_))));
        assert!(matches!(expand("web01}"), Err(HostPatternError::Unopened(_))));
        assert!(matches!(expand("web{}"), Err(HostPatternError::Nothing(..))));
        assert!(matches!(expand("web{a}"), Err(HostPatternError::Nothing(..))));
        assert!(matches!(expand("web{a,}"), Err(HostPatternError::Nothing(..))));
        assert!(matches!(expand("web{3..1}"), Err(HostPatternError::Backwards(..))));
        assert!(matches!(expand("w{0..99}{0..99}{0..99}"), Err(HostPatternError::TooMany(_))));
        assert!(matches!(expand("w{0..999999999}"), Err(HostPatternError::TooMany(_))));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-z0-9{},.]{0,24}") {
            let _ = expand(&text);
        }
    }
}
