use super::{EntityTag, disposition::attachment, range};
use crate::{extract::repr_digest, problem::Problem};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, header::HeaderName},
    response::{IntoResponse as _, Response},
};
use cloister_model::Sha256;
use futures_util::stream;
use std::convert::Infallible;

/// Caches keep files for one client only, and ask whether they changed.
const CACHING: &str = "private, no-cache";

/// What is known of a file before one of its bytes is read or fetched.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    /// A stranger's text; empty: it has none.
    pub(crate) name: String,
    pub(crate) media_type: &'static str,
    /// Its size, in bytes.
    pub(crate) bytes: Option<u64>,
    pub(crate) sha256: Option<Sha256>,
}

/// The part of a file that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

impl Description {
    /// The answer that needs no byte of the file, if there is one: the client has the file already, asks for the headers only, or
    /// asks for a part that is not there. So none of these fetches a file from its source.
    pub(crate) fn answer_without_bytes(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        if self.tag().is_some_and(|tag| tag.is_known(headers)) {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            self.describe(response.headers_mut());
            return Some(response);
        }
        if method == Method::HEAD {
            // A body whose size is not known, because an empty one would be announced as such.
            let mut response = Body::from_stream(stream::empty::<Result<Vec<u8>, Infallible>>()).into_response();
            self.describe(response.headers_mut());
            if let Some(bytes) = self.bytes {
                set(response.headers_mut(), header::CONTENT_LENGTH, &bytes.to_string());
            }
            return Some(response);
        }
        let bytes = self.bytes?;
        matches!(self.part(bytes, headers), range::Part::Unsatisfiable).then(|| unsatisfiable(bytes))
    }

    /// The part of a file of this size that a GET request asks for; none if there is no such part.
    pub(super) fn span(&self, bytes: u64, headers: &HeaderMap) -> Option<(StatusCode, Span)> {
        match self.part(bytes, headers) {
            range::Part::Whole => Some((StatusCode::OK, Span { offset: 0, bytes })),
            range::Part::Bytes { first, last } => {
                Some((StatusCode::PARTIAL_CONTENT, Span { offset: first, bytes: last - first + 1 }))
            }
            range::Part::Unsatisfiable => None,
        }
    }

    fn part(&self, bytes: u64, headers: &HeaderMap) -> range::Part {
        let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
        let range = range.filter(|_| self.tag().is_none_or(|tag| tag.may_be_parted(headers)));
        range.map_or(range::Part::Whole, |range| range::part(range, bytes))
    }

    fn tag(&self) -> Option<EntityTag> {
        self.sha256.as_ref().map(EntityTag::new)
    }

    pub(super) fn describe(&self, headers: &mut HeaderMap) {
        set(headers, header::CONTENT_TYPE, self.media_type);
        set(headers, header::ACCEPT_RANGES, "bytes");
        set(headers, header::CACHE_CONTROL, CACHING);
        if let Some(sha256) = &self.sha256 {
            set(headers, header::ETAG, EntityTag::new(sha256).as_str());
            set(headers, HeaderName::from_static("repr-digest"), &repr_digest(sha256));
        }
        if !self.name.is_empty() {
            set(headers, header::CONTENT_DISPOSITION, &attachment(&self.name));
        }
    }
}

pub(super) fn unsatisfiable(bytes: u64) -> Response {
    let detail = format!("the file has {bytes} bytes; ask for a part of it");
    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", "Range not satisfiable", detail);
    let mut response = problem.into_response();
    set(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{bytes}"));
    response
}

pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
