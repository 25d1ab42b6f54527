use crate::{auth::ExpectedDigest, problem::Problem};
use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use cloister_model::{Sha256, WithoutDuplicates, escape};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

/// Bytes of a JSON body: a DDO of a megabyte written with spaces, or a program of a megabyte escaped.
const MOST_JSON_BYTES: usize = 4 * 1024 * 1024;

/// Characters of a parser's message.
const MOST_DETAIL: usize = 300;

/// A JSON body. Other media types, texts that are not JSON, and JSON that is not of this type are different problems.
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
        if expected.is_some_and(|ExpectedDigest(digest)| digest != Sha256::of(&bytes)) {
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

/// Refuses a text in which an object names a field twice. A text that is not JSON passes: reading it says so.
pub(crate) fn refuse_duplicates(bytes: &[u8]) -> Result<(), Problem> {
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, WithoutDuplicates>(&mut parser) {
        Err(error) if error.inner().is_data() => {
            let say = |text: &str, most| escape(text.as_bytes(), most).to_string();
            // The object that names it twice.
            let path = error.path().to_string();
            let problem = Problem::field(say(&path, 100), say(&error.inner().to_string(), MOST_DETAIL));
            Err(if path == "." { Problem { field: None, ..problem } } else { problem })
        }
        _ => Ok(()),
    }
}

/// Reads a JSON text. For well-formed JSON that is not of this type, the problem names the field where it is known.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    use serde_json::error::Category;
    let say = |text: &str, most| escape(text.as_bytes(), most).to_string();
    refuse_duplicates(bytes)?;
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
        let (path, text) = (say(&error.path().to_string(), 100), say(&error.inner().to_string(), MOST_DETAIL));
        match error.inner().classify() {
            Category::Data if path == "." => Problem { field: None, ..Problem::field("", text) },
            Category::Data => Problem::field(path, text),
            Category::Io | Category::Syntax | Category::Eof => {
                Problem::malformed(format!("the body is not JSON: {text}"))
            }
        }
    })?;
    parser.end().map_err(|_| Problem::malformed("the body is not JSON: something follows its end"))?;
    Ok(value)
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
    fn each_fault_is_a_problem_of_its_own() {
        for (text, status, field) in [
            ("{", StatusCode::BAD_REQUEST, None),
            ("", StatusCode::BAD_REQUEST, None),
            (r#"{"list": [1]} x"#, StatusCode::BAD_REQUEST, None),
            (r#"{"list": [1, "2"]}"#, StatusCode::UNPROCESSABLE_ENTITY, Some("list[1]")),
            (r#"{"list": [], "more": 1}"#, StatusCode::UNPROCESSABLE_ENTITY, Some("more")),
            (r#"{"list": [], "list": []}"#, StatusCode::UNPROCESSABLE_ENTITY, None),
            ("[]", StatusCode::UNPROCESSABLE_ENTITY, None),
            ("{}", StatusCode::UNPROCESSABLE_ENTITY, None),
        ] {
            let problem = parse::<Wanted>(text.as_bytes()).expect_err(text);
            assert_eq!((problem.status, problem.field.as_deref()), (status, field), "{text}: {}", problem.detail);
        }
        assert!(parse::<Wanted>(br#"{"list": [1]}"#).is_ok());
        // Where any document is taken, too.
        let twice = parse::<serde_json::Value>(br#"{"a": [{"b": 1, "b": 2}]}"#).expect_err("twice");
        assert_eq!((twice.status, twice.field.as_deref()), (StatusCode::UNPROCESSABLE_ENTITY, Some("a[0]")));
    }

    #[test]
    fn a_strangers_text_is_escaped() {
        let problem = parse::<Wanted>("{\"list\": [], \"a\u{1b}[31m\": 1}".as_bytes()).expect_err("unknown");
        assert!(!problem.detail.contains('\u{1b}') && !problem.field.unwrap_or_default().contains('\u{1b}'));
    }
}
