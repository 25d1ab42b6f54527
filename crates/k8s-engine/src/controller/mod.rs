//! The controller: takes every job of an installation from the queue to its end.
//!
//! It observes, plans ([`crate::plan`], pure) and acts, and remembers nothing that it could not lose: killed at any moment and
//! started again, it goes on where the cluster is. Two of them at a time do no harm: every change is stored with the version
//! that it was decided on, and before a pod is created the same version is asked for once more.

mod canary;
mod events;
mod figures;
mod kernels;
mod known;
mod lease;
mod options;
mod perform;
mod reconcile;
mod turns;

pub use figures::Figures;
pub use lease::{Candidate, LEASE};
pub use options::EngineOptions;

use crate::{
    backend::{OpenError, SEALED_AFTER, SYNC},
    build::{PodSettings, PodStep},
    clock::now,
    cluster::{CallError, Cluster, Watched, check_definitions},
    due::Due,
    observe::PodState,
    resources::{Environment, definitions},
    store::Audit,
};
use cloister_lifecycle::{fits_job, has_interpreter};
use cloister_model::{EnvironmentId, JobId, Timestamp};
use events::Events;
use figures::Counts;
use futures_util::future::BoxFuture;
use kernels::Kernels;
use known::Job;
use kube::ResourceExt as _;
use perform::Objects;
use reconcile::{Memory, Next, Reconciler};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    task::JoinSet,
};
use turns::Turns;

/// After how long a failing watch makes the controller unready.
const BLIND: Duration = Duration::from_secs(30);

/// Jobs that are reconciled at the same time.
const AT_ONCE: usize = 64;

/// The pause after a look that failed; it doubles, up to [`LONGEST_PAUSE_MS`].
const PAUSE_MS: u64 = 500;

/// The longest pause after a look that failed.
const LONGEST_PAUSE_MS: u64 = 60_000;

/// How long work that has begun is waited for at the end, and no longer.
const PATIENCE_AT_END: Duration = Duration::from_secs(10);

/// The controller of an installation.
#[derive(Debug)]
pub struct Controller {
    reconciler: Arc<Reconciler>,
    environments: Watched<Arc<Environment>>,
    options: EngineOptions,
}

impl Controller {
    /// Opens the controller: waits until it knows every job, pod, volume and environment.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(cluster: Cluster, options: EngineOptions) -> BoxFuture<'static, Result<Self, OpenError>> {
        // Boxed, so that it is compiled here, and not again in each program.
        Box::pin(Self::open_in(cluster, options))
    }

    async fn open_in(cluster: Cluster, options: EngineOptions) -> Result<Self, OpenError> {
        check_definitions(&cluster, &definitions()).await?;
        let environments =
            Watched::start(cluster.jobs(), |environment: &Environment| Some(Arc::new(environment.clone())));
        let jobs = Watched::start(cluster.jobs(), known::job);
        let pods = Watched::start(cluster.jobs(), known::pod);
        let volumes = Watched::start(cluster.jobs(), known::volume);
        OpenError::unless_synced([
            ("Environments", environments.synced(SYNC).await),
            ("ComputeJobs", jobs.synced(SYNC).await),
            ("Pods", pods.synced(SYNC).await),
            ("PersistentVolumeClaims", volumes.synced(SYNC).await),
        ])?;
        let (audit, events, counts) = (Audit::new(&cluster, SEALED_AFTER), Events::start(&cluster), Counts::default());
        let objects = Objects { cluster, jobs, pods, volumes };
        let reconciler = Reconciler { objects, audit, events, counts, kernels: Kernels::default() };
        Ok(Self { reconciler: Arc::new(reconciler), environments, options })
    }

    /// What is wrong with this controller; none: it can work.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let failing = self.watch_failing().filter(|failing| *failing > BLIND)?;
        Some(format!("a watch of the API server has been failing for {} s; jobs do not go on", failing.as_secs()))
    }

    /// What this controller has done, and what it sees.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let mut figures = self.reconciler.counts.so_far();
        figures.watch_failing = self.watch_failing().unwrap_or_default();
        self.reconciler.objects.jobs.each(|job| {
            let phase = match job {
                Job::Open(known) => known.stored.status.phase,
                Job::Over { phase, .. } => *phase,
            };
            let count = figures.jobs.entry(phase).or_default();
            *count = count.saturating_add(1);
        });
        self.reconciler.objects.volumes.each(|volume| {
            figures.leaving_volumes = figures.leaving_volumes.saturating_add(u64::from(volume.leaving));
        });
        figures
    }

    fn watch_failing(&self) -> Option<Duration> {
        let Objects { jobs, pods, volumes, .. } = &self.reconciler.objects;
        [jobs.failing(), pods.failing(), volumes.failing(), self.environments.failing()].into_iter().flatten().max()
    }

    /// Runs jobs until `stop` is done. Work that has begun is finished first, for some seconds.
    pub fn run<'a>(&'a self, stop: impl Future<Output = ()> + Send + 'a) -> BoxFuture<'a, ()> {
        // Boxed, so that it is compiled here, and not again in each program.
        self.run_until(Box::pin(stop))
    }

    fn run_until<'a>(&'a self, stop: BoxFuture<'a, ()>) -> BoxFuture<'a, ()> {
        Box::pin(self.carry_jobs(stop))
    }

    async fn carry_jobs(&self, stop: BoxFuture<'_, ()>) {
        let Objects { jobs, pods, volumes, .. } = &self.reconciler.objects;
        let mut changes = [jobs.changes(), pods.changes(), volumes.changes()];
        let mut environments = self.environments.changes();
        let mut work = Work::default();
        work.look_at_everything(self);
        let (canaries, kernels) = (self.send_canaries(), self.say_what_kernels_lack());
        tokio::pin!(stop, canaries, kernels);
        loop {
            self.start(&mut work);
            let due = work.due.next_at().map(until);
            let [of_jobs, of_pods, of_volumes] = &mut changes;
            tokio::select! {
                () = &mut stop => break,
                changed = next(of_jobs) => work.changed(self, changed),
                changed = next(of_pods) => work.changed(self, changed),
                changed = next(of_volumes) => work.changed(self, changed),
                _ = next(&mut environments) => work.look_at_everything(self),
                () = &mut canaries => {}
                () = &mut kernels => {}
                Some(done) = work.running.join_next() => work.looked(self, done),
                () = tokio::time::sleep(due.unwrap_or(Duration::MAX)), if due.is_some() => work.pass_time(),
            }
        }
        let finish = async { while work.running.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE_AT_END, finish).await.is_err() {
            tracing::warn!("requests of the API server are cut off; the next controller goes on where they were");
        }
    }

    /// Starts to look at the jobs that something changed for.
    fn start(&self, work: &mut Work) {
        let started = work.turns.decide();
        for job in started.into_iter().chain(work.turns.freed()) {
            work.wanted.insert(job);
        }
        while work.running.len() < AT_ONCE {
            let Some(job) = work.wanted.iter().find(|job| !work.busy.contains(*job)).copied() else { return };
            work.wanted.remove(&job);
            let (environment, known) = match self.reconciler.objects.jobs.get(&job.to_string()) {
                Some(Job::Open(known)) => (known.spec.environment.clone(), Some(known)),
                Some(Job::Over { environment, .. }) => (environment, None),
                None => continue,
            };
            let Some(environment) = self.environments.get(environment.as_str()) else {
                // Everything is reconciled again when an environment appears.
                tracing::warn!(%job, "a job waits, because its Environment does not exist");
                continue;
            };
            let settings = self.settings(&environment);
            let has_turn = known.as_ref().is_some_and(|known| work.turns.has_turn(&known.spec));
            let turn = known.as_ref().and_then(|known| work.turns.turn(&known.spec));
            // One that is being deleted stores nothing more.
            let pod = self.reconciler.objects.pods.get(&PodStep::Publishing.pod_name(job));
            let has_pod = pod.is_some_and(|pod| !matches!(pod.facts.state, PodState::Leaving { .. }));
            let may_store = known
                .as_ref()
                .is_none_or(|known| work.turns.may_store(&known.spec, &known.stored.status, has_pod, now()));
            // Asked by the environment as it is now: a job that was taken in for a larger one ends, and does not wait for ever.
            let misfit = known.as_ref().and_then(|known| {
                let offered = environment.offered()?;
                fits_job(&offered, &known.spec).and_then(|()| has_interpreter(&offered, &known.spec)).err()
            });
            let mut memory = work.memories.remove(&job).unwrap_or_default();
            let reconciler = Arc::clone(&self.reconciler);
            work.busy.insert(job);
            work.running.spawn(async move {
                let next = reconciler.reconcile(job, &settings, misfit, (has_turn, turn, may_store), &mut memory).await;
                Looked { job, memory, next }
            });
        }
    }

    fn settings(&self, environment: &Environment) -> PodSettings {
        let namespace = &self.reconciler.objects.cluster.namespaces().jobs;
        options::settings(&self.options, namespace, environment)
    }
}

/// What one look came to.
#[derive(Debug)]
struct Looked {
    job: JobId,
    memory: Memory,
    next: Result<Next, CallError>,
}

/// What is to be done.
#[derive(Debug, Default)]
struct Work {
    turns: Turns,
    /// Jobs to look at.
    wanted: BTreeSet<JobId>,
    /// Jobs that are reconciled. Each is reconciled by one task at a time.
    busy: BTreeSet<JobId>,
    running: JoinSet<Looked>,
    memories: BTreeMap<JobId, Memory>,
    due: Due<Timestamp, JobId>,
    /// Looks that failed, one after the other.
    failures: HashMap<JobId, u32>,
}

impl Work {
    /// Everything is reconciled: at the start, after an environment has changed, and where changes were missed.
    fn look_at_everything(&mut self, controller: &Controller) {
        controller.environments.each(|environment| {
            let Ok(id) = environment.name_any().parse::<EnvironmentId>() else { return };
            self.turns.set(&id, options::capacity(environment));
        });
        let Objects { jobs, pods, volumes, .. } = &controller.reconciler.objects;
        let mut open = Vec::new();
        let wanted = &mut self.wanted;
        jobs.each(|job| match job {
            Job::Open(known) => open.push(Arc::clone(known)),
            // Not all of its events are known to be on record.
            Job::Over { job, pending: true, .. } => {
                wanted.insert(*job);
            }
            Job::Over { .. } => {}
        });
        open.sort_by_key(|known| (known.spec.created, known.spec.id));
        for known in open {
            self.turns.observe(&known.spec, &known.stored.status);
            self.wanted.insert(known.spec.id);
        }
        // What ended jobs have left.
        pods.each(|pod| {
            self.wanted.insert(pod.job);
        });
        volumes.each(|volume| {
            self.wanted.insert(volume.job);
        });
    }

    /// An object of this name has changed; none: changes were missed.
    fn changed(&mut self, controller: &Controller, name: Option<String>) {
        let Some(name) = name else { return self.look_at_everything(controller) };
        // The names of pods and volumes begin with that of their job.
        let Some(job) = name.get(..32).and_then(|name| name.parse::<JobId>().ok()) else { return };
        if name.len() == 32 {
            match controller.reconciler.objects.jobs.get(&name) {
                Some(Job::Open(known)) => self.turns.observe(&known.spec, &known.stored.status),
                Some(Job::Over { .. }) | None => self.turns.forget(job),
            }
        }
        self.wanted.insert(job);
    }

    fn looked(&mut self, controller: &Controller, done: Result<Looked, tokio::task::JoinError>) {
        let Ok(Looked { job, memory, next }) = done else {
            // A panic is a fault of ours; the job is reconciled again with everything else.
            tracing::error!("a look at a job panicked");
            self.busy.clear();
            return self.look_at_everything(controller);
        };
        self.busy.remove(&job);
        self.due.remove(job);
        controller.reconciler.counts.look(next.is_err());
        let next = match next {
            Ok(next) => {
                self.failures.remove(&job);
                next
            }
            Err(error) => {
                let failures = self.failures.entry(job).or_default();
                let pause = PAUSE_MS.saturating_mul(1 << (*failures).min(10)).min(LONGEST_PAUSE_MS);
                *failures = failures.saturating_add(1);
                tracing::warn!(%error, %job, pause_ms = pause, "a job makes no progress; the controller tries again");
                Next::At(Timestamp::from_unix_ms(now().unix_ms().saturating_add(pause)))
            }
        };
        match next {
            Next::Now => {
                self.wanted.insert(job);
            }
            Next::At(at) => self.due.set(job, at),
            Next::Change => {}
            Next::Over => {
                self.turns.forget(job);
                return;
            }
        }
        self.memories.insert(job, memory);
    }

    fn pass_time(&mut self) {
        let present = now();
        while let Some(job) = self.due.next(present) {
            self.wanted.insert(job);
        }
    }
}

fn until(at: Timestamp) -> Duration {
    Duration::from_millis(at.unix_ms().saturating_sub(now().unix_ms()))
}

/// The next name; none if some were missed.
async fn next(changes: &mut Receiver<String>) -> Option<String> {
    match changes.recv().await {
        Ok(name) => Some(name),
        Err(RecvError::Lagged(_)) => None,
        // The watch has ended with the process.
        Err(RecvError::Closed) => std::future::pending().await,
    }
}
