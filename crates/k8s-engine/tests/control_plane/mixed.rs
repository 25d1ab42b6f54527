//! Many jobs with all kinds of ends and few places: each comes to its end, and nothing is left but the jobs.

use crate::{
    controller::{Installation, event},
    endings::Ending,
};
use cloister_model::{AuditAction, Jobs as _, Phase};
use std::collections::BTreeMap;

const JOBS: u64 = 200;

/// Jobs that run at once.
const PLACES: u64 = 5;

/// Each kind of end, and the phase that it leads to.
const ENDINGS: [(Ending, Phase); 9] = [
    (Ending::Well, Phase::Finished),
    (Ending::NoData, Phase::DataProvisioningFailed),
    (Ending::Refused, Phase::AlgorithmFailed),
    (Ending::Fails, Phase::AlgorithmFailed),
    (Ending::MeetsLimit, Phase::LimitExceeded),
    (Ending::OutOfMemory, Phase::LimitExceeded),
    (Ending::OutputsBreakARule, Phase::OutputRefused),
    (Ending::DeletedOnce, Phase::Finished),
    (Ending::GivenUpOnce, Phase::Finished),
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn many_jobs_with_few_places_and_all_kinds_of_ends_leave_nothing_behind() {
    let installation = Installation::open(PLACES).await;
    let controller = installation.start().await;
    let mut expected = BTreeMap::new();
    for (number, (ending, phase)) in (0..JOBS).zip(ENDINGS.into_iter().cycle()) {
        let job = installation.submit_as(number, |job| installation.end(job.id, ending)).await;
        expected.insert(job, (number, ending, phase));
    }
    // Every tenth is stopped by its owner, wherever it is by then.
    let stopped: Vec<_> = expected.iter().filter(|(_, (number, ..))| number % 10 == 9).map(|(job, _)| *job).collect();
    for job in &stopped {
        // It may have ended already.
        let _ = installation.store.stop(*job, event(*job, AuditAction::JobStopped)).await;
    }
    let jobs: Vec<_> = expected.keys().copied().collect();
    for (job, (number, ending, phase)) in expected {
        let status = installation.ended(job).await;
        let may_be_stopped = stopped.contains(&job) && status.phase == Phase::Stopped;
        assert!(status.phase == phase || may_be_stopped, "{number}, {ending:?}: {status:?}");
        let running = status.history.iter().filter(|step| step.phase == Phase::Running).count();
        assert!(running <= 1, "{number}: {status:?}");
    }
    installation.nothing_is_left(&jobs).await;
    let recorded = installation.recorded().await;
    assert!(recorded.values().all(|times| *times == 1), "{recorded:?}");
    controller.abort();
}
