use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The time that is `after` from now, as RFC 3339 in UTC.
pub(crate) fn in_future(after: Duration) -> String {
    let after = SignedDuration::try_from(after).unwrap_or(SignedDuration::MAX);
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::MAX);
    now.checked_add(after).unwrap_or(Timestamp::MAX).to_string()
}

/// Seconds since 1970 as RFC 3339 in UTC. Times after the year 9999 are shown as the last one of that year.
pub(crate) fn write_time(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.unwrap_or(Timestamp::MAX).to_string()
}

/// Whether an RFC 3339 time has passed. Text that is not such a time has not.
pub(crate) fn has_passed(text: &str) -> bool {
    text.parse::<Timestamp>().is_ok_and(|then| then <= Timestamp::now())
}

/// How long ago an RFC 3339 time was, in one unit. Text that is not such a time is returned unchanged.
pub(crate) fn age(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(then) => span(Timestamp::now().duration_since(then).as_secs()),
        Err(_) => text.to_owned(),
    }
}

/// A duration in its largest fitting unit. Times in the future, which clocks that differ produce, are `0s`.
fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_written_as_the_service_writes_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(write_time(seconds), text);
        }
        for seconds in [253_402_300_800, u64::MAX] {
            assert!(write_time(seconds).starts_with("9999-12-"), "{seconds}");
        }
    }

    #[test]
    fn an_age_has_one_unit() {
        assert_eq!([-5, 0, 119, 120, 7200, 172_800].map(span), ["0s", "0s", "119s", "2m", "2h", "2d"]);
        assert!(age("1970-01-01T00:00:00.5Z").ends_with('d'));
        for text in ["never", "", "2023-11-14", "2023-13-14T22:13:20Z"] {
            assert_eq!(age(text), text);
        }
    }

    #[test]
    fn a_time_in_the_future_is_whole_seconds_and_saturates() {
        assert_eq!(in_future(Duration::from_secs(60)).len(), "2023-11-14T22:13:20Z".len());
        assert!(in_future(Duration::MAX).starts_with("9999-12-"));
    }

    proptest! {
        #[test]
        fn any_text_is_accepted(text: String) {
            let _ = age(&text);
        }
    }
}
