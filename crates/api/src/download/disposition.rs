use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters of a file's name that are kept.
const MOST_CHARACTERS: usize = 120;

/// The characters that are percent-encoded in a name.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

/// `Content-Disposition` for a file that a guest named: an attachment with a name that is safe everywhere. The name is the last
/// segment of the path, with everything but ASCII letters, digits, `.`, `-` and `_` replaced, and without dots in front. The
/// whole last segment follows percent-encoded, for clients that understand it (RFC 6266).
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
    match utf8_percent_encode(segment.trim_start_matches('.'), ENCODED).to_string() {
        encoded if encoded.is_empty() => format!("attachment; filename=\"{safe}\""),
        encoded => format!("attachment; filename=\"{safe}\"; filename*=UTF-8''{encoded}"),
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
