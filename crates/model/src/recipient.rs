use bech32::{Bech32, primitives::decode::CheckedHrpstring};
use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, str::FromStr};

/// Points of X25519 of low order, their highest bit aside (<https://cr.yp.to/ecdh.html#validate>): with them there is no secret. age
/// takes such a key for a failure of the system, and panics.
const LOW_ORDER: [[u8; 32]; 7] = [
    [
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    ],
    [
        0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    ],
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
    [
        0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
    [
        0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];

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
        let mut point = [0; 32];
        point.iter_mut().zip(parsed.byte_iter()).for_each(|(to, byte)| *to = byte);
        point[31] &= 0x7f;
        if is_key && !LOW_ORDER.contains(&point) { Ok(Self(text.to_owned())) } else { Err(AgeRecipientError) }
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

    /// age panics at them when it encrypts.
    #[test]
    fn a_key_that_makes_no_secret_is_refused() {
        for text in [
            "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z",
            "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqzqqsuwj9m",
            "age1qyqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqj7vrya",
            "age1ur4h5lpmgxu2u9jku0a0r87ydtdqnr0tnsetrlvxvgz3vh6fhqqqzyt4v9",
            "age1t7wft09r2zxzfvwsk92eeql0tvzyghxytqwgapkcyf8dm5ylz9ts6wm9s8",
            "age1anlllllllllllllllllllllllllllllllllllllllllllllllals4n2t7m",
            "age1ahlllllllllllllllllllllllllllllllllllllllllllllllalsn46ayy",
            "age1amlllllllllllllllllllllllllllllllllllllllllllllllalselrwrv",
            "age1amlllllllllllllllllllllllllllllllllllllllllllllllllsam3fc4",
        ] {
            assert!(CheckedHrpstring::new::<Bech32>(text).is_ok(), "{text}");
            assert_eq!(text.parse::<AgeRecipient>(), Err(AgeRecipientError), "{text}");
        }
    }
}
