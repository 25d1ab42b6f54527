//! Many jobs with all kinds of ends and few places, and a controller that is killed again and again: each comes to its end, and
//! nothing is left but the jobs and the Secrets of what was asked for, which stay for as long as the jobs.

use crate::{
    controller::{Installation, event},
    endings::Ending,
};
use cloister_k8s_engine::resources::ComputeJob;
use cloister_model::{AuditAction, JobId, Jobs as _, Phase};
use kube::{Api, api::ListParams};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
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

/// Fewer kills than this are none that count.
const KILLS: u64 = 10;

/// Runs controllers, one after the other, each until it is killed, at moments that look random. How many there were.
async fn kill_again_and_again(installation: &Installation, over: &AtomicBool) -> u64 {
    let mut kills: u64 = 0;
    while !over.load(Ordering::Relaxed) {
        let controller = installation.start().await;
        let dice = kills.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        tokio::time::sleep(Duration::from_millis(dice % (2000 + 10 * kills))).await;
        controller.abort();
        let _ = controller.await;
        kills += 1;
    }
    kills
}

/// Waits for the end of each job, in the order in which they get their turn, and stops some. How many were stopped, and the names of
/// those that have finished.
async fn to_their_ends(installation: &Installation, expected: &[(JobId, Ending, Phase)]) -> (usize, BTreeSet<String>) {
    let (mut stopped, mut finished) = (0, BTreeSet::new());
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
    (stopped, finished)
}

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
    let over = AtomicBool::new(false);
    let working = async {
        let ends = to_their_ends(&installation, &expected).await;
        over.store(true, Ordering::Relaxed);
        ends
    };
    let (kills, (stopped, finished)) = tokio::join!(kill_again_and_again(&installation, &over), working);
    assert!(kills >= KILLS, "{kills} kills");
    let controller = installation.start().await;
    assert!(stopped > 0, "no job was stopped");
    let jobs: Vec<_> = expected.iter().map(|(job, ..)| *job).collect();
    installation.nothing_is_left(&jobs).await;
    looks.abort();
    // All places at once are not seen by each look.
    let most = most.load(Ordering::Relaxed);
    assert!((2..=PLACES).contains(&most), "{most} jobs had begun and not ended, at once");
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
