//! Starlark's tokens, as far as brackets, strings and commas go.
//!
//! The interpreter's own parser says where a call begins and ends, but not where its arguments stand, and it must not
//! see a file that is nested too deeply. Both questions are answered here, without a syntax tree.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `(`, `[` or `{`
    Open,
    /// `)`, `]` or `}`
    Close,
    Comma,
    /// A name, a keyword or a number.
    Word,
    /// A string, with its prefix and quotes.
    Text,
    Operator,
    Newline,
}

/// A token and where it stands, in bytes.
pub(crate) type Token = (Kind, Range<usize>);

/// The tokens of a text; whitespace and comments are left out. Text that is no Starlark gives some tokens, too.
pub(crate) fn tokens(text: &str) -> Tokens<'_> {
    Tokens { bytes: text.as_bytes(), at: 0 }
}

/// See [`tokens`].
pub(crate) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Tokens<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn skip_blank(&mut self) {
        loop {
            match self.peek(0) {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\\' if self.peek(1) == b'\n' => self.at += 2,
                b'#' => {
                    while self.at < self.bytes.len() && self.peek(0) != b'\n' {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    /// The length of a string's prefix (`r`, `b`, `f`, …) if a string begins here.
    fn prefix(&self) -> Option<usize> {
        let letters = (0..3).take_while(|at| matches!(self.peek(*at), b'r' | b'b' | b'f' | b'R')).count();
        matches!(self.peek(letters), b'"' | b'\'').then_some(letters)
    }

    fn skip_text(&mut self, prefix: usize) {
        self.at += prefix;
        let quote = self.peek(0);
        let long = self.peek(1) == quote && self.peek(2) == quote;
        self.at += if long { 3 } else { 1 };
        while self.at < self.bytes.len() {
            match self.peek(0) {
                b'\\' => self.at += 2,
                b'\n' if !long => return,
                byte if byte == quote && !long => {
                    self.at += 1;
                    return;
                }
                byte if byte == quote && self.peek(1) == quote && self.peek(2) == quote => {
                    self.at += 3;
                    return;
                }
                _ => self.at += 1,
            }
        }
        self.at = self.bytes.len();
    }

    fn skip_word(&mut self) {
        while self.peek(0).is_ascii_alphanumeric() || self.peek(0) == b'_' || !self.peek(0).is_ascii() {
            self.at += 1;
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blank();
        let start = self.at;
        let byte = *self.bytes.get(start)?;
        let kind = if let Some(prefix) = self.prefix() {
            self.skip_text(prefix);
            Kind::Text
        } else if byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii() {
            self.skip_word();
            Kind::Word
        } else {
            self.at += 1;
            match byte {
                b'(' | b'[' | b'{' => Kind::Open,
                b')' | b']' | b'}' => Kind::Close,
                b',' => Kind::Comma,
                b'\n' => Kind::Newline,
                _ => {
                    if self.peek(0) == b'=' && b"=!<>+-*/%|&^".contains(&byte) {
                        self.at += 1;
                    }
                    Kind::Operator
                }
            }
        };
        Some((kind, start..self.at.min(self.bytes.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strings_hide_what_is_in_them() {
        let text = "f(r'a(\\'', \"\"\"[\n\"\"\", x == 1) # (\n";
        let shown: Vec<&str> = tokens(text).map(|(_, range)| &text[range]).collect();
        assert_eq!(shown, ["f", "(", "r'a(\\''", ",", "\"\"\"[\n\"\"\"", ",", "x", "==", "1", ")", "\n"]);
    }

    proptest! {
        #[test]
        fn any_text_has_tokens_in_order(text in "[()a'\"\\\\\n#=ä ]{0,40}") {
            let mut end = 0;
            for (_, range) in tokens(&text) {
                prop_assert!(range.start >= end && range.end > range.start && range.end <= text.len());
                end = range.end;
            }
        }
    }
}
