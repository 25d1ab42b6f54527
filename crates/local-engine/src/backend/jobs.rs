use super::MOST;
use crate::{
    LocalEngine,
    clock::now,
    drive::{Unrecorded, read, record},
    engine::core::{Core, blocking},
    store::{Change, DbError, Durability, Fail, Write, assets, audit, claims, claims::Holder, jobs, jobs::NewJob},
};
use cloister_lifecycle::{
    Action, AlreadyApproved, Facts, Misfit, ReviewStep, approved_first, decide, ended_unfit, explain, fits_job,
    log_released, review_step, reviewed,
};
use cloister_model::{
    Account, Approval, AuditEvent, Claim, EngineError, EngineFuture, Environment, EnvironmentStatus, Explanation,
    InterpreterId, JobCard, JobId, JobParameters, JobQuery, JobSpec, JobStatus, Jobs, Phase, Profile, Review,
    ReviewVerdict, RuntimeKind, Seen,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// The longest that a follower waits for one answer.
const WAIT: Duration = Duration::from_secs(30);

impl Jobs for LocalEngine {
    fn environments(&self) -> EngineFuture<'_, Vec<EnvironmentStatus>> {
        Box::pin(async {
            // One question to the file system, with every submission: another thread would take longer.
            let interpreters = self.core.interpreters.names();
            Ok(vec![environment(&self.core, interpreters)])
        })
    }

    fn submit(&self, job: JobSpec, claims: Vec<Claim>, record: AuditEvent) -> EngineFuture<'_, JobStatus> {
        Box::pin(async {
            self.core.refuse_if_ending()?;
            let unfit = fits_job(&environment(&self.core, BTreeSet::new()), &job).err();
            let environment = &self.core.environment;
            let most = Most { all: environment.max_queued, of_account: environment.max_queued_per_account };
            let shared = Arc::clone(&self.core.shared);
            let queued = move |queue: &str| shared.active_jobs().queued(queue);
            let rows = NewJob::of(&job)?;
            let submit =
                move |write: &mut Write<'_>| submit(write, (&job, rows), &claims, record, (most, &queued), unfit);
            self.core.store.write(Durability::Disk, submit).await
        })
    }

    fn status(&self, job: JobId) -> EngineFuture<'_, JobStatus> {
        let status = self.core.status(job);
        Box::pin(std::future::ready(status))
    }

    fn wait(&self, job: JobId, seen: Seen) -> EngineFuture<'_, JobStatus> {
        Box::pin(async move {
            let followers = &self.core.shared.followers;
            let mut changes = followers.follow(job);
            let changed = async {
                loop {
                    let status = self.core.status(job)?;
                    // An ended job does not change any more, so that there is nothing to wait for.
                    if status.seen() != seen || status.phase.has_ended() {
                        return Ok(status);
                    }
                    // The sender is kept for as long as there are receivers.
                    if changes.changed().await.is_err() {
                        return Ok(status);
                    }
                }
            };
            let changed = tokio::time::timeout(WAIT, changed).await;
            followers.leave(job, changes);
            changed.unwrap_or_else(|_| self.core.status(job))
        })
    }

    fn explain(&self, job: JobId) -> EngineFuture<'_, Explanation> {
        Box::pin(async move {
            let status = self.core.status(job)?;
            let explanation = explain(&status, self.core.active_jobs().turn(job));
            if status.phase != Phase::Queued || status.stop_requested.is_some() {
                return Ok(explanation);
            }
            let core = Arc::clone(&self.core);
            let hold = blocking(move || Ok(core.hold())).await?;
            Ok(match hold {
                None => explanation,
                Some(why) => Explanation { text: format!("it waits in the queue: {why}"), ..explanation },
            })
        })
    }

    fn card(&self, job: JobId) -> EngineFuture<'_, JobCard> {
        let card = self.core.store.read(|db| jobs::card(db, job)).map_err(EngineError::from);
        Box::pin(std::future::ready(card.and_then(|card| card.ok_or(EngineError::NoSuchJob(job)))))
    }

    fn parameters(&self, job: JobId) -> EngineFuture<'_, JobParameters> {
        Box::pin(async move {
            let spec = self.core.store.read_long(move |db| jobs::spec_without_documents(db, job)).await?;
            spec.as_ref().map(JobParameters::from).ok_or(EngineError::NoSuchJob(job))
        })
    }

    fn list(&self, query: JobQuery) -> EngineFuture<'_, Vec<JobStatus>> {
        Box::pin(async move {
            let query = JobQuery { at_most: query.at_most.min(MOST), ..query };
            Ok(self.core.store.read_long(move |db| jobs::list(db, &query)).await?)
        })
    }

    fn stop(&self, job: JobId, record: AuditEvent) -> EngineFuture<'_, JobStatus> {
        Box::pin(self.core.store.write(Durability::Disk, move |write| stop(write, job, record)))
    }

    fn publish_again(&self, job: JobId, record: AuditEvent) -> EngineFuture<'_, JobStatus> {
        Box::pin(async move {
            let ask = move |write: &mut Write<'_>| publish_again(write, job, record);
            let (status, asked) = self.core.store.write(Durability::Disk, ask).await?;
            if asked {
                self.core.active_jobs().publish(job);
            }
            Ok(status)
        })
    }

    fn remove(&self, job: JobId, record: AuditEvent) -> EngineFuture<'_, ()> {
        Box::pin(self.core.store.write(Durability::Disk, move |write| match jobs::remove(write, job)? {
            None => Err(Fail::Rejected(EngineError::NoSuchJob(job))),
            Some(false) => Err(Fail::Rejected(EngineError::NotEnded(job))),
            Some(true) => Ok(audit::record(write, record)?),
        }))
    }

    fn review(&self, job: JobId, verdict: ReviewVerdict, record: AuditEvent) -> EngineFuture<'_, JobStatus> {
        Box::pin(self.core.store.write(Durability::Disk, move |write| review(write, job, &verdict, record)))
    }

    fn release_log(&self, job: JobId, record: AuditEvent) -> EngineFuture<'_, JobStatus> {
        Box::pin(self.core.store.write(Durability::Disk, move |write| release_log(write, job, record)))
    }
}

/// The one environment of this machine.
fn environment(core: &Core, interpreters: BTreeSet<InterpreterId>) -> EnvironmentStatus {
    let options = &core.environment;
    EnvironmentStatus {
        id: options.id.clone(),
        description: options.description.clone(),
        offers: Environment {
            runtimes: [RuntimeKind::Wasm].into(),
            profiles: [Profile::Deterministic, Profile::Standard].into(),
            ..Environment::default()
        },
        interpreters,
        cpus: options.cpus,
        memory_bytes: options.memory_bytes,
        job_memory_bytes: options.job_memory_bytes,
        max_wall_ms: options.max_wall_ms,
        max_jobs: options.max_jobs,
        max_queued: options.max_queued,
        phases: core.active_jobs().tally().phases(),
    }
}

/// How many jobs may wait.
#[derive(Clone, Copy, Debug)]
struct Most {
    all: u64,
    of_account: u64,
}

/// Job, claims and record, or nothing of it.
fn submit(
    write: &mut Write<'_>,
    (job, rows): (&JobSpec, NewJob),
    wanted: &[Claim],
    event: AuditEvent,
    (most, queued): (Most, &dyn Fn(&str) -> u64),
    unfit: Option<Misfit>,
) -> Result<JobStatus, Fail<EngineError>> {
    if let Some(status) = jobs::status(write.db, job.id)? {
        // Version 2 wrote a specification in another form, so that only its values can be compared.
        let same = rows.is_stored(write.db)? || jobs::spec(write.db, job.id)?.is_some_and(|stored| stored == *job);
        return if same { Ok(status) } else { Err(Fail::Rejected(EngineError::JobExists(job.id))) };
    }
    // What is left of a removed job must not become the results or the receipt of another one.
    if jobs::lingers(write.db, job.id)? {
        return Err(Fail::Rejected(EngineError::JobExists(job.id)));
    }
    if write.tally.of(Phase::Queued) >= most.all {
        return Err(Fail::Rejected(EngineError::Full));
    }
    // Those of the last commit, and those before this one in the present transaction.
    let of_account = |change: &&Change| change.new.as_ref().is_some_and(|new| new.waiting.queue == job.queue);
    let here = write.changes.iter().filter(of_account).count() as u64;
    if queued(&job.queue).saturating_add(here) >= most.of_account {
        return Err(Fail::Rejected(EngineError::FullForAccount(most.of_account)));
    }
    claims::purge(write, now())?;
    for claim in wanted {
        if let Some(exceeded) = claim.limit().map(|limit| assets::over(write.db, limit)).transpose()?.flatten() {
            return Err(Fail::Rejected(exceeded.into()));
        }
        if !claims::take(write, claim, Holder::Job(job.id))? {
            return Err(Fail::Rejected(EngineError::Claimed(claim.clone())));
        }
    }
    let status = jobs::insert(write, rows)?;
    audit::record(write, event)?;
    match unfit {
        None => Ok(status),
        Some(misfit) => answer(job.id, record(write, job, &ended_unfit(&misfit.to_string()), now())),
    }
}

/// The answer to a caller for whom a job took a step.
fn answer(job: JobId, stored: Result<JobStatus, Fail<Unrecorded>>) -> Result<JobStatus, Fail<EngineError>> {
    stored.map_err(|error| match error {
        Fail::Db(error) | Fail::Rejected(Unrecorded::Db(error)) => Fail::Db(error),
        Fail::Rejected(Unrecorded::Gone) => Fail::Rejected(EngineError::NoSuchJob(job)),
        Fail::Rejected(other) => Fail::Db(DbError::Other(other.to_string())),
    })
}

fn stop(write: &mut Write<'_>, job: JobId, asked: AuditEvent) -> Result<JobStatus, Fail<EngineError>> {
    let Some((spec, before)) = read(write, job)? else { return Err(Fail::Rejected(EngineError::NoSuchJob(job))) };
    let at = asked.at;
    let Some(status) = jobs::ask_to_stop(write, &before, at)? else { return Ok(before) };
    audit::record(write, asked)?;
    match decide(&Facts::of(&spec, &status)) {
        // It waits, and ends at once.
        Action::Record(transition) => answer(job, record(write, &spec, &transition, at)),
        // Its driver ends it.
        _ => Ok(status),
    }
}

/// The status, and whether something was asked for.
fn publish_again(write: &mut Write<'_>, job: JobId, asked: AuditEvent) -> Result<(JobStatus, bool), Fail<EngineError>> {
    let before = jobs::status(write.db, job)?.ok_or(Fail::Rejected(EngineError::NoSuchJob(job)))?;
    if before.store_wait.is_none() || before.stop_requested.is_some() {
        return Err(Fail::Rejected(EngineError::NotWaitingForStore(job)));
    }
    let Some(status) = jobs::ask_to_publish(write, &before, asked.at)? else { return Ok((before, false)) };
    audit::record(write, asked)?;
    Ok((status, true))
}

fn review(
    write: &mut Write<'_>,
    job: JobId,
    verdict: &ReviewVerdict,
    event: AuditEvent,
) -> Result<JobStatus, Fail<EngineError>> {
    let Some((spec, status)) = read(write, job)? else { return Err(Fail::Rejected(EngineError::NoSuchJob(job))) };
    if status.phase != Phase::InReview {
        return Err(Fail::Rejected(EngineError::NotInReview(job)));
    }
    let (by, at) = (account(&event)?, event.at);
    let first = status.review.map(|Review { by, at, .. }| Approval { by, at });
    let transition = match review_step(&spec, first.as_ref(), verdict, by, at) {
        Ok(ReviewStep::First(approval)) => approved_first(approval),
        Ok(ReviewStep::Decided(review)) => reviewed(&spec, verdict, review),
        Err(AlreadyApproved) => return Err(Fail::Rejected(EngineError::AlreadyApproved(job))),
    };
    audit::record(write, event)?;
    answer(job, record(write, &spec, &transition, at))
}

fn release_log(write: &mut Write<'_>, job: JobId, event: AuditEvent) -> Result<JobStatus, Fail<EngineError>> {
    let missing = || Fail::Rejected(EngineError::NoSuchJob(job));
    let before = jobs::status(write.db, job)?.ok_or_else(missing)?;
    let JobCard { record, .. } = jobs::card(write.db, job)?.ok_or_else(missing)?;
    let Some(after) = log_released(&record, &before, account(&event)?, event.at) else {
        return Err(Fail::Rejected(EngineError::NoWithheldLog(job)));
    };
    if after != before {
        jobs::put_log_release(write, &before, &after)?;
        audit::record(write, event)?;
    }
    Ok(after)
}

/// The account that decided what an event records.
fn account(event: &AuditEvent) -> Result<Account, DbError> {
    let unnamed = |_| DbError::Other("the record of a decision does not name an account; this is a bug".to_owned());
    event.actor.parse().map_err(unnamed)
}
