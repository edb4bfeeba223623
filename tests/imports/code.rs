//! Rust's source as words and signs, without what says nothing about imports.

/// The words and signs of a file: without comments, literals, and what is compiled for tests only.
pub(super) fn tokens(text: &str) -> Vec<String> {
    without_tests(&words(&text.chars().collect::<Vec<_>>()))
}

fn words(text: &[char]) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let skipped = skipped(rest);
        if skipped > 0 {
            at += skipped;
            continue;
        }
        let length = match rest {
            [':', ':', ..] => 2,
            [first, ..] if is_word(*first) => rest.iter().take_while(|c| is_word(**c)).count(),
            _ => 1,
        };
        tokens.push(rest[..length].iter().collect());
        at += length;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// How much of the beginning is a comment, a literal or a space.
fn skipped(text: &[char]) -> usize {
    match text {
        ['/', '/', ..] => text.iter().take_while(|c| **c != '\n').count(),
        ['/', '*', ..] => up_to(text, &['*', '/'], 2),
        ['r', '"', ..] => up_to(text, &['"'], 2),
        ['r', '#', '"', ..] => up_to(text, &['"', '#'], 3),
        ['"', ..] => string(text),
        ['\'', '\\', _, ..] => up_to(text, &['\''], 3),
        ['\'', _, '\'', ..] => 3,
        [c, ..] if c.is_whitespace() => 1,
        _ => 0,
    }
}

/// The length up to and with `end`, which is looked for after the first `from` characters.
fn up_to(text: &[char], end: &[char], from: usize) -> usize {
    let after = text.get(from..).unwrap_or_default();
    let found = after.windows(end.len()).position(|part| part == end);
    found.map_or(text.len(), |found| from + found + end.len())
}

fn string(text: &[char]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

fn without_tests(tokens: &[String]) -> Vec<String> {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].iter().take(TEST.len()).eq(TEST.iter()) {
            at += TEST.len() + item(&tokens[at + TEST.len()..]);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// The length of the item that follows: up to a semicolon, or to the end of its braces.
fn item(tokens: &[String]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(token.as_str(), ";" | "}") {
            return at + 1;
        }
    }
    tokens.len()
}
