//! Whole lives of jobs against a simulated cluster, whose pods fail, are evicted and are deleted at random, and whose engine is
//! killed between any two acts.

mod away;
mod changed;
mod lost;
mod outputs;

use super::*;
use crate::{
    build::{Owner, configuration::OrderParts, testing},
    observe::{PodEnd, PodFacts, WaitingOn, verdict::MOST_ATTEMPTS},
    resources::Attempts,
};
use cloister_model::{
    Account, Fault, FilesChecksum, JobId, JobSpec, JobStatus, ListDigest, Reason, Review, ReviewVerdict, RunEnd,
    RunSummary, RuntimeKind, Said, Sha256, StepFailure, StepName,
};
use k8s_openapi::api::core::v1::Pod;
use proptest::{collection::vec, prelude::*};
use std::collections::{BTreeMap, BTreeSet};

const DIGEST: Sha256 = Sha256::from_bytes([3; 32]);
const LIST: ListDigest = ListDigest { sha256: DIGEST, files: 1, bytes: 5 };

/// What exists in the cluster and on the job's volume.
struct Cluster {
    spec: JobSpec,
    stored: Stored,
    /// Asked for by the service, and not yet in `stored`.
    stop: bool,
    has_volume: bool,
    pods: BTreeMap<PodStep, PodFacts>,
    /// The claim on the volume.
    claimed: bool,
    /// The report on the volume.
    reported: bool,
    begun: u32,
    created: u32,
    /// Whether the report and the log of the run are in the store.
    kept: bool,
    /// How many attempts of publishing find the result store away.
    store_away: u32,
    /// What came of registering its results.
    registered: Option<bool>,
    /// How the run ends.
    end: RunEnd,
    /// How the container of an algorithm exits that is one.
    container_exits: Option<i32>,
    /// The steps whose pods the cluster changes when they are created.
    changed: Vec<PodStep>,
    /// Whether pods are created together and wait for each other.
    early: bool,
    /// Whether the inputs are laid out.
    ready: bool,
    /// The pods that wait for what another one leaves on the volume, by their uids.
    waiting: BTreeSet<String>,
    /// Whether the engine is killed after the next pod that it creates.
    killed_between_pods: bool,
    now: u64,
}

impl Cluster {
    fn new(review: bool) -> Self {
        let mut spec = cloister_testkit::job(1, Timestamp::from_unix_ms(1000));
        spec.terms.release.review = review;
        let status = JobStatus::queued(spec.id, spec.labels.clone(), spec.created);
        let stored = Stored {
            status,
            attempts: Attempts::default(),
            report: None,
            results: None,
            rule: None,
            awaits_registration: None,
            log_discarded: false,
        };
        Self {
            spec,
            stored,
            stop: false,
            has_volume: false,
            pods: BTreeMap::new(),
            claimed: false,
            reported: false,
            begun: 0,
            created: 0,
            kept: false,
            store_away: 0,
            registered: None,
            end: RunEnd::Succeeded,
            container_exits: None,
            changed: Vec::new(),
            early: false,
            ready: false,
            waiting: BTreeSet::new(),
            killed_between_pods: false,
            now: 1000,
        }
    }

    fn settings(&self) -> PodSettings {
        PodSettings { start_early: self.early, ..testing::settings() }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.now)
    }

    fn world(&self) -> World {
        let mut stored = self.stored.clone();
        if self.stop && stored.status.stop_requested.is_none() && !stored.status.phase.has_ended() {
            stored.status.stop_requested = Some(self.now());
        }
        let by: Account = "bob".parse().expect("an account");
        let review = Review { approved: true, by, at: self.now(), first: None };
        World {
            order: OrderParts {
                secrets: vec!["p0".to_owned()],
                sha256: DIGEST,
                reads_store: false,
                reads_local: false,
            },
            owner: Owner { job: self.spec.id, uid: "uid".to_owned() },
            spec: self.spec.clone(),
            stored,
            assets: BTreeMap::new(),
            review: Some((ReviewVerdict::Approve, review)),
            misfit: None,
            registered: self.registered,
            has_turn: true,
            may_store: true,
            has_volume: self.has_volume,
            volume_leaving: false,
            pods: self.pods.clone(),
        }
    }

    /// Performs an act; false if the job is done.
    fn perform(&mut self, act: Act) -> Result<bool, TestCaseError> {
        match act {
            Act::Store { stored, .. } => {
                prop_assert!(stored.status.phase >= self.stored.status.phase);
                // Its publishing pods may have come to nothing.
                let given_up = stored.attempts.publishing >= MOST_ATTEMPTS;
                let ends = stored.status.phase.has_ended() && !stored.log_discarded && self.begun > 0;
                if (ends || stored.status.phase == Phase::InReview) && self.has_volume {
                    prop_assert!(
                        self.kept
                            || given_up
                            || self.keeping_came_to_nothing()
                            || self.changed.contains(&PodStep::Publishing)
                            || self.world().node_is_silent(self.now()),
                        "a log is lost: {:?}",
                        self.pods
                    );
                }
                self.stored = *stored;
            }
            Act::CreateVolume(_) => {
                prop_assert!(!self.has_volume);
                self.has_volume = true;
            }
            Act::CreatePods { fence, pods } => {
                prop_assert!(!pods.is_empty());
                self.stored = *fence;
                for (step, pod) in pods {
                    self.create(step, &pod)?;
                    if self.killed_between_pods {
                        // The next look finds those that are missing.
                        self.killed_between_pods = false;
                        break;
                    }
                }
            }
            Act::DeletePod { step, uid } => {
                let is_this = self.pods.get(&step).is_some_and(|pod| pod.uid == uid);
                prop_assert!(is_this);
                self.pods.remove(&step);
            }
            Act::DeletePods => {
                prop_assert!(self.stored.status.phase.has_ended());
                self.pods.clear();
            }
            Act::DeleteVolume => {
                prop_assert!(self.pods.is_empty() && self.stored.status.phase.has_ended());
                self.has_volume = false;
            }
            Act::Wait { text, until } => {
                prop_assert!(!text.is_empty());
                // Nothing changes by itself: time passes.
                if let Some(until) = until {
                    self.now = self.now.max(until.unix_ms()).min(self.now + 30_000);
                }
            }
            Act::Nothing => return Ok(false),
        }
        Ok(true)
    }

    fn create(&mut self, step: PodStep, pod: &Pod) -> Result<(), TestCaseError> {
        let keeps = PodFacts::of(pod).keeps;
        prop_assert!(!self.stored.status.phase.has_ended(), "created after an end");
        prop_assert!(!self.stop || keeps, "created after a stop");
        prop_assert!(!keeps || self.stored.attempts.algorithm > 0, "nothing ran");
        prop_assert!(self.has_volume && !self.pods.contains_key(&step));
        let facts = PodFacts {
            created: self.now(),
            state: PodState::Waiting { on: WaitingOn::Start, text: String::new() },
            ..PodFacts::of(pod)
        };
        prop_assert_eq!(facts.attempt, self.stored.attempts.of(step));
        self.created += 1;
        let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
        let mut arguments = containers.flat_map(|container| container.args.iter().flatten());
        if arguments.any(|argument| argument == "--wait-for" || argument == "--after-run") {
            self.waiting.insert(self.created.to_string());
        }
        self.pods.insert(step, PodFacts { uid: self.created.to_string(), ..facts });
        Ok(())
    }

    /// Whether a pod that keeps the log, and nothing else, came to nothing.
    fn keeping_came_to_nothing(&self) -> bool {
        let pod = self.pods.get(&PodStep::Publishing);
        pod.is_some_and(|pod| pod.keeps && pod.state != PodState::Running)
    }

    /// Each pod, of which there are three at most, goes on.
    fn advance_each(&mut self) {
        (3..=5).for_each(|fate| self.advance(fate));
    }

    /// A pod goes on, or the cluster does something to it.
    fn advance(&mut self, fate: u8) {
        self.now += 100;
        let steps: Vec<PodStep> = self.pods.keys().copied().collect();
        let Some(step) = steps.get(usize::from(fate) % steps.len().max(1)).copied() else { return };
        if fate % 16 == 15 {
            // Deleted from outside, at any moment.
            self.pods.remove(&step);
            return;
        }
        let begins = |cluster: &mut Self| -> bool {
            if step != PodStep::Algorithm {
                return true;
            }
            let first = !cluster.claimed;
            cluster.claimed = true;
            cluster.begun += u32::from(first);
            first
        };
        let PodFacts { uid, state, .. } = self.pods[&step].clone();
        let waits = self.waiting.contains(&uid);
        let comes = if step == PodStep::Algorithm { self.ready } else { self.reported };
        let fails = step == PodStep::Publishing && self.end != RunEnd::Succeeded && waits;
        let (state, said) = match (state, fate % 8) {
            (PodState::Waiting { .. }, 2..) if waits => (PodState::Running, None),
            (PodState::Running, 3..) if waits && !comes => (PodState::Running, None),
            (PodState::Running, 3..) if fails => (PodState::Ended(PodEnd::Exit(1)), None),
            (PodState::Running, 3..) if waits => {
                self.waiting.remove(&uid);
                if begins(self) {
                    (PodState::Running, None)
                } else {
                    (PodState::Ended(PodEnd::Exit(6)), self.reported.then(|| self.word(step)))
                }
            }
            (PodState::Waiting { .. }, 0) => (PodState::Ended(PodEnd::NodeGaveUp("evicted".to_owned())), None),
            (PodState::Waiting { .. }, 1) => (PodState::Waiting { on: WaitingOn::Image, text: String::new() }, None),
            (PodState::Waiting { .. }, _) => {
                if begins(self) {
                    (PodState::Running, None)
                } else if self.reported {
                    (PodState::Ended(PodEnd::Exit(6)), Some(self.word(step)))
                } else {
                    (PodState::Ended(PodEnd::Exit(6)), None)
                }
            }
            (PodState::Running, 0) => (PodState::Ended(PodEnd::NodeGaveUp("drained".to_owned())), None),
            (PodState::Running, 1) => (PodState::Ended(PodEnd::OutOfMemory), None),
            (PodState::Running, 2) => (PodState::Ended(PodEnd::Exit(137)), None),
            (PodState::Running, _) if step == PodStep::Algorithm && self.container_exits.is_some() => {
                (PodState::Ended(PodEnd::Exit(self.container_exits.unwrap_or(0))), None)
            }
            (PodState::Running, _) => {
                self.ready |= step == PodStep::Configuration;
                self.reported |= step == PodStep::Algorithm;
                let (word, publishes) = (self.word(step), step == PodStep::Publishing);
                let fails = word.iter().any(|(_, message)| matches!(message.said, Said::Failed { .. }));
                self.kept |= publishes && !fails;
                self.store_away = self.store_away.saturating_sub(u32::from(publishes));
                (PodState::Ended(PodEnd::Exit(i32::from(fails))), Some(word))
            }
            (state, _) => (state, None),
        };
        let Some(pod) = self.pods.get_mut(&step) else { return };
        pod.node = Some("a".to_owned());
        pod.state = state;
        for (container, message) in said.into_iter().flatten() {
            pod.messages.insert(container.to_owned(), message);
        }
    }

    /// What a step says that ends well, or that finds the result store away.
    fn word(&self, step: PodStep) -> Vec<(&'static str, StepMessage)> {
        let message = |said| StepMessage::new(self.spec.id, said);
        let files = FilesChecksum::of(vec![DIGEST]).expect("a checksum").digest();
        match step {
            PodStep::Configuration => {
                let said = Said::Configured { algorithm: files, is_wasm: true };
                vec![(crate::build::configuration::CONTAINER, message(said))]
            }
            PodStep::Algorithm => {
                let failed = self.end != RunEnd::Succeeded;
                let summary = RunSummary {
                    end: self.end,
                    reason: failed.then(|| Reason::new("it failed", Fault::Algorithm)),
                    algorithm: DIGEST,
                    interpreted: false,
                    files: Some(files),
                    report: Some(DIGEST),
                };
                vec![(crate::build::algorithm::CONTAINER, message(Said::Ran(summary)))]
            }
            PodStep::Publishing if self.pods.get(&step).is_some_and(|pod| pod.keeps) => {
                vec![(crate::build::publishing::KEEP, message(Said::Kept))]
            }
            PodStep::Publishing if self.store_away > 0 => {
                let reason = Reason::new("it is away", Fault::System);
                let (step, failure) = (StepName::Publish, StepFailure::StoreAway);
                let failed = Said::Failed { step, failure, rule: None, reason, detail: None };
                let passed = (FILTER, message(Said::Passed { checked: LIST }));
                vec![passed, (crate::build::publishing::PUBLISH, message(failed))]
            }
            PodStep::Publishing => vec![
                (FILTER, message(Said::Passed { checked: LIST })),
                (crate::build::publishing::PUBLISH, message(Said::Published { checked: LIST, stored: LIST })),
            ],
        }
    }
}

use crate::build::publishing::FILTER;

/// Drives a job whose pods all end well.
fn to_its_end(cluster: &mut Cluster) -> Vec<Phase> {
    let (settings, mut patience) = (cluster.settings(), Patience::default());
    for _ in 0..200 {
        let act = plan(&cluster.world(), &settings, &mut patience, cluster.now());
        let waits = matches!(act, Act::Wait { .. });
        if !cluster.perform(act).expect("performed") {
            return cluster.stored.status.history.iter().map(|step| step.phase).collect();
        }
        if waits {
            cluster.advance_each();
        }
    }
    panic!("it does not end: {:?} {:?}", cluster.stored, cluster.pods)
}

#[test]
fn a_job_goes_through_its_three_pods_and_leaves_nothing() {
    for (review, early) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut cluster = Cluster { early, ..Cluster::new(review) };
        let phases = to_its_end(&mut cluster);
        assert_eq!(phases.contains(&Phase::InReview), review);
        assert_eq!(phases.last(), Some(&Phase::Finished), "{:?}", cluster.stored.status.reason);
        assert_eq!((cluster.created, cluster.begun), (3, 1));
        assert!(cluster.pods.is_empty() && !cluster.has_volume);
        let Stored { report, results, rule, .. } = &cluster.stored;
        assert_eq!((*report, *results, rule.as_deref()), (Some(DIGEST), Some(LIST), None));
    }
}

/// A job whose algorithm is a container ends by the exit code of that container, and nothing else of it is believed.
#[test]
fn a_container_runs_once_and_ends_by_its_exit_code() {
    for (code, phase) in [
        (0, Phase::Finished),
        (1, Phase::AlgorithmFailed),
        (244, Phase::LimitExceeded),
        (245, Phase::LimitExceeded),
        (240, Phase::AlgorithmFailed),
    ] {
        let mut cluster = Cluster::new(false);
        cluster.spec.terms.runtime = RuntimeKind::Container;
        cluster.spec.algorithm.container.image = "registry.example/python".to_owned();
        cluster.spec.algorithm.container.checksum = Some(format!("sha256:{}", "a".repeat(64)));
        cluster.container_exits = Some(code);
        let phases = to_its_end(&mut cluster);
        assert_eq!(phases.last(), Some(&phase), "{code}: {:?}", cluster.stored.status.reason);
        assert_eq!((cluster.begun, cluster.kept), (1, true), "{code}");
        assert_eq!(cluster.stored.report, None, "no report of a container counts");
        assert_eq!(cluster.stored.results.is_some(), code == 0, "{code}");
    }
}

/// No decision allows it; if one did, no pod would be made.
#[test]
fn a_container_without_a_digest_is_never_run() {
    let mut cluster = Cluster::new(false);
    cluster.spec.terms.runtime = RuntimeKind::Container;
    cluster.spec.algorithm.container.checksum = None;
    let phases = to_its_end(&mut cluster);
    assert_eq!(phases.last(), Some(&Phase::AlgorithmFailed));
    assert_eq!(cluster.begun, 0);
}

/// Nothing of a run that failed leaves as a result, and its publisher can see why it failed.
#[test]
fn the_report_and_the_log_of_a_run_that_failed_are_kept_before_its_end_is_stored() {
    for (end, phase, early) in [
        (RunEnd::Failed, Phase::AlgorithmFailed, false),
        (RunEnd::MetLimit, Phase::LimitExceeded, false),
        (RunEnd::Failed, Phase::AlgorithmFailed, true),
    ] {
        let mut cluster = Cluster { end, early, ..Cluster::new(false) };
        let phases = to_its_end(&mut cluster);
        assert_eq!(phases.last(), Some(&phase));
        // A pod that would have checked outputs makes room for the one that keeps the log.
        assert_eq!((cluster.created, cluster.begun, cluster.kept), (3 + u32::from(early), 1, true));
        assert_eq!((cluster.stored.report, cluster.stored.results), (Some(DIGEST), None));
        assert!(!cluster.stored.log_discarded);
    }
}

/// The pods of a job that is stopped are deleted first; then its log is kept.
#[test]
fn the_log_of_a_running_job_that_is_stopped_is_kept() {
    let mut cluster = Cluster::new(false);
    while !matches!(cluster.pods.get(&PodStep::Algorithm).map(|pod| &pod.state), Some(PodState::Running)) {
        let act = plan(&cluster.world(), &testing::settings(), &mut Patience::default(), cluster.now());
        cluster.perform(act).expect("performed");
        cluster.advance(5);
    }
    cluster.stop = true;
    let phases = to_its_end(&mut cluster);
    assert_eq!((phases.last(), cluster.kept), (Some(&Phase::Stopped), true));
}

/// The three pods are there before the inputs are, on one node; none of them does its work before it can.
#[test]
fn pods_that_start_early_wait_for_each_other() {
    let mut cluster = Cluster { early: true, ..Cluster::new(false) };
    let (settings, mut patience, mut created) = (cluster.settings(), Patience::default(), Vec::new());
    let mut fences = 0;
    for _ in 0..20 {
        let act = plan(&cluster.world(), &settings, &mut patience, cluster.now());
        if let Act::CreatePods { pods, .. } = &act {
            fences += 1;
            let is_pinned = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref()).is_some();
            created.extend(pods.iter().map(|(step, pod)| (*step, is_pinned(pod))));
        }
        cluster.perform(act).expect("performed");
        // They are bound and start; nothing of the job runs, because no inputs come.
        for pod in cluster.pods.values_mut() {
            (pod.node, pod.state) = (Some("a".to_owned()), PodState::Running);
        }
    }
    let expected = [(PodStep::Algorithm, false), (PodStep::Configuration, true), (PodStep::Publishing, true)];
    assert_eq!(created, expected);
    // Those that follow the first one are stored in one write.
    assert_eq!(fences, 2);
    assert_eq!((cluster.stored.status.phase, cluster.begun), (Phase::Configuring, 0));
    assert_eq!(cluster.waiting.len(), 2);
    // Inputs that cannot be had end the job; nothing ran that a log could be kept of.
    let reason = Reason::new("no data", Fault::Publisher);
    let said = Said::Failed { step: StepName::Configure, failure: StepFailure::Data, rule: None, reason, detail: None };
    let message = StepMessage::new(cluster.spec.id, said);
    let pod = cluster.pods.get_mut(&PodStep::Configuration).expect("a pod");
    pod.messages.insert(crate::build::configuration::CONTAINER.to_owned(), message);
    pod.state = PodState::Ended(PodEnd::Exit(1));
    let phases = to_its_end(&mut cluster);
    assert_eq!((phases.last(), cluster.created, cluster.begun), (Some(&Phase::DataProvisioningFailed), 3, 0));
}

/// A job that is stopped before its algorithm began has nothing to keep.
#[test]
fn a_job_that_is_stopped_early_creates_no_other_pod() {
    let mut cluster = Cluster::new(false);
    to_phase(&mut cluster, Phase::Configuring);
    cluster.stop = true;
    to_its_end(&mut cluster);
    assert_eq!((cluster.created, cluster.kept, cluster.stored.log_discarded), (0, false, true));
}

#[test]
fn a_job_whose_turn_has_not_come_has_nothing_in_the_cluster() {
    let cluster = Cluster::new(false);
    let world = World { has_turn: false, ..cluster.world() };
    let act = plan(&world, &testing::settings(), &mut Patience::default(), cluster.now());
    // The queue's time limit is the next moment.
    assert!(matches!(act, Act::Wait { until: Some(_), .. }), "{act:?}");
}

/// Whether its turn has come or not; a job that is to be stopped is.
#[test]
fn a_job_that_its_environment_can_never_run_ends_at_once() {
    let mut cluster = Cluster::new(false);
    let misfit = Some(cloister_lifecycle::Misfit::Memory { asked: 1 << 44, most: 1 << 30 });
    for has_turn in [false, true] {
        let world = World { has_turn, misfit: misfit.clone(), ..cluster.world() };
        let act = plan(&world, &testing::settings(), &mut Patience::default(), cluster.now());
        let Act::Store { stored, .. } = act else { panic!("{act:?}") };
        let reason = stored.status.reason.expect("a reason");
        assert_eq!((stored.status.phase, reason.fault()), (Phase::AlgorithmProvisioningFailed, Fault::Algorithm));
        assert!(reason.text().contains("17592186044416 bytes"), "{}", reason.text());
    }
    cluster.stop = true;
    let world = World { misfit, ..cluster.world() };
    let act = plan(&world, &testing::settings(), &mut Patience::default(), cluster.now());
    assert!(matches!(&act, Act::Store { stored, .. } if stored.status.phase == Phase::Stopped), "{act:?}");
}

/// An engine that was killed between the fence and the creation creates the same attempt, and one that was killed after the
/// creation finds its pod.
#[test]
fn a_pod_that_was_fenced_and_not_created_is_created_as_the_same_attempt() {
    let (settings, mut cluster) = (testing::settings(), Cluster::new(false));
    let mut patience = Patience::default();
    loop {
        let act = plan(&cluster.world(), &settings, &mut patience, cluster.now());
        if let Act::CreatePods { fence, .. } = &act {
            cluster.stored = *fence.clone();
            let again = plan(&cluster.world(), &settings, &mut Patience::default(), cluster.now());
            assert_eq!(again, act);
            return;
        }
        assert!(cluster.perform(act).expect("performed"));
    }
}

/// A pod that another attempt made is never taken for the present one.
#[test]
fn a_pod_of_an_earlier_attempt_is_deleted() {
    let cluster = with_a_pod_of_an_earlier_attempt();
    let act = plan(&cluster.world(), &testing::settings(), &mut Patience::default(), cluster.now());
    assert_eq!(act, Act::DeletePod { step: PodStep::Configuration, uid: "1".to_owned() });
}

/// A job whose present attempt at its first step finds the pod of the one before.
fn with_a_pod_of_an_earlier_attempt() -> Cluster {
    let mut cluster = Cluster::new(false);
    to_phase(&mut cluster, Phase::Configuring);
    while cluster.pods.is_empty() {
        let act = plan(&cluster.world(), &testing::settings(), &mut Patience::default(), cluster.now());
        assert!(cluster.perform(act).expect("performed"));
    }
    cluster.stored.attempts = cluster.stored.attempts.after(PodStep::Configuration);
    cluster
}

fn to_phase(cluster: &mut Cluster, phase: Phase) {
    while cluster.stored.status.phase < phase {
        let act = plan(&cluster.world(), &testing::settings(), &mut Patience::default(), cluster.now());
        assert!(cluster.perform(act).expect("performed"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever happens, a job ends, its algorithm begins once at most, and nothing of it is left.
    #[test]
    fn every_job_ends_and_leaves_nothing(
        fates in vec(any::<u8>(), 1..300),
        stop_at in proptest::option::of(0_usize..60),
        review: bool,
        early: bool,
        fails: bool,
    ) {
        let end = if fails { RunEnd::Failed } else { RunEnd::Succeeded };
        let (mut cluster, mut patience) = (Cluster { early, end, ..Cluster::new(review) }, Patience::default());
        let settings = cluster.settings();
        let mut done = false;
        for (number, fate) in fates.iter().copied().chain(std::iter::repeat_n(5, 3000)).enumerate() {
            cluster.stop |= stop_at == Some(number);
            if fate % 7 == 0 {
                // A killed engine forgets since when pods wait.
                patience = Patience::default();
                cluster.killed_between_pods = true;
            }
            let act = plan(&cluster.world(), &settings, &mut patience, cluster.now());
            if !cluster.perform(act)? {
                done = true;
                break;
            }
            cluster.advance(fate);
            prop_assert!(cluster.begun <= 1, "an algorithm began twice");
        }
        prop_assert!(done, "it does not end: {:?} {:?}", cluster.stored, cluster.pods);
        let status = &cluster.stored.status;
        prop_assert!(status.phase.has_ended() && status.reason.is_some());
        prop_assert!(cluster.pods.is_empty() && !cluster.has_volume);
        prop_assert!(cluster.created <= 30, "{} pods", cluster.created);
        let _: JobId = status.id;
    }
}
