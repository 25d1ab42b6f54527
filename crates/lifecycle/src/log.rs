use cloister_model::{
    Account, Did, JobRecord, JobSpec, JobStatus, LogRelease, LogScope, OutputContract, Phase, Terms, Timestamp,
    WithheldLog,
};

/// The least room that the log of every run has: whatever the output contract lets out, the publishers of the datasets can
/// see why an algorithm failed.
pub const KEPT_LOG_BYTES: u64 = 64 * 1024;

/// What becomes of the algorithm log when a job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFate {
    /// It stays for as long as the job is kept, and its consumer may read what the output contract lets out.
    Kept,
    /// It stays likewise, and its consumer may not read it unless a publisher releases it. The datasets that withhold it.
    Withheld(Vec<Did>),
    /// It is deleted with the job's work folder: nothing ran, or what must not have run, or the permission was taken back.
    Discarded,
}

impl LogFate {
    /// For a job that ends without a release.
    pub(crate) fn without_release(spec: &JobSpec) -> Self {
        Self::of(spec, spec.terms.release.holds_log())
    }

    /// For a job whose results are released: a log that was held with them goes with them.
    pub(crate) fn with_release(spec: &JobSpec) -> Self {
        Self::of(spec, false)
    }

    fn of(spec: &JobSpec, held: bool) -> Self {
        if held || spec.terms.output_contract.max_log_bytes == 0 {
            Self::Withheld(withholding(&spec.record))
        } else {
            Self::Kept
        }
    }

    /// The mark on the status of a job that ends with this fate.
    pub(crate) fn withheld(&self) -> Option<WithheldLog> {
        match self {
            Self::Withheld(by) => Some(WithheldLog { by: by.clone(), release: None }),
            Self::Kept | Self::Discarded => None,
        }
    }
}

/// The datasets that withhold a log; all, if the job's record does not tell them apart.
fn withholding(record: &JobRecord) -> Vec<Did> {
    match record.withholding_log() {
        none if none.is_empty() => record.datasets.iter().map(|dataset| dataset.asset.did.clone()).collect(),
        some => some,
    }
}

/// The output contract that a run is given: that of its job, with room for a log that is kept even if it may not leave.
#[must_use]
pub fn run_contract(terms: &Terms) -> OutputContract {
    OutputContract { max_log_bytes: kept_log_bytes(terms), ..terms.output_contract.clone() }
}

/// How many bytes of its log a job may show at present in this scope.
#[must_use]
pub fn log_bytes(terms: &Terms, status: &JobStatus, scope: LogScope) -> u64 {
    let release = status.withheld_log.as_ref().and_then(|log| log.release.as_ref());
    match (scope, release) {
        (LogScope::Kept, _) => kept_log_bytes(terms),
        (LogScope::Readable, Some(release)) => release.bytes.min(kept_log_bytes(terms)),
        (LogScope::Readable, None) if terms.release.holds_log() && status.phase != Phase::Finished => 0,
        (LogScope::Readable, None) => terms.output_contract.max_log_bytes,
    }
}

/// The status after a publisher has released at most so many bytes of the log. None: there is nothing to release.
#[must_use]
pub fn log_released(status: &JobStatus, by: Account, at: Timestamp, bytes: u64) -> Option<JobStatus> {
    let log = status.withheld_log.as_ref()?;
    if log.release.is_some() {
        return Some(status.clone());
    }
    let log = WithheldLog { by: log.by.clone(), release: Some(LogRelease { by, at, bytes }) };
    Some(JobStatus { withheld_log: Some(log), revision: status.revision + 1, ..status.clone() })
}

/// The most bytes of its log that are kept of a job, whatever may leave of it.
#[must_use]
pub fn kept_log_bytes(terms: &Terms) -> u64 {
    terms.output_contract.max_log_bytes.max(KEPT_LOG_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn a_held_log_can_be_read_after_the_release_and_not_before() {
        let (open, held) = (spec().terms, reviewed_spec().terms);
        let most = open.output_contract.max_log_bytes;
        for phase in Phase::ALL {
            let status = JobStatus { phase, ..queued() };
            assert_eq!(log_bytes(&open, &status, LogScope::Readable), most, "{phase:?}");
            let expected = if phase == Phase::Finished { most } else { 0 };
            assert_eq!(log_bytes(&held, &status, LogScope::Readable), expected, "{phase:?}");
            assert_eq!(log_bytes(&held, &status, LogScope::Kept), most, "{phase:?}");
        }
    }

    /// However little may leave, the publisher can see why the algorithm failed.
    #[test]
    fn a_log_that_may_not_leave_is_kept_within_bounds() {
        let silent = silent_spec();
        assert_eq!(run_contract(&silent.terms).max_log_bytes, KEPT_LOG_BYTES);
        let ended = JobStatus { withheld_log: LogFate::without_release(&silent).withheld(), ..algorithm_failed() };
        let bytes = |status: &JobStatus, scope| log_bytes(&silent.terms, status, scope);
        assert_eq!((bytes(&ended, LogScope::Readable), bytes(&ended, LogScope::Kept)), (0, KEPT_LOG_BYTES));
        let release =
            |status: &JobStatus, bytes| log_released(status, "bob".parse().expect("an account"), at(9000), bytes);
        let released = release(&ended, 9).expect("a withheld log");
        assert_eq!((bytes(&released, LogScope::Readable), bytes(&released, LogScope::Kept)), (9, KEPT_LOG_BYTES));
        assert_ne!(released.seen(), ended.seen());
        // The first release counts, and no release shows more than there is.
        assert_eq!(release(&released, 10), Some(released.clone()));
        assert_eq!(bytes(&release(&ended, u64::MAX).expect("a log"), LogScope::Readable), KEPT_LOG_BYTES);
        assert_eq!(release(&algorithm_failed(), 9), None);
        // A contract that lets more out keeps as much as it lets out.
        assert_eq!(run_contract(&spec().terms), spec().terms.output_contract);
    }

    #[test]
    fn the_datasets_that_withhold_a_log_are_named() {
        let did = |text: &str| text.parse::<Did>().expect("a DID");
        let withheld = |spec: &JobSpec| LogFate::without_release(spec).withheld().map(|log| log.by);
        assert_eq!(withheld(&spec()), None);
        assert_eq!(withheld(&silent_spec()), Some(vec![did("d")]));
        assert_eq!(withheld(&reviewed_spec()), Some(vec![did("d")]));
        assert_eq!(LogFate::with_release(&reviewed_spec()), LogFate::Kept);
        assert_eq!(LogFate::with_release(&silent_spec()), LogFate::Withheld(vec![did("d")]));
        let mut old = silent_spec();
        old.record.datasets[0].log_bytes = 5;
        assert_eq!(withheld(&old), Some(vec![did("d")]), "all, if none of them is known to be the reason");
    }
}
