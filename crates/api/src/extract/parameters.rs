use crate::problem::Problem;
use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use cloister_model::escape;
use serde::de::DeserializeOwned;
use std::str::FromStr;

/// The parameter of a path. A text that cannot be one names nothing: 404, as for anything else that does not exist.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathParam<T>(pub(crate) T);

/// The two parameters of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathParams<T, U>(pub(crate) T, pub(crate) U);

/// The parameters of a query. Unknown and malformed ones are refused: a misspelt filter would show too much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query<T>(pub(crate) T);

/// How many entries of a list are asked for: 50 of at most 100 where entries are large, 100 of at most 1000 where they are small.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PageSize {
    Large,
    Small,
}

impl PageSize {
    pub(crate) fn of(self, limit: Option<u32>) -> Result<u32, Problem> {
        let (default, most) = match self {
            Self::Large => (50, 100),
            Self::Small => (100, 1000),
        };
        let limit = limit.unwrap_or(default);
        if (1..=most).contains(&limit) {
            Ok(limit)
        } else {
            Err(Problem::field("limit", format!("has to be 1 to {most}")))
        }
    }
}

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for PathParam<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        text.parse().map(Self).map_err(|_| Problem::not_found())
    }
}

impl<S: Send + Sync, T: FromStr, U: FromStr> FromRequestParts<S> for PathParams<T, U> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((one, other)) =
            Path::<(String, String)>::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        match (one.parse(), other.parse()) {
            (Ok(one), Ok(other)) => Ok(Self(one, other)),
            _ => Err(Problem::not_found()),
        }
    }
}

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
