use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, hash, str::FromStr};

/// The name of an account: an Ethereum address in Ocean's world, or any short name where an operator has other accounts.
///
/// Kept as written, because Ocean's signatures cover the letters as sent. Two addresses are the same if they differ in
/// letter case only (Ocean compares them in lower case); other names must be equal.
#[derive(Clone)]
pub struct Account {
    written: String,
    key: String,
}

/// The text is not an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an account has 1 to 128 printable ASCII characters, no space, and is not `*`")]
pub struct AccountError;

impl Account {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The one spelling that equal accounts share: to sort and to look up by.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl FromStr for Account {
    type Err = AccountError;

    fn from_str(text: &str) -> Result<Self, AccountError> {
        if !(1..=128).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_graphic()) || text == "*" {
            return Err(AccountError);
        }
        let address = text.len() == 42
            && (text.starts_with("0x") || text.starts_with("0X"))
            && text.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit());
        let key = if address { text.to_ascii_lowercase() } else { text.to_owned() };
        Ok(Self { written: text.to_owned(), key })
    }
}

impl PartialEq for Account {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Account {}

impl PartialOrd for Account {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Account {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl hash::Hash for Account {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({})", self.written)
    }
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_without_letter_case_and_names_with_it() {
        let account = |text: &str| text.parse::<Account>().expect("an account");
        let (mixed, lower) =
            ("0x52A4Fc5B2cD5Cb0F3dF6c6E0f2Ee9d8C1B7a0bE1", "0x52a4fc5b2cd5cb0f3df6c6e0f2ee9d8c1b7a0be1");
        assert_eq!(account(mixed), account(lower));
        assert_eq!(account(mixed).as_str(), mixed);
        assert_ne!(account("Alice"), account("alice"));
    }

    #[test]
    fn refuses_what_is_no_account() {
        for text in ["", "*", "a b", "a\n", "é", &"x".repeat(129)] {
            assert_eq!(text.parse::<Account>(), Err(AccountError), "{text:?}");
        }
    }
}
