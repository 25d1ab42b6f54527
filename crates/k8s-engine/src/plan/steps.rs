//! What the pods of a job came to, and how the next one is made.

use super::{Act, Stored, World, answer};
use crate::{
    build::{
        PodSettings, PodStep, algorithm, configuration, container, pinned,
        publishing::{self, FILTER, Outputs, PUBLISH, RunFiles, RunReport},
        roots, volume,
    },
    observe::{Patience, PodFacts, Verdict, verdict, verdict::MOST_ATTEMPTS},
};
use cloister_lifecycle::{LogFate, ObservedEnd, RunFacts, RunTrace, Transition, kept_log_bytes};
use cloister_model::{
    Event, Fault, FilterOrder, Phase, PinnedImage, PublishOrder, Reason, RunEnd, RunSummary, Said, Sha256, StepFailure,
    StepMessage, StepName, Timestamp,
};
use k8s_openapi::api::core::v1::Pod;

/// Seconds that a step's pod may take beyond what the job's own limits say.
const SLACK_SECONDS: u64 = 600;

/// What was seen of a step.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// It has no pod.
    Missing,
    /// Its pod waits or works.
    Waiting { text: String, until: Option<Timestamp> },
    /// It said what became of it.
    Message(StepMessage),
    /// It ended without a message.
    Ended(ObservedEnd),
}

/// What was seen of the steps of a job.
#[derive(Clone, Debug)]
pub(super) struct Steps {
    configuration: Seen,
    algorithm: Seen,
    publishing: Seen,
    pub(super) configured: Option<StepMessage>,
    pub(super) run: RunFacts,
    pub(super) filtered: Option<StepMessage>,
    pub(super) published: Option<StepMessage>,
}

impl Steps {
    /// Looks at every step.
    ///
    /// # Errors
    /// The step that needs another pod, because its present one came to nothing.
    pub(super) fn look(world: &World, patience: &mut Patience, now: Timestamp) -> Result<Self, PodStep> {
        let phase = world.stored.status.phase;
        let mut look = |step: PodStep| {
            let attempts = world.stored.attempts.counted(step);
            // A pod that was created early may wait for as long as the job is not at its step.
            let patience = if is_at(phase, step) || world.keeps() { &mut *patience } else { &mut Patience::default() };
            Ok(match verdict(step, world.pods.get(&step), attempts, patience, now) {
                Verdict::Create => Seen::Missing,
                Verdict::Wait { text, until } => Seen::Waiting { text, until },
                // Only the step that the job is at is tried again.
                Verdict::Again { .. } if is_at(phase, step) || world.keeps() => return Err(step),
                Verdict::Again { text } => Seen::Ended(ObservedEnd::CutOff(text)),
                Verdict::Said(message) => Seen::Message(message),
                Verdict::Ended(end) => Seen::Ended(end),
            })
        };
        let configuration = look(PodStep::Configuration)?;
        let algorithm = look(PodStep::Algorithm)?;
        let publishing = look(PodStep::Publishing)?;
        let configured = ended(world, StepName::Configure, &configuration);
        let run = run(world, &algorithm);
        if came_to_nothing(world) {
            // What follows keeps what is known of the run. Another pod for the outputs would come to nothing, too, and so on for as
            // long as the job may last.
            let text = format!("{MOST_ATTEMPTS} pods of this step failed");
            let filtered = Some(failed(world, StepName::Filter, &text));
            let published = Some(failed(world, StepName::Publish, &text));
            return Ok(Self { configuration, algorithm, publishing, configured, run, filtered, published });
        }
        if world.keeps() {
            // What is kept says nothing of the outputs.
            let (filtered, published) = (None, None);
            return Ok(Self { configuration, algorithm, publishing, configured, run, filtered, published });
        }
        let of_filter = world.pods.get(&PodStep::Publishing).and_then(|pod| pod.messages.get(FILTER)).cloned();
        let filtered = of_filter.or_else(|| ended(world, StepName::Filter, &publishing));
        let published = ended(world, StepName::Publish, &publishing);
        Ok(Self { configuration, algorithm, publishing, configured, run, filtered, published })
    }

    /// Whether the algorithm's file starts as a WebAssembly module does.
    pub(super) fn is_wasm(&self) -> bool {
        matches!(&self.configured, Some(StepMessage { said: Said::Configured { is_wasm: true, .. }, .. }))
    }

    /// The digest of the algorithm's files, as configuration has laid them out.
    fn laid_out(&self) -> Option<Sha256> {
        match &self.configured {
            Some(StepMessage { said: Said::Configured { algorithm, .. }, .. }) => Some(*algorithm),
            _ => None,
        }
    }

    /// What ran. Of a container, configuration says it: its inputs are read-only, and it writes no report that counts.
    pub(super) fn ran(&self, world: &World) -> Option<RunSummary> {
        if !world.is_container() {
            return self.run.summary.clone();
        }
        let algorithm = self.laid_out()?;
        Some(RunSummary {
            end: RunEnd::Succeeded,
            reason: None,
            algorithm,
            interpreted: false,
            files: Some(algorithm),
            report: None,
        })
    }

    fn configuration_failed(&self) -> bool {
        matches!(&self.configuration, Seen::Message(StepMessage { said: Said::Failed { .. }, .. }))
    }

    fn of(&self, step: PodStep) -> &Seen {
        match step {
            PodStep::Configuration => &self.configuration,
            PodStep::Algorithm => &self.algorithm,
            PodStep::Publishing => &self.publishing,
        }
    }

    /// Waits for a step.
    pub(super) fn wait(&self, step: PodStep) -> Act {
        match self.of(step) {
            Seen::Waiting { text, until } => Act::Wait { text: text.clone(), until: *until },
            Seen::Missing | Seen::Message(_) | Seen::Ended(_) => {
                super::wait("the controller reads the state of its pod", None)
            }
        }
    }

    /// What has to be done before a transition is stored after which nothing of the job's volume is needed any more, or after
    /// which a reviewer looks at it: the report and the log of the run are in the store first. None: nothing.
    pub(super) fn keep(
        &self,
        transition: &Transition,
        world: &World,
        settings: &PodSettings,
        now: Timestamp,
    ) -> Option<Act> {
        let ends = transition.reason.is_some() || transition.release.is_some();
        let wanted = (ends && transition.log != LogFate::Discarded) || transition.events.contains(&Event::ReviewAsked);
        // Without its volume, what the run left is lost. A pod that waited for inputs in vain has run nothing.
        let phase = world.stored.status.phase;
        let without_inputs = is_before_the_run(phase) && self.configuration_failed();
        let begun = world.stored.attempts.algorithm > 0 && !without_inputs;
        let ran = begun && world.has_volume && !world.volume_leaving;
        // A node that does not answer may still write there, and a volume of its own cannot be mounted anywhere else.
        if !(wanted && ran) || world.node_is_silent(now) {
            return None;
        }
        match (&self.publishing, world.pods.get(&PodStep::Publishing)) {
            (Seen::Missing, _) | (_, None) => Some(self.begin_keeping(world, settings)),
            (Seen::Waiting { .. }, Some(pod)) if pod.keeps || is_at(phase, PodStep::Publishing) => {
                Some(self.wait(PodStep::Publishing))
            }
            // The container that publishes keeps it first.
            (_, Some(pod)) if pod.keeps || pod.messages.contains_key(PUBLISH) => None,
            (_, Some(_)) => Some(super::again(world, PodStep::Publishing)),
        }
    }

    fn begin_keeping(&self, world: &World, settings: &PodSettings) -> Act {
        let World { spec, owner, .. } = world;
        let report = self.run.summary.as_ref().and_then(|summary| summary.report).or(world.stored.report);
        let run = RunFiles { report: report.into(), log_bytes: kept_log_bytes(&spec.terms) };
        fenced(&[PodStep::Publishing], world, |_, attempt| Some(publishing::keep(settings, owner, attempt, run)))
    }

    /// Creates the pod of configuration, and where pods start early, those of the other steps with it.
    ///
    /// That of the algorithm is the first one, because it needs the most: where it has a place, the others follow it. They share
    /// a volume that only one node may be able to mount.
    pub(super) fn configure(&self, world: &World, settings: &PodSettings) -> Act {
        let early = settings.start_early && !world.is_container() && is_before_the_run(world.stored.status.phase);
        if !early {
            return self.create(PodStep::Configuration, world, settings);
        }
        match (&self.algorithm, world.pods.get(&PodStep::Algorithm)) {
            (Seen::Missing, _) | (_, None) => return self.create(PodStep::Algorithm, world, settings),
            (Seen::Waiting { .. }, Some(PodFacts { node: None, .. })) => return self.wait(PodStep::Algorithm),
            (_, Some(_)) => {}
        }
        // Programs that check outputs are runs of their own, and need as much: they get their place when it is their turn.
        let checks = !world.spec.terms.release.checks.is_empty();
        let missing =
            |step: &PodStep| matches!(self.of(*step), Seen::Missing) && !(checks && *step == PodStep::Publishing);
        let wanted: Vec<_> = [PodStep::Configuration, PodStep::Publishing].into_iter().filter(missing).collect();
        if wanted.is_empty() {
            return self.create(PodStep::Configuration, world, settings);
        }
        self.create_missing(&wanted, world, settings)
    }

    /// Creates the pod of a step, the volume before it; waits if it is there.
    pub(super) fn create(&self, step: PodStep, world: &World, settings: &PodSettings) -> Act {
        if !matches!(self.of(step), Seen::Missing) {
            // One that was told to end has ended, and is done again by another pod.
            return match self.of(step) {
                Seen::Message(_) => super::again(world, step),
                _ => self.wait(step),
            };
        }
        self.create_missing(&[step], world, settings)
    }

    /// Creates the pods of steps that have none, the volume before them.
    fn create_missing(&self, steps: &[PodStep], world: &World, settings: &PodSettings) -> Act {
        if world.volume_leaving {
            return super::wait("its volume is being deleted from outside", None);
        }
        if !world.has_volume {
            return Act::CreateVolume(Box::new(volume::build(settings, &world.owner)));
        }
        fenced(steps, world, |step, attempt| self.pod(step, attempt, world, settings))
    }

    /// The pod of a step; none: what it is made of is not there, which no decision allows.
    fn pod(&self, step: PodStep, attempt: u32, world: &World, settings: &PodSettings) -> Option<Pod> {
        let World { spec, order, owner, .. } = world;
        let seconds = |ms: u64| i64::try_from((ms / 1000).saturating_add(SLACK_SECONDS)).unwrap_or(i64::MAX);
        let total_ms = spec.times.total_ms;
        let early = is_before_the_run(world.stored.status.phase);
        // The pod that the others follow, if they are created early.
        let leader = world.pods.get(&PodStep::Algorithm).filter(|_| early).and_then(|pod| pod.node.clone());
        // A container opens its inputs itself, and would follow links in them: its files are copied, or it does not run.
        let mounts = order.reads_local && !world.is_container();
        let roots = if mounts { roots::of_job(settings, spec) } else { Vec::new() };
        let follow = |pod: Pod| match &leader {
            Some(node) => pinned(pod, node),
            None => pod,
        };
        Some(match step {
            PodStep::Configuration => {
                // Its place has room for the algorithm, whose pod comes later.
                let memory = if leader.is_some() { 0 } else { algorithm::memory_request(&spec.limits) };
                follow(configuration::build(settings, owner, attempt, (order, &roots), seconds(total_ms), memory))
            }
            PodStep::Algorithm if world.is_container() => {
                // It names a raw algorithm.
                let digest = self.laid_out().unwrap_or(Sha256::from_bytes([0; 32]));
                container::build(settings, owner, attempt, &container::Run::of(spec, digest).ok()?)
            }
            PodStep::Algorithm => {
                let awaits_inputs_ms = early.then_some(total_ms);
                let run = algorithm::Run { roots, awaits_inputs_ms, ..algorithm::Run::of(spec, settings)? };
                algorithm::build(settings, owner, attempt, &run)
            }
            PodStep::Publishing => {
                let (filter, publish) = (FilterOrder::without_outputs(spec), PublishOrder::of(spec, Vec::new()));
                let report = if early { RunReport::Awaited } else { world.stored.report.into() };
                let run = RunFiles { report, log_bytes: kept_log_bytes(&spec.terms) };
                let outputs = Outputs { filter: &filter, publish: &publish, reviewed: spec.terms.release.review, run };
                // It may be created before the run.
                let seconds = seconds(total_ms.saturating_add(spec.times.publishing_ms));
                follow(publishing::build(settings, owner, attempt, &outputs, seconds))
            }
        })
    }
}

/// Creates the pods of the present attempts of steps, with one fence before all of them.
fn fenced(steps: &[PodStep], world: &World, pod: impl Fn(PodStep, u32) -> Option<Pod>) -> Act {
    let attempts = steps.iter().fold(world.stored.attempts, |attempts, step| attempts.begun(*step));
    let fence = Stored { attempts, ..world.stored.clone() };
    let pods: Option<Vec<_>> = steps.iter().map(|step| Some((*step, pod(*step, attempts.of(*step))?))).collect();
    match pods {
        Some(pods) => Act::CreatePods { fence: Box::new(fence), pods },
        None => super::wait("its environment has nothing to run it with any more", None),
    }
}

/// Whether the pods that had to check and store the outputs came to nothing as often as they may. Each of them made room for what
/// keeps the report and the log of the run, and so its number is the only thing that is left of it.
fn came_to_nothing(world: &World) -> bool {
    let is_at_outputs = matches!(world.stored.status.phase, Phase::Filtering | Phase::Publishing);
    is_at_outputs && world.stored.attempts.counted(PodStep::Publishing) > MOST_ATTEMPTS
}

/// Whether nothing of the algorithm can have begun in this phase, unless its pod was created early.
fn is_before_the_run(phase: Phase) -> bool {
    matches!(phase, Phase::Queued | Phase::Accepted | Phase::Configuring | Phase::Configured)
}

/// Whether a job in this phase is at this step.
fn is_at(phase: Phase, step: PodStep) -> bool {
    match step {
        // Before the algorithm's pod is created, the inputs may have to be laid out again.
        PodStep::Configuration => matches!(phase, Phase::Configuring | Phase::Configured | Phase::Running),
        PodStep::Algorithm => matches!(phase, Phase::Configuring | Phase::Configured | Phase::Running),
        PodStep::Publishing => matches!(phase, Phase::Filtering | Phase::InReview | Phase::Publishing),
    }
}

/// What a step said; where it ended without a message, that it failed.
fn ended(world: &World, step: StepName, seen: &Seen) -> Option<StepMessage> {
    let Seen::Ended(end) = seen else { return answer(seen) };
    let text = match end {
        ObservedEnd::OutOfMemory => "it took more memory than the operator gives it".to_owned(),
        ObservedEnd::Deadline => "it took longer than it may".to_owned(),
        ObservedEnd::Disk => "it filled more of its node's disk than the operator gives it".to_owned(),
        ObservedEnd::Repeated => "it was begun before".to_owned(),
        ObservedEnd::CutOff(text) | ObservedEnd::NotStarted(text) => text.clone(),
        // No step but the algorithm has such a container.
        ObservedEnd::Container(_) => "its container ended".to_owned(),
    };
    Some(failed(world, step, &text))
}

/// That a step failed, in the words of the engine.
fn failed(world: &World, step: StepName, text: &str) -> StepMessage {
    let (failure, what) = match step {
        StepName::Configure => (StepFailure::Data, "the inputs could not be fetched"),
        StepName::Filter => (StepFailure::Outputs, "the outputs could not be checked"),
        StepName::Publish => (StepFailure::Results, "the results could not be stored"),
    };
    let reason = Reason::new(&format!("{what}: {text}"), Fault::System);
    StepMessage::new(world.spec.id, Said::Failed { step, failure, rule: None, reason, detail: None })
}

fn run(world: &World, seen: &Seen) -> RunFacts {
    if world.is_container()
        && let Err(error) = PinnedImage::of(&world.spec.algorithm.container)
    {
        return RunFacts { end: Some(ObservedEnd::NotStarted(error.to_string())), ..RunFacts::default() };
    }
    let end = |text: String| RunFacts { end: Some(ObservedEnd::CutOff(text)), ..RunFacts::default() };
    match seen {
        Seen::Missing => RunFacts::default(),
        Seen::Waiting { .. } => {
            RunFacts { trace: RunTrace { locked: true, ..RunTrace::default() }, ..RunFacts::default() }
        }
        Seen::Ended(ended) => RunFacts { end: Some(ended.clone()), ..RunFacts::default() },
        Seen::Message(message) => match &message.said {
            Said::Ran(summary) => RunFacts { summary: Some(summary.clone()), ..RunFacts::default() },
            Said::NotRun { reason } => end(format!("the sandbox could not run it: {}", reason.text())),
            _ => end("the pod of the algorithm said what no sandbox says".to_owned()),
        },
    }
}
