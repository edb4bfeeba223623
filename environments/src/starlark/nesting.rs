//! Refuses, before they are parsed, files that are nested so deeply that the parser or the compiler would run out of
//! stack: both call themselves once for each level.

use crate::starlark::lex::{Kind, tokens};

/// Larger files are refused.
pub(crate) const LARGEST: u64 = 1024 * 1024;

/// Brackets within brackets.
const BRACKETS: usize = 100;

/// Blocks within blocks.
const BLOCKS: usize = 50;

/// Operators that one expression may chain, over all brackets it stands in.
const CHAIN: usize = 1000;

/// `elif` after `elif`, each of which stands in the one before for the compiler.
const BRANCHES: usize = 200;

/// Where a file is nested too deeply, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooDeep {
    /// In bytes.
    pub(crate) offset: usize,
    pub(crate) message: String,
}

/// Checks a whole file.
pub(crate) fn check(text: &str) -> Result<(), TooDeep> {
    let mut depth = Depth::default();
    for (kind, range) in tokens(text) {
        let checked = match kind {
            Kind::Open => depth.open(),
            Kind::Close => {
                depth.close();
                Ok(())
            }
            Kind::Newline => {
                depth.newline();
                Ok(())
            }
            Kind::Comma => {
                depth.comma();
                Ok(())
            }
            Kind::Operator => depth.operator(text, range.start),
            Kind::Word => depth.word(text, &text[range.clone()], range.start),
            Kind::Text => depth.begin(text, "", range.start),
        };
        checked.map_err(|message| TooDeep { offset: range.start, message })?;
    }
    Ok(())
}

#[derive(Default)]
struct Depth {
    /// The operators before each open bracket.
    outer: Vec<usize>,
    /// The operators since the innermost one, or the last comma.
    chain: usize,
    /// Indentation, and how many `elif` it has seen in a row.
    blocks: Vec<(usize, usize)>,
    in_line: bool,
}

impl Depth {
    fn open(&mut self) -> Result<(), String> {
        self.in_line = true;
        self.outer.push(self.chain + 1);
        self.chain = 0;
        if self.outer.len() > BRACKETS {
            return Err(format!("brackets are nested more than {BRACKETS} deep"));
        }
        self.bounded()
    }

    fn close(&mut self) {
        self.chain = self.outer.pop().unwrap_or_default();
    }

    fn comma(&mut self) {
        self.chain = 0;
    }

    fn newline(&mut self) {
        if self.outer.is_empty() {
            self.chain = 0;
            self.in_line = false;
        }
    }

    fn operator(&mut self, text: &str, offset: usize) -> Result<(), String> {
        self.begin(text, "", offset)?;
        if text[offset..].starts_with(';') && self.outer.is_empty() {
            self.chain = 0;
            return Ok(());
        }
        self.chain += 1;
        self.bounded()
    }

    fn word(&mut self, text: &str, word: &str, offset: usize) -> Result<(), String> {
        self.begin(text, word, offset)?;
        if matches!(word, "not" | "and" | "or" | "if" | "else" | "in" | "lambda" | "for" | "elif") {
            self.chain += 1;
        }
        self.bounded()
    }

    fn bounded(&self) -> Result<(), String> {
        if self.outer.iter().sum::<usize>() + self.chain > CHAIN {
            return Err(format!("an expression chains more than {CHAIN} operators"));
        }
        Ok(())
    }

    /// The first token of a line tells its block.
    fn begin(&mut self, text: &str, word: &str, offset: usize) -> Result<(), String> {
        if std::mem::replace(&mut self.in_line, true) {
            return Ok(());
        }
        let line = text[..offset].rfind('\n').map_or(0, |end| end + 1);
        let indentation = offset - line;
        while self.blocks.last().is_some_and(|(outer, _)| *outer > indentation) {
            self.blocks.pop();
        }
        if self.blocks.last().is_none_or(|(outer, _)| *outer < indentation) {
            self.blocks.push((indentation, 0));
        }
        if self.blocks.len() > BLOCKS {
            return Err(format!("blocks are nested more than {BLOCKS} deep"));
        }
        if let Some((_, branches)) = self.blocks.last_mut() {
            *branches = if word == "elif" { *branches + 1 } else { 0 };
            if *branches > BRANCHES {
                return Err(format!("an `if` has more than {BRANCHES} branches"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        check(text).err().map(|found| found.message).unwrap_or_default()
    }

    #[test]
    fn what_people_write_is_not_too_deep() {
        let table = format!("x = [{}]\n", "{'a': f(1, [2]), 'b': 1 + 2},\n".repeat(5000));
        assert_eq!(check(&table), Ok(()));
        let lines = "def f(c):\n    if c.a:\n        c.b(x = 1)\n    elif c.d: pass\n".repeat(2000);
        assert_eq!(check(&lines), Ok(()));
    }

    #[test]
    fn everything_that_nests_is_bounded() {
        assert!(message(&"(".repeat(100_000)).contains("brackets"));
        assert!(message(&"[".repeat(10_000)).contains("brackets"));
        assert!(message(&"not ".repeat(100_000)).contains("operators"));
        assert!(message(&"- ".repeat(100_000)).contains("operators"));
        assert!(message(&format!("x{}", ".y".repeat(100_000))).contains("operators"));
        assert!(message(&format!("x{}", "()".repeat(100_000))).contains("operators"));
        assert!(message(&format!("x = 1{}", " if 1 else 1".repeat(100_000))).contains("operators"));
        assert!(message(&"lambda: ".repeat(100_000)).contains("operators"));
        let ifs: Vec<String> = (0..10_000).map(|level| format!("{}if 1:\n", " ".repeat(level))).collect();
        assert!(message(&ifs.concat()).contains("blocks"));
        assert!(message(&format!("if 1: pass\n{}", "elif 1: pass\n".repeat(10_000))).contains("branches"));
    }
}
