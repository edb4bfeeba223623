//! As much of Markdown as our own pages use.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// A page of the documentation.
pub(super) struct Chapter {
    path: PathBuf,
    pieces: Vec<Piece>,
}

/// What stands in a page, as far as a test looks at it.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// A heading.
    Heading { level: usize, title: String },
    /// A fenced block, with the file that the comment before it names.
    Block { info: String, file: Option<String>, text: String, line: usize },
    /// A file in a comment.
    Hidden { path: String, text: String },
    /// A file in a comment that belongs to all sections.
    Everywhere { path: String, text: String },
    /// An indented block.
    Indented(String),
    /// Anything else, a line.
    Text(String),
}

impl Chapter {
    /// Reads the page at `path` below `root`.
    pub(super) fn read(root: &Path, path: &Path) -> Self {
        let text =
            fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let pieces = parse(&text);
        Self { path: path.to_owned(), pieces }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it speaks of the program only as users meet it.
    pub(super) fn is_for_users(&self) -> bool {
        self.path.starts_with("docs") || self.path.ends_with("README.md") && !self.path.starts_with("store")
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The pieces before the first heading of level 2 to `depth`, and those below each.
    pub(super) fn sections(&self, depth: usize) -> Vec<Vec<Piece>> {
        let mut sections = vec![Vec::new()];
        for piece in &self.pieces {
            if matches!(piece, Piece::Heading { level, .. } if (2..=depth).contains(level)) {
                sections.push(Vec::new());
            }
            sections.last_mut().unwrap().push(piece.clone());
        }
        sections
    }

    /// The hidden files that belong to all sections, as path and content.
    pub(super) fn everywhere(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Everywhere { path, text } => Some((path.as_str(), text.as_str())),
            _ => None,
        })
    }

    /// All that is code: spans, and the lines of blocks.
    pub(super) fn code(&self) -> Vec<String> {
        let mut code = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Block { text, .. } | Piece::Indented(text) => {
                    code.extend(text.lines().map(str::to_owned));
                }
                Piece::Text(line) => code.extend(line.split('`').skip(1).step_by(2).map(str::to_owned)),
                _ => {}
            }
        }
        code
    }

    /// The targets of links.
    pub(super) fn links(&self) -> Vec<String> {
        let text: String =
            self.pieces.iter().map(|piece| if let Piece::Text(line) = piece { line } else { "" }).collect();
        text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
    }

    /// What the headings are called in links.
    pub(super) fn anchors(&self) -> BTreeSet<String> {
        let titles = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Heading { title, .. } => Some(title),
            _ => None,
        });
        let slug = |title: &String| {
            let kept = title.to_lowercase().replace(' ', "-");
            kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
        };
        titles.map(slug).collect()
    }
}

impl fmt::Display for Chapter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(out)
    }
}

fn parse(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut file = None;
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let text = until(&mut lines, "```");
            pieces.push(Piece::Block { info: info.to_owned(), file: file.take(), text, line: number + 1 });
        } else if let Some(comment) = line.strip_prefix("<!-- ") {
            if let Some(path) = comment.strip_prefix("file: ").and_then(|rest| rest.strip_suffix(" -->")) {
                file = Some(path.to_owned());
            } else if let Some(path) = comment.strip_prefix("file: ") {
                pieces.push(Piece::Hidden { path: path.to_owned(), text: until(&mut lines, "-->") });
            } else if let Some(path) = comment.strip_prefix("every section: ") {
                pieces.push(Piece::Everywhere { path: path.to_owned(), text: until(&mut lines, "-->") });
            } else if comment != "from the code -->" {
                panic!("line {}: a comment that nobody reads: {line}", number + 1);
            }
        } else if line.starts_with('#') {
            let title = line.trim_start_matches('#');
            pieces.push(Piece::Heading { level: line.len() - title.len(), title: title.trim().to_owned() });
        } else if let Some(code) = line.strip_prefix("    ") {
            pieces.push(Piece::Indented(code.to_owned()));
        } else {
            pieces.push(Piece::Text(format!("{line}\n")));
        }
    }
    pieces
}

/// The lines up to the one that ends a block.
fn until<'t>(lines: &mut impl Iterator<Item = (usize, &'t str)>, end: &str) -> String {
    let lines = lines.map(|(_, line)| line).take_while(|line| *line != end);
    lines.flat_map(|line| [line, "\n"]).collect()
}
