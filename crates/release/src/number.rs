//! Numbers, as texts have them, against the least that they may be.

use cloister_model::{NumberMinimum, Zero};

/// Whether a text is a number that keeps a minimum; none if it is not a number.
pub(super) fn keeps(text: &[u8], minimum: NumberMinimum) -> Option<bool> {
    let NumberMinimum { least, zero } = minimum;
    let text = str::from_utf8(text).ok()?.trim_matches(' ');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits {
        // Too large for 64 bits is large enough.
        return Some(text.parse::<u64>().map_or(true, |value| value >= least || (value == 0 && zero == Zero::Allowed)));
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    // A group's size is far below where a float stops to be exact.
    #[expect(clippy::cast_precision_loss, reason = "compared with a number that has the same precision")]
    let least = least as f64;
    // A number that is too small for a float is not 0: its digits say so.
    let has_digit = |digits: &str| digits.contains(|digit: char| matches!(digit, '1'..='9'));
    let is_zero = value == 0.0 && !text.split(['e', 'E']).next().is_some_and(has_digit);
    Some(value.is_finite() && (value >= least || (is_zero && zero == Zero::Allowed)))
}

/// What a number must be, in a sentence.
pub(super) fn described(NumberMinimum { least, zero }: NumberMinimum) -> String {
    match zero {
        Zero::Refused => format!("at least {least}"),
        Zero::Allowed => format!("0 or at least {least}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whole_numbers_compare_exactly(value: u64, least: u64) {
            let minimum = NumberMinimum { least, zero: Zero::Refused };
            prop_assert_eq!(keeps(value.to_string().as_bytes(), minimum), Some(value >= least));
        }
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        for (text, refused, allowed) in [
            ("10", Some(true), Some(true)),
            ("9", Some(false), Some(false)),
            (" 10 ", Some(true), Some(true)),
            ("0010", Some(true), Some(true)),
            ("99999999999999999999999", Some(true), Some(true)),
            ("0", Some(false), Some(true)),
            ("00", Some(false), Some(true)),
            ("0.0", Some(false), Some(true)),
            ("-0", Some(false), Some(true)),
            ("0e9", Some(false), Some(true)),
            ("1e-400", Some(false), Some(false)),
            ("0.5", Some(false), Some(false)),
            ("-3", Some(false), Some(false)),
            ("-20", Some(false), Some(false)),
            ("1e1", Some(true), Some(true)),
            ("10.5", Some(true), Some(true)),
            ("10x", None, None),
            ("<10", None, None),
            ("\u{661}\u{660}", None, None),
            ("9.99", Some(false), Some(false)),
            ("1e999", Some(false), Some(false)),
            ("", None, None),
            ("ten", None, None),
            ("NaN", None, None),
            ("inf", None, None),
            ("1,5", None, None),
            ("0x10", None, None),
            ("--1", None, None),
            ("e", None, None),
        ] {
            let minimum = |zero| NumberMinimum { least: 10, zero };
            assert_eq!(keeps(text.as_bytes(), minimum(Zero::Refused)), refused, "{text:?}");
            assert_eq!(keeps(text.as_bytes(), minimum(Zero::Allowed)), allowed, "{text:?}, zero allowed");
        }
        assert_eq!(keeps(b"\xff", NumberMinimum { least: 0, zero: Zero::Refused }), None);
    }
}
