use crate::{
    auth::{Caller, ExpectedDigest},
    content::{CHUNK_BYTES, content_digest},
    problem::Problem,
    state::Shared,
};
use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
};
use cloister_model::{Account, Admission, ByteRange, Limits, Sha256, Upload};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde_json::Value;
use std::{sync::LazyLock, time::Duration};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

/// How long to wait for more of an upload.
const IDLE: Duration = Duration::from_secs(60);

/// What a WebAssembly program begins with.
const MAGIC: &[u8] = b"\0asm";

/// Programs are read whole to be looked at: one at a time.
static INSPECTIONS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(1));

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
    post, path = "/v1/uploads", tag = "uploads",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    params(("Content-Digest" = Option<String>, Header, description = "`sha-256=:<base64>:`; refused if it is another file")),
    responses((status = 201, body = UploadView), (status = 507, description = "You have sent all that you may"))
)]
pub(super) async fn upload(
    State(shared): State<Shared>,
    Caller(who): Caller,
    request: Request,
) -> Result<(StatusCode, Json<UploadView>), Problem> {
    let (parts, body) = request.into_parts();
    is_octets(&parts.headers)?;
    let _place = shared.uploading.take(&who.account)?;
    let signed = parts.extensions.get::<ExpectedDigest>().map(|ExpectedDigest(digest)| *digest);
    let expected = match signed {
        Some(digest) => Some(digest),
        None => content_digest(&parts.headers)?,
    };
    let most = shared.settings.max_upload_bytes;
    let length = parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(Problem::too_large(most));
    }
    let (upload, begins) = receive(&shared, &who.account, body, expected).await?;
    let admission = if begins == MAGIC && upload.file.bytes <= Limits::default().module_bytes {
        Some(inspect(&shared, upload.file.sha256, upload.file.bytes).await?)
    } else {
        None
    };
    let admission = admission.map(serde_json::to_value).transpose().map_err(|_| Problem::internal())?;
    let view = UploadView { sha256: upload.file.sha256.to_string(), bytes: upload.file.bytes, admission };
    Ok((StatusCode::CREATED, Json(view)))
}

fn is_octets(headers: &HeaderMap) -> Result<(), Problem> {
    const OCTETS: &str = "application/octet-stream";
    match headers.get(header::CONTENT_TYPE) {
        None => Ok(()),
        Some(value) if value.as_bytes().eq_ignore_ascii_case(OCTETS.as_bytes()) => Ok(()),
        Some(_) => Err(Problem::media_type(OCTETS)),
    }
}

/// Takes the body as it comes. An upload that does not become whole leaves nothing behind.
async fn receive(
    shared: &Shared,
    owner: &Account,
    body: Body,
    expected: Option<Sha256>,
) -> Result<(Upload, Vec<u8>), Problem> {
    let number = shared.backend.begin_upload().await?;
    let mut guard = Unfinished { shared: shared.clone(), number: Some(number) };
    let begins = append(shared, number, body, expected).await?;
    let upload = shared.backend.finish_upload(number, owner.clone(), shared.now()).await?;
    guard.number = None;
    Ok((upload, begins))
}

/// Forgets an upload when whoever sends it goes away in the middle, too.
struct Unfinished {
    shared: Shared,
    number: Option<u64>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let (Some(number), Ok(runtime)) = (self.number, tokio::runtime::Handle::try_current()) {
            let shared = self.shared.clone();
            runtime.spawn(async move {
                if let Err(error) = shared.backend.drop_upload(number).await {
                    tracing::debug!(%error, "an upload was not dropped");
                }
            });
        }
    }
}

/// The first bytes of what was appended.
async fn append(shared: &Shared, number: u64, body: Body, expected: Option<Sha256>) -> Result<Vec<u8>, Problem> {
    use sha2::Digest as _;
    let most = shared.settings.max_upload_bytes;
    let mut stream = body.into_data_stream();
    let (mut taken, mut pending, mut begins) = (0_u64, Vec::new(), Vec::new());
    let mut hash = sha2::Sha256::new();
    loop {
        let next = tokio::time::timeout(IDLE, stream.next()).await;
        let next = next.map_err(|_| Problem::too_slow(IDLE))?;
        let Some(piece) = next else { break };
        let piece = piece.map_err(|_| Problem::malformed("the body ended before it was whole"))?;
        taken = taken.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if taken > most {
            return Err(Problem::too_large(most));
        }
        let missing = MAGIC.len().saturating_sub(begins.len()).min(piece.len());
        begins.extend_from_slice(&piece[..missing]);
        if expected.is_some() {
            hash.update(&piece);
        }
        pending.extend_from_slice(&piece);
        if pending.len() >= CHUNK_BYTES as usize {
            shared.backend.append_upload(number, std::mem::take(&mut pending)).await?;
        }
    }
    if taken == 0 {
        return Err(Problem::malformed("the body is empty; send the file as the body"));
    }
    if !pending.is_empty() {
        shared.backend.append_upload(number, pending).await?;
    }
    match expected {
        Some(expected) if expected != Sha256::from_bytes(hash.finalize().into()) => {
            Err(Problem::malformed("the body is not the one of `Content-Digest`"))
        }
        _ => Ok(begins),
    }
}

async fn inspect(shared: &Shared, sha256: Sha256, bytes: u64) -> Result<Admission, Problem> {
    let permit = INSPECTIONS.acquire().await.map_err(|_| Problem::internal())?;
    let mut program = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    loop {
        let offset = u64::try_from(program.len()).unwrap_or(u64::MAX);
        let part = shared.backend.read_file(sha256, ByteRange { offset, at_most: CHUNK_BYTES }).await?;
        if part.is_empty() {
            break;
        }
        program.extend_from_slice(&part);
    }
    let admission = tokio::task::spawn_blocking(move || {
        let limits = Limits::default();
        cloister_admission::admit(&cloister_admission::Request {
            bytes: &program,
            limits: &limits,
            role: cloister_admission::Role::Algorithm,
        })
    });
    let admission = admission.await.map_err(|_| Problem::internal())?;
    drop(permit);
    Ok(admission)
}
