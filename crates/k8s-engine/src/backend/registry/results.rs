//! Which assets need the results of jobs. An asset has a label for each job whose results are among its files, so that the API server
//! finds the assets of a job, and what their results take is known when the job has gone. One that is withdrawn has no such label.

use super::{Algorithm, CallError, Dataset, Inner, call, owner_label};
use crate::{
    backend::{jobs::counts_as_absent, outputs::failed, unusable},
    store::OWNER,
};
use cloister_model::{Account, Asset, EngineError, JobId, StoreError};
use kube::{Api, api::ListParams};
use std::collections::{BTreeMap, BTreeSet};

/// The label of every asset: whether it needs results of jobs. Earlier versions wrote none.
const NOTED: &str = "cloister.dev/results";

/// Its value, where it does.
const SOME: &str = "some";

/// What the label that notes a job begins with. The job's id follows, and the value is how many bytes its results take.
const OF: &str = "results.cloister.dev/";

/// Jobs, and the bytes of the results of each.
pub(in crate::backend) type Needed = BTreeMap<JobId, u64>;

fn label(job: JobId) -> String {
    format!("{OF}{job}")
}

/// The jobs whose results an asset needs.
pub(super) fn needed(asset: &Asset) -> BTreeSet<JobId> {
    if asset.withdrawn.is_some() { BTreeSet::new() } else { asset.ddo.result_jobs() }
}

/// The jobs that are noted in labels.
pub(super) fn noted(labels: Option<&BTreeMap<String, String>>) -> Needed {
    let labels = labels.into_iter().flatten();
    let jobs = labels.filter_map(|(name, bytes)| Some((name.strip_prefix(OF)?.parse::<JobId>().ok()?, bytes)));
    jobs.map(|(job, bytes)| (job, bytes.parse::<u64>().unwrap_or_default())).collect()
}

/// The labels of an asset that needs these results; none as a value: of a job whose results it needed before, whose label goes.
pub(super) fn labels(needed: &Needed, before: &BTreeSet<JobId>) -> BTreeMap<String, Option<String>> {
    let gone = before.iter().filter(|job| !needed.contains_key(*job)).map(|job| (label(*job), None));
    let there = needed.iter().map(|(job, bytes)| (label(*job), Some(bytes.to_string())));
    let any = if needed.is_empty() { "none" } else { SOME };
    gone.chain(there).chain([(NOTED.to_owned(), Some(any.to_owned()))]).collect()
}

impl Inner {
    /// The jobs whose results an asset needs, with what they take. What is noted stays as it is.
    pub(super) async fn sizes(&self, asset: &Asset, noted: &Needed) -> Needed {
        // While a job registers its results, its status does not name them yet. The dataset does.
        let files = asset.files.iter().flatten().fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
        let mut sizes = Needed::new();
        for job in needed(asset) {
            let bytes = match noted.get(&job) {
                Some(bytes) => *bytes,
                None => self.known(job).await.ok().and_then(|known| known.results).map_or(files, |list| list.bytes),
            };
            sizes.insert(job, bytes);
        }
        sizes
    }

    /// Refuses an asset that needs results of a job which it has not needed before, and which has gone since its publisher was found to have
    /// them: they may be removed in this moment, because no asset needs them.
    pub(super) async fn refuse_gone(&self, needed: &Needed, before: &BTreeSet<JobId>) -> Result<(), StoreError> {
        for job in needed.keys().filter(|job| !before.contains(*job)) {
            if let Err(EngineError::NoSuchJob(_)) = self.known(*job).await {
                return Err(StoreError::Conflict);
            }
        }
        Ok(())
    }

    /// The results that assets need.
    pub(in crate::backend) async fn needed_results(&self) -> Result<Needed, CallError> {
        self.noted_in(&ListParams::default().labels(&format!("{NOTED}={SOME}"))).await
    }

    /// The results that assets of this account need, or needed a moment ago.
    pub(in crate::backend) async fn needed_results_of(&self, owner: &Account) -> Result<Needed, CallError> {
        let labels = format!("{NOTED}={SOME},{OWNER}={}", owner_label(owner));
        self.noted_in(&ListParams::default().labels(&labels).match_any()).await
    }

    /// Whether an asset needs the results of a job.
    pub(in crate::backend) async fn is_needed(&self, job: JobId) -> Result<bool, CallError> {
        Ok(self.noted_in(&ListParams::default().labels(&label(job))).await?.contains_key(&job))
    }

    /// What the assets that are wanted note.
    async fn noted_in(&self, wanted: &ListParams) -> Result<Needed, CallError> {
        let (datasets, algorithms): (Api<Dataset>, Api<Algorithm>) = (self.cluster.assets(), self.cluster.assets());
        let (datasets, algorithms) = tokio::try_join!(
            call("list assets", || async { datasets.list_metadata(wanted).await }),
            call("list assets", || async { algorithms.list_metadata(wanted).await }),
        )?;
        let datasets = datasets.items.iter().map(|object| &object.metadata);
        let all = datasets.chain(algorithms.items.iter().map(|object| &object.metadata));
        Ok(all.flat_map(|metadata| noted(metadata.labels.as_ref())).collect())
    }

    /// Removes the results of a job that an asset of this account needs no longer, if the job is gone and no other asset needs them.
    /// (Those of a job that is there go with it.) If they cannot be removed, they stay in the store.
    pub(super) async fn let_go(&self, job: JobId, owner: &Account) {
        if let Err(error) = self.remove_unneeded(job, owner).await {
            tracing::warn!(%job, %error, "results that no asset needs any more stay in the store");
        }
    }

    async fn remove_unneeded(&self, job: JobId, owner: &Account) -> Result<(), EngineError> {
        match self.known(job).await {
            Err(EngineError::NoSuchJob(_)) => {}
            known => return known.map(drop),
        }
        // One that this version cannot read is there.
        if self.stored(job).await?.is_some_and(|found| !counts_as_absent(&found)) {
            return Ok(());
        }
        if self.is_needed(job).await? {
            return Ok(());
        }
        // Only the owner of a job can name its results.
        let unnoted = format!("!{NOTED},{OWNER}={}", owner_label(owner));
        let mut assets = self.listed::<Dataset>(&unnoted).await.map_err(unusable)?;
        assets.extend(self.listed::<Algorithm>(&unnoted).await.map_err(unusable)?);
        for stored in assets {
            let asset = self.load(&stored).await.map_err(unusable)?;
            if needed(&asset).contains(&job) {
                return Ok(());
            }
        }
        self.results.remove(job).await.map_err(failed)
    }
}
