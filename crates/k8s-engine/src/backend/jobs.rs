use super::{ClusterStore, Inner, archive::keeps_parameters, outputs::failed, unusable};
use crate::{
    clock::now,
    cluster::{CallError, call},
    resources::{
        ComputeJob, ComputeJobSpec, Environment, FirstApproval, LogDecision, Order, Payload, PublishRequest, Removal,
        ReviewDecision, StopRequest, Verdict,
    },
    store::{Holder, MANAGED_BY, Pending, Taken, give_up, secrets},
};
use cloister_lifecycle::{AlreadyApproved, ReviewStep, log_released, review_step};
use cloister_model::{
    Account, Approval, AuditEvent, Claim, ConfigureOrder, EngineError, EngineFuture, EnvironmentStatus, Explanation,
    JobCard, JobId, JobParameters, JobQuery, JobSpec, JobStatus, Jobs, Phase, ReviewVerdict, Seen, Timestamp,
    Unavailability,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};
use tokio::sync::broadcast::error::RecvError;

mod counts;
mod environments;
mod known;
mod newest;

pub(super) use counts::{Place, SharedCounts};
pub(super) use known::{KnownJob, read};

use newest::Newest;

/// The longest that a follower waits for one answer.
const WAIT: Duration = Duration::from_secs(30);

/// The most jobs in one answer.
const MOST: u32 = 10_000;

/// How often a job that changes meanwhile is read again.
const ATTEMPTS: u32 = 8;

/// The label of a job's queue.
const QUEUE: &str = "cloister.dev/queue";

impl Jobs for ClusterStore {
    fn environments(&self) -> EngineFuture<'_, Vec<EnvironmentStatus>> {
        Box::pin(self.inner.environments())
    }

    fn submit(&self, job: JobSpec, claims: Vec<Claim>, record: AuditEvent) -> EngineFuture<'_, JobStatus> {
        Box::pin(async move { self.inner.submit(job, &claims, record).await })
    }

    fn status(&self, job: JobId) -> EngineFuture<'_, JobStatus> {
        Box::pin(async move { Ok(self.inner.known(job).await?.status) })
    }

    fn wait(&self, job: JobId, seen: Seen) -> EngineFuture<'_, JobStatus> {
        Box::pin(async move {
            let mut changes = self.inner.jobs.changes();
            let name = job.to_string();
            let changed = async {
                loop {
                    let status = self.inner.known(job).await?.status;
                    if status.seen() != seen || status.phase.has_ended() {
                        return Ok(status);
                    }
                    loop {
                        match changes.recv().await {
                            Ok(changed) if changed != name => {}
                            // Missed changes may have been this job's.
                            Ok(_) | Err(RecvError::Lagged(_)) => break,
                            Err(RecvError::Closed) => return Ok(status),
                        }
                    }
                }
            };
            match tokio::time::timeout(WAIT, changed).await {
                Ok(answer) => answer,
                Err(_) => Ok(self.inner.known(job).await?.status),
            }
        })
    }

    fn explain(&self, job: JobId) -> EngineFuture<'_, Explanation> {
        Box::pin(async move {
            let KnownJob { status, ahead, explanation, .. } = self.inner.known(job).await?;
            let own = cloister_lifecycle::explain(&status, None);
            // Of a wait for the result store, the status knows more than the controller writes there.
            let explanation = explanation.filter(|_| status.store_wait.is_none());
            Ok(Explanation { text: explanation.unwrap_or(own.text), ahead })
        })
    }

    fn card(&self, job: JobId) -> EngineFuture<'_, JobCard> {
        Box::pin(async move { Ok((*self.inner.known(job).await?.card).clone()) })
    }

    fn parameters(&self, job: JobId) -> EngineFuture<'_, JobParameters> {
        Box::pin(async move { self.inner.parameters(job).await })
    }

    fn list(&self, query: JobQuery) -> EngineFuture<'_, Vec<JobStatus>> {
        Box::pin(async move { self.inner.list(&query).await })
    }

    fn stop(&self, job: JobId, record: AuditEvent) -> EngineFuture<'_, JobStatus> {
        Box::pin(async move {
            self.inner
                .change(job, &record, |found, record| {
                    if found.spec.stop.is_some() || found.phase().has_ended() {
                        return Ok(None);
                    }
                    Ok(Some(json!({"stop": StopRequest { at: record.at.into(), by: record.actor.clone() }})))
                })
                .await
        })
    }

    fn publish_again(&self, job: JobId, record: AuditEvent) -> EngineFuture<'_, JobStatus> {
        Box::pin(async move {
            self.inner
                .change(job, &record, |found, record| {
                    if status(job, found)?.store_wait.is_none() || found.spec.stop.is_some() {
                        return Err(EngineError::NotWaitingForStore(job));
                    }
                    let attempt = found.publishing_attempt();
                    if found.spec.publish.as_ref().is_some_and(|asked| asked.attempt >= attempt) {
                        return Ok(None);
                    }
                    let publish = PublishRequest { at: record.at.into(), by: record.actor.clone(), attempt };
                    Ok(Some(json!({ "publish": publish })))
                })
                .await
        })
    }

    fn remove(&self, job: JobId, record: AuditEvent) -> EngineFuture<'_, ()> {
        Box::pin(async move {
            self.inner
                .change(job, &record, |found, record| {
                    if !found.phase().has_ended() {
                        return Err(EngineError::NotEnded(job));
                    }
                    Ok(Some(json!({"removal": Removal { at: record.at.into(), by: record.actor.clone() }})))
                })
                .await?;
            if let Err(error) = self.inner.finish_removal(job, None).await {
                // It counts as absent already.
                tracing::warn!(%job, %error, "what a removed job leaves is removed later");
            }
            Ok(())
        })
    }

    fn review(&self, job: JobId, verdict: ReviewVerdict, record: AuditEvent) -> EngineFuture<'_, JobStatus> {
        Box::pin(async move {
            self.inner
                .change(job, &record, |found, record| {
                    if found.phase() != Phase::InReview || found.spec.review.is_some() || found.spec.stop.is_some() {
                        return Err(EngineError::NotInReview(job));
                    }
                    let by: Account = record.actor.parse().map_err(unusable)?;
                    let first = found.spec.first_approval.as_ref().map(|first| first.read(job)).transpose();
                    let first = first.map_err(unusable)?;
                    let spec = found.job().map_err(unusable)?;
                    match review_step(&spec, first.as_ref(), &verdict, by, record.at) {
                        Ok(ReviewStep::First(Approval { by, at })) => {
                            let first = FirstApproval { by: by.as_str().to_owned(), at: at.into() };
                            return Ok(Some(json!({"firstApproval": first})));
                        }
                        Ok(ReviewStep::Decided(_)) => {}
                        Err(AlreadyApproved) => return Err(EngineError::AlreadyApproved(job)),
                    }
                    let (verdict, reason) = match &verdict {
                        ReviewVerdict::Approve => (Verdict::Approve, None),
                        ReviewVerdict::Refuse(reason) => (Verdict::Refuse, Some(reason.clone())),
                    };
                    let decision = ReviewDecision { verdict, reason, by: record.actor.clone(), at: record.at.into() };
                    Ok(Some(json!({"review": decision})))
                })
                .await
        })
    }

    fn release_log(&self, job: JobId, record: AuditEvent) -> EngineFuture<'_, JobStatus> {
        Box::pin(async move {
            self.inner
                .change(job, &record, |found, record| {
                    let before = status(job, found)?;
                    let by = record.actor.parse().map_err(unusable)?;
                    let spec = found.job().map_err(unusable)?;
                    let after = log_released(&spec.record, &before, by, record.at);
                    let after = after.ok_or(EngineError::NoWithheldLog(job))?;
                    if after == before {
                        return Ok(None);
                    }
                    let decision = LogDecision { by: record.actor.clone(), at: record.at.into() };
                    let all: Vec<_> = found.spec.log_releases.iter().chain([&decision]).collect();
                    Ok(Some(json!({"logReleases": all})))
                })
                .await
        })
    }
}

impl Inner {
    /// What is known of a job. What this process has not heard of, it looks for.
    pub(super) async fn known(&self, job: JobId) -> Result<KnownJob, EngineError> {
        let name = job.to_string();
        let known = match self.jobs.get(&name).or_else(|| self.archive.get(job)) {
            Some(known) => Some(known),
            None => match self.stored(job).await? {
                Some(found) => read(&found),
                None => {
                    self.complete_archive().await?;
                    self.archive.get(job)
                }
            },
        };
        known.filter(|known| !known.is_absent(now())).ok_or(EngineError::NoSuchJob(job))
    }

    /// Whether this process knows of a job that does not count as absent at this moment.
    pub(super) fn is_there(&self, job: JobId, present: Timestamp) -> bool {
        let known = self.jobs.get(&job.to_string()).or_else(|| self.archive.get(job));
        known.is_some_and(|known| !known.is_absent(present))
    }

    pub(super) async fn stored(&self, job: JobId) -> Result<Option<ComputeJob>, CallError> {
        let name = job.to_string();
        call("read a job", || async { self.cluster.jobs::<ComputeJob>().get_opt(&name).await }).await
    }

    /// Calls for every job, archived or not. What is asked for each submission is in the counts instead.
    fn each_job(&self, mut visit: impl FnMut(&KnownJob)) {
        let mut here = HashSet::new();
        self.jobs.each(|known| {
            here.insert(known.status.id);
            visit(known);
        });
        // One that has just been archived is in both.
        self.archive.each(|known| {
            if !here.contains(&known.status.id) {
                visit(known);
            }
        });
    }

    async fn parameters(&self, job: JobId) -> Result<JobParameters, EngineError> {
        let missing = EngineError::NoSuchJob(job);
        if let Some(found) = self.stored(job).await? {
            let found = Some(found).filter(|found| !counts_as_absent(found)).ok_or(missing)?;
            let spec = self.with_parameters(found.job().map_err(unusable)?, &found).await?;
            return Ok(JobParameters::from(&spec));
        }
        let found = self.archived(job).await?.filter(|found| !counts_as_absent(found)).ok_or(missing)?;
        let kept = self.results.parameters(job, self.archive_key().await?).await.map_err(failed)?;
        if kept.is_none() && keeps_parameters(&found) {
            let text =
                format!("the parameters of job {job} are not in the result store; the operator can restore them");
            return Err(EngineError::unavailable(Unavailability::Store, text));
        }
        let parameters = kept.map(|text| serde_json::from_slice(&text)).transpose().map_err(unusable)?;
        let spec = JobSpec { parameters, ..found.job().map_err(unusable)? };
        Ok(JobParameters::from(&spec))
    }

    async fn list(&self, query: &JobQuery) -> Result<Vec<JobStatus>, EngineError> {
        self.complete_archive().await?;
        let JobQuery { labels, phases, after, at_most } = query;
        let mut newest = Newest::new(usize::try_from((*at_most).min(MOST)).unwrap_or(usize::MAX));
        let present = now();
        self.each_job(|known| {
            let KnownJob { status, .. } = known;
            let place = (status.created, status.id);
            let wanted = !known.is_absent(present)
                && status.labels.matches(labels)
                && phases.as_ref().is_none_or(|phases| phases.contains(&status.phase))
                && after.is_none_or(|after| place < (after.created, after.job));
            if wanted {
                newest.offer(status);
            }
        });
        Ok(newest.into_list())
    }

    /// Stores a change of a job together with its record. `wanted` says what the change is, or that there is none.
    async fn change(
        &self,
        job: JobId,
        record: &AuditEvent,
        wanted: impl Fn(&ComputeJob, &AuditEvent) -> Result<Option<Value>, EngineError> + Sync,
    ) -> Result<JobStatus, EngineError> {
        let (api, name) = (self.cluster.jobs::<ComputeJob>(), job.to_string());
        for _ in 0..ATTEMPTS {
            let Some(found) = self.stored(job).await? else {
                return self.change_archived(job, record, &wanted).await;
            };
            let found = Some(found).filter(|found| !counts_as_absent(found)).ok_or(EngineError::NoSuchJob(job))?;
            let pending = Pending::of(found.metadata.annotations.as_ref())?;
            let Some(spec) = wanted(&found, record)? else {
                // A change that was stored by a process that was killed is put on record now.
                self.flush(&api, &found).await?;
                self.jobs.take_in(&found, read);
                return status(job, &found);
            };
            let mut metadata = pending.with(&format!("job/{job}"), record.clone()).patch();
            metadata["resourceVersion"] = json!(found.resource_version());
            metadata["uid"] = json!(found.uid());
            let patch = Patch::Merge(json!({"metadata": metadata, "spec": spec}));
            match call("change a job", || async { api.patch(&name, &PatchParams::default(), &patch).await }).await {
                Ok(changed) => {
                    self.jobs.take_in(&changed, read);
                    self.flush(&api, &changed).await?;
                    return status(job, &changed);
                }
                Err(CallError::Conflict) => {}
                // It was archived meanwhile, perhaps.
                Err(CallError::Missing) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(EngineError::unavailable(
            Unavailability::Cluster,
            format!("job {job} changes faster than it can be changed"),
        ))
    }

    async fn submit(&self, job: JobSpec, claims: &[Claim], record: AuditEvent) -> Result<JobStatus, EngineError> {
        let (payload, parts) = Payload::cut(&ConfigureOrder::of(&job)).map_err(unusable)?;
        let order = Order::of(&job, payload).map_err(unusable)?;
        if let Some(found) = self.stored(job.id).await? {
            return self.submitted_before(&job, &order, parts, found).await;
        }
        if self.has_receipt(job.id).await? {
            let archived = self.archived(job.id).await?;
            let same = archived.filter(|found| !counts_as_absent(found) && found.spec.order == order);
            if let Some(same) = same {
                return status(job.id, &same);
            }
            // A replica that has just started has not read every list of ids, and any may have this one.
            self.complete_catalogs_of(job.id).await?;
            if self.has_receipt(job.id).await? {
                return Err(EngineError::JobExists(job.id));
            }
        }
        self.refuse_if_full(&job).await?;
        let holder = Holder::Job(job.id);
        let mut taken = Vec::new();
        for claim in claims {
            match self.take(claim, &holder).await? {
                Taken::Now => {
                    taken.push(claim);
                    let exceeded = match claim.limit() {
                        Some(limit) => self.over(limit, &holder).await.map_err(unusable)?,
                        None => None,
                    };
                    if let Some(exceeded) = exceeded {
                        self.give_back(&taken, &holder).await?;
                        return Err(exceeded.into());
                    }
                }
                Taken::Already => {}
                Taken::By(_) => {
                    self.give_back(&taken, &holder).await?;
                    return Err(EngineError::Claimed(claim.clone()));
                }
            }
        }
        let resource = resource(&job, order.clone(), record);
        let api = self.cluster.jobs::<ComputeJob>();
        match call("create a job", || async { api.create(&PostParams::default(), &resource).await }).await {
            Ok(created) => self.complete(job.id, parts, &created).await,
            Err(CallError::Exists) => {
                let found = self.stored(job.id).await?.ok_or(EngineError::NoSuchJob(job.id))?;
                if found.spec.order != order {
                    self.give_back(&taken, &holder).await?;
                }
                self.submitted_before(&job, &order, parts, found).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The answer for a job that is there: the same one is completed, because its submission may have been cut off.
    async fn submitted_before(
        &self,
        job: &JobSpec,
        order: &Order,
        parts: Vec<Vec<u8>>,
        found: ComputeJob,
    ) -> Result<JobStatus, EngineError> {
        if counts_as_absent(&found) || found.spec.order != *order {
            return Err(EngineError::JobExists(job.id));
        }
        self.complete(job.id, parts, &found).await
    }

    /// Stores the secrets of a job that exists, and puts it on record.
    async fn complete(&self, job: JobId, parts: Vec<Vec<u8>>, created: &ComputeJob) -> Result<JobStatus, EngineError> {
        let Some(owner) = created.controller_owner_ref(&()) else {
            return Err(EngineError::unavailable(Unavailability::Cluster, "the API server answered without a uid"));
        };
        let api: Api<Secret> = self.cluster.jobs();
        if !created.phase().has_ended() {
            for secret in secrets(&created.spec.order.payload, parts, &owner) {
                match call("store the secrets of a job", || async { api.create(&PostParams::default(), &secret).await })
                    .await
                {
                    Ok(_) | Err(CallError::Exists) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        self.flush(&self.cluster.jobs::<ComputeJob>(), created).await?;
        self.jobs.take_in(created, read);
        status(job, created)
    }

    async fn give_back(&self, claims: &[&Claim], holder: &Holder) -> Result<(), CallError> {
        for claim in claims {
            give_up(&self.cluster, claim, holder).await?;
        }
        Ok(())
    }

    async fn refuse_if_full(&self, job: &JobSpec) -> Result<(), EngineError> {
        let api: Api<Environment> = self.cluster.jobs();
        let name = job.environment.as_str();
        let found = call("read an environment", || async { api.get_opt(name).await }).await?;
        let Some(environment) = found else {
            let text = format!("there is no environment `{}`", cloister_model::escape(name.as_bytes(), 64));
            return Err(EngineError::unavailable(Unavailability::Cluster, text));
        };
        let (waiting, of_account) = self.counts.lock().waiting(&job.environment, &job.queue);
        let limits = &environment.spec.limits;
        let most = limits.queued_per_account.unwrap_or(limits.queued);
        if waiting >= limits.queued {
            return Err(EngineError::Full);
        }
        if of_account >= most { Err(EngineError::FullForAccount(most)) } else { Ok(()) }
    }
}

fn resource(job: &JobSpec, order: Order, record: AuditEvent) -> ComputeJob {
    let name = job.id.to_string();
    let mut resource = ComputeJob::new(&name, ComputeJobSpec::of(order));
    let mut annotations = BTreeMap::new();
    let mut labels = BTreeMap::from([
        (MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned()),
        (QUEUE.to_owned(), format!("q-{}", super::short_digest(&job.queue))),
    ]);
    Pending::default().with(&format!("job/{name}"), record).put(&mut annotations, &mut labels);
    resource.metadata.annotations = Some(annotations);
    resource.metadata.labels = Some(labels);
    resource
}

/// Whether a job was removed, or its time is over.
pub(super) fn counts_as_absent(resource: &ComputeJob) -> bool {
    let expires = resource.status.as_ref().and_then(|status| status.expires);
    resource.spec.removal.is_some() || expires.is_some_and(|expires| expires.timestamp() <= now())
}

pub(super) fn status(job: JobId, resource: &ComputeJob) -> Result<JobStatus, EngineError> {
    resource.status().map_err(|error| {
        EngineError::unavailable(Unavailability::Cluster, format!("job {job} cannot be read: {error}"))
    })
}
