//! Receipts of jobs that have left the API server: sealed in the store of results, many in one thing, as the jobs are. What the API
//! server keeps of each is the id of its job, so that the id stays taken, until a catalog keeps it.
//!
//! A receipt is for ever, also when nothing else is left of its job. So nothing of this is removed but the Secrets that receipts
//! were in before, once every replica knows that they are sealed and what is in the store was read again.

use super::{
    Archive, Index,
    moving::{AT_ONCE, MOST_BYTES, delete, is_given_up, new_name, spread},
};
use crate::{
    backend::{Inner, outputs::failed, unusable},
    clock::now,
    cluster::{CallError, call, version},
    store::{
        Archived, Receipts, SEALED_RECEIPTS, Waiting, read_archived, receipts, receipts_object, that_are_alone,
        that_counts, waiting_name, waiting_object,
    },
};
use cloister_model::{EngineError, JobId, StoredReceipt, Timestamp, Unavailability};
use cloister_results::Unsealed;
use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt as _, api::PostParams};
use std::collections::{BTreeSet, HashSet};
use tokio::time::Instant;

/// Receipts that are sealed together. They are read as a whole to read one of them.
const MOST_RECEIPTS: usize = 200;

impl Archive {
    /// What is known of receipts that were sealed or are being sealed.
    fn all_receipts(&self) -> Vec<Receipts> {
        self.receipts_that(|_| true)
    }

    /// Those among which the receipt of a job is. Two replicas may have sealed it at the same time.
    fn sealed_with(&self, job: JobId) -> Vec<Receipts> {
        let has = |receipts: &Receipts| receipts.sha256.is_some() && receipts.jobs.binary_search(&job).is_ok();
        let (mut found, mut catalogs) = (Vec::new(), Vec::new());
        self.objects.each(|object| match object {
            Archived::Receipts(receipts) if has(receipts) => found.push(receipts.clone()),
            // Few lists are searched: each submission asks.
            Archived::Catalog(catalog) if catalog.filter.may_have(job) => catalogs.push(catalog.name.clone()),
            _ => {}
        });
        let index = self.index();
        let listed = catalogs.iter().filter_map(|name| index.catalogs.get(name)?.as_deref()).flatten();
        found.extend(listed.filter(|receipts| has(receipts)).cloned());
        found
    }

    /// Those of objects of their own, and those of catalogs.
    fn receipts_that(&self, wanted: impl Fn(&Receipts) -> bool) -> Vec<Receipts> {
        let mut found = self.those(|object| match object {
            Archived::Receipts(receipts) if wanted(receipts) => Some(receipts.clone()),
            _ => None,
        });
        let index = self.index();
        let listed = index.catalogs.values().flatten().flat_map(|listed| listed.iter());
        found.extend(listed.filter(|receipts| wanted(receipts)).cloned());
        found
    }

    /// Whether the receipt of a job is sealed.
    pub(in crate::backend) fn has_sealed(&self, job: JobId) -> bool {
        !self.sealed_with(job).is_empty()
    }

    fn waiting(&self) -> Vec<Waiting> {
        self.those(|object| match object {
            Archived::Waiting(waiting) => Some(waiting.clone()),
            _ => None,
        })
    }

    /// Jobs whose receipts are sealed now: those of archived jobs at once, because these come together; others once they are many, or
    /// one has waited for as long as an ended job waits.
    fn receipts_due(&self, present: Timestamp) -> Vec<JobId> {
        let waiting = self.waiting();
        let is_done = |index: &Index| index.batches.values().all(|contents| contents.lost || contents.sealed);
        if waiting.is_empty() && is_done(&self.index()) {
            return Vec::new();
        }
        // What another replica is sealing is left to it, unless it was killed.
        let (mut sealed, mut begun) = (HashSet::new(), HashSet::new());
        for receipts in self.all_receipts() {
            if receipts.sha256.is_some() {
                sealed.extend(receipts.jobs.iter().copied());
            } else if !is_given_up(receipts.created, &self.options) {
                begun.extend(receipts.jobs.iter().copied());
            }
        }
        let mut index = self.index_mut();
        let Index { batches, without_receipt, .. } = &mut *index;
        let is_missing = |job: &JobId| !sealed.contains(job) && !without_receipt.contains(job);
        let mut due = BTreeSet::new();
        for contents in batches.values_mut().filter(|contents| !contents.lost && !contents.sealed) {
            let missing: Vec<JobId> = contents.jobs.iter().copied().filter(is_missing).collect();
            contents.sealed = missing.is_empty();
            due.extend(missing.into_iter().filter(|job| !begun.contains(job)));
        }
        let after = u64::try_from(self.options.after.as_millis()).unwrap_or(u64::MAX);
        let is_old = |waiting: &Waiting| present.unix_ms().saturating_sub(waiting.created.unix_ms()) >= after;
        if !due.is_empty() || waiting.len() >= MOST_RECEIPTS || waiting.iter().any(is_old) {
            due.extend(waiting.iter().map(|waiting| waiting.job).filter(|job| is_missing(job) && !begun.contains(job)));
        }
        due.into_iter().take(MOST_RECEIPTS).collect()
    }

    /// Whether every replica knows of sealed receipts, or of a catalog, by now, as far as this process goes.
    pub(super) fn has_settled(&self, name: &str) -> bool {
        let settled = self.settled();
        *self.index_mut().receipts.entry(name.to_owned()).or_insert(settled) <= Instant::now()
    }

    /// There is no receipt of a job that could be sealed.
    fn goes_without_receipt(&self, job: JobId) {
        self.index_mut().without_receipt.insert(job);
    }
}

impl Inner {
    /// The receipt of a job as it is kept; none: none was made.
    pub(in crate::backend) async fn kept_receipt(&self, job: JobId) -> Result<Option<StoredReceipt>, EngineError> {
        // Catalogs are about jobs that have left the API server, and no later job has the id of one.
        let may_be_listed = self.archive.may_have_listed(job) && self.stored(job).await?.is_none();
        if may_be_listed {
            self.complete_catalogs_of(job).await?;
        }
        let sealed = self.archive.sealed_with(job);
        for among in &sealed {
            if let Some(lines) = self.read_sealed(among).await?
                && let Some(found) = receipts::among(&lines, job)?
            {
                return Ok(Some(found));
            }
        }
        // A Secret that is still there is as good.
        let found = receipts::get(&self.cluster, job).await?;
        let is_lost = !sealed.is_empty() || (may_be_listed && self.archive.may_have_listed(job));
        if found.is_none() && is_lost {
            let text = format!(
                "the receipt of job {job} is not in the result store, or is not the one that was sealed; the operator can restore \
                 the folder archive of the store"
            );
            return Err(EngineError::unavailable(Unavailability::Store, text));
        }
        Ok(found)
    }

    /// Whether there is a receipt of a job, so that its id is taken. The store of results is not asked: while the list of a catalog is not
    /// known ([`Inner::complete_catalogs_of`]), ids that may be in it are taken, too.
    pub(in crate::backend) async fn has_receipt(&self, job: JobId) -> Result<bool, CallError> {
        let is_sealed = self.archive.has_sealed(job) || self.archive.may_have_listed(job);
        Ok(is_sealed || receipts::exists(&self.cluster, job).await?)
    }

    /// Notes that the receipt of a job will be in a Secret that nothing else names: the job is about to be gone, and is not in the
    /// archive.
    pub(in crate::backend) async fn note_receipt(&self, job: JobId) -> Result<(), CallError> {
        if self.archive.get(job).is_some() || self.archive.has_sealed(job) {
            return Ok(());
        }
        let (api, object): (Api<ConfigMap>, _) = (self.cluster.system(), waiting_object(job));
        match call("note a receipt", || async { api.create(&PostParams::default(), &object).await }).await {
            Ok(noted) => {
                self.archive.objects.take_in(&noted, read_archived);
                Ok(())
            }
            Err(CallError::Exists) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Seals the receipts of jobs that are archived or gone, and sees to what is left of their Secrets.
    pub(super) async fn look_at_receipts(&self) -> Result<(), EngineError> {
        for receipts in self.archive.all_receipts() {
            if let Err(error) = self.remove_secrets(&receipts).await {
                tracing::warn!(%error, "the Secrets of receipts that are sealed stay for now");
            }
        }
        self.drop_notes().await?;
        if self.archive.receipts_due(now()).is_empty() {
            return Ok(());
        }
        // Another replica sees the same.
        tokio::time::sleep(spread(&self.archive.options)).await;
        self.refresh_archive(SEALED_RECEIPTS).await?;
        self.complete_catalogs().await?;
        let due = self.archive.receipts_due(now());
        self.seal_receipts(&due).await
    }

    /// Seals the receipts of these jobs together.
    async fn seal_receipts(&self, due: &[JobId]) -> Result<(), EngineError> {
        if due.is_empty() {
            return Ok(());
        }
        let (api, params): (Api<ConfigMap>, _) = (self.cluster.system(), PostParams::default());
        let name = new_name("receipts")?;
        // First, so that other replicas leave these jobs alone.
        let announced = receipts_object(&name, &due.iter().copied().collect());
        let mut announced = call("announce receipts", || async { api.create(&params, &announced).await }).await?;
        let reading = stream::iter(due.to_vec()).map(|job| receipts::get(&self.cluster, job)).buffered(AT_ONCE);
        let found: Vec<Result<Option<StoredReceipt>, CallError>> = reading.collect().await;
        let (mut jobs, mut lines) = (BTreeSet::new(), Vec::new());
        for (job, found) in due.iter().zip(found) {
            let receipt = match found {
                Ok(Some(receipt)) => receipt,
                Ok(None) => {
                    self.archive.goes_without_receipt(*job);
                    continue;
                }
                // It cannot be read, and stays as it is.
                Err(error @ CallError::Refused { .. }) => {
                    tracing::error!(%error, %job, "a receipt cannot be sealed");
                    self.archive.goes_without_receipt(*job);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let line = receipts::line(*job, receipt)?;
            if jobs.is_empty() || lines.len() + line.len() < MOST_BYTES {
                jobs.insert(*job);
                lines.extend(line);
            }
        }
        if jobs.is_empty() {
            delete(&api, &name, announced.uid(), version(&announced)).await?;
            return Ok(());
        }
        announced.binary_data = receipts_object(&name, &jobs).binary_data;
        let sha256 = self.results.archive(&name, lines, self.archive_key().await?).await.map_err(failed)?;
        let counting = that_counts(announced, sha256, &BTreeSet::new());
        if !self.make_count(["store receipts", "read receipts"], &name, &counting, sha256).await? {
            return Ok(());
        }
        tracing::info!(receipts = jobs.len(), batch = name, "receipts are sealed");
        Ok(())
    }

    /// The lines of sealed receipts; none: they are lost.
    async fn read_sealed(&self, receipts: &Receipts) -> Result<Option<Unsealed>, EngineError> {
        let Some(sha256) = receipts.sha256 else { return Ok(None) };
        self.results.archived(&receipts.name, sha256, self.archive_key().await?).await.map_err(failed)
    }

    /// Removes the Secrets that sealed receipts were in before.
    ///
    /// While a job is in the API server, its receipt would be made again if none were found, so its Secret stays. Replicas that have
    /// not heard of what is sealed look for Secrets, so these stay for as long as a watch may be behind.
    async fn remove_secrets(&self, receipts: &Receipts) -> Result<(), EngineError> {
        if receipts.alone || receipts.sha256.is_none() || !self.archive.has_settled(&receipts.name) {
            return Ok(());
        }
        if receipts.jobs.iter().any(|job| self.jobs.has(&job.to_string())) {
            return Ok(());
        }
        if self.read_sealed(receipts).await?.is_none() {
            let text =
                format!("what was sealed as {} is not in the result store; restore its folder archive", receipts.name);
            return Err(unusable(text));
        }
        let removing = stream::iter(receipts.jobs.to_vec()).map(|job| self.remove_secret(job)).buffered(AT_ONCE);
        let removed: Vec<Result<bool, CallError>> = removing.collect().await;
        for removed in removed {
            if !removed? {
                return Ok(());
            }
        }
        let (api, object): (Api<ConfigMap>, _) = (self.cluster.system(), that_are_alone(receipts));
        let params = PostParams::default();
        match call("store receipts", || async { api.replace(&receipts.name, &params, &object).await }).await {
            Ok(written) => {
                self.archive.objects.take_in(&written, read_archived);
                Ok(())
            }
            Err(CallError::Conflict | CallError::Missing) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the Secret of a receipt, unless its job is in the API server; whether it did. The watch may have been behind.
    async fn remove_secret(&self, job: JobId) -> Result<bool, CallError> {
        if self.stored(job).await?.is_some() {
            return Ok(false);
        }
        receipts::remove(&self.cluster, job).await?;
        Ok(true)
    }

    /// Takes away notes of receipts that wait no more, and what a process that was killed has left.
    async fn drop_notes(&self) -> Result<(), EngineError> {
        let api: Api<ConfigMap> = self.cluster.system();
        for Waiting { job, version, .. } in self.archive.waiting() {
            let goes_without = self.archive.index().without_receipt.contains(&job);
            if goes_without || self.archive.has_sealed(job) {
                delete(&api, &waiting_name(job), None, version).await?;
            }
        }
        for receipts in self.archive.all_receipts() {
            if receipts.sha256.is_none() {
                self.give_up(receipts.created, &receipts.name, receipts.uid, receipts.version).await?;
            }
        }
        Ok(())
    }
}
