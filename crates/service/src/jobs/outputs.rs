use super::{JobAccess, JobError, ReviewWait, access::FoundJob};
use crate::{Principal, UseCases};
use cloister_model::{
    Explanation, FailureDetail, JobCard, JobId, JobStatus, Phase, Report, ResultFile, ResultSet, Role, Terms,
};

impl UseCases {
    /// What a job has released, for its owner.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn results(&self, who: &Principal, job: JobId) -> Result<Vec<ResultFile>, JobError> {
        self.find_job(&who.clone().into(), job, JobAccess::Results).await?;
        Ok(self.backend().results(job, ResultSet::Released).await?)
    }

    /// The host's report of a run, as far as the caller may see it.
    ///
    /// # Errors
    /// [`JobError::NotFound`], also if nothing ran yet; [`JobError::Engine`].
    pub async fn report(&self, who: &Principal, job: JobId) -> Result<Report, JobError> {
        let FoundJob { card, status } = self.find_job(&who.clone().into(), job, JobAccess::Read).await?;
        let report = self.backend().report(job).await?.ok_or(JobError::NotFound)?;
        Ok(redact(report, status.phase, &card, who))
    }

    /// Why a job is where it is, and the terms on which it was allowed.
    ///
    /// # Errors
    /// [`JobError::NotFound`], [`JobError::Engine`].
    pub async fn explain_job(&self, who: &Principal, job: JobId) -> Result<ExplainedJob, JobError> {
        let FoundJob { card, status } = self.find_job(&who.clone().into(), job, JobAccess::Read).await?;
        let may_read =
            |detail: &&FailureDetail| who.is(Role::Operator) || card.record.may_read_detail(&who.account, detail);
        let detail = status.detail.as_ref().filter(may_read).map(|detail| detail.text().to_owned());
        let review = self.review_wait(&status, &card);
        Ok(ExplainedJob { explanation: self.backend().explain(job).await?, status, detail, review, terms: card.terms })
    }
}

/// Why a job is where it is, for one reader.
#[derive(Clone, Debug)]
pub struct ExplainedJob {
    /// Its present status.
    pub status: JobStatus,
    /// Why it is where it is, as every reader is told.
    pub explanation: Explanation,
    /// What this reader may know of its failure beyond that: it can name where files are kept.
    pub detail: Option<String>,
    /// Whom its outputs wait for; none if it is not in review.
    pub review: Option<ReviewWait>,
    /// The terms on which it was allowed.
    pub terms: Terms,
}

/// The part of a report that a reader may see.
///
/// Names of outputs are the algorithm's own text, and the digest of a low-entropy value can be reversed by guessing. So the
/// report says nothing about outputs until they are released, and a publisher sees neither the files of other publishers
/// nor the consumer's parameters. The numbers of a run are the algorithm's to choose as well: where nothing else of it may
/// leave, they are coarse.
fn redact(report: Report, phase: Phase, card: &JobCard, who: &Principal) -> Report {
    let record = &card.record;
    let mut report = report;
    if phase != Phase::Finished {
        report.outputs.clear();
        report.output_directories = 0;
    }
    if report.outputs.is_empty() && !card.terms.lets_log_out() && !who.is(Role::Operator) {
        report = report.coarse();
    }
    if !who.is(Role::Operator) && record.owner != who.account {
        let own = |folder: &str| {
            let mut datasets = record.datasets.iter();
            datasets.any(|dataset| dataset.asset.publisher == who.account && dataset.asset.did.id() == folder)
        };
        report.inputs.retain(|file| match file.path.strip_prefix("inputs/") {
            Some(rest) => rest.split_once('/').is_some_and(|(folder, _)| own(folder)),
            None => true,
        });
    }
    report
}
