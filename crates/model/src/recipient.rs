use bech32::{Bech32, primitives::decode::CheckedHrpstring};
use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, str::FromStr};

/// A public key that results are encrypted to: an age X25519 recipient (`age1...`).
///
/// Checked when a job is submitted, because a typing error would otherwise show only when the results exist and cannot be
/// stored. A public key is not a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AgeRecipient(String);

/// The text is not an age recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an age recipient (`age1` and 58 characters); `age-keygen` prints one")]
pub struct AgeRecipientError;

impl AgeRecipient {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgeRecipient {
    type Err = AgeRecipientError;

    /// Only lower case, as age writes it.
    fn from_str(text: &str) -> Result<Self, AgeRecipientError> {
        let parsed = CheckedHrpstring::new::<Bech32>(text).map_err(|_| AgeRecipientError)?;
        let is_key = text.starts_with("age1") && parsed.byte_iter().len() == 32 && text.len() == 62;
        if is_key { Ok(Self(text.to_owned())) } else { Err(AgeRecipientError) }
    }
}

impl fmt::Display for AgeRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AgeRecipient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the specification of age.
    const GOOD: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    #[test]
    fn a_typing_error_is_found() {
        assert_eq!(GOOD.parse::<AgeRecipient>().map(|recipient| recipient.to_string()), Ok(GOOD.to_owned()));
        for (at, _) in GOOD.char_indices().skip(4) {
            let mut text = GOOD.to_owned();
            let other = if &text[at..=at] == "q" { "p" } else { "q" };
            text.replace_range(at..=at, other);
            assert_eq!(text.parse::<AgeRecipient>(), Err(AgeRecipientError), "{text}");
        }
        let other_prefix = "npub1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73eq0j2g4x";
        for text in ["", "age1", "ssh-ed25519 AAAA", &GOOD.to_uppercase(), &GOOD[..61], other_prefix] {
            assert_eq!(text.parse::<AgeRecipient>(), Err(AgeRecipientError), "{text}");
        }
        assert!(serde_json::from_str::<AgeRecipient>("\"age1\"").is_err());
    }
}
