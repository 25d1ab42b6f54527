//! Jobs, as a Provider may see and end them: `GET`, `PUT` and `DELETE /compute`.

use super::{
    OperatorState,
    access::{Origin, Voucher, vouch},
    error::OperatorError,
    parameters::Parameters,
    status::{PROVIDER, StatusBody},
};
use crate::{
    state::Shared,
    submission::{AGREEMENT, OWNER, dataset_label, datasets_of},
};
use axum::{Json, extract::State, response::Response};
use cloister_model::{
    Account, AuditAction, AuditEvent, Did, EngineError, JobCursor, JobId, JobQuery, JobStatus, LabelError, Labels,
    Phase, Shelf,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

/// The most jobs of one answer, the newest: Ocean has no pages.
const MOST_LISTED: usize = 500;

/// The most jobs that one request ends.
const MOST_ENDED: usize = 10_000;

/// Jobs that are read at once.
const PAGE: u32 = 200;

/// Jobs whose results are looked up at the same time.
const PARALLEL: usize = 8;

/// Which jobs a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    owner: Option<Account>,
    agreement: Option<String>,
    /// As text: what is no job's name names no job.
    job: Option<String>,
    dataset: Option<Did>,
}

impl Wanted {
    /// Reads which; at least one of agreement, job and owner must be named.
    fn read(parameters: &Parameters) -> Result<Self, OperatorError> {
        let wanted = Self {
            owner: owner(parameters)?,
            agreement: parameters.text_or_absent("agreementId")?,
            job: parameters.text_or_absent("jobId")?,
            dataset: match parameters.text_or_absent("documentId")? {
                Some(text) => Some(text.parse().map_err(|error| OperatorError::bad(format!("`documentId`: {error}")))?),
                None => None,
            },
        };
        if wanted.owner.is_none() && wanted.agreement.is_none() && wanted.job.is_none() {
            return Err(OperatorError::bad("You have to specify one of agreementId, jobId or owner"));
        }
        Ok(wanted)
    }

    /// The labels that all of them have; none if no job can have them.
    fn labels(&self, voucher: &Voucher) -> Option<Labels> {
        let Self { owner, agreement, job: _, dataset } = self;
        let dataset = dataset.as_ref().map(|did| (dataset_label(did), did.id().to_owned()));
        [
            voucher.provider().map(|account| (PROVIDER.to_owned(), account.key().to_owned())),
            owner.as_ref().map(|account| (OWNER.to_owned(), account.key().to_owned())),
            agreement.as_ref().map(|agreement| (AGREEMENT.to_owned(), agreement.clone())),
            dataset,
        ]
        .into_iter()
        .flatten()
        .try_fold(Labels::new(), |labels, (name, value)| labels.with(&name, &value))
        .ok()
    }
}

/// The owner that a request names; none if it names none.
pub(super) fn owner(parameters: &Parameters) -> Result<Option<Account>, OperatorError> {
    match parameters.text_or_absent("owner")? {
        Some(text) => text.parse().map(Some).map_err(|error| OperatorError::bad(format!("`owner`: {error}"))),
        None => Ok(None),
    }
}

/// The labels that mark a job as a Provider's. Checked here, so that a bad one is the request's fault.
pub(super) fn label(labels: Labels, name: &'static str, field: &str, value: &str) -> Result<Labels, OperatorError> {
    labels.with(name, value).map_err(|error: LabelError| OperatorError::bad(format!("`{field}`: {error}")))
}

/// Tells how jobs are doing.
#[utoipa::path(get, path = "/api/v1/operator/compute", tag = "operation",
    params(("owner" = Option<String>, Query, description = "Whose jobs"), ("jobId" = Option<String>, Query),
        ("agreementId" = Option<String>, Query), ("documentId" = Option<String>, Query, description = "Jobs on this dataset"),
        ("providerSignature" = String, Query, description = "Over owner + jobId + nonce"), ("nonce" = String, Query)),
    responses((status = 200, body = Vec<StatusBody>), (status = 400), (status = 401)))]
pub(super) async fn status(
    State(OperatorState { shared, .. }): State<OperatorState>,
    origin: Origin,
    parameters: Parameters,
) -> Result<Response, OperatorError> {
    let wanted = Wanted::read(&parameters)?;
    let voucher = vouch(&shared, &origin, &parameters, wanted.job.as_deref(), "status").await?;
    Ok(voucher.answer(listed(&shared, &voucher, &wanted).await.map(Json)))
}

/// Asks for jobs to be stopped, in whatever phase they are.
#[utoipa::path(put, path = "/api/v1/operator/compute", tag = "operation",
    params(("owner" = String, Query, description = "Whose jobs"), ("jobId" = Option<String>, Query),
        ("agreementId" = Option<String>, Query), ("documentId" = Option<String>, Query),
        ("providerSignature" = String, Query, description = "Over owner + jobId + nonce"), ("nonce" = String, Query)),
    responses((status = 200, body = Vec<StatusBody>), (status = 400), (status = 401)))]
pub(super) async fn stop(
    State(OperatorState { shared, .. }): State<OperatorState>,
    origin: Origin,
    parameters: Parameters,
) -> Result<Response, OperatorError> {
    parameters.require(&["owner", "providerSignature", "nonce"], "PUT:/compute")?;
    let wanted = Wanted::read(&parameters)?;
    let voucher = vouch(&shared, &origin, &parameters, wanted.job.as_deref(), "stop").await?;
    let stopped = async {
        for job in find(&shared, &voucher, &wanted, true, MOST_ENDED).await? {
            end(&shared, &voucher, &job).await?;
        }
        listed(&shared, &voucher, &wanted).await
    };
    Ok(voucher.answer(stopped.await.map(Json)))
}

/// Removes jobs that have ended, with their results, and asks the others to stop. Answers with those that are still there.
#[utoipa::path(delete, path = "/api/v1/operator/compute", tag = "operation",
    params(("owner" = String, Query, description = "Whose jobs"), ("jobId" = Option<String>, Query),
        ("agreementId" = Option<String>, Query),
        ("providerSignature" = String, Query, description = "Over owner + jobId + nonce"), ("nonce" = String, Query)),
    responses((status = 200, body = Vec<StatusBody>), (status = 400), (status = 401)))]
pub(super) async fn delete(
    State(OperatorState { shared, .. }): State<OperatorState>,
    origin: Origin,
    parameters: Parameters,
) -> Result<Response, OperatorError> {
    parameters.require(&["owner", "providerSignature", "nonce"], "DELETE:/compute")?;
    let wanted = Wanted::read(&parameters)?;
    if wanted.job.is_none() && wanted.agreement.is_none() {
        // Else somebody who meant to name a job loses the results of all of them.
        return Err(OperatorError::bad("You have to specify one of agreementId or jobId"));
    }
    let voucher = vouch(&shared, &origin, &parameters, wanted.job.as_deref(), "delete").await?;
    let deleted = async {
        for job in find(&shared, &voucher, &wanted, false, MOST_ENDED).await? {
            if job.phase.has_ended() {
                remove(&shared, &voucher, &job).await?;
            } else {
                end(&shared, &voucher, &job).await?;
            }
        }
        listed(&shared, &voucher, &wanted).await
    };
    Ok(voucher.answer(deleted.await.map(Json)))
}

/// On record first: wherever the program is killed, nothing is done that is not.
async fn end(shared: &Shared, voucher: &Voucher, job: &JobStatus) -> Result<(), OperatorError> {
    if job.stop_requested.is_none() && !job.phase.has_ended() {
        record(shared, voucher, job, AuditAction::JobStopped, &json!({})).await?;
    }
    unless_gone(shared.backend.stop(job.id, shared.now()).await.map(drop))
}

async fn remove(shared: &Shared, voucher: &Voucher, job: &JobStatus) -> Result<(), OperatorError> {
    record(shared, voucher, job, AuditAction::JobRemoved, &json!({})).await?;
    unless_gone(shared.backend.remove(job.id).await)
}

/// A job that was removed meanwhile is as stopped and as removed as can be.
fn unless_gone(done: Result<(), EngineError>) -> Result<(), OperatorError> {
    match done {
        Ok(()) | Err(EngineError::NoSuchJob(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Puts on record what was done for a job's owner, and on whose word.
pub(super) async fn record(
    shared: &Shared,
    voucher: &Voucher,
    job: &JobStatus,
    action: AuditAction,
    what: &serde_json::Value,
) -> Result<(), OperatorError> {
    let mut detail = json!({"provider": voucher.provider().map(Account::key), "verified": *voucher != Voucher::Nobody});
    if let (Some(detail), Some(what)) = (detail.as_object_mut(), what.as_object()) {
        detail.extend(what.clone());
    }
    let event = AuditEvent {
        at: shared.now(),
        actor: job.labels.get(OWNER).unwrap_or_default().to_owned(),
        action,
        subject: job.id.to_string(),
        detail: detail.to_string(),
    };
    Ok(shared.backend.record(vec![event]).await?)
}

/// The jobs that are meant, as Ocean's clients see them.
async fn listed(shared: &Shared, voucher: &Voucher, wanted: &Wanted) -> Result<Vec<StatusBody>, OperatorError> {
    let jobs = find(shared, voucher, wanted, false, MOST_LISTED).await?;
    let bodies = stream::iter(jobs).map(|job| async move { shown(shared, &job).await }).buffered(PARALLEL);
    // A job that was removed meanwhile is left out.
    bodies.try_filter_map(|body| std::future::ready(Ok(body))).try_collect().await
}

/// A job as Ocean's clients see it; none if it was removed meanwhile.
pub(super) async fn shown(shared: &Shared, job: &JobStatus) -> Result<Option<StatusBody>, OperatorError> {
    let results = match job.phase.has_ended() {
        true => shared.backend.results(job.id, Shelf::Released).await,
        false => Ok(Vec::new()),
    };
    match (inputs(shared, job).await, results) {
        (Ok(inputs), Ok(results)) => Ok(Some(StatusBody::new(job, inputs, &results))),
        (Err(EngineError::NoSuchJob(_)), _) | (_, Err(EngineError::NoSuchJob(_))) => Ok(None),
        (Err(error), _) | (_, Err(error)) => Err(error.into()),
    }
}

/// The datasets of a job in its own order, which labels do not keep.
pub(super) async fn inputs(shared: &Shared, job: &JobStatus) -> Result<Vec<String>, EngineError> {
    let datasets = datasets_of(&job.labels);
    if datasets.len() < 2 {
        return Ok(datasets.iter().map(ToString::to_string).collect());
    }
    Ok(shared.backend.spec(job.id).await?.inputs.iter().map(|input| input.did.to_string()).collect())
}

/// The newest of the jobs that are meant. What a Provider has not started is not there for it.
async fn find(
    shared: &Shared,
    voucher: &Voucher,
    wanted: &Wanted,
    unfinished: bool,
    most: usize,
) -> Result<Vec<JobStatus>, OperatorError> {
    let Some(labels) = wanted.labels(voucher) else { return Ok(Vec::new()) };
    let Some(job) = &wanted.job else { return list(shared, labels, unfinished, most).await };
    let Ok(job) = job.parse::<JobId>() else { return Ok(Vec::new()) };
    match shared.backend.status(job).await {
        Ok(job) if job.labels.matches(&labels) && !(unfinished && job.phase.has_ended()) => Ok(vec![job]),
        Ok(_) | Err(EngineError::NoSuchJob(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// The newest jobs that have these labels.
pub(super) async fn list(
    shared: &Shared,
    labels: Labels,
    unfinished: bool,
    most: usize,
) -> Result<Vec<JobStatus>, OperatorError> {
    let phases = unfinished.then(|| Phase::ALL.into_iter().filter(|phase| !phase.has_ended()).collect());
    let mut jobs: Vec<JobStatus> = Vec::new();
    while jobs.len() < most {
        let after = jobs.last().map(|job| JobCursor { created: job.created, job: job.id });
        let query = JobQuery { labels: labels.clone(), phases: phases.clone(), after, at_most: PAGE };
        let page = shared.backend.list(query).await?;
        let last = page.len() < PAGE as usize;
        jobs.extend(page);
        if last {
            break;
        }
    }
    jobs.truncate(most);
    Ok(jobs)
}
