use super::{MOST, explain::explain};
use crate::{
    LocalEngine,
    carry::refusal,
    engine::core::{Core, blocking},
    store::{DbError, Durability, Fail, Write, audit, claims, claims::Holder, jobs, jobs::Refused},
    times::now,
};
use cloister_model::{
    Account, AuditEvent, Claim, EngineError, EngineFuture, Environment, EnvironmentStatus, Event, Explanation, Fault,
    JobCard, JobId, JobQuery, JobSpec, JobStatus, Jobs, Phase, Profile, Reason, Review, ReviewVerdict, RuntimeKind,
    Seen,
};
use std::{sync::Arc, time::Duration};

/// The longest that a follower waits for one answer.
const WAIT: Duration = Duration::from_secs(30);

/// The steps of a job that this engine cannot run: it ends where its algorithm would be prepared.
const UNFIT: [Event; 3] = [Event::Accept, Event::Configure, Event::AlgorithmUnavailable];

impl Jobs for LocalEngine {
    fn environments(&self) -> EngineFuture<'_, Vec<EnvironmentStatus>> {
        Box::pin(async {
            let core = Arc::clone(&self.core);
            let interpreters = blocking(move || Ok(core.interpreters.names())).await?;
            let environment = &self.core.environment;
            Ok(vec![EnvironmentStatus {
                id: environment.id.clone(),
                description: environment.description.clone(),
                offers: Environment {
                    runtimes: [RuntimeKind::Wasm].into(),
                    profiles: [Profile::Deterministic, Profile::Standard].into(),
                    network: false,
                },
                interpreters,
                cpus: environment.cpus,
                memory_bytes: environment.memory_bytes,
                job_memory_bytes: environment.job_memory_bytes,
                max_wall_ms: environment.max_wall_ms,
                max_jobs: environment.max_jobs,
                max_queued: environment.max_queued,
                phases: self.core.board().tally().phases(),
            }])
        })
    }

    fn submit(&self, job: JobSpec, claims: Vec<Claim>, record: AuditEvent) -> EngineFuture<'_, JobStatus> {
        Box::pin(async {
            self.core.refuse_if_ending()?;
            let (most, unfit) = (self.core.environment.max_queued, unfit(&self.core, &job));
            let submit = move |write: &mut Write<'_>| submit(write, &job, &claims, record, most, unfit);
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
        let explanation = self.core.status(job).map(|status| explain(&self.core, &status));
        Box::pin(std::future::ready(explanation))
    }

    fn card(&self, job: JobId) -> EngineFuture<'_, JobCard> {
        let card = self.core.store.read(|db| jobs::card(db, job)).map_err(EngineError::from);
        Box::pin(std::future::ready(card.and_then(|card| card.ok_or(EngineError::NoSuchJob(job)))))
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
}

/// Why this engine cannot run a job, however busy it is.
fn unfit(core: &Core, job: &JobSpec) -> Option<Reason> {
    let environment = &core.environment;
    let most = environment.job_memory_bytes.min(environment.memory_bytes);
    let text = if job.terms.runtime == RuntimeKind::Container {
        "containers need the Kubernetes engine; this environment runs WebAssembly only".to_owned()
    } else if job.environment != environment.id {
        format!("there is no environment `{}` here; choose `{}`", job.environment, environment.id)
    } else if job.limits.memory_bytes > most {
        format!(
            "it may use {} bytes of memory, and this environment gives one job at most {most}",
            job.limits.memory_bytes
        )
    } else if job.limits.wall_ms > environment.max_wall_ms {
        let (asked, most) = (job.limits.wall_ms, environment.max_wall_ms);
        format!("it may run for {asked} ms, and this environment lets one algorithm run for at most {most} ms")
    } else {
        return None;
    };
    Some(Reason::new(&text, Fault::Algorithm))
}

/// Job, claims and record, or nothing of it.
fn submit(
    write: &mut Write<'_>,
    job: &JobSpec,
    wanted: &[Claim],
    record: AuditEvent,
    most: u64,
    unfit: Option<Reason>,
) -> Result<JobStatus, Fail<EngineError>> {
    if let Some(status) = jobs::status(write.db, job.id)? {
        let same = jobs::spec(write.db, job.id)?.is_some_and(|stored| stored == *job);
        return if same { Ok(status) } else { Err(Fail::Rejected(EngineError::JobExists(job.id))) };
    }
    // What is left of a removed job must not become the results or the receipt of another one.
    if jobs::lingers(write.db, job.id)? {
        return Err(Fail::Rejected(EngineError::JobExists(job.id)));
    }
    if write.tally.of(Phase::Queued) >= most {
        return Err(Fail::Rejected(EngineError::Full));
    }
    claims::purge(write, now())?;
    for claim in wanted {
        if !claims::take(write, claim, Holder::Job(job.id))? {
            return Err(Fail::Rejected(EngineError::Claimed(claim.clone())));
        }
    }
    let status = jobs::insert(write, job)?;
    audit::record(write, record)?;
    match unfit {
        None => Ok(status),
        Some(reason) => answer(job.id, jobs::step(write, job.id, &UNFIT, now(), Some(&reason))),
    }
}

/// The answer to a caller for whom a job took steps.
fn answer(job: JobId, stepped: Result<JobStatus, Fail<Refused>>) -> Result<JobStatus, Fail<EngineError>> {
    stepped.map_err(|error| match error {
        Fail::Db(error) | Fail::Rejected(Refused::Db(error)) => Fail::Db(error),
        Fail::Rejected(Refused::Gone) => Fail::Rejected(EngineError::NoSuchJob(job)),
        Fail::Rejected(other) => Fail::Db(DbError::Other(other.to_string())),
    })
}

fn stop(write: &mut Write<'_>, job: JobId, record: AuditEvent) -> Result<JobStatus, Fail<EngineError>> {
    let Some(before) = jobs::status(write.db, job)? else {
        return Err(Fail::Rejected(EngineError::NoSuchJob(job)));
    };
    let at = record.at;
    let Some(asked) = jobs::ask_to_stop(write, &before, at)? else { return Ok(before) };
    audit::record(write, record)?;
    match asked.phase {
        // Nothing runs for it, so that nothing has to be ended first.
        Phase::Queued | Phase::InReview => {
            let reason = Reason::new("stopped", Fault::Nobody);
            answer(job, jobs::step(write, job, &[Event::Stop], at, Some(&reason)))
        }
        _ => Ok(asked),
    }
}

fn review(
    write: &mut Write<'_>,
    job: JobId,
    verdict: &ReviewVerdict,
    record: AuditEvent,
) -> Result<JobStatus, Fail<EngineError>> {
    match jobs::status(write.db, job)? {
        None => return Err(Fail::Rejected(EngineError::NoSuchJob(job))),
        Some(status) if status.phase != Phase::InReview => return Err(Fail::Rejected(EngineError::NotInReview(job))),
        Some(_) => {}
    }
    let by: Account = record
        .actor
        .parse()
        .map_err(|_| DbError::Other("the record of a review does not name an account; this is a bug".to_owned()))?;
    let review = |approved| Review { approved, by, at: record.at };
    let (event, reason, review) = match verdict {
        ReviewVerdict::Approve => (Event::Approved, None, review(true)),
        ReviewVerdict::Refuse(why) => {
            let reason = Reason::new(&format!("refused in review: {why}"), Fault::Algorithm);
            (Event::Refused, Some(reason), review(false))
        }
    };
    let refused = !review.approved;
    audit::record(write, record)?;
    if refused {
        audit::record(write, refusal(job, "review"))?;
    }
    answer(job, jobs::review(write, job, &[event], reason.as_ref(), review))
}
