//! What a server says of a body: how large it is, where it begins, by what it can be told from another. Pure.

use super::Failure;
use httpdate::parse_http_date;
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED, RETRY_AFTER,
};
use std::time::Duration;

/// How long ago a file must have been changed for its date to tell it from a later version (RFC 9110, 8.8.2.2).
const LEAST_AGE: Duration = Duration::from_secs(60);

/// By what a server's file is told from a later version of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Validator {
    /// A strong entity tag.
    Tag(HeaderValue),
    /// A date of change, old enough to be strong (RFC 9110, 8.8.2.2).
    Date(HeaderValue),
    /// The name itself is a digest of the content.
    Name,
}

impl Validator {
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let tag = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"") && tag.len() >= 2);
        if let Some(tag) = tag {
            return Some(Self::Tag(tag.clone()));
        }
        let time = |name: HeaderName| headers.get(name)?.to_str().ok().and_then(|text| parse_http_date(text).ok());
        let (changed, now) = (time(LAST_MODIFIED)?, time(DATE)?);
        now.duration_since(changed)
            .is_ok_and(|since| since >= LEAST_AGE)
            .then(|| headers.get(LAST_MODIFIED).cloned().map(Self::Date))
            .flatten()
    }

    /// Whether an answer may be of the same version. A tag has to come again (RFC 9110, 15.3.7), a date need not.
    pub(crate) fn may_be_of(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Tag(tag) => headers.get(ETAG) == Some(tag),
            Self::Date(date) => headers.get(LAST_MODIFIED).is_none_or(|other| other == date),
            Self::Name => true,
        }
    }

    pub(crate) fn if_range(&self) -> Option<&HeaderValue> {
        match self {
            Self::Tag(value) | Self::Date(value) => Some(value),
            Self::Name => None,
        }
    }
}

/// `Content-Length`.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    number(headers.get(CONTENT_LENGTH)?.to_str().ok()?)
}

/// Where a partial answer begins, and how large the whole is: `Content-Range: bytes 5-9/10`.
pub(crate) fn range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (number(start)?, number(end)?);
    let total = if total == "*" { None } else { Some(number(total)?) };
    (start <= end && total.is_none_or(|total| end < total)).then_some((start, total))
}

/// What a status other than success means for the next attempt.
pub(crate) fn refusal(status: reqwest::StatusCode, headers: &HeaderMap) -> Failure {
    let cause = format!("it answered {}", status.as_u16());
    if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
        let wish = headers.get(RETRY_AFTER).and_then(|wish| number(wish.to_str().ok()?)).map(Duration::from_secs);
        Failure::Passing(cause, wish)
    } else if matches!(status.as_u16(), 412 | 416) {
        Failure::Changed(cause)
    } else {
        Failure::Source(cause)
    }
}

/// Digits only: no sign, no space.
fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn only_strong_validators_count() {
        let of = |pairs: &[(&'static str, &str)]| Validator::of(&headers(pairs));
        assert!(matches!(of(&[("etag", "\"a\"")]), Some(Validator::Tag(_))));
        assert_eq!(of(&[("etag", "W/\"a\"")]), None);
        let (old, now) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:50:37 GMT");
        assert!(matches!(of(&[("last-modified", old), ("date", now)]), Some(Validator::Date(_))));
        assert_eq!(of(&[("last-modified", now), ("date", now)]), None);
        assert_eq!(of(&[("last-modified", old)]), None);
        let tag = of(&[("etag", "\"a\"")]).expect("a tag");
        assert!(tag.may_be_of(&headers(&[("etag", "\"a\"")])));
        assert!(!tag.may_be_of(&headers(&[("etag", "\"b\"")])) && !tag.may_be_of(&headers(&[])));
    }

    #[test]
    fn ranges_are_read_strictly() {
        let of = |text: &str| range(&headers(&[("content-range", text)]));
        assert_eq!(of("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(of("bytes 5-9/*"), Some((5, None)));
        for text in
            ["bytes 5-10/10", "bytes 9-5/10", "bytes */10", "bytes 5-/10", "5-9/10", "bytes +5-9/10", "items 5-9/10"]
        {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_is_a_validator_only_if_it_was_read_and_is_a_minute_old() {
        let now = "Sun, 06 Nov 1994 08:50:37 GMT";
        let of = |changed: &str| Validator::of(&headers(&[("last-modified", changed), ("date", now)]));
        assert!(of("Sun, 06 Nov 1994 08:49:37 GMT").is_some());
        for text in ["", "Sun, 06 Nov 1994 08:49:38 GMT", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Foo 1994 08:49:37 GMT"]
        {
            assert_eq!(of(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in "\\PC{0,40}", tail in "[0-9: ]{0,30}") {
            for date in [text, format!("Sun, {tail} GMT")] {
                let date = HeaderValue::from_str(&date).ok();
                let _ = date.map(|date| Validator::of(&HeaderMap::from_iter([(LAST_MODIFIED, date.clone()), (DATE, date)])));
            }
        }
    }
}
