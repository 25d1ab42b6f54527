use axum::http::{HeaderMap, HeaderName, header};
use cloister_service::Precondition;
use std::fmt;

/// The entity tag of one state of a resource (RFC 9110, section 8.8.3): always a strong one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntityTag(String);

impl EntityTag {
    /// A tag of this text, which must be of digits and letters.
    pub(crate) fn new(text: impl fmt::Display) -> Self {
        Self(format!("\"{text}\""))
    }

    /// As it is written in a header.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `If-None-Match` says that the client has this state already.
    pub(crate) fn is_known(&self, headers: &HeaderMap) -> bool {
        let tags = list(headers, &header::IF_NONE_MATCH).unwrap_or_default();
        tags.iter().any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.0)
    }

    /// Whether a part may be given: `If-Range` is absent or names this. A date never does: there are none here.
    pub(crate) fn may_be_parted(&self, headers: &HeaderMap) -> bool {
        headers.get(header::IF_RANGE).is_none_or(|value| value.as_bytes() == self.0.as_bytes())
    }
}

/// The state that `If-Match` asks for, where entity tags are revisions. Weak tags never match.
pub(crate) fn precondition(headers: &HeaderMap) -> Precondition {
    match list(headers, &header::IF_MATCH) {
        None => Precondition::Any,
        Some(tags) if tags.iter().any(|tag| tag == "*") => Precondition::Any,
        Some(tags) => {
            let revision = |tag: &String| {
                let number = tag.strip_prefix('"')?.strip_suffix('"')?.parse::<u64>().ok()?;
                // One spelling for one revision.
                (EntityTag::new(number).as_str() == tag).then_some(number)
            };
            Precondition::Revisions(tags.iter().filter_map(revision).collect())
        }
    }
}

/// The tags of a list; none if the header is absent. What is malformed is a tag that matches nothing.
fn list(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<String>> {
    let values: Vec<_> = headers.get_all(name).iter().collect();
    if values.is_empty() {
        return None;
    }
    let mut tags = Vec::new();
    for value in values {
        let mut rest = String::from_utf8_lossy(value.as_bytes()).into_owned();
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']).to_owned();
            if rest.is_empty() {
                break;
            }
            // A comma within quotes belongs to the tag.
            let quoted = rest.strip_prefix("W/").unwrap_or(&rest);
            let weak = rest.len() - quoted.len();
            let end = match quoted.strip_prefix('"').and_then(|inner| inner.find('"')) {
                Some(close) => weak + close + 2,
                None => rest.find(',').unwrap_or(rest.len()),
            };
            let after = rest.split_off(end);
            tags.push(std::mem::replace(&mut rest, after).trim_end().to_owned());
        }
    }
    Some(tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().expect("a value"))])
    }

    #[test]
    fn tags_are_found_in_lists() {
        let tag = EntityTag::new("abc");
        for value in ["\"abc\"", "W/\"abc\"", "\"x,y\", \"abc\"", "*", "  \"abc\"  ", "\"x\",,\"abc\""] {
            assert!(tag.is_known(&with(header::IF_NONE_MATCH, value)), "{value}");
        }
        for value in ["\"ab\"", "abc", "\"abc", "\"x,\\\"abc\\\"\"", ""] {
            assert!(!tag.is_known(&with(header::IF_NONE_MATCH, value)), "{value}");
        }
        assert!(!tag.is_known(&HeaderMap::new()));
    }

    #[test]
    fn a_change_needs_the_strong_tag() {
        let expected = |value: &str| precondition(&with(header::IF_MATCH, value));
        assert_eq!((precondition(&HeaderMap::new()), expected("*")), (Precondition::Any, Precondition::Any));
        assert_eq!(expected("\"2\", \"3\""), Precondition::Revisions(vec![2, 3]));
        for none in ["W/\"3\"", "", "\"03\"", "\"+3\"", "3", "\"x\""] {
            assert_eq!(expected(none), Precondition::Revisions(Vec::new()), "{none}");
        }
        let tag = EntityTag::new(3);
        assert!(tag.may_be_parted(&with(header::IF_RANGE, "\"3\"")));
        assert!(!tag.may_be_parted(&with(header::IF_RANGE, "Sat, 29 Oct 1994 19:43:31 GMT")));
    }

    proptest! {
        #[test]
        fn any_list_is_read(value in "[ -~]{0,60}") {
            let tag = EntityTag::new("abc");
            let _ = tag.is_known(&with(header::IF_NONE_MATCH, &value));
            let among = format!("\"x\", {}, \"abc\"", value.replace('"', ""));
            prop_assert!(tag.is_known(&with(header::IF_NONE_MATCH, &among)));
        }
    }
}
