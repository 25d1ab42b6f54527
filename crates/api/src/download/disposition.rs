/// Characters of a file's name that are kept.
const MOST_CHARACTERS: usize = 120;

/// `Content-Disposition` for a file that a guest named: to be stored, under a name that is safe everywhere. The last segment
/// of its path, all but ASCII letters, digits, `.`, `-` and `_` replaced, no dot in front; and the whole last segment,
/// percent-encoded, for clients that know how to (RFC 6266).
pub(super) fn attachment(path: &str) -> String {
    let segment: String = path.rsplit('/').next().unwrap_or_default().chars().take(MOST_CHARACTERS).collect();
    let safe: String = segment
        .chars()
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' | '_' => character,
            _ => '_',
        })
        .collect();
    let safe = match safe.trim_start_matches('.') {
        "" => "file",
        safe => safe,
    };
    if safe == segment {
        return format!("attachment; filename=\"{safe}\"");
    }
    let mut encoded = String::new();
    for byte in segment.trim_start_matches('.').bytes() {
        if byte.is_ascii_alphanumeric() || b".-_".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    if encoded.is_empty() {
        format!("attachment; filename=\"{safe}\"")
    } else {
        format!("attachment; filename=\"{safe}\"; filename*=UTF-8''{encoded}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_last_segment_and_no_tricks() {
        for (path, expected) in [
            ("a/result.csv", r#"attachment; filename="result.csv""#),
            ("../../.bashrc", r#"attachment; filename="bashrc"; filename*=UTF-8''bashrc"#),
            ("..", r#"attachment; filename="file""#),
            ("é\"\r\n.txt", r#"attachment; filename="____.txt"; filename*=UTF-8''%C3%A9%22%0D%0A.txt"#),
        ] {
            assert_eq!(attachment(path), expected);
        }
    }

    proptest! {
        #[test]
        fn is_always_a_header(path in "\\PC{0,200}|[\\x00-\\x7f]{0,200}") {
            let value = attachment(&path);
            prop_assert!(value.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            prop_assert_eq!(value.matches('"').count(), 2);
            prop_assert!(!value.contains('/') && !value.contains('\\'));
        }
    }
}
