use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970, now.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A moment so far from now, as RFC 3339 in UTC.
pub(crate) fn in_future(after: Duration) -> String {
    write_time(now().saturating_add(after.as_secs()))
}

/// Seconds since 1970 as RFC 3339 in UTC. After the year 9999: its end.
pub(crate) fn write_time(seconds: u64) -> String {
    let seconds = seconds.min(253_402_300_799);
    // Days from civil, turned around: Howard Hinnant, "chrono-compatible low-level date algorithms".
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Seconds since 1970 of a moment in RFC 3339, in UTC (as the service writes them); none for anything else.
fn read_time(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
    };
    let is = |place: usize, letter: char| text.get(place..)?.starts_with(letter).then_some(());
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')]
        .into_iter()
        .try_for_each(|(place, letter)| is(place, letter))?;
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !fits || year < 1970 || !text.ends_with('Z') {
        return None;
    }
    let (year, shifted) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some((days.checked_sub(719_468)?) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// How long ago a moment was, in one unit; the text itself if it is none.
pub(crate) fn age(text: &str) -> String {
    match read_time(text) {
        Some(then) => span(now().saturating_sub(then)),
        None => text.to_owned(),
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!((write_time(seconds).as_str(), read_time(text)), (text, Some(seconds)));
        }
        assert_eq!(read_time("2023-11-14T22:13:20.123Z"), Some(1_700_000_000));
        for text in
            ["", "yesterday", "2023-11-14", "2023-13-14T22:13:20Z", "2023-11-14T22:13:20+01:00", "é023-11-14T22:13:20Z"]
        {
            assert_eq!(read_time(text), None, "{text}");
        }
    }

    #[test]
    fn an_age_has_one_unit() {
        assert_eq!([0, 119, 120, 7200, 172_800].map(span), ["0s", "119s", "2m", "2h", "2d"]);
        assert_eq!(age("never"), "never");
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(seconds in 0..253_402_300_799_u64) {
            prop_assert_eq!(read_time(&write_time(seconds)), Some(seconds));
        }

        #[test]
        fn any_text_is_taken(text: String) {
            let _ = age(&text);
        }
    }
}
