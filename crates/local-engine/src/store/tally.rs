use cloister_model::Phase;
use std::collections::BTreeMap;

/// How many jobs are in each phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally([u64; Phase::ALL.len()]);

impl Tally {
    /// Counts a job that went from one phase (none: it is new) to another (none: it was removed).
    pub(crate) fn moved(&mut self, before: Option<Phase>, after: Option<Phase>) {
        if let Some(count) = before.and_then(|phase| self.0.get_mut(place(phase))) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = after.and_then(|phase| self.0.get_mut(place(phase))) {
            *count += 1;
        }
    }

    pub(crate) fn add(&mut self, phase: Phase, jobs: u64) {
        if let Some(count) = self.0.get_mut(place(phase)) {
            *count += jobs;
        }
    }

    pub(crate) fn of(&self, phase: Phase) -> u64 {
        self.0.get(place(phase)).copied().unwrap_or_default()
    }

    pub(crate) fn phases(&self) -> BTreeMap<Phase, u64> {
        Phase::ALL.into_iter().map(|phase| (phase, self.of(phase))).collect()
    }
}

fn place(phase: Phase) -> usize {
    Phase::ALL.iter().position(|other| *other == phase).unwrap_or_default()
}
