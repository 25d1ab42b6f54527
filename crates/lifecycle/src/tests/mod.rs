mod decisions;
mod messages;
mod whole_lives;

use crate::{Facts, Permission, ResultList, RunFacts, StepAnswer, StoredReport, TimeLimit};
use cloister_model::{JobSpec, JobStatus, Report, StepReport};

/// What an engine observes, owned.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) spec: JobSpec,
    pub(crate) status: JobStatus,
    pub(crate) has_turn: bool,
    pub(crate) overdue: Option<TimeLimit>,
    pub(crate) run_ended: bool,
    pub(crate) configured: Option<StepReport>,
    pub(crate) algorithm_is_wasm: bool,
    pub(crate) run: RunFacts,
    pub(crate) report: Option<Report>,
    pub(crate) filtered: Option<StepReport>,
    pub(crate) checked: Option<ResultList>,
    pub(crate) published: Option<StepReport>,
    pub(crate) permission: Option<Permission>,
    pub(crate) awaits_store: bool,
    pub(crate) name_taken: bool,
    pub(crate) cleaned: bool,
}

impl Observed {
    pub(crate) fn new(spec: JobSpec, status: JobStatus) -> Self {
        Self {
            spec,
            status,
            has_turn: false,
            overdue: None,
            run_ended: false,
            configured: None,
            algorithm_is_wasm: false,
            run: RunFacts::default(),
            report: None,
            filtered: None,
            checked: None,
            published: None,
            permission: None,
            awaits_store: false,
            name_taken: false,
            cleaned: false,
        }
    }

    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            spec: &self.spec,
            status: &self.status,
            has_turn: self.has_turn,
            overdue: self.overdue,
            run_ended: self.run_ended,
            configured: self.configured.as_ref().map(StepAnswer::from),
            algorithm_is_wasm: self.algorithm_is_wasm,
            run: &self.run,
            report: self.report.as_ref().map(StoredReport::Here),
            filtered: self.filtered.as_ref().map(StepAnswer::from),
            checked: self.checked.as_ref(),
            published: self.published.as_ref().map(StepAnswer::from),
            permission: self.permission.as_ref(),
            awaits_store: self.awaits_store,
            name_taken: self.name_taken,
            cleaned: self.cleaned,
        }
    }
}
