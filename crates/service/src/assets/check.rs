//! Whether the sources of a dataset can be read, for its publisher: at present, and at the last check.

use super::AssetError;
use crate::{Principal, UseCases, labels};
use cloister_model::{
    AssetKind, CheckedSource, Did, JobId, JobQuery, JobStatus, Labels, LastCheck, MOST_FILES, Phase, Source,
    SourceCheck, Sources, Timestamp,
};
use std::time::Duration;

/// The longest that one call waits for sources. A person waits for it, who can ask again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Jobs, the newest ones, among which is looked for the last that needed a dataset.
const MOST_JOBS: u32 = 50;

/// What is known of the sources of a dataset without asking them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcesSeen {
    /// The revision that the dataset has now.
    pub revision: u64,
    /// The last look at them; none: there was none.
    pub check: Option<LastCheck>,
    /// The last job that needed them; none if there was none among the newest ones.
    pub job: Option<LastProvision>,
}

/// The end of an attempt to give a dataset to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastProvision {
    /// Which job.
    pub job: JobId,
    /// When the attempt ended.
    pub at: Timestamp,
    /// Why it failed, in the words that the publisher may read; none: the job got its files.
    pub problem: Option<String>,
}

impl UseCases {
    /// Looks at each source of a dataset, for its owner: whether it answers, its size, and whether it is what was agreed. None
    /// if that takes longer than this call waits: the same call again continues.
    ///
    /// # Errors
    /// [`AssetError::NotFound`], also for a dataset that was withdrawn; [`AssetError::Store`] if too many checks are under way.
    pub async fn check_sources_of(
        &self,
        who: &Principal,
        dataset: Did,
    ) -> Result<Option<Vec<CheckedSource>>, AssetError> {
        let asset = self.find_own(who, AssetKind::Dataset, dataset, false).await?;
        if asset.withdrawn.is_some() {
            return Err(AssetError::NotFound);
        }
        let (mut fields, mut sources) = (Vec::new(), Vec::<Source>::new());
        for (at, service) in asset.ddo.services().iter().enumerate() {
            let files = service.open_files().map(Sources::files).unwrap_or_default();
            for (n, source) in files.iter().enumerate() {
                fields.push(format!("services[{at}].files[{n}]"));
                sources.push(source.clone());
            }
        }
        sources.truncate(MOST_FILES);
        let Ok(sources) = Sources::new(sources) else { return Ok(Some(Vec::new())) };
        let patience = PATIENCE.min(self.options().patience);
        let Some(checked) = self.backend().check_sources(who.account.clone(), sources, patience).await? else {
            return Ok(None);
        };
        let named =
            |(field, SourceCheck { place, outcome }): (String, SourceCheck)| CheckedSource { field, place, outcome };
        let checked: Vec<_> = fields.into_iter().zip(checked).map(named).collect();
        // It is stored in the row of the dataset, which is written as a whole.
        let _counted = self.count(&who.account, &asset.ddo).await;
        let kept = LastCheck::of(&checked, asset.revision, self.now());
        if let Err(error) = self.backend().put_check(asset.ddo.id().clone(), kept).await {
            // What was found is an answer all the same.
            tracing::warn!(dataset = %asset.ddo.id(), %error, "what the sources of a dataset gave was not kept");
        }
        Ok(Some(checked))
    }

    /// What is known of the sources of a dataset without asking them, for its owner.
    ///
    /// # Errors
    /// [`AssetError::NotFound`], [`AssetError::Store`], [`AssetError::Engine`].
    pub async fn sources_seen(&self, who: &Principal, dataset: Did) -> Result<SourcesSeen, AssetError> {
        let asset = self.find_own(who, AssetKind::Dataset, dataset, false).await?;
        let check = self.backend().last_check(asset.ddo.id().clone()).await?;
        let job = self.last_provision(asset.ddo.id()).await?;
        Ok(SourcesSeen { revision: asset.revision, check, job })
    }

    async fn last_provision(&self, dataset: &Did) -> Result<Option<LastProvision>, AssetError> {
        // Labels of datasets are as they were given: a label that cannot be made is that of no job.
        let Ok(labels) = Labels::new().with(&labels::dataset_label(dataset), dataset.id()) else { return Ok(None) };
        let query = JobQuery { labels, phases: None, after: None, at_most: MOST_JOBS };
        let jobs = self.backend().list(query).await?;
        Ok(jobs.iter().filter_map(|job| provision(job, dataset)).max_by_key(|provision| provision.at))
    }
}

/// How the attempt to give a dataset to a job ended; none if it has not ended, or if something else was in its way.
fn provision(status: &JobStatus, dataset: &Did) -> Option<LastProvision> {
    let came_to = |phase: Phase| status.history.iter().rev().find(|step| step.phase == phase).map(|step| step.at);
    let job = status.id;
    if let Some(at) = came_to(Phase::Configured) {
        return Some(LastProvision { job, at, problem: None });
    }
    let at = came_to(Phase::DataProvisioningFailed)?;
    let detail = status.detail.as_ref().filter(|detail| detail.asset() == Some(dataset))?;
    Some(LastProvision { job, at, problem: Some(detail.text().to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{FailureDetail, Step};

    fn status(history: &[(Phase, u64)], detail: Option<FailureDetail>) -> JobStatus {
        let at = Timestamp::from_unix_ms;
        let history: Vec<Step> = history.iter().map(|(phase, ms)| Step { phase: *phase, at: at(*ms) }).collect();
        let last = history.last().expect("a phase");
        JobStatus {
            id: JobId::from_bytes([1; 16]),
            labels: Labels::new(),
            phase: last.phase,
            reason: None,
            detail,
            created: at(0),
            changed: last.at,
            ended: None,
            stop_requested: None,
            expires: None,
            review: None,
            withheld_log: None,
            revision: 1,
            progress: None,
            store_wait: None,
            history,
        }
    }

    #[test]
    fn a_job_says_what_the_sources_of_its_own_dataset_gave() {
        let (dataset, other): (Did, Did) = ("d".parse().expect("a DID"), "e".parse().expect("a DID"));
        let of = |history: &[(Phase, u64)], about: Option<&Did>| {
            let detail = about.map(|about| FailureDetail::new(Some(about.clone()), "it answered 404"));
            provision(&status(history, detail), &dataset).map(|found| (found.at.unix_ms(), found.problem))
        };
        let begun = [(Phase::Queued, 1), (Phase::Configuring, 2)];
        let with = |more: &[(Phase, u64)]| [&begun[..], more].concat();
        assert_eq!(of(&begun, None), None);
        assert_eq!(of(&with(&[(Phase::Configured, 3)]), None), Some((3, None)));
        assert_eq!(of(&with(&[(Phase::Configured, 3), (Phase::Finished, 9)]), None), Some((3, None)));
        let failed = with(&[(Phase::DataProvisioningFailed, 4)]);
        assert_eq!(of(&failed, Some(&dataset)), Some((4, Some("it answered 404".to_owned()))));
        assert_eq!(of(&failed, Some(&other)), None);
        assert_eq!(of(&failed, None), None);
        assert_eq!(of(&with(&[(Phase::AlgorithmProvisioningFailed, 4)]), Some(&other)), None);
    }
}
