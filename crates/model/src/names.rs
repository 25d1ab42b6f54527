use serde::{Deserialize, Deserializer, Serialize};
use std::{borrow::Borrow, fmt, str::FromStr};

/// The text is not such a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// See [`EnvironmentId`].
    #[error("the name of an environment has 1 to 256 printable ASCII characters and no space")]
    Environment,
    /// See [`InterpreterId`].
    #[error("the name of an interpreter has 1 to 40 lower-case letters, digits or `-`, and does not begin with `-`")]
    Interpreter,
}

/// The name of an environment, which jobs give: 1 to 256 printable ASCII characters without a space, as in a label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct EnvironmentId(String);

/// The name of an installed interpreter, such as `python`: 1 to 40 lower-case letters, digits or `-`, as the folder that
/// the sandbox keeps it in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct InterpreterId(String);

impl FromStr for EnvironmentId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_name = (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_name { Ok(Self(text.to_owned())) } else { Err(NameError::Environment) }
    }
}

impl FromStr for InterpreterId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=40).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('-');
        if is_name { Ok(Self(text.to_owned())) } else { Err(NameError::Interpreter) }
    }
}

/// What both names have in common.
macro_rules! name {
    ($name:ident) => {
        impl $name {
            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        /// So that a set of names can be asked about a text.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(EnvironmentId);
name!(InterpreterId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_folders_and_labels_can_hold() {
        for text in ["local", "eu-1/gpu", &"e".repeat(256)] {
            assert_eq!(text.parse::<EnvironmentId>().map(|name| name.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "two words", "é", "a\n", &"e".repeat(257)] {
            assert_eq!(text.parse::<EnvironmentId>(), Err(NameError::Environment), "{text:?}");
        }
        for text in ["python", "r-4", &"i".repeat(40)] {
            assert_eq!(text.parse::<InterpreterId>().map(|name| name.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "../python", "Python", "-c", "python 3", &"i".repeat(41)] {
            assert_eq!(text.parse::<InterpreterId>(), Err(NameError::Interpreter), "{text:?}");
        }
        assert!(serde_json::from_str::<InterpreterId>("\"../x\"").is_err());
    }
}
