use super::width;
use crate::folder::with_slashes;
use cloister_model::escape;
use serde_json::Value;
use std::{
    io::{self, Write},
    path::Path,
};

/// How answers are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// The answer of the service as it came
    Json,
    /// The same as YAML
    Yaml,
}

/// Untrusted text on one line: escaped, and cut after 500 characters.
pub(crate) fn shown(text: &str) -> String {
    escape(text.as_bytes(), 500).to_string()
}

/// A path of this machine on one line, with `/` between names on Windows, too: `\` would be escaped.
pub(crate) fn shown_path(path: &Path) -> String {
    shown(&with_slashes(&path.to_string_lossy()))
}

/// Prints one line.
///
/// # Errors
/// If the output cannot be written, for example because its reader closed it.
pub(crate) fn print_line(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Prints a sentence for people, in lines that fit on the terminal.
///
/// # Errors
/// As for [`print_line`].
pub(crate) fn print_text(text: &str) -> io::Result<()> {
    print_line(&width::wrap_text(text, width::of_stdout()))
}

/// Prints a field for people: its name in a column of so many characters, and its value beside it.
///
/// # Errors
/// As for [`print_line`].
pub(crate) fn print_field(name: &str, column: usize, value: &str) -> io::Result<()> {
    print_line(&width::wrap(&format!("{name:<column$}{value}"), width::of_stdout(), column))
}

/// Prints a document as JSON or YAML. For tables, which the caller prints, this falls back to JSON.
///
/// # Errors
/// If the output cannot be written, for example because its reader closed it.
pub(crate) fn print_document(format: Format, document: &Value) -> io::Result<()> {
    let text = match format {
        Format::Table | Format::Json => json(document),
        Format::Yaml => yaml(document),
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// JSON in which every character that a terminal could interpret is written as `\u....`. It is the same document.
pub(super) fn json(document: &Value) -> String {
    safe(format!("{document:#}\n"))
}

/// The same on one line, without its end.
pub(crate) fn json_line(document: &Value) -> String {
    safe(document.to_string())
}

fn safe(json: String) -> String {
    if !json.chars().any(is_control) {
        return json;
    }
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if is_control(character) {
            // Such characters occur only inside strings in JSON.
            for unit in character.encode_utf16(&mut [0; 2]) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// YAML. If that would contain characters that a terminal could interpret: JSON, which is also YAML.
fn yaml(document: &Value) -> String {
    match serde_saphyr::to_string(document) {
        Ok(text) if !text.chars().any(is_control) => format!("{}\n", text.trim_end_matches('\n')),
        _ => json(document),
    }
}

/// Whether a terminal could interpret the character, or it would hide or reorder text.
fn is_control(character: char) -> bool {
    let mut bytes = [0; 4];
    let text = character.encode_utf8(&mut bytes);
    !matches!(character, '\n' | '\\') && escape(text.as_bytes(), 1).to_string() != *text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn control_characters_are_written_as_escapes() {
        let document = json!({"name": "a\u{9b}31m\u{202e}\u{1b}[2J\u{e0041}", "path": "c:\\x"});
        for text in [json(&document), json_line(&document)] {
            assert!(!text.chars().any(is_control), "{text}");
            assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), document);
        }
        assert_eq!(json_line(&document).lines().count(), 1);
    }

    proptest! {
        #[test]
        fn printing_does_not_change_a_document(name: String, text: String, number: i32) {
            let document = json!({name: [text, number]});
            for written in [json(&document), yaml(&document)] {
                prop_assert!(!written.chars().any(is_control), "{written}");
                prop_assert_eq!(&serde_saphyr::from_str::<Value>(&written).expect("YAML"), &document);
            }
            prop_assert_eq!(serde_json::from_str::<Value>(&json(&document)).expect("JSON"), document);
        }
    }
}
