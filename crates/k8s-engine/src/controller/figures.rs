//! What a controller has done, in numbers. No number is about one job.

use crate::plan::Act;
use cloister_model::Phase;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// What a controller has done since it was opened, and what it sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Jobs that have not been removed, by phase.
    pub jobs: BTreeMap<Phase, u64>,
    /// Looks at a job.
    pub looks: u64,
    /// Looks that failed, and were tried again.
    pub failures: u64,
    /// What was done for jobs, by its kind, such as `create-pod`.
    pub acts: BTreeMap<&'static str, u64>,
    /// For how long a watch of the API server has been failing; zero: none is.
    pub watch_failing: Duration,
}

/// The kind of act that creates a pod.
pub(super) const CREATE_POD: &str = "create-pod";

/// The name of an act's kind; none for those that do nothing.
pub(super) fn kind(act: &Act) -> Option<&'static str> {
    match act {
        Act::Store { .. } => Some("store"),
        Act::CreateVolume(_) => Some("create-volume"),
        Act::DeletePod { .. } => Some("delete-pod"),
        Act::DeletePods => Some("delete-pods"),
        Act::DeleteVolume => Some("delete-volume"),
        // Pods are counted one by one.
        Act::CreatePods { .. } | Act::Wait { .. } | Act::Nothing => None,
    }
}

/// Counts as the controller goes on.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<Figures>);

impl Counts {
    pub(super) fn look(&self, failed: bool) {
        self.change(|figures| {
            figures.looks = figures.looks.saturating_add(1);
            figures.failures = figures.failures.saturating_add(u64::from(failed));
        });
    }

    /// An act that was done. One that came too late does not count.
    pub(super) fn act(&self, kind: &'static str) {
        self.change(|figures| {
            let count = figures.acts.entry(kind).or_default();
            *count = count.saturating_add(1);
        });
    }

    pub(super) fn so_far(&self) -> Figures {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
