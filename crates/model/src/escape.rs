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

/// Characters that change how their surroundings are shown, or are not shown at all (Unicode TR 36, section 3): with them, two names
/// look like one. They are those of the property `Default_Ignorable_Code_Point`, and lines and their ends.
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
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

    #[test]
    fn what_is_not_shown_is_escaped_and_letters_stay() {
        for invisible in [
            "\u{34f}",
            "\u{115f}",
            "\u{17b5}",
            "\u{180b}",
            "\u{3164}",
            "\u{fe0f}",
            "\u{ffa0}",
            "\u{1bca0}",
            "\u{1d173}",
        ] {
            let shown = escape(format!("a{invisible}b").as_bytes(), 99).to_string();
            assert_eq!(shown, format!("a{}b", invisible.escape_unicode()));
        }
        for text in ["한국어", "ភាសា", "ﾊﾝ", "😀", "a b", "𝄞"] {
            assert_eq!(escape(text.as_bytes(), 99).to_string(), text);
        }
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
