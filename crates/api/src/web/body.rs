use crate::{auth::ExpectedDigest, problem::Problem};
use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use cloister_model::escape;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use std::error::Error as _;

/// Bytes of a JSON body: a DDO of a megabyte written with spaces, or a program of a megabyte escaped.
const MOST_JSON_BYTES: usize = 4 * 1024 * 1024;

/// Characters of what a parser says.
const MOST_DETAIL: usize = 300;

/// A JSON body. Refuses other media types, what is no JSON, and what is not this type, each in its own way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::media_type("application/json"));
        }
        let expected = request.extensions().get::<ExpectedDigest>().copied();
        let bytes = read_body(request.into_body(), MOST_JSON_BYTES).await?;
        if expected.is_some_and(|ExpectedDigest(digest)| digest != crate::auth::sha256(&bytes)) {
            return Err(Problem::malformed("the body is not the one of `Content-Digest`"));
        }
        parse(&bytes).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

/// Reads a JSON text. Well-formed JSON that is not this type is told apart, with the field where that is known.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let say = |error: &dyn std::fmt::Display| escape(error.to_string().as_bytes(), MOST_DETAIL).to_string();
    axum::Json::<T>::from_bytes(bytes).map(|axum::Json(value)| value).map_err(|rejection| {
        use axum::extract::rejection::JsonRejection;
        // Below axum's own words: the path of the field and what the parser says of it.
        let inner = rejection.source().and_then(|source| source.source());
        let parser = inner.and_then(|inner| inner.source());
        let text = inner.map_or_else(|| "the body cannot be read".to_owned(), |inner| say(inner));
        match (&rejection, parser) {
            (JsonRejection::JsonDataError(_), Some(parser)) => {
                let (whole, part) = (inner.map(ToString::to_string).unwrap_or_default(), parser.to_string());
                let field = whole.strip_suffix(&part).and_then(|rest| rest.strip_suffix(": ")).unwrap_or_default();
                let problem = Problem::field(escape(field.as_bytes(), 100).to_string(), text);
                if field.is_empty() || field == "." { Problem { field: None, ..problem } } else { problem }
            }
            (JsonRejection::JsonDataError(_), None) => Problem { field: None, ..Problem::field("", text) },
            _ => Problem::malformed(format!("the body is no JSON: {text}")),
        }
    })
}

/// Reads a body up to a bound.
pub(crate) async fn read_body(body: Body, most_bytes: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, most_bytes).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(Problem::too_large(u64::try_from(most_bytes).unwrap_or(u64::MAX)))
        }
        Err(_) => Err(Problem::malformed("the body ended before it was whole")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        #[expect(dead_code, reason = "only whether it can be read matters")]
        list: Vec<u32>,
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        for (text, status, field) in [
            ("{", StatusCode::BAD_REQUEST, None),
            ("", StatusCode::BAD_REQUEST, None),
            (r#"{"list": [1]} x"#, StatusCode::BAD_REQUEST, None),
            (r#"{"list": [1, "2"]}"#, StatusCode::UNPROCESSABLE_ENTITY, Some("list[1]")),
            (r#"{"list": [], "more": 1}"#, StatusCode::UNPROCESSABLE_ENTITY, Some("more")),
            ("[]", StatusCode::UNPROCESSABLE_ENTITY, None),
            ("{}", StatusCode::UNPROCESSABLE_ENTITY, None),
        ] {
            let problem = parse::<Wanted>(text.as_bytes()).expect_err(text);
            assert_eq!((problem.status, problem.field.as_deref()), (status, field), "{text}: {}", problem.detail);
        }
        assert!(parse::<Wanted>(br#"{"list": [1]}"#).is_ok());
    }

    #[test]
    fn a_strangers_text_is_escaped() {
        let problem = parse::<Wanted>("{\"list\": [], \"a\u{1b}[31m\": 1}".as_bytes()).expect_err("unknown");
        assert!(!problem.detail.contains('\u{1b}') && !problem.field.unwrap_or_default().contains('\u{1b}'));
    }
}
