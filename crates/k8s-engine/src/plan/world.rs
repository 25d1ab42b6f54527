use crate::resources::Attempts;
use crate::{
    build::{Owner, PodStep, configuration::OrderParts},
    observe::{PodFacts, PodState},
};
use cloister_lifecycle::{Asked, AssetNow, AssetRevision, Misfit, Permission};
use cloister_model::{
    AuditEvent, Did, JobSpec, JobStatus, ListDigest, Review, ReviewVerdict, RuntimeKind, Sha256, Timestamp,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use std::{collections::BTreeMap, convert::Infallible};

/// What exists of a job.
#[derive(Clone, Debug)]
pub struct World {
    /// The job without its secrets.
    pub spec: JobSpec,
    /// Where its secrets are.
    pub order: OrderParts,
    /// The object that everything of it belongs to.
    pub owner: Owner,
    /// What is stored of it. [`JobStatus::stop_requested`] holds as soon as a stop was asked for.
    pub stored: Stored,
    /// The assets that it uses, as the registry has them now.
    pub assets: BTreeMap<Did, AssetNow>,
    /// A reviewer's decision.
    pub review: Option<(ReviewVerdict, Review)>,
    /// Whether its results are registered as a dataset; none: the service has not tried yet.
    pub registered: Option<bool>,
    /// Whether the queue has given it its turn.
    pub has_turn: bool,
    /// Whether it may store its results again after a wait for the result store, as far as other jobs do.
    pub may_store: bool,
    /// Whether the claim of its volume exists.
    pub has_volume: bool,
    /// Whether that claim is being deleted.
    pub volume_leaving: bool,
    /// Why its environment cannot run it, however free it is.
    pub misfit: Option<Misfit>,
    /// Its pods.
    pub pods: BTreeMap<PodStep, PodFacts>,
}

/// What is stored of a job, in the status of its object.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// How it is doing.
    pub status: JobStatus,
    /// Which attempt of each step is the present one.
    pub attempts: Attempts,
    /// The digest of the report of its run.
    pub report: Option<Sha256>,
    /// The list of what filtering let pass; once it has finished, of what was released.
    pub results: Option<ListDigest>,
    /// The rule that kept its outputs back.
    pub rule: Option<String>,
    /// The results that wait to be registered as a dataset.
    pub awaits_registration: Option<ListDigest>,
    /// Whether it has ended, and no reader may have its log.
    pub log_discarded: bool,
}

impl Attempts {
    /// Of a step.
    #[must_use]
    pub fn of(self, step: PodStep) -> u32 {
        match step {
            PodStep::Configuration => self.configuration,
            PodStep::Algorithm => self.algorithm,
            PodStep::Publishing => self.publishing,
        }
    }

    /// How many attempts of a step came to nothing, the present one included, which is the first one at least. That the result
    /// store was away is nothing that the pod can help.
    #[must_use]
    pub fn counted(self, step: PodStep) -> u32 {
        let away = if step == PodStep::Publishing { self.store_away } else { 0 };
        self.of(step).saturating_sub(away).max(1)
    }

    /// With the next attempt of a step.
    #[must_use]
    pub fn after(self, step: PodStep) -> Self {
        let next = self.of(step).max(1).saturating_add(1);
        self.with(step, next)
    }

    /// With the next attempt of publishing, because this one found the result store away.
    #[must_use]
    pub fn after_store_away(self) -> Self {
        Self { store_away: self.store_away.saturating_add(1), ..self.after(PodStep::Publishing) }
    }

    /// With at least the first attempt of a step.
    #[must_use]
    pub fn begun(self, step: PodStep) -> Self {
        self.with(step, self.of(step).max(1))
    }

    fn with(mut self, step: PodStep, attempt: u32) -> Self {
        *match step {
            PodStep::Configuration => &mut self.configuration,
            PodStep::Algorithm => &mut self.algorithm,
            PodStep::Publishing => &mut self.publishing,
        } = attempt;
        self
    }
}

/// What to do next for a job. Afterwards the engine looks again.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Store this, if nothing was stored since the look.
    Store {
        /// What is stored.
        stored: Box<Stored>,
        /// What goes on record with it.
        records: Vec<AuditEvent>,
    },
    /// Create the claim of its volume.
    CreateVolume(Box<PersistentVolumeClaim>),
    /// Create pods, in this order. First store `fence`, if nothing was stored since the look: an engine that is behind, or that
    /// missed a stop, fails there.
    CreatePods {
        /// What is stored before.
        fence: Box<Stored>,
        /// The pods, each of another step.
        pods: Vec<(PodStep, Pod)>,
    },
    /// Delete this very pod.
    DeletePod {
        /// Of which step.
        step: PodStep,
        /// Its `uid`.
        uid: String,
    },
    /// Delete all pods of a job that has ended, in one request.
    DeletePods,
    /// Delete the claim of its volume.
    DeleteVolume,
    /// Nothing before something changes, or this moment has come.
    Wait {
        /// What the job waits for, in a sentence.
        text: String,
        /// When to look again; none: when something has changed.
        until: Option<Timestamp>,
    },
    /// It has ended, and nothing is left of it but its object and its results.
    Nothing,
}

impl World {
    /// Whether the job may go on, as far as the registry says now.
    pub(super) fn permission(&self, asked: Asked<'_>) -> Permission {
        let revision = |did: &Did| Ok::<_, Infallible>(self.revision(did));
        let Ok(permission) = Permission::ask(&self.spec, asked, revision, |did| Ok(self.assets.get(did).cloned()));
        permission
    }

    /// Whether its algorithm is a container.
    pub(super) fn is_container(&self) -> bool {
        self.spec.terms.runtime == RuntimeKind::Container
    }

    /// The present revisions of the assets that a step depends on.
    pub(super) fn revisions(&self, of: &[AssetRevision]) -> Vec<AssetRevision> {
        let present =
            |asset: &AssetRevision| AssetRevision { did: asset.did.clone(), revision: self.revision(&asset.did) };
        of.iter().map(present).collect()
    }

    fn revision(&self, did: &Did) -> Option<u64> {
        self.assets.get(did).map(|now| now.asset.revision)
    }

    /// Whether the pod of publishing keeps what is known of the run, and nothing else. The job is at its end.
    pub(super) fn keeps(&self) -> bool {
        self.pods.get(&PodStep::Publishing).is_some_and(|pod| pod.keeps)
    }

    /// Whether nothing of the job runs. What keeps its report and its log does not count. A pod whose node does not answer is not waited for longer than its grace period and a
    /// minute: whatever it still does, its claim is taken, and nothing of it is released.
    pub(super) fn nothing_runs(&self, now: Timestamp) -> bool {
        self.pods.values().filter(|pod| !pod.keeps).all(|pod| match pod.state {
            PodState::Ended(_) => true,
            PodState::Leaving { .. } => pod.state.node_is_silent(now),
            PodState::Waiting { .. } | PodState::Running => false,
        })
    }

    /// Whether a node that does not answer holds a pod of the job, and with it the job's volume.
    pub(super) fn node_is_silent(&self, now: Timestamp) -> bool {
        self.pods.values().any(|pod| pod.state.node_is_silent(now))
    }
}
