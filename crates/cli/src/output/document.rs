use cloister_model::escape;
use serde_json::Value;
use std::io::{self, Write};

/// How answers are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// As the service answers
    Json,
    /// The same as YAML
    Yaml,
}

/// A stranger's text on one line, cut to a length that one would read.
pub(crate) fn shown(text: &str) -> String {
    escape(text.as_bytes(), 500).to_string()
}

/// Prints one line.
///
/// # Errors
/// If nobody reads it.
pub(crate) fn print_line(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Says something to whoever watches, beside the output. Nobody has to be there.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints a document in a format other than a table (which is the caller's business, and JSON here).
///
/// # Errors
/// If nobody reads it.
pub(crate) fn print_document(format: Format, document: &Value) -> io::Result<()> {
    let text = match format {
        Format::Table | Format::Json => json(document),
        Format::Yaml => yaml(document),
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// JSON in which every character that a terminal could act on is written as `\u....`: the same document.
fn json(document: &Value) -> String {
    let mut text = format!("{document:#}\n");
    if text.chars().any(acts) {
        let mut safe = String::with_capacity(text.len());
        for character in text.chars() {
            if acts(character) {
                // Outside strings, JSON has none of these.
                for unit in character.encode_utf16(&mut [0; 2]) {
                    safe.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                safe.push(character);
            }
        }
        text = safe;
    }
    text
}

/// YAML; where that would need characters that act, JSON, which is YAML, too.
fn yaml(document: &Value) -> String {
    match serde_saphyr::to_string(document) {
        Ok(text) if !text.chars().any(acts) => text,
        _ => json(document),
    }
}

fn acts(character: char) -> bool {
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
    fn what_acts_is_written_as_numbers() {
        let document = json!({"name": "a\u{9b}31m\u{202e}\u{1b}[2J\u{e0041}", "path": "c:\\x"});
        let text = json(&document);
        assert!(!text.chars().any(acts), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), document);
    }

    proptest! {
        #[test]
        fn documents_stay_what_they_are(name: String, text: String, number: i32) {
            let document = json!({name: [text, number]});
            for written in [json(&document), yaml(&document)] {
                prop_assert!(!written.chars().any(acts), "{written}");
                prop_assert_eq!(&serde_saphyr::from_str::<Value>(&written).expect("YAML"), &document);
            }
            prop_assert_eq!(serde_json::from_str::<Value>(&json(&document)).expect("JSON"), document);
        }
    }
}
