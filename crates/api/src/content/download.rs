use super::{EntityTag, digest::repr_digest, name::attachment, range};
use crate::{problem::Problem, state::Shared};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, header::HeaderName},
    response::{IntoResponse as _, Response},
};
use cloister_model::{ByteRange, Sha256};
use futures_util::{StreamExt as _, stream};
use std::{fmt, io, pin::Pin, sync::Arc};

/// Bytes that are read at once. Two of these are held for each download: one that is sent and one that is read meanwhile.
pub(crate) const CHUNK_BYTES: u32 = 512 * 1024;

type Read = Pin<Box<dyn Future<Output = Result<Vec<u8>, Problem>> + Send>>;

/// A file that somebody may have.
pub(crate) struct Download {
    name: String,
    media_type: &'static str,
    bytes: u64,
    sha256: Option<Sha256>,
    read: Arc<dyn Fn(ByteRange) -> Read + Send + Sync>,
}

/// What of a file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    offset: u64,
    bytes: u64,
}

impl Download {
    /// A file of this name and size, which is read by `read`.
    pub(crate) fn new<F>(name: &str, bytes: u64, read: impl Fn(ByteRange) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Vec<u8>, Problem>> + Send + 'static,
    {
        let read = Arc::new(move |range| -> Read { Box::pin(read(range)) });
        Self { name: name.to_owned(), media_type: "application/octet-stream", bytes, sha256: None, read }
    }

    /// The same file, of which is known what it is: it can be asked for again, or for the rest.
    #[must_use]
    pub(crate) fn with_digest(self, sha256: Sha256) -> Self {
        Self { sha256: Some(sha256), ..self }
    }

    /// The same file as text to be shown.
    #[must_use]
    pub(crate) fn shown_as_text(self) -> Self {
        Self { media_type: "text/plain; charset=utf-8", ..self }
    }

    /// The answer. `before` is done once it is clear that bytes will be sent, before the first of them is.
    ///
    /// # Errors
    /// What `before` says, and if the first part cannot be read.
    pub(crate) async fn answer(
        self,
        shared: &Shared,
        method: &Method,
        headers: &HeaderMap,
        before: impl Future<Output = Result<(), Problem>>,
    ) -> Result<Response, Problem> {
        let tag = self.sha256.as_ref().map(EntityTag::new);
        if tag.as_ref().is_some_and(|tag| tag.is_known(headers)) {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            self.describe(response.headers_mut());
            return Ok(response);
        }
        let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
        let range = range.filter(|_| tag.as_ref().is_none_or(|tag| tag.may_be_parted(headers)));
        let part = if method == Method::GET {
            range.map_or(range::Part::Whole, |range| range::part(range, self.bytes))
        } else {
            range::Part::Whole
        };
        let (status, span) = match part {
            range::Part::Whole => (StatusCode::OK, Span { offset: 0, bytes: self.bytes }),
            range::Part::Bytes { first, last } => {
                (StatusCode::PARTIAL_CONTENT, Span { offset: first, bytes: last - first + 1 })
            }
            range::Part::Unsatisfiable => return Ok(self.unsatisfiable()),
        };
        let body = if method == Method::HEAD {
            Body::empty()
        } else {
            before.await?;
            self.body(shared, span).await?
        };
        let mut response = (status, body).into_response();
        self.describe(response.headers_mut());
        let headers = response.headers_mut();
        set(headers, header::CONTENT_LENGTH, &span.bytes.to_string());
        if status == StatusCode::PARTIAL_CONTENT {
            let last = span.offset + span.bytes - 1;
            set(headers, header::CONTENT_RANGE, &format!("bytes {}-{last}/{}", span.offset, self.bytes));
        }
        Ok(response)
    }

    fn unsatisfiable(&self) -> Response {
        let detail = format!("the file has {} bytes; ask for a part of it", self.bytes);
        let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", "There is no such part", detail);
        let mut response = problem.into_response();
        set(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{}", self.bytes));
        response
    }

    fn describe(&self, headers: &mut HeaderMap) {
        set(headers, header::CONTENT_TYPE, self.media_type);
        set(headers, header::ACCEPT_RANGES, "bytes");
        set(headers, header::CACHE_CONTROL, "private, no-cache");
        if let Some(sha256) = &self.sha256 {
            set(headers, header::ETAG, EntityTag::new(sha256).as_str());
            set(headers, HeaderName::from_static("repr-digest"), &repr_digest(sha256));
        }
        if !self.name.is_empty() {
            set(headers, header::CONTENT_DISPOSITION, &attachment(&self.name));
        }
    }

    /// The bytes, one chunk being read while the one before it is sent. The first is read before anything is answered, so
    /// that what cannot be read is an error and no empty file.
    async fn body(&self, shared: &Shared, span: Span) -> Result<Body, Problem> {
        let end = span.offset + span.bytes;
        let first = self.chunk(span.offset, end).await?;
        let next = span.offset + u64::try_from(first.len()).unwrap_or(u64::MAX);
        let read = Arc::clone(&self.read);
        let offsets = (next..end).step_by(CHUNK_BYTES as usize);
        let rest = stream::iter(offsets).map(move |offset| whole(&read, offset, end)).buffered(2);
        let shared = shared.clone();
        let bytes = stream::once(std::future::ready(Ok(first))).chain(rest).map(move |chunk| match chunk {
            Ok(chunk) => {
                shared.metrics.downloaded(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
                Ok(Bytes::from(chunk))
            }
            Err(problem) => {
                tracing::error!(%problem, "a download ended early");
                Err(io::Error::other("the file could not be read to its end"))
            }
        });
        Ok(Body::from_stream(bytes))
    }

    async fn chunk(&self, offset: u64, end: u64) -> Result<Vec<u8>, Problem> {
        if offset == end { Ok(Vec::new()) } else { whole(&self.read, offset, end).await }
    }
}

/// Reads one chunk, or what is left before the end. A file that is shorter than it was is an error.
fn whole(read: &Arc<dyn Fn(ByteRange) -> Read + Send + Sync>, offset: u64, end: u64) -> Read {
    let at_most = u32::try_from(end - offset).unwrap_or(u32::MAX).min(CHUNK_BYTES);
    let reading = read(ByteRange { offset, at_most });
    Box::pin(async move {
        let chunk = reading.await?;
        if chunk.len() == at_most as usize { Ok(chunk) } else { Err(Problem::internal()) }
    })
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
