use cloister_model::Timestamp;
use std::{fmt, str::FromStr, time::Duration};

/// Makes a signed text valid once (replay protection): the Unix time of signing, as decimal digits, in seconds, milliseconds,
/// microseconds or nanoseconds, with a fraction if the signer's clock has one.
///
/// Which unit it is shows in its size: Ocean's clients use all four, and the next few thousand years of one are not those
/// of another. The text is kept as signed: two texts of the same moment are two nonces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nonce {
    text: String,
    signed: Timestamp,
}

/// How long a signed text is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NonceWindow {
    /// After it was signed.
    pub(crate) back: Duration,
    /// Before, for clocks that are ahead of ours.
    pub(crate) ahead: Duration,
}

/// Why a nonce is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NonceError {
    /// Not a time.
    #[error("a nonce is the present Unix time in decimal digits, in s, ms, us or ns")]
    Form,
    /// Signed too long ago.
    #[error("the nonce is older than {0} s; sign the request again, and check the clock if it happens again")]
    Old(u64),
    /// Signed in the future.
    #[error("the nonce is more than {0} s in the future; check the clock and sign the request again")]
    Early(u64),
}

/// Digits before the fraction, and of the fraction.
const MOST_DIGITS: usize = 20;

/// The first number that is a time in milliseconds, in microseconds, in nanoseconds. As seconds they would be the year
/// 5138 or later, as the next unit 1973 or earlier.
const FIRST_MS: u128 = 100_000_000_000;
const FIRST_US: u128 = FIRST_MS * 1000;
const FIRST_NS: u128 = FIRST_US * 1000;

impl Nonce {
    /// As it was signed.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Nonce {
    type Err = NonceError;

    fn from_str(text: &str) -> Result<Self, NonceError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| (1..=MOST_DIGITS).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        // One spelling for a number: no leading zero.
        if !digits(whole) || !digits(fraction) || whole.starts_with('0') {
            return Err(NonceError::Form);
        }
        let number: u128 = whole.parse().map_err(|_| NonceError::Form)?;
        let ms = match number {
            ..FIRST_MS => number * 1000 + first_three(fraction),
            FIRST_MS..FIRST_US => number,
            FIRST_US..FIRST_NS => number / 1000,
            FIRST_NS.. => number / 1_000_000,
        };
        let signed = u64::try_from(ms).map(Timestamp::from_unix_ms).map_err(|_| NonceError::Form)?;
        Ok(Self { text: text.to_owned(), signed })
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The milliseconds in a fraction of a second.
fn first_three(fraction: &str) -> u128 {
    fraction.bytes().chain(*b"000").take(3).fold(0, |ms, digit| ms * 10 + u128::from(digit - b'0'))
}

impl NonceWindow {
    /// Whether a text that was signed with this nonce is good now. Says until when the nonce must be remembered, so that
    /// it never is good a second time.
    ///
    /// # Errors
    /// [`NonceError::Old`], [`NonceError::Early`].
    pub(crate) fn admit(&self, nonce: &Nonce, now: Timestamp) -> Result<Timestamp, NonceError> {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (signed, now) = (nonce.signed.unix_ms(), now.unix_ms());
        let good_until = signed.saturating_add(ms(self.back));
        if good_until < now {
            return Err(NonceError::Old(self.back.as_secs()));
        }
        if now.saturating_add(ms(self.ahead)) < signed {
            return Err(NonceError::Early(self.ahead.as_secs()));
        }
        // A little longer, for a clock that is set back a little meanwhile.
        Ok(Timestamp::from_unix_ms(good_until.saturating_add(ms(self.back)).saturating_add(1)))
    }
}

impl Default for NonceWindow {
    /// Five minutes, and half a minute for clocks.
    fn default() -> Self {
        Self { back: Duration::from_secs(5 * 60), ahead: Duration::from_secs(30) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn signed(text: &str) -> Result<u64, NonceError> {
        text.parse::<Nonce>().map(|nonce| nonce.signed.unix_ms())
    }

    #[test]
    fn the_unit_shows_in_the_size() {
        for (text, ms) in [
            ("1795363289", 1_795_363_289_000),
            ("1795363289.8", 1_795_363_289_800),
            ("1795363289.0219999", 1_795_363_289_021),
            ("1795363289633", 1_795_363_289_633),
            ("1795363289633.5", 1_795_363_289_633),
            ("1795363289633593", 1_795_363_289_633),
            ("1795363289633593301", 1_795_363_289_633),
        ] {
            assert_eq!(signed(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn refuses_other_texts() {
        for text in
            ["", "0", "01795363289", "-1", "+1", "1e9", "0x1", "1_0", " 1", "1 ", "1.", ".1", "1.2.3", "١", "NaN"]
        {
            assert_eq!(signed(text), Err(NonceError::Form), "{text:?}");
        }
        assert_eq!(signed(&"9".repeat(MOST_DIGITS + 1)), Err(NonceError::Form));
        assert_eq!(signed(&format!("1.{}", "9".repeat(MOST_DIGITS + 1))), Err(NonceError::Form));
    }

    #[test]
    fn is_fresh_within_the_window_only() {
        let nonce: Nonce = "1795363289000".parse().expect("a nonce");
        let admit = |now| NonceWindow::default().admit(&nonce, Timestamp::from_unix_ms(now));
        let at = 1_795_363_289_000;
        assert!(admit(at).is_ok() && admit(at - 30_000).is_ok() && admit(at + 300_000).is_ok());
        assert_eq!(admit(at - 30_001), Err(NonceError::Early(30)));
        assert_eq!(admit(at + 300_001), Err(NonceError::Old(300)));
        assert_eq!(admit(0), Err(NonceError::Early(30)));
        assert_eq!(admit(u64::MAX), Err(NonceError::Old(300)));
    }

    proptest! {
        #[test]
        fn a_nonce_is_remembered_for_longer_than_it_is_good(signed in 1_u64..1 << 40, now in 1_u64..1 << 40, back in 0_u64..1 << 20) {
            let window = NonceWindow { back: Duration::from_millis(back), ahead: Duration::from_secs(30) };
            let nonce = Nonce { text: String::new(), signed: Timestamp::from_unix_ms(signed) };
            if let Ok(until) = window.admit(&nonce, Timestamp::from_unix_ms(now)) {
                prop_assert!(until > Timestamp::from_unix_ms(now));
                prop_assert!(matches!(window.admit(&nonce, until), Err(NonceError::Old(_))));
            }
        }

        #[test]
        fn every_unit_of_a_moment_is_that_moment(ns in 100_000_000_000_000_000_u64..9_000_000_000_000_000_000) {
            let seconds = signed(&(ns / 1_000_000_000).to_string()).expect("a nonce");
            let fine = signed(&ns.to_string()).expect("a nonce");
            prop_assert!(fine - seconds < 1000);
            prop_assert_eq!(signed(&(ns / 1_000_000).to_string()), Ok(fine));
            prop_assert_eq!(signed(&(ns / 1000).to_string()), Ok(fine));
        }
    }
}
