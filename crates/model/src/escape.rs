use std::fmt;

/// Text that a stranger chose, made safe to show: see [`escape`].
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a> {
    bytes: &'a [u8],
    limit: usize,
}

/// Shows bytes a stranger chose without letting them act: no terminal escape, no line break, no direction override.
///
/// Printable ASCII and printable letters beyond it stay; backslash, controls, the invisible and direction-changing
/// characters of Unicode, and bytes that are no UTF-8 become `\n`, `\u{..}` or `\x..`. After `limit` characters of
/// input the rest is left out and said so.
#[must_use]
pub fn escape(bytes: &[u8], limit: usize) -> Escaped<'_> {
    Escaped { bytes, limit }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = 0;
        for chunk in self.bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                if shown == self.limit {
                    return f.write_str("…");
                }
                shown += 1;
                if character == '\\' || is_unsafe(character) {
                    write!(f, "{}", character.escape_default())?;
                } else {
                    write!(f, "{character}")?;
                }
            }
            for byte in chunk.invalid() {
                if shown == self.limit {
                    return f.write_str("…");
                }
                shown += 1;
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Characters that change how their surroundings are shown, or are not shown at all (Unicode TR 36, section 3).
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_terminal_sequences_and_line_breaks() {
        assert_eq!(escape(b"a\x1b[31mred\r\n", 99).to_string(), r"a\u{1b}[31mred\r\n");
        assert_eq!(escape("päng\u{202e}gnp".as_bytes(), 99).to_string(), r"päng\u{202e}gnp");
        assert_eq!(escape(b"\xff\\", 99).to_string(), r"\xff\\");
        assert_eq!(escape(b"\xc2\x9b31m", 99).to_string(), r"\u{9b}31m");
        assert_eq!(escape(b"abcdef", 3).to_string(), "abc…");
    }

    proptest! {
        #[test]
        fn never_lets_a_control_character_through(bytes: Vec<u8>, limit in 0_usize..64) {
            let shown = escape(&bytes, limit).to_string();
            prop_assert!(!shown.chars().any(is_unsafe));
            prop_assert!(shown.chars().count() <= limit * 10 + 1);
        }
    }
}
