//! Many jobs with all kinds of ends and few places: each comes to its end, and nothing is left but the jobs.

use crate::{
    controller::{Installation, event},
    endings::Ending,
};
use cloister_k8s_engine::resources::ComputeJob;
use cloister_model::{AuditAction, Jobs as _, Phase};
use kube::{Api, api::ListParams};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

const JOBS: u64 = 200;

/// Jobs that run at once.
const PLACES: usize = 5;

/// Each kind of end, and the phase that it leads to.
const ENDINGS: [(Ending, Phase); 10] = [
    (Ending::Well, Phase::Finished),
    (Ending::NoData, Phase::DataProvisioningFailed),
    (Ending::Refused, Phase::AlgorithmFailed),
    (Ending::Fails, Phase::AlgorithmFailed),
    (Ending::MeetsLimit, Phase::LimitExceeded),
    (Ending::OutOfMemory, Phase::LimitExceeded),
    (Ending::OutputsBreakARule, Phase::OutputRefused),
    (Ending::OutputsTakeTooMuch, Phase::OutputRefused),
    (Ending::DeletedOnce, Phase::Finished),
    (Ending::GivenUpOnce, Phase::Finished),
];

/// Looks, again and again, how many jobs have begun and not ended, and keeps the most.
async fn look(jobs: Api<ComputeJob>, most: Arc<AtomicUsize>) {
    loop {
        if let Ok(found) = jobs.list(&ListParams::default()).await {
            // One whose results are stored has given its place up.
            let runs = |job: &&ComputeJob| {
                !matches!(job.phase(), Phase::Queued | Phase::Publishing) && !job.phase().has_ended()
            };
            most.fetch_max(found.items.iter().filter(runs).count(), Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn many_jobs_with_few_places_and_all_kinds_of_ends_leave_nothing_behind() {
    let installation = Installation::open(PLACES as u64).await;
    let most = Arc::new(AtomicUsize::new(0));
    let objects = Api::namespaced(installation.room.client(), &installation.room.cluster.namespaces().jobs);
    let looks = tokio::spawn(look(objects, Arc::clone(&most)));
    let mut expected = Vec::new();
    for (number, (ending, phase)) in (0..JOBS).zip(ENDINGS.into_iter().cycle()) {
        let job = installation.submit_as(number, |job| installation.end(job.id, ending)).await;
        expected.push((job, ending, phase));
    }
    let controller = installation.start().await;
    let (mut stopped, mut finished) = (0, BTreeSet::new());
    // In the order in which they get their turn.
    for (number, (job, ending, phase)) in expected.iter().enumerate() {
        // Every seventh is stopped by its owner, wherever it is by then; it may have ended already.
        let soon = number + PLACES - 1;
        if soon.is_multiple_of(7)
            && let Some((job, ..)) = expected.get(soon)
        {
            let _ = installation.store.stop(*job, event(*job, AuditAction::JobStopped)).await;
        }
        let status = installation.ended(*job).await;
        let was_stopped = number % 7 == 0 && status.phase == Phase::Stopped;
        assert!(status.phase == *phase || was_stopped, "{ending:?}: {status:?}");
        stopped += usize::from(was_stopped);
        if status.phase == Phase::Finished {
            finished.insert(job.to_string());
        }
        let running = status.history.iter().filter(|step| step.phase == Phase::Running).count();
        assert!(running <= 1, "{ending:?}: {status:?}");
    }
    assert!(stopped > 0, "no job was stopped");
    let jobs: Vec<_> = expected.iter().map(|(job, ..)| *job).collect();
    installation.nothing_is_left(&jobs).await;
    looks.abort();
    assert_eq!(most.load(Ordering::Relaxed), PLACES, "jobs that had begun and not ended, at once");
    // What is on record: each event once, and a release of what finished alone.
    let recorded = installation.recorded().await;
    assert!(recorded.values().all(|times| *times == 1), "{recorded:?}");
    let of = |wanted: AuditAction| {
        let found = recorded.keys().filter(|(_, action)| *action == wanted);
        found.map(|(subject, _)| subject.clone()).collect::<BTreeSet<_>>()
    };
    assert_eq!(of(AuditAction::JobAllowed).len(), jobs.len());
    assert_eq!(of(AuditAction::Released), finished);
    controller.abort();
}
