use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// The name of an asset, as Ocean writes it: `did:op:` and an identifier.
///
/// Ocean's identifiers are 64 hexadecimal digits; its tools and tests use shorter ones too, so any 1 to 64 ASCII
/// letters, digits, `-` or `_` are taken. That is enough to be safe as a path segment: no separator, no dot, no
/// control character, nothing that a file system folds.
///
/// An identifier of 64 hexadecimal digits is a digest, whatever the case of its letters: it is kept in lower case, so that
/// no two DIDs name one asset of Ocean's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Did(String);

/// Hexadecimal digits of a SHA-256 digest.
const DIGEST_DIGITS: usize = 64;

/// Why a text is not a DID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DidError {
    /// A scheme or method other than `did:op:`.
    #[error("expected `did:op:<id>` or the bare <id>; other DID methods are not used here")]
    Method,
    /// Nothing, or more than 64 characters, after the prefix.
    #[error("the identifier of a DID has 1 to 64 characters")]
    Length,
    /// A character outside ASCII letters, digits, `-` and `_`.
    #[error("the identifier of a DID has only ASCII letters, digits, `-` and `_`")]
    Character,
}

impl Did {
    /// The identifier without `did:op:`: how a DID is written in paths and in `DIDS`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0
    }
}

impl FromStr for Did {
    type Err = DidError;

    fn from_str(text: &str) -> Result<Self, DidError> {
        let id = text.strip_prefix("did:op:").unwrap_or(text);
        if id.contains(':') {
            return Err(DidError::Method);
        }
        if id.is_empty() || id.len() > 64 {
            return Err(DidError::Length);
        }
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return Err(DidError::Character);
        }
        let digits = |byte: u8| byte.is_ascii_hexdigit();
        if id.len() == DIGEST_DIGITS && id.bytes().all(digits) {
            return Ok(Self(id.to_ascii_lowercase()));
        }
        Ok(Self(id.to_owned()))
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "did:op:{}", self.0)
    }
}

impl fmt::Debug for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Did({})", self.0)
    }
}

impl Serialize for Did {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Did {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Did {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Did".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "pattern": "^did:op:[A-Za-z0-9_-]{1,64}$", "description": "The DID of an asset."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_both_spellings() {
        let long: Did = "did:op:penguins".parse().expect("a DID");
        assert_eq!("penguins".parse(), Ok(long.clone()));
        assert_eq!((long.id(), long.to_string().as_str()), ("penguins", "did:op:penguins"));
    }

    #[test]
    fn a_digest_has_one_spelling_and_another_identifier_keeps_its_own() {
        let lower = "1e668768111c2204e99f176a14a31ff1d1fb432765519483826bb24c1f52b94f";
        for text in [lower.to_owned(), lower.to_uppercase(), format!("did:op:{}", lower.replace('e', "E"))] {
            assert_eq!(text.parse::<Did>().expect("a DID").id(), lower);
        }
        for id in ["Penguins", &"A".repeat(63), &format!("{}G", "A".repeat(63))] {
            assert_eq!(id.parse::<Did>().expect("a DID").id(), id);
        }
    }

    #[test]
    fn refuses_what_could_be_a_path_or_another_method() {
        for (text, error) in [
            ("", DidError::Length),
            ("did:op:", DidError::Length),
            ("did:web:example.org", DidError::Method),
            ("..", DidError::Character),
            ("a/b", DidError::Character),
            ("a\0", DidError::Character),
            ("é", DidError::Character),
        ] {
            assert_eq!(text.parse::<Did>(), Err(error), "{text:?}");
        }
        assert_eq!("x".repeat(65).parse::<Did>(), Err(DidError::Length));
    }
}
