use super::description::{Description, Span, set, unsatisfiable};
use crate::{metrics::Metrics, problem::Problem};
use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use cloister_model::ByteRange;
use cloister_service::{JobLog, ReadableFile};
use futures_util::{StreamExt as _, stream};
use std::{fmt, io, pin::Pin, sync::Arc};

/// Bytes that are read at once. Each download holds two such chunks: one that is sent and one that is read meanwhile.
const CHUNK_BYTES: u32 = 512 * 1024;

type Read = Pin<Box<dyn Future<Output = Result<Vec<u8>, Problem>> + Send>>;

/// What reads a part of a file.
type Reader = Arc<dyn Fn(ByteRange) -> Read + Send + Sync>;

/// What prepares reading, once it is clear that bytes will be sent: it records the download.
type Open = Pin<Box<dyn Future<Output = Result<Reader, Problem>> + Send>>;

/// A file to be sent.
pub(crate) struct Download {
    description: Description,
    bytes: u64,
    open: Open,
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
        let (bytes, sha256) = (Some(digest.bytes), Some(digest.sha256));
        let description = Description { name, media_type, bytes, sha256 };
        Self { description, bytes: digest.bytes, open: Box::pin(open) }
    }

    /// A log of this length, to be shown as text. It may still grow, so it has no digest.
    pub(crate) fn of_log(log: JobLog, bytes: u64) -> Self {
        let read = move |range| -> Read {
            let log = log.clone();
            Box::pin(async move { Ok(log.read(range).await?.bytes) })
        };
        let open = Box::pin(std::future::ready(Ok(Arc::new(read) as Reader)));
        let media_type = "text/plain; charset=utf-8";
        let description = Description { name: String::new(), media_type, bytes: Some(bytes), sha256: None };
        Self { description, bytes, open }
    }

    /// The same, as an attachment of this name.
    #[must_use]
    pub(crate) fn named(self, name: &str) -> Self {
        Self { description: Description { name: name.to_owned(), ..self.description }, ..self }
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
        let Self { description, bytes, open } = self;
        if let Some(response) = description.answer_without_bytes(method, headers) {
            return Ok(response);
        }
        let Some((status, span)) = description.span(bytes, headers) else { return Ok(unsatisfiable(bytes)) };
        let mut response = status.into_response();
        description.describe(response.headers_mut());
        let headers = response.headers_mut();
        set(headers, header::CONTENT_LENGTH, &span.bytes.to_string());
        if status == StatusCode::PARTIAL_CONTENT {
            let last = span.offset + span.bytes - 1;
            set(headers, header::CONTENT_RANGE, &format!("bytes {}-{last}/{bytes}", span.offset));
        }
        *response.body_mut() = body(open.await?, metrics, span).await?;
        Ok(response)
    }
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

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
