//! What comes out of jobs. The bytes are in the store of results, where the pods of publishing have put them; who may read which
//! of them, and when, the status of the job decides.

use super::{ClusterStore, Inner, jobs::KnownJob};
use crate::{
    build::{
        PodStep,
        algorithm::{self, live_log_bytes},
        container,
    },
    clock::now,
    cluster::{CallError, call},
};
use cloister_lifecycle::log_bytes;
use cloister_model::{
    Account, ByteRange, EngineError, EngineFuture, JobId, ListDigest, LogPart, LogScope, Outputs, Phase, Report,
    ResultFile, ResultSet, RuntimeKind, StoredReceipt, Unavailability,
};
use cloister_results::PublishError;
use futures_util::AsyncReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;

impl Outputs for ClusterStore {
    fn log(&self, job: JobId, scope: LogScope, range: ByteRange) -> EngineFuture<'_, LogPart> {
        Box::pin(async move { self.inner.log(job, scope, range).await })
    }

    fn report(&self, job: JobId) -> EngineFuture<'_, Option<Report>> {
        Box::pin(async move {
            let KnownJob { status, report, .. } = self.inner.known(job).await?;
            let ran = status.phase.has_ended() || status.phase > Phase::Running;
            match report.filter(|_| ran) {
                Some(sha256) => self.inner.stored_report(job, sha256).await,
                None => Ok(None),
            }
        })
    }

    fn results(&self, job: JobId, set: ResultSet) -> EngineFuture<'_, Vec<ResultFile>> {
        Box::pin(async move { self.inner.results(job, set).await })
    }

    fn read_result(&self, job: JobId, set: ResultSet, index: u32, range: ByteRange) -> EngineFuture<'_, Vec<u8>> {
        Box::pin(async move { self.inner.read_result(job, set, index, range).await })
    }

    fn result_bytes(&self, owner: Account) -> EngineFuture<'_, u64> {
        Box::pin(async move {
            self.inner.complete_archive().await?;
            let needed = self.inner.needed_results_of(&owner).await?;
            let present = now();
            let counted = self.inner.counts.lock().result_bytes(&owner, present);
            // Results that assets need stay when their job goes. Those of a job that is there were counted with it.
            let left = needed.into_iter().filter(|(job, _)| !self.inner.is_there(*job, present));
            Ok(left.fold(counted, |sum, (_, bytes)| sum.saturating_add(bytes)))
        })
    }

    fn receipt(&self, job: JobId) -> EngineFuture<'_, Option<StoredReceipt>> {
        Box::pin(async move { self.inner.receipt(job).await })
    }
}

impl Inner {
    /// A part of the log, as far as the scope shows it. It is in the store once the run has ended, and complete then.
    async fn log(&self, job: JobId, scope: LogScope, range: ByteRange) -> Result<LogPart, EngineError> {
        let KnownJob { status, card, log_discarded, .. } = self.known(job).await?;
        let ended = status.phase.has_ended();
        let most = if log_discarded { 0 } else { log_bytes(&card.terms, &status, scope) };
        if most == 0 || status.phase < Phase::Running {
            return Ok(LogPart { bytes: Vec::new(), total: 0, ended });
        }
        if status.phase == Phase::Running {
            let live = live_log_bytes(&card.terms);
            if live == 0 {
                return Ok(LogPart { bytes: Vec::new(), total: 0, ended: false });
            }
            let fetch = self.fetch_printed(job, card.terms.runtime, live);
            return self.printed.part(job, most, range, fetch).await;
        }
        let Some(kept) = self.results.log_bytes(job).await.map_err(failed)? else {
            return Ok(LogPart { bytes: Vec::new(), total: 0, ended });
        };
        let total = kept.min(most);
        let bytes = self.results.read_log(job, total, range).await.map_err(failed)?;
        Ok(LogPart { bytes, total, ended: true })
    }

    /// What the pod of a running algorithm has printed so far; nothing if there is no such pod.
    async fn fetch_printed(&self, job: JobId, runtime: RuntimeKind, most_bytes: u64) -> Result<Vec<u8>, EngineError> {
        let api = self.cluster.jobs::<Pod>();
        let name = PodStep::Algorithm.pod_name(job);
        let wanted = LogParams {
            container: Some(name_of(runtime).to_owned()),
            limit_bytes: i64::try_from(most_bytes).ok(),
            ..LogParams::default()
        };
        // As a stream: what an algorithm prints need not be text.
        let read = || async {
            let mut printed = Vec::new();
            let log = api.log_stream(&name, &wanted).await?;
            log.take(most_bytes).read_to_end(&mut printed).await.map_err(kube::Error::ReadEvents)?;
            Ok(printed)
        };
        match call("give the log of a pod", read).await {
            Ok(printed) => Ok(printed),
            // It is not there yet, or not any more.
            Err(CallError::Missing | CallError::Refused { .. }) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    async fn results(&self, job: JobId, set: ResultSet) -> Result<Vec<ResultFile>, EngineError> {
        let KnownJob { status, results, .. } = self.known(job).await?;
        match (set, status.phase) {
            (ResultSet::Released, Phase::Finished) => self.bound_list(job, results).await,
            (ResultSet::UnderReview, Phase::InReview) => self.under_review(job, results).await,
            _ => Ok(Vec::new()),
        }
    }

    /// The list in the store, if it is the one that the controller has stored the digest of: credentials of the store alone
    /// cannot make a result.
    pub(super) async fn bound_list(
        &self,
        job: JobId,
        bound: Option<ListDigest>,
    ) -> Result<Vec<ResultFile>, EngineError> {
        let files = self.results.manifest(job).await.map_err(failed)?.unwrap_or_default();
        if bound == Some(ListDigest::of(&files)) {
            return Ok(files);
        }
        Err(others(job, "released"))
    }

    /// What a reviewer looks at: kept apart from the results where those are encrypted, else the results themselves. It is what the
    /// checks let pass, by the digest that the controller has stored: else credentials of the store alone would decide what a reviewer
    /// approves.
    async fn under_review(&self, job: JobId, checked: Option<ListDigest>) -> Result<Vec<ResultFile>, EngineError> {
        let held = self.results.held(job).await.map_err(failed)?;
        let shown = if held.is_some() { held } else { self.results.manifest(job).await.map_err(failed)? };
        let files = shown.unwrap_or_default();
        if checked == Some(ListDigest::of(&files)) { Ok(files) } else { Err(others(job, "checked")) }
    }

    async fn read_result(
        &self,
        job: JobId,
        set: ResultSet,
        index: u32,
        range: ByteRange,
    ) -> Result<Vec<u8>, EngineError> {
        let missing = EngineError::NoSuchResult { job, index };
        let KnownJob { status, results, .. } = self.known(job).await?;
        let read = match (set, status.phase) {
            (ResultSet::Released, Phase::Finished) => {
                self.bound_list(job, results).await?;
                self.results.read(job, index, range).await
            }
            (ResultSet::UnderReview, Phase::InReview) => {
                self.under_review(job, results).await?;
                match self.results.read_held(job, index, range).await {
                    Ok(Some(bytes)) => Ok(bytes),
                    Ok(None) => self.results.read(job, index, range).await,
                    Err(error) => Err(error),
                }
            }
            _ => return Err(missing),
        };
        read.map_err(|error| match error {
            PublishError::Missing(_) => missing,
            other => failed(other),
        })
    }
}

/// The store has no list of a job's files, or another one than the controller has stored the digest of.
fn others(job: JobId, those: &str) -> EngineError {
    let text = format!(
        "the results of job {job} are not in the result store, or are not those that were {those}; the operator can restore them"
    );
    EngineError::unavailable(Unavailability::Store, text)
}

/// The container that prints what an algorithm prints.
fn name_of(runtime: RuntimeKind) -> &'static str {
    match runtime {
        RuntimeKind::Wasm => algorithm::CONTAINER,
        RuntimeKind::Container => container::CONTAINER,
    }
}

/// The store of results failed.
pub(super) fn failed(error: PublishError) -> EngineError {
    EngineError::unavailable(Unavailability::Store, error.to_string())
}
