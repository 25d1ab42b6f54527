use super::schemas::BytesSchema;
use crate::{
    auth::{Caller, ExpectedDigest},
    extract::content_digest,
    problem::Problem,
};
use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
};
use cloister_service::{UploadInProgress, Uploaded, UseCases};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use utoipa::ToSchema;

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
/// A program for a job, or a file of an asset. Kept for you alone; name it by its digest.
#[utoipa::path(
    post, path = "/v1/uploads", operation_id = "upload_file", tag = "uploads",
    request_body(content = inline(BytesSchema), content_type = "application/octet-stream"),
    params(("Content-Digest" = Option<String>, Header, description = "`sha-256=:<base64>:`; refused if it is another file")),
    responses((status = 201, body = UploadView), (status = 408, description = "No byte of the body came for a minute"), (status = 507, description = "You have sent all that you may"))
)]
pub(super) async fn upload(
    State(use_cases): State<UseCases>,
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
    let view = UploadView { sha256: upload.file.sha256.to_string(), bytes: upload.file.bytes, admission };
    Ok((StatusCode::CREATED, Json(view)))
}

/// Takes a body as it comes.
async fn receive(upload: &mut UploadInProgress, body: Body) -> Result<(), Problem> {
    let mut stream = body.into_data_stream();
    loop {
        let next = tokio::time::timeout(IDLE, stream.next()).await.map_err(|_| Problem::client_too_slow(IDLE))?;
        let Some(bytes) = next else { return Ok(()) };
        let bytes = bytes.map_err(|_| Problem::malformed("the body ended before it was whole"))?;
        upload.append(&bytes).await?;
    }
}

fn is_octets(headers: &HeaderMap) -> Result<(), Problem> {
    const OCTETS: &str = "application/octet-stream";
    match headers.get(header::CONTENT_TYPE) {
        None => Ok(()),
        Some(value) if value.as_bytes().eq_ignore_ascii_case(OCTETS.as_bytes()) => Ok(()),
        Some(_) => Err(Problem::media_type(OCTETS)),
    }
}
