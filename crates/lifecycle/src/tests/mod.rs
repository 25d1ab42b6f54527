mod decisions;
mod whole_lives;

use crate::{ConfigureFailure, Configured, Facts, FilterResult, PublishFailure, RunFacts, StoredResult, TimeLimit};
use cloister_model::{JobSpec, JobStatus, ResultFile};

/// What an engine observes, owned.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) spec: JobSpec,
    pub(crate) status: JobStatus,
    pub(crate) has_turn: bool,
    pub(crate) overdue: Option<TimeLimit>,
    pub(crate) run_ended: bool,
    pub(crate) configured: Option<Result<Configured, ConfigureFailure>>,
    pub(crate) run: RunFacts,
    pub(crate) filtered: Option<FilterResult>,
    pub(crate) checked: Option<Vec<ResultFile>>,
    pub(crate) published: Option<Result<Vec<StoredResult>, PublishFailure>>,
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
            run: RunFacts::default(),
            filtered: None,
            checked: None,
            published: None,
            cleaned: false,
        }
    }

    pub(crate) fn facts(&self) -> Facts<'_> {
        let Self { spec, status, has_turn, overdue, run_ended, configured, run, filtered, checked, published, cleaned } =
            self;
        Facts {
            spec,
            status,
            has_turn: *has_turn,
            overdue: *overdue,
            run_ended: *run_ended,
            configured: configured.as_ref(),
            run,
            filtered: filtered.as_ref(),
            checked: checked.as_deref(),
            published: published.as_ref(),
            cleaned: *cleaned,
        }
    }
}
