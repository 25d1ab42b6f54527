//! Requests that come through a cluster and not over HTTP: decided by the same use cases, and described by the same problems.

use crate::{Service, native::read_job_request, problem::Problem};
use axum::http::StatusCode;
use cloister_model::{Account, ByteRange, JobId, Role, Sha256};
use cloister_service::{Actor, Identity, Principal, SubmitError, Via};
use serde_json::Value;

/// Bytes of a result that are read at a time.
const CHUNK_BYTES: u32 = 256 * 1024;

/// Why something that was asked for through a cluster was not done. Safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The rules that deny a job, one a line; empty if no rule was asked.
    pub rules: Vec<String>,
    /// The interpreter that is not installed, if that is one of the rules. The operator's text.
    pub interpreter: Option<String>,
    /// What happened, and what to do.
    pub text: String,
    /// Whether the same may be done later.
    pub passes: bool,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let Problem { status, slug, detail, field, rules, .. } = problem;
        let rules = rules.iter().map(ToString::to_string);
        let text = field.map_or_else(|| detail.clone(), |field| format!("`{field}`: {detail}"));
        // Something may be published, fetched or ended meanwhile.
        let passes = status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || matches!(slug, "agreement-in-use" | "pending");
        Self { rules: rules.collect(), interpreter: None, text, passes }
    }
}

impl From<SubmitError> for Refusal {
    fn from(error: SubmitError) -> Self {
        let interpreter = match &error {
            SubmitError::Denied { interpreter, .. } => interpreter.clone(),
            _ => None,
        };
        Self { interpreter, ..Self::from(Problem::from(error)) }
    }
}

impl Service {
    /// Decides about a request for a job, written as the body of `POST /v1/jobs`. The same key again finds the same job.
    ///
    /// # Errors
    /// Why there is no job.
    pub async fn request_job(&self, account: &Account, key: String, request: Value) -> Result<JobId, Refusal> {
        let request_digest = Sha256::of(request.to_string().as_bytes());
        let identity = Identity::Key { key, request: request_digest };
        let submission = read_job_request(request, identity)?;
        let submitted = self.state.use_cases.submit(&of(account), &submission).await?;
        Ok(submitted.status.id)
    }

    /// Stops a job of an account, unless it has ended.
    ///
    /// # Errors
    /// Why it was not stopped.
    pub async fn stop_job(&self, account: &Account, job: JobId) -> Result<(), Refusal> {
        self.state.use_cases.stop_job(&of(account), job).await.map_err(Problem::from)?;
        Ok(())
    }

    /// The released results of a job of an account, by their names, if they are at most so many bytes together; otherwise how many
    /// bytes they are. Each download goes on record.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub async fn small_results(
        &self,
        account: &Account,
        job: JobId,
        most_bytes: u64,
    ) -> Result<Result<Vec<(String, Vec<u8>)>, u64>, Refusal> {
        let actor = of(account);
        let files = self.state.use_cases.results(&principal(account), job).await.map_err(Problem::from)?;
        let bytes = files.iter().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
        if bytes > most_bytes {
            return Ok(Err(bytes));
        }
        let mut read = Vec::new();
        for (index, file) in (0_u32..).zip(files) {
            let result = self.state.use_cases.result_file(&actor, job, index).await.map_err(Problem::from)?;
            let opened = result.open().await.map_err(Problem::from)?;
            let mut content = Vec::new();
            while (content.len() as u64) < file.bytes {
                let range = ByteRange { offset: content.len() as u64, at_most: CHUNK_BYTES };
                let part = opened.read(range).await.map_err(Problem::from)?;
                if part.is_empty() {
                    break;
                }
                content.extend(part);
            }
            read.push((file.name, content));
        }
        Ok(Ok(read))
    }
}

fn of(account: &Account) -> Actor {
    Actor::Principal(principal(account))
}

/// As with a signature, what the cluster has authenticated is good for one request.
fn principal(account: &Account) -> Principal {
    Principal { account: account.clone(), role: Role::Consumer, via: Via::Signature }
}
