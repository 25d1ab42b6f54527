use std::io::{stderr, stdout};
use terminal_size::{Width, terminal_size_of};

/// Narrower terminals are treated as this wide: below, nothing is readable any more.
const LEAST: usize = 40;

/// Columns of a line on standard output. None where no terminal shows it: programs read whole lines.
pub(super) fn of_stdout() -> Option<usize> {
    columns(std::env::var("COLUMNS").ok().as_deref()).or_else(|| measured(terminal_size_of(stdout())))
}

/// The same for standard error.
pub(super) fn of_stderr() -> Option<usize> {
    columns(std::env::var("COLUMNS").ok().as_deref()).or_else(|| measured(terminal_size_of(stderr())))
}

/// What $COLUMNS says, as the help of the command line reads it, too.
fn columns(variable: Option<&str>) -> Option<usize> {
    variable?.parse().ok().filter(|columns| *columns > 0).map(|columns: usize| columns.max(LEAST))
}

fn measured<T>(size: Option<(Width, T)>) -> Option<usize> {
    size.map(|(Width(columns), _)| usize::from(columns))
        .filter(|columns| *columns > 0)
        .map(|columns| columns.max(LEAST))
}

/// Breaks a line at spaces, so that no part is longer than `width` characters unless a word is. Parts after the first begin with
/// `indent` spaces, or with fewer if a word needs the place: digests and addresses stay in one piece.
pub(super) fn wrap(line: &str, width: Option<usize>, indent: usize) -> String {
    let Some(width) = width.filter(|width| visible(line) > *width) else { return line.to_owned() };
    let text = line.trim_start_matches(' ');
    let mut wrapped = " ".repeat(line.len() - text.len());
    let (mut used, mut is_first) = (wrapped.len(), true);
    // Runs of spaces inside a part stay: they align fields.
    for word in text.split_inclusive(' ') {
        let long = visible(word.trim_end_matches(' '));
        if used + long > width && !is_first {
            wrapped.truncate(wrapped.trim_end_matches(' ').len());
            let indent = indent.min(width.saturating_sub(long));
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent));
            used = indent;
            if long == 0 {
                continue;
            }
        }
        wrapped.push_str(word);
        used += visible(word);
        is_first = is_first && long == 0;
    }
    wrapped.truncate(wrapped.trim_end_matches(' ').len());
    wrapped
}

/// Characters that are seen: without the sequences that colour a terminal.
fn visible(text: &str) -> usize {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().chars().count();
    parts.fold(first, |count, part| count + part.split_once('m').map_or(part, |(_, rest)| rest).chars().count())
}

/// Every line of a text, wrapped; each is continued two spaces deeper than it begins.
pub(super) fn wrap_text(text: &str, width: Option<usize>) -> String {
    let deeper = |line: &str| line.len() - line.trim_start_matches(' ').len() + 2;
    text.split('\n').map(|line| wrap(line, width, deeper(line))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_break_at_spaces_and_words_stay_whole() {
        assert_eq!(wrap("one two three", Some(9), 2), "one two\n  three");
        assert_eq!(wrap("one two three", Some(13), 2), "one two three");
        assert_eq!(wrap("one two three", None, 2), "one two three");
        assert_eq!(wrap("name      one two three", Some(18), 10), "name      one two\n          three");
        assert_eq!(wrap("did       0123456789", Some(14), 10), "did\n    0123456789");
        assert_eq!(wrap("a 0123456789", Some(5), 2), "a\n0123456789", "longer than a line");
        let red = "\u{1b}[31m";
        assert_eq!(wrap(&format!("{red}one two{red} three"), Some(9), 2), format!("{red}one two{red}\n  three"));
        assert_eq!(wrap_text("  - one two\nthree", Some(8)), "  - one\n    two\nthree");
    }

    #[test]
    fn the_width_is_that_of_the_variable() {
        for (variable, expected) in
            [(Some("80"), Some(80)), (Some("1"), Some(LEAST)), (Some("0"), None), (Some("x"), None), (None, None)]
        {
            assert_eq!(columns(variable), expected, "{variable:?}");
        }
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_no_line_with_two_words_is_too_wide(text in "[a-z é]{0,200}", width in 1..60_usize, indent in 0..20_usize) {
            let wrapped = wrap(&text, Some(width), indent);
            prop_assert_eq!(wrapped.split_whitespace().collect::<Vec<_>>(), text.split_whitespace().collect::<Vec<_>>());
            for line in wrapped.lines().filter(|line| line.trim().contains(' ')) {
                prop_assert!(line.chars().count() <= width, "{:?}", wrapped);
            }
        }
    }
}
