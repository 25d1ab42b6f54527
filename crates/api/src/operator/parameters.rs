use super::error::OperatorError;
use crate::{
    auth::ExpectedDigest,
    extract::{read_body, refuse_duplicates},
};
use axum::{
    extract::{FromRequest, Query, Request},
    http::header,
};
use cloister_model::Sha256;
use serde_json::{Map, Value};

/// Bytes of a body: a workflow of the largest size, and the other parameters.
const MOST_BODY_BYTES: usize = cloister_model::MOST_WORKFLOW_BYTES + 64 * 1024;

/// Bytes of a parameter that is not a document.
const MOST_TEXT_BYTES: usize = 1024;

/// The parameters of a request: its query if it has one, otherwise its JSON body, whatever the method. Provider sends `GET`
/// and `PUT` with a query and `POST` with a body; Ocean's tests send bodies with `GET`, too.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parameters(Map<String, Value>);

impl<S: Sync> FromRequest<S> for Parameters {
    type Rejection = OperatorError;

    async fn from_request(request: Request, _: &S) -> Result<Self, OperatorError> {
        if request.uri().query().is_some_and(|query| !query.is_empty()) {
            let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
                .map_err(|_| OperatorError::bad("the query cannot be read"))?;
            return Ok(Self::from_pairs(pairs));
        }
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        // A guard as well: a web page in a browser can send anything but JSON here without a preflight request.
        let is_json = media_type.is_some_and(|value| {
            value.split(';').next().is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"))
        });
        if !is_json {
            return Err(OperatorError::bad(
                "415 Unsupported Media Type: send the parameters in the query, or as JSON with `Content-Type: application/json`",
            ));
        }
        let expected = request.extensions().get::<ExpectedDigest>().copied();
        let body = read_body(request.into_body(), MOST_BODY_BYTES).await?;
        if expected.is_some_and(|ExpectedDigest(digest)| digest != Sha256::of(&body)) {
            return Err(OperatorError::bad("400 Bad Request: the body is not the one of `Content-Digest`"));
        }
        refuse_duplicates(&body)
            .map_err(|problem| OperatorError::bad(format!("400 Bad Request: {}", problem.detail)))?;
        match serde_json::from_slice(&body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Ok(Self::default()),
            Err(_) => Err(OperatorError::bad("400 Bad Request: the body is not JSON")),
        }
    }
}

impl Parameters {
    /// The first of several values counts, as it does for Ocean.
    fn from_pairs(pairs: Vec<(String, String)>) -> Self {
        let mut fields = Map::new();
        for (name, value) in pairs {
            fields.entry(name).or_insert(Value::String(value));
        }
        Self(fields)
    }

    /// Refuses a request without one of these, with Ocean's texts.
    pub(super) fn require(&self, names: &[&str], call: &str) -> Result<(), OperatorError> {
        if self.0.is_empty() {
            return Err(OperatorError::bad("payload seems empty."));
        }
        match names.iter().find(|name| !self.0.contains_key(**name)) {
            Some(name) => Err(OperatorError::required(name, call)),
            None => Ok(()),
        }
    }

    /// One as a document.
    pub(super) fn document(&self, name: &str) -> &Value {
        self.0.get(name).unwrap_or(&Value::Null)
    }

    /// One as a text; none if it is absent or null. Numbers are texts, too: a nonce comes as either.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, OperatorError> {
        let text = match self.document(name) {
            Value::Null => return Ok(None),
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                return Err(OperatorError::bad(format!("`{name}` must be a text")));
            }
        };
        if text.len() > MOST_TEXT_BYTES {
            return Err(OperatorError::bad(format!("`{name}` is longer than {MOST_TEXT_BYTES} bytes")));
        }
        Ok(Some(text))
    }

    /// The same, where a text of one character or none counts as absent, as it does for Ocean.
    pub(super) fn text_or_absent(&self, name: &str) -> Result<Option<String>, OperatorError> {
        Ok(self.text(name)?.filter(|text| text.chars().nth(1).is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use serde_json::json;

    async fn read(uri: &str, media_type: Option<&str>, body: &str) -> Result<Parameters, OperatorError> {
        let mut request = Request::builder().uri(uri);
        if let Some(media_type) = media_type {
            request = request.header(header::CONTENT_TYPE, media_type);
        }
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        Parameters::from_request(request, &()).await
    }

    #[tokio::test]
    async fn a_body_that_was_signed_by_its_digest_is_that_body() {
        let signed = |digest: &[u8]| {
            let mut request = Request::builder()
                .uri("/")
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(r#"{"jobId": "1"}"#))
                .expect("a request");
            request.extensions_mut().insert(ExpectedDigest(Sha256::of(digest)));
            request
        };
        assert!(Parameters::from_request(signed(br#"{"jobId": "1"}"#), &()).await.is_ok());
        assert!(Parameters::from_request(signed(br#"{"jobId": "2"}"#), &()).await.is_err());
    }

    #[tokio::test]
    async fn the_query_counts_and_else_the_body() {
        let json = Some("application/json");
        let query =
            read("/?owner=0x1&owner=0x2&nonce=17&empty=", json, r#"{"owner": "0x3"}"#).await.expect("parameters");
        assert_eq!(query.text("owner"), Ok(Some("0x1".to_owned())));
        assert_eq!((query.text_or_absent("empty"), query.text("absent")), (Ok(None), Ok(None)));
        let body =
            read("/", Some("application/json; charset=utf-8"), r#"{"nonce": 1795363289633593301, "a": null}"#).await;
        let body = body.expect("parameters");
        assert_eq!(body.text("nonce"), Ok(Some("1795363289633593301".to_owned())));
        assert_eq!(body.text("a"), Ok(None));
    }

    #[tokio::test]
    async fn refuses_other_bodies() {
        for (media_type, body) in [
            (None, "{}"),
            (Some("text/plain"), "{}"),
            (Some("application/x-www-form-urlencoded"), "owner=1"),
            (Some("application/json"), "{"),
            (Some("application/json"), r#"{"owner": "0x1", "owner": "0x2"}"#),
            (Some("application/json"), ""),
        ] {
            assert_eq!(read("/", media_type, body).await.expect_err(body).status, 400, "{media_type:?} {body}");
        }
    }

    #[test]
    fn missing_ones_are_named_as_ocean_does() {
        let parameters = Parameters(json!({"owner": "x", "list": []}).as_object().expect("an object").clone());
        assert_eq!(parameters.require(&["owner"], "GET:/x"), Ok(()));
        let error = parameters.require(&["owner", "nonce"], "POST:/compute").expect_err("missing");
        assert_eq!(error.text, "\"nonce\" is required in the call to POST:/compute");
        assert_eq!(Parameters::default().require(&[], "x").expect_err("empty").text, "payload seems empty.");
        assert!(parameters.text("list").is_err());
    }

    #[test]
    fn a_fraction_is_written_as_it_was_signed() {
        let parameters = Parameters(json!({"nonce": 1_795_363_289.82}).as_object().expect("an object").clone());
        assert_eq!(parameters.text("nonce"), Ok(Some("1795363289.82".to_owned())));
    }
}
