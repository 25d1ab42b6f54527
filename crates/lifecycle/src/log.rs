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
            Self::Withheld(by) => Some(WithheldLog::by(by.clone())),
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
    let released = status.withheld_log.as_ref().map(|log| log.bytes).filter(|bytes| *bytes > 0);
    match (scope, released) {
        (LogScope::Kept, _) => kept_log_bytes(terms),
        (LogScope::Readable, Some(bytes)) => bytes.min(kept_log_bytes(terms)),
        (LogScope::Readable, None) if terms.release.holds_log() && status.phase != Phase::Finished => 0,
        (LogScope::Readable, None) => terms.output_contract.max_log_bytes,
    }
}

/// The status after a publisher has released the log as far as its own datasets withhold it; the same status if it has done so
/// before or published none of the datasets. None: there is nothing to release.
#[must_use]
pub fn log_released(record: &JobRecord, status: &JobStatus, by: Account, at: Timestamp) -> Option<JobStatus> {
    let log = status.withheld_log.as_ref()?;
    if !record.published_by(&by) || log.releases.iter().any(|release| release.by == by) {
        return Some(status.clone());
    }
    let log = with_release(record, log.clone(), LogRelease { by, at });
    Some(JobStatus { withheld_log: Some(log), revision: status.revision + 1, ..status.clone() })
}

/// The log with one more release.
#[must_use]
pub fn with_release(record: &JobRecord, log: WithheldLog, release: LogRelease) -> WithheldLog {
    let WithheldLog { by, mut releases, missing: _, bytes: _ } = log;
    releases.push(release);
    let released: Vec<&Account> = releases.iter().map(|release| &release.by).collect();
    let is_missing = |did: &&Did| {
        let mut publishers = record.datasets.iter().filter(|dataset| dataset.asset.did == **did);
        publishers.any(|dataset| !released.contains(&&dataset.asset.publisher))
    };
    let missing: Vec<Did> = by.iter().filter(is_missing).cloned().collect();
    let bytes = if missing.is_empty() { record.log_bytes_released_by(&released) } else { 0 };
    WithheldLog { by, releases, missing, bytes }
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
        let release = |status: &JobStatus, by: &str, moment| {
            log_released(&silent.record, status, by.parse().expect("an account"), at(moment))
        };
        let publisher = silent.record.datasets[0].asset.publisher.to_string();
        let released = release(&ended, &publisher, 9000).expect("a withheld log");
        // No release shows more than there is.
        let all = (KEPT_LOG_BYTES, KEPT_LOG_BYTES);
        assert_eq!((bytes(&released, LogScope::Readable), bytes(&released, LogScope::Kept)), all);
        assert_ne!(released.seen(), ended.seen());
        // The first release of a publisher counts, and that of another account does not.
        assert_eq!(release(&released, &publisher, 9001), Some(released.clone()));
        assert_eq!(release(&ended, "mallory", 9000), Some(ended.clone()));
        assert_eq!(release(&algorithm_failed(), &publisher, 9000), None);
        // A contract that lets more out keeps as much as it lets out.
        assert_eq!(run_contract(&spec().terms), spec().terms.output_contract);
    }

    /// A log may hold data of every dataset, so it leaves when all whose rules keep it in have agreed, in whatever order.
    #[test]
    fn a_log_that_several_publishers_withhold_is_released_by_all_of_them() {
        let dataset = |did: &str, publisher: &str, log_bytes| {
            let mut dataset = silent_spec().record.datasets[0].clone();
            dataset.asset.did = did.parse().expect("a DID");
            dataset.asset.publisher = publisher.parse().expect("an account");
            dataset.log_bytes = log_bytes;
            dataset
        };
        let record = |datasets| JobRecord { datasets, ..silent_spec().record };
        let did = |text: &str| text.parse::<Did>().expect("a DID");
        let three = record(vec![dataset("a", "alice", 0), dataset("b", "bob", 0), dataset("c", "carol", 9)]);
        let release = |status: &JobStatus, by: &str| {
            log_released(&three, status, by.parse().expect("an account"), at(9000)).expect("a withheld log")
        };
        let log = |status: &JobStatus| status.withheld_log.clone().expect("a withheld log");
        let withheld = WithheldLog::by(three.withholding_log());
        let ended = JobStatus { withheld_log: Some(withheld), ..algorithm_failed() };
        for (first, second, missing) in [("alice", "bob", "b"), ("bob", "alice", "a")] {
            let one = release(&ended, first);
            assert_eq!((log(&one).bytes, log(&one).missing, log(&one).released()), (0, vec![did(missing)], None));
            let text = log(&one).to_string();
            assert!(text.ends_with(&format!("the release by the publisher of {} is missing", did(missing))), "{text}");
            let two = release(&one, second);
            assert_eq!((log(&two).bytes, log(&two).missing, log(&two).released()), (9, vec![], Some(at(9000))));
            assert_eq!(log(&release(&two, "carol")).bytes, u64::MAX);
        }
        // A publisher that releases a part decides about that part only.
        assert_eq!(log(&release(&ended, "carol")).bytes, 0);
        assert_eq!(log(&release(&release(&ended, "carol"), "alice")).bytes, 0);
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
