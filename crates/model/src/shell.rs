//! A text as a shell would split it into words, without a shell.

use std::borrow::Cow;

/// What a character outside quotation marks means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    /// Itself.
    Itself,
    /// The end of a word.
    Blank,
    /// An operator: as often as it is repeated, a word of its own, which begins with [`OPERATOR`]. After a word without a blank, a shell
    /// might see a part of it in that word, so that only a shell could do it.
    Operator,
    /// Something that only a shell could do.
    Shell,
}

/// What the word of an operator begins with. The caller sees to it that the text has none.
pub(crate) const OPERATOR: char = '\u{2}';

/// Why a text cannot be split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unsplit {
    /// A quotation mark is not closed, or it ends with a backslash.
    Unfinished,
    /// This needs a shell.
    Shell(String),
}

/// What stands in the place of a variable, and what follows its name; or the variable, if it needs a shell.
type Variable<'a> = Result<(Cow<'static, str>, &'a str), String>;

/// Splits a text into words, with quotation marks and backslashes. `plain` says what a character outside them means, and is told whether a
/// word would begin with it; `variable` reads what follows a `$`.
///
/// # Errors
/// [`Unsplit`], of what comes first.
pub(crate) fn split(
    text: &str,
    plain: impl Fn(char, bool) -> Plain,
    variable: impl Fn(&str) -> Variable<'_>,
) -> Result<Vec<String>, Unsplit> {
    let mut words = Vec::new();
    // None between words.
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        match (quote, next) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), other) => word.get_or_insert_default().push(other),
            (None, '\'' | '"') => {
                quote = Some(next);
                word.get_or_insert_default();
            }
            (_, '\\') => {
                let Some(escaped) = rest.chars().next() else { return Err(Unsplit::Unfinished) };
                rest = &rest[escaped.len_utf8()..];
                let word = word.get_or_insert_default();
                // Within double quotes a backslash stands for itself unless it would hide one of these.
                if quote == Some('"') && !matches!(escaped, '"' | '\\' | '$' | '`') {
                    word.push('\\');
                }
                word.push(escaped);
            }
            (_, '$') => {
                let (value, left) = variable(rest).map_err(Unsplit::Shell)?;
                rest = left;
                word.get_or_insert_default().push_str(&value);
            }
            (_, '`') => return Err(Unsplit::Shell('`'.to_string())),
            (Some(_), other) => word.get_or_insert_default().push(other),
            (None, other) => match plain(other, word.is_none()) {
                Plain::Itself => word.get_or_insert_default().push(other),
                Plain::Blank => words.extend(word.take()),
                Plain::Operator if word.is_none() => {
                    let left = rest.trim_start_matches(other);
                    let more = &rest[..rest.len() - left.len()];
                    words.push(format!("{OPERATOR}{other}{more}"));
                    rest = left;
                }
                Plain::Operator | Plain::Shell => return Err(Unsplit::Shell(other.to_string())),
            },
        }
    }
    if quote.is_some() {
        return Err(Unsplit::Unfinished);
    }
    words.extend(word);
    Ok(words)
}
