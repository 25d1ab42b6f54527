//! The code in a document, so that tests can follow the document as it is written.

use crate::root;
use std::fs;

/// A block of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What the fence says: `sh`, `rust`; empty for a fence without a word and for indented code.
    pub language: String,
    /// Its lines, each with a line feed, without the indentation that all of them share.
    pub text: String,
}

impl Block {
    /// Its first line.
    #[must_use]
    pub fn first(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }
}

/// The blocks of a document in `docs`, in their order.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn blocks(name: &str) -> Vec<Block> {
    let path = root().join("docs").join(name);
    blocks_of(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Blocks between fences, and lines that are indented by four or more after an empty line.
fn blocks_of(text: &str) -> Vec<Block> {
    let (mut blocks, mut lines) = (Vec::new(), text.lines().peekable());
    let mut after_empty = true;
    while let Some(line) = lines.next() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let inner: Vec<&str> = lines.by_ref().take_while(|line| !line.trim_start().starts_with("```")).collect();
            blocks.push(block(language, &inner));
        } else if after_empty && line.starts_with("    ") {
            let mut inner = vec![line];
            while let Some(line) = lines.next_if(|line| line.starts_with("    ")) {
                inner.push(line);
            }
            blocks.push(block("", &inner));
        }
        after_empty = line.trim().is_empty();
    }
    blocks
}

fn block(language: &str, lines: &[&str]) -> Block {
    let indentation = |line: &&str| line.len() - line.trim_start().len();
    let shared = lines.iter().filter(|line| !line.trim().is_empty()).map(indentation).min().unwrap_or(0);
    let text = lines.iter().map(|line| format!("{}\n", line.get(shared..).unwrap_or_default())).collect();
    Block { language: language.trim().to_owned(), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_in_lists_and_without_a_fence() {
        let text = "# T\n\n    a\n      b\n\n1. One\n   more\n\n       c\n2. Two\n\n   ```sh\n   d\n\n     e\n   ```\n\ntext\n    not code\n";
        let block = |language: &str, text: &str| Block { language: language.to_owned(), text: text.to_owned() };
        assert_eq!(blocks_of(text), [block("", "a\n  b\n"), block("", "c\n"), block("sh", "d\n\n  e\n")]);
    }
}
