//! Text from the program, cut to a bounded length. It is not escaped: escape it before showing it.

use crate::caps;

/// The text, cut between two characters to at most `bytes` bytes.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A name for the report.
pub(crate) fn name(text: &str) -> String {
    cut(text, caps::NAME_BYTES).to_owned()
}

/// Some of the names for one line of text: each cut, and a count of the rest.
pub(crate) fn list(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(|name| cut(name, 40)).collect();
    let shown = shown.join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_characters() {
        assert_eq!(cut("päng", 2), "p");
        assert_eq!(cut("päng", 3), "pä");
        assert_eq!(cut("päng", 99), "päng");
        assert_eq!(name(&"x".repeat(100_000)).len(), caps::NAME_BYTES);
    }

    #[test]
    fn lists_a_few_and_counts_the_rest() {
        assert_eq!(list(&["a", "b"]), "a, b");
        assert_eq!(list(&["a", "b", "c", "d", "e"]), "a, b, c, d, e");
        assert_eq!(list(&["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e and 2 more");
    }
}
