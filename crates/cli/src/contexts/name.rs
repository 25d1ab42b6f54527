use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, str::FromStr};
use url::Url;

/// The name of a context: 1 to 64 ASCII letters, digits, `.`, `_` or `-`, the first one a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub(crate) struct ContextName(String);

impl ContextName {
    /// The name of a context that is given none: the host of its service, and the port if it is not the usual one.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        let host = url.host_str()?.trim_matches(['[', ']']).replace(':', "-");
        let port = url.port().map(|port| format!("-{port}")).unwrap_or_default();
        let name = format!("{host}{port}");
        name.trim_start_matches('-').parse().ok()
    }
}

impl FromStr for ContextName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let is_name =
            text.len() <= 64 && text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.bytes().all(fits);
        if is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err(
                "the name of a context has 1 to 64 letters, digits, `.`, `_` or `-`, and begins with a letter or a digit",
            )
        }
    }
}

impl fmt::Display for ContextName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ContextName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_called_after_its_host() {
        for (url, name) in [
            ("https://cloister.example.org", "cloister.example.org"),
            ("https://cloister.example.org:8443/base", "cloister.example.org-8443"),
            ("http://127.0.0.1:8090", "127.0.0.1-8090"),
            ("http://[::1]:8090", "1-8090"),
        ] {
            let found = ContextName::of(&url.parse().expect("an address"));
            assert_eq!(found.expect("a name").to_string(), name);
        }
    }

    #[test]
    fn names_are_plain() {
        for name in ["", "-a", ".a", "a b", "a/b", "é", "a\u{1b}", &"x".repeat(65)] {
            assert!(name.parse::<ContextName>().is_err(), "{name}");
        }
    }
}
