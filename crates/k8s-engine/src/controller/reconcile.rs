//! One look at one job: what exists is put together, planned, and done.

use super::{
    events::Events,
    figures::{self, Counts},
    kernels::Kernels,
    known::{self, KnownJob, KnownPod},
    perform::{Done, Objects},
};
use crate::{
    backend::asset_now,
    build::{PodSettings, PodStep, publishing, volume},
    clock::now,
    cluster::CallError,
    observe::{Patience, PodEnd, PodFacts, PodState},
    plan::{Act, Stored, World, plan},
    store::{Audit, Pending},
};
use cloister_lifecycle::{AssetNow, Misfit, Turn, explain};
use cloister_model::{AuditEvent, Did, JobId, Phase, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use std::{collections::BTreeMap, sync::Arc};

/// For how long a job waits for the same thing before its object says so: most waits are shorter, and each write costs the
/// API server.
const SAY_AFTER_MS: u64 = 5000;

/// How often a waiting job looks at its place in the queue: this for the first one, and longer for those behind it, because
/// every place that changes is a write.
const LOOK_AT_QUEUE_MS: u64 = 5000;

/// The longest pause between two looks at its place in the queue.
const LONGEST_LOOK_AT_QUEUE_MS: u64 = 300_000;

/// How long the watch has to show what was deleted, before it is looked for again.
const AGAIN_MS: u64 = 1000;

/// Acts of one reconciliation. Then other jobs come first.
const MOST_ACTS: u32 = 32;

/// What this process remembers of a job. Whatever is lost with it costs time, and nothing else.
#[derive(Debug, Default)]
pub(super) struct Memory {
    patience: Patience,
    /// The steps whose pods the cluster has changed, and what it changed. Another pod would be changed in the same way.
    tampered: BTreeMap<PodStep, String>,
    /// What the job waits for, and since when.
    waits: Option<(String, Timestamp)>,
    /// Events that this process has put on record.
    recorded: Pending,
}

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// At once.
    Now,
    /// At this moment, or as soon as something changes.
    At(Timestamp),
    /// When something changes.
    Change,
    /// Never: nothing is left of the job but its object.
    Over,
}

/// What a look needs beside the objects.
#[derive(Debug)]
pub(super) struct Reconciler {
    pub(super) objects: Objects,
    pub(super) audit: Audit,
    pub(super) events: Events,
    pub(super) counts: Counts,
    pub(super) kernels: Kernels,
}

impl Reconciler {
    /// Takes a job as far as it can go at present.
    pub(super) async fn reconcile(
        &self,
        job: JobId,
        settings: &PodSettings,
        misfit: Option<Misfit>,
        (has_turn, turn, may_store): (bool, Option<Turn>, bool),
        memory: &mut Memory,
    ) -> Result<Next, CallError> {
        for _ in 0..MOST_ACTS {
            let Some(known) = self.known(job).await? else { return Ok(Next::Over) };
            self.record(&known, memory).await?;
            let world = World { misfit: misfit.clone(), may_store, ..self.world(&known, has_turn, memory).await? };
            if let Some(pod) = world.pods.get(&PodStep::Algorithm) {
                self.kernels.note(&known.spec.environment, pod);
            }
            let phase = known.stored.status.phase;
            let act = plan(&world, settings, &mut memory.patience, now());
            let kind = figures::kind(&act);
            let deletes = matches!(act, Act::DeletePod { .. } | Act::DeletePods | Act::DeleteVolume);
            let done = match act {
                Act::Store { stored, records } => {
                    let (stored, records, pods) =
                        together(world, *stored, records, settings, &mut memory.patience, has_turn);
                    let object = format!("job/{job}");
                    let pending =
                        records.into_iter().fold(Pending::default(), |pending, event| pending.with(&object, event));
                    let (before, after) = (phase, stored.status.phase);
                    let done = self.objects.store(&known, &stored, &pending, None, None).await?;
                    let done = match done {
                        Done::Yes => self.create(&known, &pods, memory).await?,
                        done => done,
                    };
                    if !matches!(done, Done::Behind) && before != after {
                        tracing::info!(%job, phase = after.as_str(), "the job has come to another phase");
                        let namespace = &self.objects.cluster.namespaces().jobs;
                        self.events.phase(namespace, &known, &stored.status);
                        memory.waits = None;
                    }
                    done
                }
                Act::CreateVolume(claim) => {
                    let created = self.objects.create_volume(&known, &claim).await;
                    self.or_said(&known, created).await?
                }
                // The store fails where something was stored since the look: a stop, or what another engine did.
                Act::CreatePods { fence, pods } => match self.keep_said(&known, &fence).await? {
                    Done::Yes => {
                        let created = self.create(&known, &pods, memory).await;
                        self.or_said(&known, created).await?
                    }
                    done => done,
                },
                Act::DeletePod { step, uid } => {
                    let done = self.objects.delete_pod(&step.pod_name(job), &uid, false).await?;
                    memory.patience.forget(&uid);
                    done
                }
                Act::DeletePods => self.objects.delete_pods(job).await?,
                Act::DeleteVolume => self.objects.delete_volume(&known).await?,
                Act::Wait { text, until } => {
                    return self.wait(&known, &text, until, turn, memory).await;
                }
                Act::Nothing if known.pending.is_empty() => {
                    return Ok(if phase.has_ended() { Next::Over } else { Next::Change });
                }
                // Everything is on record by now.
                Act::Nothing => self.keep(&known, &known.stored).await?,
            };
            match done {
                Done::Yes | Done::Tampered(_) => {
                    kind.into_iter().for_each(|kind| self.counts.act(kind));
                    if deletes {
                        // The watch shows that it is gone; a look before that would delete it once more.
                        return Ok(Next::At(Timestamp::from_unix_ms(now().unix_ms().saturating_add(AGAIN_MS))));
                    }
                }
                // The newest version comes with the watch; a look without it would plan the same again.
                Done::Behind => self.look_again(job).await?,
            }
        }
        Ok(Next::Now)
    }

    /// Creates pods whose fence is stored.
    async fn create(&self, job: &KnownJob, pods: &[(PodStep, Pod)], memory: &mut Memory) -> Result<Done, CallError> {
        for (step, pod) in pods {
            match self.objects.create_pod(job, pod).await? {
                Done::Yes => {}
                Done::Tampered(what) => {
                    memory.tampered.insert(*step, what.to_string());
                    return Ok(Done::Yes);
                }
                Done::Behind => return Ok(Done::Behind),
            }
            self.counts.act(figures::CREATE_POD);
        }
        Ok(Done::Yes)
    }

    /// The job as it is known; one that has ended is read from the API server.
    async fn known(&self, job: JobId) -> Result<Option<Arc<KnownJob>>, CallError> {
        let name = job.to_string();
        if let Some(known::Job::Open(known)) = self.objects.jobs.get(&name) {
            return Ok(Some(known));
        }
        let Some(found) = self.objects.job(&name).await? else { return Ok(None) };
        // What belongs to it goes with it. Until then, also while it waits to be removed, what it has left is removed here.
        if found.metadata.deletion_timestamp.is_some() {
            return Ok(None);
        }
        KnownJob::of(&found).map(|known| Some(Arc::new(known))).or_else(|error| {
            tracing::error!(%error, %job, "a ComputeJob cannot be read, and is left alone");
            Ok(None)
        })
    }

    /// Stores a fence. What is said of the job stays: it may be why the pod could not be created the last time.
    async fn keep_said(&self, job: &KnownJob, stored: &Stored) -> Result<Done, CallError> {
        let said = job.written.as_ref().and_then(|written| written.explanation.as_deref());
        self.objects.store(job, stored, &Pending::default(), said, None).await
    }

    /// Says in the job's object what the API server refuses, such as what a quota does not let it have. It is tried again, until the
    /// job's time is over.
    async fn or_said(&self, job: &KnownJob, done: Result<Done, CallError>) -> Result<Done, CallError> {
        let Err(error @ CallError::Refused { .. }) = &done else { return done };
        let text = error.to_string();
        // The fence may have been stored since the look.
        if let Some(known::Job::Open(job)) = self.objects.jobs.get(&job.spec.id.to_string())
            && job.written.as_ref().and_then(|written| written.explanation.as_deref()) != Some(text.as_str())
        {
            self.objects.store(&job, &job.stored, &Pending::default(), Some(&text), None).await?;
        }
        done
    }

    /// Stores something without an event.
    async fn keep(&self, job: &KnownJob, stored: &Stored) -> Result<Done, CallError> {
        self.objects.store(job, stored, &Pending::default(), None, None).await
    }

    async fn look_again(&self, job: JobId) -> Result<(), CallError> {
        if let Some(found) = self.objects.job(&job.to_string()).await? {
            self.objects.jobs.take_in(&found, known::job);
        }
        Ok(())
    }

    /// Puts on record what is stored of a job and not known to be on record.
    async fn record(&self, job: &KnownJob, memory: &mut Memory) -> Result<(), CallError> {
        let new = job.pending.without(&memory.recorded);
        if !new.is_empty() {
            self.audit.append(new.entries()).await?;
            memory.recorded = job.pending.clone();
        }
        Ok(())
    }

    async fn world(&self, job: &KnownJob, has_turn: bool, memory: &Memory) -> Result<World, CallError> {
        let id = job.spec.id;
        let phase = job.stored.status.phase;
        let mut pods = BTreeMap::new();
        for step in PodStep::ALL {
            if let Some(KnownPod { facts, owner, .. }) = self.objects.pods.get(&step.pod_name(id))
                && owner == job.owner.uid
            {
                pods.insert(step, facts);
            }
        }
        // They were deleted as soon as they were created.
        for (step, what) in memory.tampered.iter().filter(|_| !phase.has_ended()) {
            let facts = PodFacts {
                uid: String::new(),
                attempt: job.stored.attempts.of(*step),
                node: None,
                keeps: false,
                is_container: false,
                created: now(),
                state: PodState::Ended(PodEnd::Changed(what.clone())),
                messages: BTreeMap::new(),
            };
            pods.insert(*step, facts);
        }
        let claim = self.objects.volumes.get(&volume::name(id)).filter(|claim| claim.owner == job.owner.uid);
        Ok(World {
            spec: job.spec.clone(),
            order: job.order.clone(),
            owner: job.owner.clone(),
            stored: job.stored.clone(),
            assets: if reads_assets(phase, has_turn, &pods) { self.assets(job).await? } else { BTreeMap::new() },
            review: job.review.clone(),
            misfit: None,
            registered: job.registered,
            has_turn,
            may_store: true,
            has_volume: claim.is_some(),
            volume_leaving: claim.is_some_and(|claim| claim.leaving),
            pods,
        })
    }

    /// The assets that the job uses, as they are now. Their rules are read, and never a source of their files.
    async fn assets(&self, job: &KnownJob) -> Result<BTreeMap<Did, AssetNow>, CallError> {
        let record = &job.spec.record;
        let datasets = record.datasets.iter().map(|dataset| &dataset.asset);
        let mut assets = BTreeMap::new();
        for asset in datasets.chain(&record.algorithm) {
            if let Some(found) = asset_now(&self.objects.cluster, &asset.did).await? {
                assets.insert(asset.did.clone(), found);
            }
        }
        Ok(assets)
    }

    /// What a pod waits for whose volume is not there: the scheduler does not say which, and how large.
    fn with_volume(&self, job: &KnownJob, text: &str) -> String {
        let volume =
            self.objects.volumes.get(&volume::name(job.spec.id)).filter(|_| text.contains("PersistentVolumeClaim"));
        match volume.and_then(|volume| volume.awaited) {
            Some(awaited) => format!("{awaited}: {text}"),
            None => text.to_owned(),
        }
    }

    /// Says in the job's object what it waits for, once it has waited for it for a while.
    async fn wait(
        &self,
        job: &KnownJob,
        text: &str,
        until: Option<Timestamp>,
        turn: Option<Turn>,
        memory: &mut Memory,
    ) -> Result<Next, CallError> {
        let status = &job.stored.status;
        let queued = status.phase == Phase::Queued;
        let (text, ahead) = match turn.filter(|_| queued) {
            Some(turn) => {
                let said = explain(status, Some(turn));
                (said.text, said.ahead)
            }
            None => (self.with_volume(job, text), None),
        };
        let at = now();
        let since = match &memory.waits {
            Some((known, since)) if *known == text => *since,
            _ => {
                memory.waits = Some((text.clone(), at));
                at
            }
        };
        let written = job.written.as_ref();
        let said = written.and_then(|written| written.explanation.as_deref()) == Some(text.as_str())
            && written.and_then(|written| written.queue_ahead) == ahead;
        let due = since.unix_ms().saturating_add(SAY_AFTER_MS);
        if !said && !status.phase.has_ended() {
            if at.unix_ms() < due {
                let due = Timestamp::from_unix_ms(due);
                return Ok(Next::At(until.map_or(due, |until| until.min(due))));
            }
            self.objects.store(job, &job.stored, &Pending::default(), Some(&text), ahead).await?;
        }
        let look = ahead.map(|ahead| {
            let pause = LOOK_AT_QUEUE_MS.saturating_add(ahead.saturating_mul(500)).min(LONGEST_LOOK_AT_QUEUE_MS);
            Timestamp::from_unix_ms(at.unix_ms().saturating_add(pause))
        });
        Ok([until, look].into_iter().flatten().min().map_or(Next::Change, Next::At))
    }
}

/// What is stored in one write: a transition, and those that follow from the same look; with them the fence of the pod that comes
/// next. Every write costs the API server, and every client that watches the job.
fn together(
    mut world: World,
    mut stored: Stored,
    mut records: Vec<AuditEvent>,
    settings: &PodSettings,
    patience: &mut Patience,
    has_turn: bool,
) -> (Stored, Vec<AuditEvent>, Vec<(PodStep, Pod)>) {
    // What a permission depends on is read in the look that asks for it.
    let read = reads_assets(world.stored.status.phase, has_turn, &world.pods);
    while !stored.status.phase.has_ended() && (read || !asks(stored.status.phase, has_turn)) {
        world.stored = stored.clone();
        match plan(&world, settings, patience, now()) {
            Act::Store { stored: next, records: more } if next.status.phase != stored.status.phase => {
                stored = *next;
                records.extend(more);
            }
            Act::CreatePods { fence, pods } => return (*fence, records, pods),
            _ => break,
        }
    }
    (stored, records, Vec::new())
}

/// Whether a look reads the assets of a job: where its permission is asked, and where the pod of publishing has said that the
/// results are stored, because the job then comes to such a phase in this look.
fn reads_assets(phase: Phase, has_turn: bool, pods: &BTreeMap<PodStep, PodFacts>) -> bool {
    let publishing = pods.get(&PodStep::Publishing);
    let has_published = publishing.is_some_and(|pod| pod.messages.contains_key(publishing::PUBLISH));
    asks(phase, has_turn) || (phase == Phase::Filtering && has_published)
}

/// Whether the permission of a job is asked in this phase.
fn asks(phase: Phase, has_turn: bool) -> bool {
    phase == Phase::Publishing || (phase == Phase::Queued && has_turn)
}
