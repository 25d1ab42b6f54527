/// What part of a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// From the first byte to the last, both included.
    Bytes {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// Nothing that is there.
    Unsatisfiable,
}

/// Reads a `Range` header for a file of this size (RFC 9110, section 14). One range of bytes is honoured; what is malformed,
/// of another unit, or of several ranges is answered with the whole file, as the standard lets a server do.
pub(super) fn part(header: &str, bytes: u64) -> Part {
    let Some(range) = header.trim().strip_prefix("bytes=") else { return Part::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Part::Whole };
    if range.contains(',') {
        return Part::Whole;
    }
    match (number(first), number(last)) {
        (Digits::Number(first), Digits::None) if first < bytes => Part::Bytes { first, last: bytes - 1 },
        (Digits::Number(first), Digits::Number(last)) if first > last => Part::Whole,
        (Digits::Number(first), Digits::Number(last)) if first < bytes => {
            Part::Bytes { first, last: last.min(bytes - 1) }
        }
        (Digits::None, Digits::Number(suffix)) if suffix > 0 && bytes > 0 => {
            Part::Bytes { first: bytes.saturating_sub(suffix), last: bytes - 1 }
        }
        (Digits::Number(_), Digits::None | Digits::Number(_)) | (Digits::None, Digits::Number(_)) => {
            Part::Unsatisfiable
        }
        _ => Part::Whole,
    }
}

enum Digits {
    None,
    Number(u64),
    Other,
}

fn number(text: &str) -> Digits {
    match text.trim() {
        "" => Digits::None,
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            // A number beyond all numbers is beyond the file, too.
            Digits::Number(text.parse().unwrap_or(u64::MAX))
        }
        _ => Digits::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_cases_of_the_standard() {
        let bytes = |first, last| Part::Bytes { first, last };
        for (header, expected) in [
            ("bytes=0-499", bytes(0, 499)),
            ("bytes=500-999", bytes(500, 999)),
            ("bytes=-500", bytes(9500, 9999)),
            ("bytes=9500-", bytes(9500, 9999)),
            ("bytes=0-0", bytes(0, 0)),
            ("bytes=-1", bytes(9999, 9999)),
            ("bytes=-20000", bytes(0, 9999)),
            ("bytes=9999-20000", bytes(9999, 9999)),
            ("bytes=0-99999999999999999999999999", bytes(0, 9999)),
            ("bytes=10000-", Part::Unsatisfiable),
            ("bytes=10000-10001", Part::Unsatisfiable),
            ("bytes=-0", Part::Unsatisfiable),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-0,-1", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=--1", Part::Whole),
            ("items=0-1", Part::Whole),
            ("", Part::Whole),
        ] {
            assert_eq!(part(header, 10_000), expected, "{header}");
        }
        assert_eq!(part("bytes=0-", 0), Part::Unsatisfiable);
        assert_eq!(part("bytes=-1", 0), Part::Unsatisfiable);
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(header in "(bytes=)?[0-9]{0,22}-[0-9]{0,22}|\\PC{0,30}", size in 0_u64..100_000) {
            if let Part::Bytes { first, last } = part(&header, size) {
                prop_assert!(first <= last && last < size);
            }
        }

        #[test]
        fn what_is_there_is_given(first in 0_u64..1000, length in 1_u64..1000, more in 0_u64..1000) {
            let last = first + length - 1;
            prop_assert_eq!(part(&format!("bytes={first}-{last}"), last + 1 + more), Part::Bytes { first, last });
        }
    }
}
