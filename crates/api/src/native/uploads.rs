use super::schemas::BytesSchema;
use crate::{
    auth::{Caller, ExpectedDigest},
    date,
    extract::{PageSize, PathParam, Query, content_digest},
    problem::Problem,
    state::Http,
};
use axum::{
    Json,
    body::{Body, BodyDataStream, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
};
use cloister_model::{Sha256, Upload};
use cloister_service::{UploadInProgress, UploadList, Uploaded, UseCases};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// How long to wait for the next bytes of an upload.
const IDLE: Duration = Duration::from_secs(60);

/// A file that was sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Upload)]
pub(super) struct UploadView {
    /// What to name it by, in a job or an asset.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
    bytes: u64,
    /// For a WebAssembly program: what it is and asks for, and whether it may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    admission: Option<Value>,
}

/// Send a file
///
/// A program for a job, or a file of an asset. Kept for you alone; name it by its digest. It expires some time after it was last
/// sent, unless a published asset or an unfinished job of yours names it.
#[utoipa::path(
    post, path = "/v1/uploads", operation_id = "upload_file", tag = "uploads",
    request_body(content = inline(BytesSchema), content_type = "application/octet-stream"),
    params(("Content-Digest" = Option<String>, Header, description = "`sha-256=:<base64>:`; refused if it is another file")),
    responses((status = 201, body = UploadView), (status = 408, description = "No byte of the body came for a minute"), (status = 409, description = "You have reached the limit on uploads: `quota-exceeded`"), (status = 507, description = "The disk of the service is full"))
)]
pub(super) async fn upload(
    State(use_cases): State<UseCases>,
    State(http): State<Http>,
    Caller(who): Caller,
    request: Request,
) -> Result<(StatusCode, Json<UploadView>), Problem> {
    let (parts, body) = request.into_parts();
    is_octets(&parts.headers)?;
    let expected = match parts.extensions.get::<ExpectedDigest>() {
        Some(ExpectedDigest(digest)) => Some(*digest),
        None => content_digest(&parts.headers)?,
    };
    let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let mut upload = use_cases.begin_upload(&who, length, expected).await?;
    receive(&mut upload, body).await?;
    let Uploaded { upload, admission } = upload.finish().await?;
    let admission = admission.map(serde_json::to_value).transpose().map_err(|_| Problem::internal())?;
    http.metrics.uploaded(upload.file.bytes);
    let view = UploadView { sha256: upload.file.sha256.to_string(), bytes: upload.file.bytes, admission };
    Ok((StatusCode::CREATED, Json(view)))
}

/// A file that you have sent.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = KeptUpload)]
pub(super) struct KeptView {
    /// What to name it by, in a job or an asset.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
    bytes: u64,
    /// When you sent it, the last time.
    #[schema(format = DateTime)]
    sent: String,
    /// When it expires, unless a published asset or an unfinished job of yours names it then.
    #[schema(format = DateTime)]
    expires: String,
}

/// Files that you have sent, and how much you may have.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UploadPage)]
pub(super) struct PageView {
    items: Vec<KeptView>,
    /// The `after` of the next page; null at the end.
    next: Option<String>,
    /// The bytes of all your uploads.
    used_bytes: u64,
    /// The most that you may have.
    limit_bytes: u64,
}

/// Which uploads are asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UploadsQuery {
    /// Those after this one, by its digest.
    #[param(value_type = Option<String>, pattern = "^[0-9a-f]{64}$")]
    after: Option<Sha256>,
    /// Maximum number of entries.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// Files that you have sent
#[utoipa::path(
    get, path = "/v1/uploads", operation_id = "list_uploads", tag = "uploads", params(UploadsQuery),
    responses((status = 200, body = PageView))
)]
pub(super) async fn list(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    Query(query): Query<UploadsQuery>,
) -> Result<Json<PageView>, Problem> {
    let at_most = PageSize::Small.of(query.limit)?;
    let UploadList { uploads, next, used_bytes, limit_bytes } = use_cases.uploads(&who, query.after, at_most).await?;
    let view = |upload: &Upload| KeptView {
        sha256: upload.file.sha256.to_string(),
        bytes: upload.file.bytes,
        sent: date::write(upload.created),
        expires: date::write(use_cases.upload_expires(upload)),
    };
    let items = uploads.iter().map(view).collect();
    Ok(Json(PageView { items, next: next.map(|sha256| sha256.to_string()), used_bytes, limit_bytes }))
}

/// Delete a file that you have sent
///
/// From now on it cannot be named, and no longer counts. What others have sent stays, also if it is the same file.
#[utoipa::path(
    delete, path = "/v1/uploads/{sha256}", operation_id = "delete_upload", tag = "uploads",
    params(("sha256" = String, Path, pattern = "^[0-9a-f]{64}$")),
    responses((status = 204, description = "It is gone"), (status = 409, description = "A published asset or an unfinished job of yours names it: `upload-in-use`"))
)]
pub(super) async fn remove(
    State(use_cases): State<UseCases>,
    Caller(who): Caller,
    PathParam(sha256): PathParam<Sha256>,
) -> Result<StatusCode, Problem> {
    use_cases.remove_upload(&who, sha256).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a body as it comes.
async fn receive(upload: &mut UploadInProgress, body: Body) -> Result<(), Problem> {
    let mut stream = body.into_data_stream();
    while let Some(bytes) = next(&mut stream, IDLE).await? {
        upload.append(&bytes).await?;
    }
    Ok(())
}

/// The next bytes of a body; none at its end. Waits so long for them.
async fn next(stream: &mut BodyDataStream, idle: Duration) -> Result<Option<Bytes>, Problem> {
    let next = tokio::time::timeout(idle, stream.next()).await.map_err(|_| Problem::client_too_slow(idle))?;
    next.transpose().map_err(|_| Problem::malformed("the body ended before it was whole"))
}

fn is_octets(headers: &HeaderMap) -> Result<(), Problem> {
    const OCTETS: &str = "application/octet-stream";
    match headers.get(header::CONTENT_TYPE) {
        None => Ok(()),
        Some(value) if value.as_bytes().eq_ignore_ascii_case(OCTETS.as_bytes()) => Ok(()),
        Some(_) => Err(Problem::media_type(OCTETS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    /// The answer to a client that is slow itself, and to no other: clients and proxies may repeat such a request.
    #[tokio::test]
    async fn a_client_that_stops_sending_is_answered_408() {
        let sent = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"a"))]);
        let mut body = Body::from_stream(sent.chain(stream::pending())).into_data_stream();
        assert_eq!(next(&mut body, IDLE).await.expect("bytes").as_deref(), Some(b"a".as_slice()));
        let problem = next(&mut body, Duration::from_millis(1)).await.expect_err("nothing comes");
        assert_eq!((problem.status, problem.retry_after), (StatusCode::REQUEST_TIMEOUT, None));
        let mut whole = Body::from("a").into_data_stream();
        assert!(next(&mut whole, IDLE).await.expect("bytes").is_some());
        assert!(next(&mut whole, IDLE).await.expect("the end").is_none());
    }
}
