//! Moments as texts (RFC 3339, UTC), as answers have them.

use cloister_model::Timestamp;

/// A moment as text, such as `2026-01-02T03:04:05.678Z`. Moments beyond the year 9999 become the last one that can be written.
pub(crate) fn write(at: Timestamp) -> String {
    let moment = i64::try_from(at.unix_ms()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", moment.unwrap_or(jiff::Timestamp::MAX))
}

/// Reads such a text, with or without a fraction of a second. Only UTC (`Z`), and not before 1970.
pub(crate) fn read(text: &str) -> Option<Timestamp> {
    // The parser accepts more forms than RFC 3339 has: other separators, annotations, no seconds.
    let punctuation = |place: usize| text.as_bytes().get(place).copied();
    let form = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !form.into_iter().all(|(place, byte)| punctuation(place) == Some(byte)) || !text.ends_with('Z') {
        return None;
    }
    let moment: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok().map(Timestamp::from_unix_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The last moment that can be written.
    const LAST_MS: u64 = 253_402_207_200_999;

    /// Reference values of `date -u -d @...`.
    #[test]
    fn writes_what_others_write() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_363_289_021, "2026-11-22T16:01:29.021Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (u64::MAX, "9999-12-30T22:00:00.999Z"),
        ] {
            assert_eq!(write(Timestamp::from_unix_ms(ms)), text);
        }
    }

    #[test]
    fn refuses_other_texts() {
        for text in [
            "",
            "2026-01-01",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+01:00",
            "1969-12-31T00:00:00Z",
            "2026-01-01T00:00:00.Z",
            "+026-01-01T00:00:00Z",
            "2026-1-01T00:00:00Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00Z[UTC]",
            "2026-01-01T00:00:00+00:00Z",
            "20260101T000000Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(ms in 0..=LAST_MS) {
            let at = Timestamp::from_unix_ms(ms);
            prop_assert_eq!(read(&write(at)), Some(at));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,30}") {
            let _ = read(&text);
        }
    }
}
