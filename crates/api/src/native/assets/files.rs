use super::view::find;
use crate::{
    auth::Caller, content::Download, principal::Principal, problem::Problem, state::Shared, submission::service_files,
    web::In2,
};
use axum::{
    extract::State,
    http::{HeaderMap, Method, StatusCode},
    response::Response,
};
use cloister_model::{Asset, AssetKind, AuditAction, AuditEvent, Did, ServiceKind, Source, StoreError};
use serde_json::json;

/// A file of a dataset that may be downloaded
#[utoipa::path(
    get, path = "/v1/datasets/{did}/files/{n}", tag = "assets",
    params(("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$"), ("n" = u32, Path),
        ("Range" = Option<String>, Header, description = "One range of bytes")),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 304, description = "You have it"), (status = 502, description = "Its source does not answer"),
    )
)]
pub(crate) async fn dataset_file(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In2(did, n): In2<Did, u32>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    send(&shared, &who, (AssetKind::Dataset, did, n), &method, &headers).await
}

/// A file of an algorithm that may be downloaded
#[utoipa::path(
    get, path = "/v1/algorithms/{did}/files/{n}", tag = "assets",
    params(("did" = String, Path, pattern = "^(did:op:)?[A-Za-z0-9_-]{1,64}$"), ("n" = u32, Path),
        ("Range" = Option<String>, Header, description = "One range of bytes")),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 304, description = "You have it"), (status = 502, description = "Its source does not answer"),
    )
)]
pub(crate) async fn algorithm_file(
    State(shared): State<Shared>,
    Caller(who): Caller,
    In2(did, n): In2<Did, u32>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    send(&shared, &who, (AssetKind::Algorithm, did, n), &method, &headers).await
}

/// File `n` of the asset's first `access` service. What can only be computed on has no such service and is never sent, to its
/// owner either: they have it.
fn file(asset: &Asset, n: u32) -> Option<&Source> {
    let service = asset.ddo.services().iter().find(|service| service.kind == ServiceKind::Access)?;
    service_files(service)?.files().get(usize::try_from(n).ok()?)
}

async fn send(
    shared: &Shared,
    who: &Principal,
    (kind, did, n): (AssetKind, Did, u32),
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let asset = find(shared, who, kind, did).await?;
    let source = file(&asset, n).filter(|_| asset.withdrawn.is_none()).ok_or_else(Problem::not_found)?;
    let fetched = shared.backend.fetch_files(source.clone().into()).await.map_err(|error| match error {
        StoreError::Source(why) => {
            let detail = format!("the file could not be fetched from where it is: {why}");
            Problem::new(StatusCode::BAD_GATEWAY, "source", "The source does not answer", detail)
        }
        other => other.into(),
    })?;
    let file = *fetched.first().ok_or_else(Problem::internal)?;
    let reader = shared.clone();
    let download = Download::new(&format!("{}-{n}", asset.name), file.bytes, move |range| {
        let shared = reader.clone();
        async move { Ok(shared.backend.read_file(file.sha256, range).await?) }
    });
    let event = AuditEvent {
        at: shared.now(),
        actor: who.account.key().to_owned(),
        action: AuditAction::FileDownloaded,
        subject: asset.ddo.id().to_string(),
        detail: json!({"file": n, "sha256": file.sha256, "bytes": file.bytes}).to_string(),
    };
    let recorded = async { Ok(shared.backend.record(vec![event]).await?) };
    download.with_digest(file.sha256).answer(shared, method, headers, recorded).await
}
