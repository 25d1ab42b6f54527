use super::{explain::explain, results};
use crate::{
    LocalEngine,
    carry::refusal,
    engine::core::Core,
    store::{Db, Durability, Fail, Write, audit, jobs, jobs::Refused},
    times::now,
};
use cloister_model::{
    Backend, ByteRange, Engine, EngineError, EngineFuture, Environment, EnvironmentStatus, Event, Explanation, Fault,
    InterpreterId, JobId, JobQuery, JobSpec, JobStatus, Phase, Profile, Reason, Report, ResultFile, ReviewVerdict,
    RuntimeKind, Shelf, Timestamp,
};
use std::{collections::BTreeSet, fs, io, time::Duration};

/// The longest that a follower waits for one answer.
const WAIT: Duration = Duration::from_secs(30);

/// The most jobs of one list.
const MOST_JOBS: u32 = 1000;

/// The steps of a job that this engine cannot carry out: it ends where its algorithm would be prepared.
const UNFIT: [Event; 3] = [Event::Accept, Event::Configure, Event::AlgorithmUnavailable];

impl Engine for LocalEngine {
    fn environments(&self) -> EngineFuture<'_, Vec<EnvironmentStatus>> {
        Box::pin(async {
            let core = &self.core;
            let environment = &core.environment;
            Ok(vec![EnvironmentStatus {
                id: environment.id.clone(),
                description: environment.description.clone(),
                offers: Environment {
                    runtimes: [RuntimeKind::Wasm].into(),
                    profiles: [Profile::Deterministic, Profile::Standard].into(),
                    network: false,
                },
                interpreters: interpreters(core),
                cpus: environment.cpus,
                memory_bytes: environment.memory_bytes,
                job_memory_bytes: environment.job_memory_bytes,
                max_wall_ms: environment.max_wall_ms,
                max_jobs: environment.max_jobs,
                max_queued: environment.max_queued,
                phases: core.board().tally().phases(),
            }])
        })
    }

    fn submit(&self, job: JobSpec) -> EngineFuture<'_, JobStatus> {
        Box::pin(async {
            if self.core.shared.ending.is_cancelled() {
                return Err(EngineError::Unavailable("the service is ending".to_owned()));
            }
            let (most, unfit) = (self.core.environment.max_queued, unfit(&self.core, &job));
            self.core.store.write(Durability::Disk, move |write| submit(write, &job, most, unfit)).await
        })
    }

    fn status(&self, job: JobId) -> EngineFuture<'_, JobStatus> {
        let status = self.core.status(job);
        Box::pin(std::future::ready(status))
    }

    fn wait(&self, job: JobId, seen: u64) -> EngineFuture<'_, JobStatus> {
        Box::pin(async move {
            let followers = &self.core.shared.followers;
            let mut changes = followers.follow(job);
            let news = async {
                loop {
                    let status = self.core.status(job)?;
                    if status.revision > seen || status.phase.has_ended() {
                        return Ok(status);
                    }
                    // The sender is kept for as long as somebody follows.
                    if changes.changed().await.is_err() {
                        return Ok(status);
                    }
                }
            };
            let news = tokio::time::timeout(WAIT, news).await;
            followers.leave(job, changes);
            news.unwrap_or_else(|_| self.core.status(job))
        })
    }

    fn explain(&self, job: JobId) -> EngineFuture<'_, Explanation> {
        let explanation = self.core.status(job).map(|status| explain(&self.core, &status));
        Box::pin(std::future::ready(explanation))
    }

    fn spec(&self, job: JobId) -> EngineFuture<'_, JobSpec> {
        let spec = self.core.store.read(|db| jobs::spec(db, job)).map_err(EngineError::from);
        Box::pin(std::future::ready(spec.and_then(|spec| spec.ok_or(EngineError::NoSuchJob(job)))))
    }

    fn list(&self, query: JobQuery) -> EngineFuture<'_, Vec<JobStatus>> {
        Box::pin(async move {
            let query = JobQuery { at_most: query.at_most.min(MOST_JOBS), ..query };
            Ok(self.core.store.read_long(move |db| jobs::list(db, &query)).await?)
        })
    }

    fn stop(&self, job: JobId, at: Timestamp) -> EngineFuture<'_, JobStatus> {
        Box::pin(self.core.store.write(Durability::Disk, move |write| stop(write, job, at)))
    }

    fn remove(&self, job: JobId) -> EngineFuture<'_, ()> {
        Box::pin(async move {
            self.core
                .store
                .write(Durability::Disk, move |write| match jobs::remove(write, job)? {
                    None => Err(Fail::Said(EngineError::NoSuchJob(job))),
                    Some(false) => Err(Fail::Said(EngineError::NotEnded(job))),
                    Some(true) => Ok(()),
                })
                .await
        })
    }

    fn review(&self, job: JobId, verdict: ReviewVerdict, at: Timestamp) -> EngineFuture<'_, JobStatus> {
        Box::pin(self.core.store.write(Durability::Disk, move |write| review(write, job, &verdict, at)))
    }

    fn log(&self, job: JobId, range: ByteRange) -> EngineFuture<'_, Vec<u8>> {
        Box::pin(results::log(&self.core, job, range))
    }

    fn report(&self, job: JobId) -> EngineFuture<'_, Option<Report>> {
        Box::pin(async move {
            let report = self.core.store.read_long(move |db| jobs::report(db, job)).await?;
            report.ok_or(EngineError::NoSuchJob(job))
        })
    }

    fn results(&self, job: JobId, shelf: Shelf) -> EngineFuture<'_, Vec<ResultFile>> {
        Box::pin(results::list(&self.core, job, shelf))
    }

    fn read_result(&self, job: JobId, shelf: Shelf, index: u32, range: ByteRange) -> EngineFuture<'_, Vec<u8>> {
        Box::pin(results::read(&self.core, job, shelf, index, range))
    }
}

impl Backend for LocalEngine {
    /// Whether the disk and the database take what is written to them.
    fn ready(&self) -> EngineFuture<'_, ()> {
        Box::pin(async {
            if self.core.shared.ending.is_cancelled() {
                return Err(EngineError::Unavailable("the service is ending".to_owned()));
            }
            let probe = self.core.home.jobs().join(".ready");
            crate::engine::core::blocking(move || {
                let written = fs::write(&probe, [0; 4096]);
                written.and(fs::remove_file(&probe).or_else(|error| match error.kind() {
                    // Another one who asks was faster.
                    io::ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                }))
            })
            .await?;
            let touch = |write: &mut Write<'_>| {
                write.db.prepare_cached("UPDATE touched SET times = times + 1")?.execute([])?;
                Ok(())
            };
            self.core.store.write::<_, EngineError, _>(Durability::Process, touch).await
        })
    }
}

impl Core {
    fn status(&self, job: JobId) -> Result<JobStatus, EngineError> {
        self.store.read(|db| jobs::status(db, job))?.ok_or(EngineError::NoSuchJob(job))
    }
}

/// Why this engine cannot carry a job out, whatever is free.
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

fn submit(
    write: &mut Write<'_>,
    job: &JobSpec,
    most: u64,
    unfit: Option<Reason>,
) -> Result<JobStatus, Fail<EngineError>> {
    if let Some(status) = jobs::status(write.db, job.id)? {
        let same = jobs::spec(write.db, job.id)?.is_some_and(|stored| stored == *job);
        return if same { Ok(status) } else { Err(Fail::Said(EngineError::JobExists(job.id))) };
    }
    // What is left of a removed job must not become the results of another.
    if jobs::lingers(write.db, job.id)? {
        return Err(Fail::Said(EngineError::JobExists(job.id)));
    }
    if write.tally.of(Phase::Queued) >= most {
        return Err(Fail::Said(EngineError::Full));
    }
    let status = jobs::insert(write, job)?;
    match unfit {
        None => Ok(status),
        Some(reason) => step(write, job.id, &UNFIT, now(), reason),
    }
}

/// Steps of a job that nobody carries out, for whoever asked for them.
fn step(
    write: &mut Write<'_>,
    job: JobId,
    events: &[Event],
    at: Timestamp,
    reason: Reason,
) -> Result<JobStatus, Fail<EngineError>> {
    jobs::step(write, job, events, at, Some(&reason)).map_err(|error| match error {
        Fail::Db(error) | Fail::Said(Refused::Db(error)) => Fail::Db(error),
        Fail::Said(Refused::Gone) => Fail::Said(EngineError::NoSuchJob(job)),
        Fail::Said(other) => Fail::Db(Db::Other(other.to_string())),
    })
}

fn stop(write: &mut Write<'_>, job: JobId, at: Timestamp) -> Result<JobStatus, Fail<EngineError>> {
    let Some(status) = jobs::ask_to_stop(write, job, at)? else {
        return Err(Fail::Said(EngineError::NoSuchJob(job)));
    };
    match status.phase {
        // Nobody carries it out, so that nothing has to be ended first.
        Phase::Queued | Phase::InReview => step(write, job, &[Event::Stop], at, Reason::new("stopped", Fault::Nobody)),
        _ => Ok(status),
    }
}

fn review(
    write: &mut Write<'_>,
    job: JobId,
    verdict: &ReviewVerdict,
    at: Timestamp,
) -> Result<JobStatus, Fail<EngineError>> {
    match jobs::status(write.db, job)? {
        None => return Err(Fail::Said(EngineError::NoSuchJob(job))),
        Some(status) if status.phase != Phase::InReview => return Err(Fail::Said(EngineError::NotInReview(job))),
        Some(_) => {}
    }
    match verdict {
        ReviewVerdict::Approve => step(write, job, &[Event::Approved], at, Reason::new("", Fault::Nobody)),
        ReviewVerdict::Refuse(why) => {
            audit::record(write, refusal(job, "review"))?;
            let reason = Reason::new(&format!("refused in review: {why}"), Fault::Algorithm);
            step(write, job, &[Event::Refused], at, reason)
        }
    }
}

/// The installed interpreters, by the names of their folders. A few entries: read whenever somebody asks.
fn interpreters(core: &Core) -> BTreeSet<InterpreterId> {
    let Ok(entries) = fs::read_dir(core.home.sandbox().join("runtimes")) else { return BTreeSet::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("runtime.json").is_file())
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
