use crate::problem::Problem;
use axum::{extract::FromRequestParts, http::request::Parts};
use cloister_model::escape;
use serde::de::DeserializeOwned;

/// What a query asks for. Unknown and malformed parameters are refused: a misspelt filter would give too much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, text)| text);
                let text = escape(text.as_bytes(), 300).to_string();
                Err(Problem { field: None, ..Problem::field("", format!("the query cannot be used: {text}")) })
            }
        }
    }
}
