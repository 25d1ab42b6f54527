use super::{EntityTag, disposition::attachment, range};
use crate::{extract::repr_digest, metrics::Metrics, problem::Problem};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, header::HeaderName},
    response::{IntoResponse as _, Response},
};
use cloister_model::{ByteRange, Sha256};
use cloister_service::{JobLog, ReadableFile};
use futures_util::{StreamExt as _, stream};
use std::{fmt, io, pin::Pin, sync::Arc};

/// Bytes that are read at once. Each download holds two such chunks: one that is sent and one that is read meanwhile.
const CHUNK_BYTES: u32 = 512 * 1024;

/// Caches keep files for one client only, and ask whether they changed.
const CACHING: &str = "private, no-cache";

type Read = Pin<Box<dyn Future<Output = Result<Vec<u8>, Problem>> + Send>>;

/// What reads a part of a file.
type Reader = Arc<dyn Fn(ByteRange) -> Read + Send + Sync>;

/// What prepares reading, once it is clear that bytes will be sent: it records the download.
type Open = Pin<Box<dyn Future<Output = Result<Reader, Problem>> + Send>>;

/// A file to be sent.
pub(crate) struct Download {
    name: String,
    media_type: &'static str,
    bytes: u64,
    sha256: Option<Sha256>,
    open: Open,
}

/// The part of a file that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    offset: u64,
    bytes: u64,
}

impl Download {
    /// A file that the caller may read.
    pub(crate) fn of_file(file: ReadableFile) -> Self {
        let (name, digest) = (file.name().to_owned(), file.file());
        let open = async move {
            let file = file.open().await?;
            let read = move |range| -> Read {
                let file = file.clone();
                Box::pin(async move { Ok(file.read(range).await?) })
            };
            Ok(Arc::new(read) as Reader)
        };
        let media_type = "application/octet-stream";
        Self { name, media_type, bytes: digest.bytes, sha256: Some(digest.sha256), open: Box::pin(open) }
    }

    /// A log of this length, to be shown as text. It may still grow, so it has no digest.
    pub(crate) fn of_log(log: JobLog, bytes: u64) -> Self {
        let read = move |range| -> Read {
            let log = log.clone();
            Box::pin(async move { Ok(log.read(range).await?.bytes) })
        };
        let open = Box::pin(std::future::ready(Ok(Arc::new(read) as Reader)));
        Self { name: String::new(), media_type: "text/plain; charset=utf-8", bytes, sha256: None, open }
    }

    /// The answer: the whole file, or the part that the headers ask for. The download is recorded once it is clear that bytes
    /// will be sent, and before the first of them is.
    ///
    /// # Errors
    /// If the download cannot be recorded, or its first part cannot be read.
    pub(crate) async fn answer(
        self,
        metrics: &Arc<Metrics>,
        method: &Method,
        headers: &HeaderMap,
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
        let mut response = status.into_response();
        self.describe(response.headers_mut());
        let headers = response.headers_mut();
        set(headers, header::CONTENT_LENGTH, &span.bytes.to_string());
        if status == StatusCode::PARTIAL_CONTENT {
            let last = span.offset + span.bytes - 1;
            set(headers, header::CONTENT_RANGE, &format!("bytes {}-{last}/{}", span.offset, self.bytes));
        }
        if method != Method::HEAD {
            *response.body_mut() = body(self.open.await?, metrics, span).await?;
        }
        Ok(response)
    }

    fn unsatisfiable(&self) -> Response {
        let detail = format!("the file has {} bytes; ask for a part of it", self.bytes);
        let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", "Range not satisfiable", detail);
        let mut response = problem.into_response();
        set(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{}", self.bytes));
        response
    }

    fn describe(&self, headers: &mut HeaderMap) {
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

/// The answer to a client that has the file already, where its digest is known before the file is fetched.
pub(crate) fn not_modified(sha256: Sha256, headers: &HeaderMap) -> Option<Response> {
    if !EntityTag::new(sha256).is_known(headers) {
        return None;
    }
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    set(response.headers_mut(), header::CACHE_CONTROL, CACHING);
    set(response.headers_mut(), header::ETAG, EntityTag::new(sha256).as_str());
    Some(response)
}

/// The bytes: one chunk is read while the one before it is sent. The first chunk is read before anything is answered, so
/// that a file that cannot be read is an error and not an empty file.
async fn body(read: Reader, metrics: &Arc<Metrics>, span: Span) -> Result<Body, Problem> {
    let end = span.offset + span.bytes;
    let first = if span.bytes == 0 { Vec::new() } else { chunk(&read, span.offset, end).await? };
    let next = span.offset + u64::try_from(first.len()).unwrap_or(u64::MAX);
    let offsets = (next..end).step_by(CHUNK_BYTES as usize);
    let rest = stream::iter(offsets).map(move |offset| chunk(&read, offset, end)).buffered(2);
    let metrics = Arc::clone(metrics);
    let bytes = stream::once(std::future::ready(Ok(first))).chain(rest).map(move |chunk| match chunk {
        Ok(chunk) => {
            metrics.downloaded(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
            Ok(Bytes::from(chunk))
        }
        Err(problem) => {
            tracing::error!(%problem, "a download ended early");
            Err(io::Error::other("the file could not be read to its end"))
        }
    });
    Ok(Body::from_stream(bytes))
}

/// Reads one chunk, or what is left before the end. A file that is shorter than it was is an error.
fn chunk(read: &Reader, offset: u64, end: u64) -> Read {
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
