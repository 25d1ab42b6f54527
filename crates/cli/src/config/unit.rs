//! Sizes and durations with units. Sizes are read as the `sandbox` program reads them.

use cloister_model::ByteSize;
use std::{str::FromStr, time::Duration};

/// A number of bytes, written with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// The units that sizes are shown in, largest first.
const BINARY: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl FromStr for Size {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse::<ByteSize>().map(|ByteSize(bytes)| Self(bytes)).map_err(drop)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = BINARY.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        match whole {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

/// A duration, written as numbers with units. Milliseconds are the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// The units of durations, largest first.
const SPANS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

impl Span {
    /// In milliseconds. Saturates.
    pub(crate) fn ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (mut rest, mut ms) = (text.trim(), 0_u64);
        if rest.is_empty() {
            return Err(());
        }
        while !rest.is_empty() {
            let end = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or(())?;
            let (number, after) = rest.split_at(end);
            let end = after.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(after.len());
            let (unit, after) = after.split_at(end);
            let (_, factor) = SPANS.iter().find(|(name, _)| *name == unit).ok_or(())?;
            let part = number.parse::<u64>().map_err(|_| ())?.checked_mul(*factor).ok_or(())?;
            ms = ms.checked_add(part).ok_or(())?;
            rest = after.trim_start();
        }
        Ok(Self(Duration::from_millis(ms)))
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut left = self.ms();
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in SPANS {
            if left >= factor {
                write!(f, "{}{unit}", left / factor)?;
                left %= factor;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("17B", 17),
            ("1KiB", 1024),
            ("1k", 1024),
            ("512 MiB", 512 << 20),
            ("100G", 100 << 30),
            ("1kB", 1000),
            ("2GB", 2_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5GiB", "1 XB", "99999999TiB"] {
            assert_eq!(text.parse::<Size>(), Err(()), "{text}");
        }
    }

    #[test]
    fn durations_have_units() {
        for (text, ms) in [("0s", 0), ("30m", 1_800_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("5ms", 5)] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(ms))), "{text}");
        }
        for text in ["", "30", "m", "1w", "1h30", "-1s", "999999999999999999d"] {
            assert_eq!(text.parse::<Span>(), Err(()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read_again(bytes: u64, ms: u64) {
            prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
            let span = Span(Duration::from_millis(ms));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn any_text_is_accepted(text: String) {
            let _ = (text.parse::<Size>(), text.parse::<Span>());
        }
    }
}
