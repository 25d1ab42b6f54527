//! Which assets need the results of jobs. An asset has a label for each job whose results are among its files, so that the API server
//! finds the assets of a job. One that is withdrawn has none.

use super::{Algorithm, CallError, Dataset, Holds, Inner, call, owner_label};
use crate::{
    backend::{outputs::failed, unusable},
    store::OWNER,
};
use cloister_model::{Account, Asset, EngineError, JobId};
use kube::{Api, api::ListParams};
use std::collections::{BTreeMap, BTreeSet};

/// The label of an asset whose jobs are noted in its labels. Earlier versions noted none.
const NOTED: &str = "cloister.dev/results";

/// What the label that notes a job begins with. The job's id follows.
const OF: &str = "results.cloister.dev/";

fn label(job: JobId) -> String {
    format!("{OF}{job}")
}

/// The jobs whose results an asset needs.
pub(super) fn needed(asset: &Asset) -> BTreeSet<JobId> {
    if asset.withdrawn.is_some() { BTreeSet::new() } else { asset.ddo.result_jobs() }
}

/// The jobs that are noted in labels.
pub(super) fn noted(labels: Option<&BTreeMap<String, String>>) -> BTreeSet<JobId> {
    let names = labels.into_iter().flat_map(BTreeMap::keys);
    names.filter_map(|name| name.strip_prefix(OF)?.parse().ok()).collect()
}

/// The labels of an asset that needs the results of these jobs; none as a value: of one that it needed before, whose label goes.
pub(super) fn labels(needed: &BTreeSet<JobId>, before: &BTreeSet<JobId>) -> BTreeMap<String, Option<&'static str>> {
    let gone = before.difference(needed).map(|job| (label(*job), None));
    let there = needed.iter().map(|job| (label(*job), Some("needed")));
    gone.chain(there).chain([(NOTED.to_owned(), Some("noted"))]).collect()
}

impl Inner {
    /// Whether an asset needs the results of a job.
    pub(in crate::backend) async fn is_needed(&self, job: JobId) -> Result<bool, CallError> {
        let label = label(job);
        Ok(self.is_any_labelled::<Dataset>(&label).await? || self.is_any_labelled::<Algorithm>(&label).await?)
    }

    async fn is_any_labelled<K: Holds>(&self, label: &str) -> Result<bool, CallError> {
        let api: Api<K> = self.cluster.assets();
        let wanted = ListParams::default().labels(label);
        Ok(!call("list assets", || async { api.list(&wanted).await }).await?.items.is_empty())
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
