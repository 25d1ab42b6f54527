use crate::problem::Problem;
use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use std::str::FromStr;

/// What a path names. A text that cannot name anything names nothing: 404, as for anything else that is not there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct In<T>(pub(crate) T);

/// Two things that a path names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct In2<T, U>(pub(crate) T, pub(crate) U);

impl<S: Send + Sync, T: FromStr> FromRequestParts<S> for In<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        text.parse().map(Self).map_err(|_| Problem::not_found())
    }
}

impl<S: Send + Sync, T: FromStr, U: FromStr> FromRequestParts<S> for In2<T, U> {
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
