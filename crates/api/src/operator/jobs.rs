//! Jobs, as a Provider may see and end them: `GET`, `PUT` and `DELETE /compute`.

use super::{
    access::{Origin, Voucher, vouch},
    error::OperatorError,
    parameters::Parameters,
    status::{ListedResult, StatusBody},
};
use crate::state::AppState;
use axum::{Json, extract::State, response::Response};
use cloister_model::{Account, Did, JobStatus, ResultKind};
use cloister_service::{Actor, JobError, ProviderFilter, UseCases};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

/// What the log of an algorithm is called among results.
pub(super) const LOG_NAME: &str = "algorithm.log";

/// The most jobs of one answer, the newest ones: Ocean has no pages.
const MOST_LISTED: usize = 500;

/// The most jobs that one request ends.
const MOST_ENDED: usize = 10_000;

/// Jobs that are read or ended at the same time.
pub(super) const PARALLEL: usize = 32;

/// Which jobs a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    owner: Option<Account>,
    agreement: Option<String>,
    /// As text: a text that is not the name of a job names no job.
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

    /// The jobs that are meant, of those that the Provider reaches.
    fn filter(&self, unfinished: bool, at_most: usize) -> ProviderFilter {
        let Self { owner: _, agreement, job, dataset } = self.clone();
        ProviderFilter { agreement, job, dataset, unfinished, at_most }
    }
}

/// The owner that a request names; none if it names none.
pub(super) fn owner(parameters: &Parameters) -> Result<Option<Account>, OperatorError> {
    match parameters.text_or_absent("owner")? {
        Some(text) => text.parse().map(Some).map_err(|error| OperatorError::bad(format!("`owner`: {error}"))),
        None => Ok(None),
    }
}

/// Tells how jobs are doing.
#[utoipa::path(get, path = "/api/v1/operator/compute", tag = "operation",
    params(("owner" = Option<String>, Query, description = "Whose jobs"), ("jobId" = Option<String>, Query),
        ("agreementId" = Option<String>, Query), ("documentId" = Option<String>, Query, description = "Jobs on this dataset"),
        ("providerSignature" = String, Query, description = "Over owner + jobId + nonce"), ("nonce" = String, Query)),
    responses((status = 200, body = Vec<StatusBody>), (status = 400), (status = 401)))]
pub(super) async fn status(
    State(state): State<AppState>,
    origin: Origin,
    parameters: Parameters,
) -> Result<Response, OperatorError> {
    let wanted = Wanted::read(&parameters)?;
    let voucher = vouch(&state, &origin, &parameters, wanted.job.as_deref(), "status").await?;
    Ok(voucher.answer(listed(&state.use_cases, &voucher, &wanted).await.map(Json)))
}

/// Asks for jobs to be stopped, in whatever phase they are.
#[utoipa::path(put, path = "/api/v1/operator/compute", tag = "operation",
    params(("owner" = String, Query, description = "Whose jobs"), ("jobId" = Option<String>, Query),
        ("agreementId" = Option<String>, Query), ("documentId" = Option<String>, Query),
        ("providerSignature" = String, Query, description = "Over owner + jobId + nonce"), ("nonce" = String, Query)),
    responses((status = 200, body = Vec<StatusBody>), (status = 400), (status = 401)))]
pub(super) async fn stop(
    State(state): State<AppState>,
    origin: Origin,
    parameters: Parameters,
) -> Result<Response, OperatorError> {
    parameters.require(&["owner", "providerSignature", "nonce"], "PUT:/compute")?;
    let wanted = Wanted::read(&parameters)?;
    let voucher = vouch(&state, &origin, &parameters, wanted.job.as_deref(), "stop").await?;
    let stopped = async {
        let provider = voucher.speaks_for(wanted.owner.clone());
        let jobs = state.use_cases.jobs_of_provider(&provider, &wanted.filter(true, MOST_ENDED)).await?;
        let (use_cases, actor) = (&state.use_cases, &Actor::Provider(provider));
        end_all(jobs, |job| async move { use_cases.stop_job(actor, job.id).await.map(drop) }).await?;
        listed(&state.use_cases, &voucher, &wanted).await
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
    State(state): State<AppState>,
    origin: Origin,
    parameters: Parameters,
) -> Result<Response, OperatorError> {
    parameters.require(&["owner", "providerSignature", "nonce"], "DELETE:/compute")?;
    let wanted = Wanted::read(&parameters)?;
    if wanted.job.is_none() && wanted.agreement.is_none() {
        // Otherwise, a request that forgets to name a job would delete the results of all of them.
        return Err(OperatorError::bad("You have to specify one of agreementId or jobId"));
    }
    let voucher = vouch(&state, &origin, &parameters, wanted.job.as_deref(), "delete").await?;
    let deleted = async {
        let provider = voucher.speaks_for(wanted.owner.clone());
        let jobs = state.use_cases.jobs_of_provider(&provider, &wanted.filter(false, MOST_ENDED)).await?;
        let (use_cases, actor) = (&state.use_cases, &Actor::Provider(provider));
        let end = |job: JobStatus| async move {
            match job.phase.has_ended() {
                true => use_cases.remove_job(actor, job.id).await,
                false => use_cases.stop_job(actor, job.id).await.map(drop),
            }
        };
        end_all(jobs, end).await?;
        listed(&state.use_cases, &voucher, &wanted).await
    };
    Ok(voucher.answer(deleted.await.map(Json)))
}

/// Asks several jobs to end, some at a time, so that one request ends all of them within its time limit. A job that was
/// removed meanwhile needs nothing any more.
async fn end_all<F>(jobs: Vec<JobStatus>, end: impl Fn(JobStatus) -> F) -> Result<(), OperatorError>
where
    F: Future<Output = Result<(), JobError>>,
{
    let mut ended = stream::iter(jobs).map(end).buffer_unordered(PARALLEL);
    while let Some(ended) = ended.next().await {
        match ended {
            Ok(()) | Err(JobError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The jobs that are meant, as Ocean's clients see them.
async fn listed(use_cases: &UseCases, voucher: &Voucher, wanted: &Wanted) -> Result<Vec<StatusBody>, OperatorError> {
    let provider = voucher.speaks_for(wanted.owner.clone());
    let jobs = use_cases.jobs_of_provider(&provider, &wanted.filter(false, MOST_LISTED)).await?;
    let actor = Actor::Provider(provider);
    let shown = |job: JobStatus| {
        let actor = &actor;
        async move { shown(use_cases, actor, &job).await }
    };
    let bodies = stream::iter(jobs).map(shown).buffered(PARALLEL);
    // A job that was removed meanwhile is left out.
    bodies.try_filter_map(|body| std::future::ready(Ok(body))).try_collect().await
}

/// A job as Ocean's clients see it; none if it was removed meanwhile.
pub(super) async fn shown(
    use_cases: &UseCases,
    actor: &Actor,
    job: &JobStatus,
) -> Result<Option<StatusBody>, OperatorError> {
    let inputs = use_cases.datasets_of_job(actor, job).await;
    match (inputs, results(use_cases, actor, job).await) {
        (Ok(inputs), Ok(results)) => Ok(Some(StatusBody::new(job, &inputs, &results))),
        (Err(JobError::NotFound), _) | (_, Err(JobError::NotFound)) => Ok(None),
        (Err(error), _) | (_, Err(error)) => Err(error.into()),
    }
}

/// The results of a job: what it released, or the log of an algorithm that failed, as far as it may be read.
async fn results(use_cases: &UseCases, actor: &Actor, job: &JobStatus) -> Result<Vec<ListedResult>, JobError> {
    if let Some((_, bytes)) = use_cases.log_as_result(actor, job).await? {
        return Ok(vec![ListedResult { name: LOG_NAME.to_owned(), bytes, kind: ResultKind::AlgorithmLog }]);
    }
    Ok(use_cases.released_files(actor, job).await?.iter().map(ListedResult::from).collect())
}
