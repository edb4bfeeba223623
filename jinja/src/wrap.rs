//! Breaks a line into shorter ones, as Python's `textwrap` does.

/// How lines are broken.
pub(crate) struct Wrapping {
    /// In characters; not zero.
    pub(crate) width: usize,
    /// Whether a word longer than a line is broken; otherwise it sticks out.
    pub(crate) break_long_words: bool,
    /// Whether a line may end after a hyphen.
    pub(crate) break_on_hyphens: bool,
}

/// Lines of at most the width, where the words allow it.
pub(crate) fn wrap(line: &str, wrapping: &Wrapping) -> Vec<String> {
    let characters: Vec<char> = line.chars().collect();
    let mut chunks = chunks(&characters, wrapping.break_on_hyphens);
    chunks.reverse();
    let mut lines = Vec::new();
    while let Some(next) = chunks.last() {
        if is_blank(next) && !lines.is_empty() {
            chunks.pop();
        }
        let mut current = Vec::new();
        let mut length = 0;
        while let Some(chunk) = chunks.pop_if(|chunk| length + chunk.len() <= wrapping.width) {
            length += chunk.len();
            current.push(chunk);
        }
        if let Some(long) = chunks.pop_if(|chunk| chunk.len() > wrapping.width) {
            let (fitting, rest) = split_long(long, current.is_empty(), wrapping, wrapping.width - length);
            current.extend(fitting);
            chunks.extend(rest);
        }
        current.pop_if(|chunk| is_blank(chunk));
        if !current.is_empty() {
            lines.push(current.concat().iter().collect());
        }
    }
    lines
}

/// What of a word longer than a line still goes on it, and what does not.
fn split_long<'a>(
    word: &'a [char],
    alone: bool,
    wrapping: &Wrapping,
    room: usize,
) -> (Option<&'a [char]>, Option<&'a [char]>) {
    if !wrapping.break_long_words {
        return if alone { (Some(word), None) } else { (None, Some(word)) };
    }
    let hyphen = word[..room]
        .iter()
        .rposition(|c| *c == '-')
        .filter(|at| wrapping.break_on_hyphens && *at > 0 && word[..*at].iter().any(|c| *c != '-'));
    let (fitting, rest) = word.split_at(hyphen.map_or(room, |at| at + 1));
    (Some(fitting), Some(rest))
}

fn is_blank(chunk: &&[char]) -> bool {
    chunk.iter().all(|c| c.is_whitespace())
}

/// Words, and the blanks between them.
fn chunks(text: &[char], hyphens: bool) -> Vec<&[char]> {
    let mut chunks = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = chunk_end(text, start, hyphens);
        chunks.push(&text[start..end]);
        start = end;
    }
    chunks
}

fn chunk_end(text: &[char], start: usize, hyphens: bool) -> usize {
    let run = |from: usize, of: fn(char) -> bool| from + text[from..].iter().take_while(|c| of(**c)).count();
    if is_space(text[start]) {
        return run(start, is_space);
    }
    if !hyphens {
        return run(start, |c| !is_space(c));
    }
    let dash = |at: usize| {
        let end = run(at, |c| c == '-');
        at > 0 && end - at >= 2 && before_dash(text[at - 1]) && text.get(end).is_some_and(|c| is_word(*c))
    };
    if dash(start) {
        return run(start, |c| c == '-');
    }
    let mut end = start + 1;
    while end < text.len() && !is_space(text[end]) {
        if text[end] == '-' {
            if is_hyphen(text, end) {
                return end + 1;
            }
            if dash(end) {
                return end;
            }
        }
        end += 1;
    }
    end
}

/// A single hyphen with letters on both sides.
fn is_hyphen(text: &[char], at: usize) -> bool {
    let letter = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|c| is_letter(*c));
    let is = |at: Option<usize>, wanted: char| at.and_then(|at| text.get(at)) == Some(&wanted);
    let before = |back: usize| at.checked_sub(back);
    let word_before = before(1).and_then(|at| text.get(at)).is_some_and(|c| before_dash(*c));
    let left =
        letter(before(1)) && letter(before(2)) || word_before && is(before(2), '-') && letter(before(3));
    let right =
        letter(Some(at + 1)) && (letter(Some(at + 2)) || is(Some(at + 2), '-') && letter(Some(at + 3)));
    left && right
}

fn is_space(c: char) -> bool {
    matches!(c, '\t'..='\r' | ' ')
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_letter(c: char) -> bool {
    is_word(c) && !c.is_numeric()
}

fn before_dash(c: char) -> bool {
    is_word(c) || "!\"'&.,?".contains(c)
}
