use super::act::event;
use crate::{content::Download, problem::Problem, state::Shared};
use axum::{
    http::{HeaderMap, Method},
    response::Response,
};
use cloister_model::{Account, AuditAction, JobId, ResultFile, Shelf};
use serde_json::json;

/// The file at a place on a shelf.
async fn file(shared: &Shared, job: JobId, shelf: Shelf, index: u32) -> Result<ResultFile, Problem> {
    let files = shared.backend.results(job, shelf).await?;
    let place = usize::try_from(index).map_err(|_| Problem::not_found())?;
    files.into_iter().nth(place).ok_or_else(Problem::not_found)
}

/// Sends a file of a job, or the part that is asked for. What is released is put on record once for each request, before its
/// first byte is sent.
pub(crate) async fn send(
    shared: &Shared,
    actor: &Account,
    (job, shelf, index): (JobId, Shelf, u32),
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let ResultFile { name, kind, bytes, sha256 } = file(shared, job, shelf, index).await?;
    let reader = shared.clone();
    let download = Download::new(&name, bytes, move |range| {
        let shared = reader.clone();
        async move { Ok(shared.backend.read_result(job, shelf, index, range).await?) }
    });
    let detail = json!({"index": index, "kind": kind, "bytes": bytes, "sha256": sha256, "held": shelf == Shelf::Held});
    let recorded = async {
        let event = event(shared, actor, AuditAction::ResultDownloaded, job, &detail);
        Ok(shared.backend.record(vec![event]).await?)
    };
    download.with_digest(sha256).answer(shared, method, headers, recorded).await
}
