//! Formatting for people.

use cloister_model::{ByteSize, Isolation, WallState, escape};
use serde::Serialize;
use std::fmt::Write as _;

/// A value as JSON. Characters that can affect a terminal are written as JSON escapes, because names in the value are
/// untrusted and JSON itself escapes nothing beyond ASCII. A parser reads the same names.
pub(super) fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        let is_plain = matches!(character, ' '..='~' | '\n') || {
            let mut own = [0; 4];
            let own = character.encode_utf8(&mut own);
            escape(own.as_bytes(), 1).to_string() == *own
        };
        if is_plain {
            safe.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        }
    }
    Ok(safe)
}

/// A size, rounded for reading.
pub(super) fn bytes(count: u64) -> String {
    ByteSize(count).rounded()
}

/// A duration, rounded for reading.
pub(super) fn millis(count: u64) -> String {
    if count < 1000 { format!("{count} ms") } else { format!("{:.1} s", count as f64 / 1000.0) }
}

/// A short duration, rounded for reading.
pub(super) fn micros(count: u64) -> String {
    if count < 1_000_000 { format!("{:.1} ms", count as f64 / 1000.0) } else { millis(count / 1000) }
}

/// A number of things.
pub(super) fn count(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// An untrusted name, escaped and cut.
pub(super) fn name(text: &str) -> String {
    escape(text.as_bytes(), 120).to_string()
}

/// The state of the walls, in one or more lines.
pub(super) fn isolation(isolation: &Isolation) -> String {
    let mut text = String::new();
    let missing: Vec<_> = isolation.missing().collect();
    if missing.is_empty() {
        text.push_str("complete:");
        for (index, (wall, state)) in isolation.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = match state {
                WallState::Enforced { detail } if detail.starts_with("ABI") => {
                    write!(text, "{comma} {wall:?} {detail}")
                }
                _ => write!(text, "{comma} {wall:?}"),
            };
        }
    } else {
        text.push_str("INCOMPLETE:");
        for (wall, state) in missing {
            let detail = match state {
                Some(WallState::Partial { detail }) => format!("in part ({detail})"),
                Some(WallState::Absent { detail }) => format!("missing ({detail})"),
                Some(WallState::Enforced { .. }) | None => "missing".to_owned(),
            };
            let _ = write!(text, "\n             {wall:?}: {detail}");
        }
    }
    text
}

/// The first line of a summary, bold on a terminal.
pub(super) fn headline(text: &str) -> String {
    if std::io::IsTerminal::is_terminal(&std::io::stdout()) { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_escapes_terminal_characters_and_keeps_its_meaning() {
        let names = ["a\u{1b}[2J\n", "\u{9b}31m\u{7f}", "\u{202e}gnp", "\u{e0001}", "päng \\ \" 日本"];
        let text = json(&names).expect("JSON");
        assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}' || c == '\u{e0001}'), "{text}");
        assert!(text.contains("päng") && text.contains("日本"));
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).expect("JSON"), names);
    }
}
