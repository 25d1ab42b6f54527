//! The controller is killed again and again, at any moment and at every boundary of a job's life: also of jobs whose pods start
//! early, of those that a reviewer looks at, and of those that wait for the store of results.

use crate::{
    controller::{Installation, event},
    endings::Ending,
};
use cloister_model::{AuditAction, EngineError, JobId, JobStatus, Jobs as _, Phase, ReviewVerdict};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How often a controller is killed at least.
const KILLS: u64 = 100;

/// Jobs that have not ended, at once.
const AT_ONCE: usize = 4;

/// Where it is killed as soon as a job has come there, and whether the job waits for the store of results by then.
const KILLED_AT: [(Phase, bool); 6] = [
    (Phase::Configuring, false),
    (Phase::Running, false),
    (Phase::Filtering, false),
    (Phase::InReview, false),
    (Phase::Publishing, true),
    (Phase::Finished, false),
];

/// What a job has come to: in which environment, in which phase, and whether it waits for the store of results.
type Boundary = (&'static str, Phase, bool);

/// Two environments. In the second one, the pods of a job are created at once.
const ENVIRONMENTS: [&str; 2] = ["local", "early"];

/// The environment of the job with this number.
fn environment(number: usize) -> &'static str {
    ENVIRONMENTS[number / 4 % 2]
}

/// Whether a reviewer looks at the outputs of the job with this number.
fn is_reviewed(number: usize) -> bool {
    number % 4 == 3
}

/// Whether the job with this number finds the store of results away.
fn finds_store_away(number: usize) -> bool {
    number % 4 == 1
}

/// A number of a sequence that looks random, the same in each run.
fn shuffled(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

/// Makes the environment `early`, in which the pods of a job are created at once.
pub(crate) async fn make_early(installation: &Installation) {
    let early = json!({
        "apiVersion": "cloister.dev/v1alpha1",
        "kind": "Environment",
        "metadata": {"name": ENVIRONMENTS[1]},
        "spec": {
            "limits": {"jobs": AT_ONCE, "queued": 1000, "cpus": 100, "memoryBytes": 1_u64 << 40,
                "jobMemoryBytes": 1_u64 << 30, "wallMs": 600_000},
            "steps": {"startEarly": true},
        },
    });
    installation.room.create("environments", &early).await.expect("an environment");
}

async fn submit(installation: &Installation, number: usize) -> JobId {
    let submitted = installation.submit_as(number as u64, |job| {
        job.environment = environment(number).parse().expect("a name");
        job.terms.release.review = is_reviewed(number);
        if finds_store_away(number) {
            installation.end(job.id, Ending::StoreAway);
        }
    });
    submitted.await
}

/// What others do about a job that does not go on by itself: a reviewer approves, and an operator brings the store back and asks.
async fn help(installation: &Installation, status: &JobStatus) {
    let (store, job) = (&installation.store, status.id);
    let answer = if status.phase == Phase::InReview {
        store.review(job, ReviewVerdict::Approve, event(job, AuditAction::Reviewed)).await
    } else if status.store_wait.is_some() {
        installation.end(job, Ending::Well);
        store.publish_again(job, event(job, AuditAction::PublishingAsked)).await
    } else {
        return;
    };
    match answer {
        // It was helped before, and no controller has acted on it yet.
        Ok(_) | Err(EngineError::NotInReview(_) | EngineError::NotWaitingForStore(_)) => {}
        Err(error) => panic!("{job}: {error}"),
    }
}

/// Waits until one of these jobs comes to a boundary where no controller was killed yet; to any, once there is none left.
async fn reached(
    installation: &Installation,
    jobs: &BTreeMap<JobId, usize>,
    left: &[JobStatus],
    missing: &BTreeSet<Boundary>,
) -> Boundary {
    loop {
        for before in left {
            let status = installation.store.status(before.id).await.expect("a status");
            let environment = environment(jobs[&status.id]);
            // Also those that it has left since the last look: some last for less than a millisecond.
            let since = status.history.iter().skip(before.history.len());
            let waits = (status.store_wait.is_some() && before.store_wait.is_none()).then_some((status.phase, true));
            let reached = since.map(|step| (step.phase, false)).chain(waits);
            let reached = reached.map(|(phase, waits)| (environment, phase, waits));
            if let Some(boundary) = reached.into_iter().find(|found| missing.is_empty() || missing.contains(found)) {
                return boundary;
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_controller_that_is_killed_again_and_again_loses_nothing_and_does_nothing_twice() {
    let installation = Installation::open(AT_ONCE as u64).await;
    make_early(&installation).await;
    let mut missing: BTreeSet<Boundary> = ENVIRONMENTS
        .into_iter()
        .flat_map(|environment| KILLED_AT.map(|(phase, waits)| (environment, phase, waits)))
        .collect();
    let (mut jobs, mut kills) = (BTreeMap::new(), 0);
    loop {
        let mut left = Vec::new();
        for job in jobs.keys() {
            let status = installation.store.status(*job).await.expect("a status");
            left.extend((!status.phase.has_ended()).then_some(status));
        }
        if kills >= KILLS && left.is_empty() && missing.is_empty() {
            break;
        }
        assert!(kills < 10 * KILLS, "{left:?} have not ended after {kills} kills, none of which was at {missing:?}");
        if (kills < KILLS || !missing.is_empty()) && left.len() < AT_ONCE {
            let number = jobs.len();
            let job = submit(&installation, number).await;
            jobs.insert(job, number);
            // What this one comes to counts as well, and it comes to the most.
            left.push(installation.store.status(job).await.expect("a status"));
        }
        // Not at once: a controller may also begin while a job waits for others.
        if shuffled(kills).is_multiple_of(3) {
            for status in &left {
                help(&installation, status).await;
            }
        }
        // A slow machine needs longer.
        let longer = (10 * kills).min(2000);
        let controller = installation.start().await;
        if shuffled(kills) % 2 == 1 && !left.is_empty() {
            // As soon as it is stored.
            let reached = reached(&installation, &jobs, &left, &missing);
            let boundary = tokio::time::timeout(Duration::from_millis(1000 + longer), reached).await;
            if let Ok(boundary) = boundary {
                missing.remove(&boundary);
            }
        } else {
            // From before its first request to after several phases.
            tokio::time::sleep(Duration::from_millis(shuffled(kills) % (400 + longer))).await;
        }
        controller.abort();
        let _ = controller.await;
        kills += 1;
    }
    let controller = installation.start().await;
    let all: Vec<JobId> = jobs.keys().copied().collect();
    installation.nothing_is_left(&all).await;
    controller.abort();
    let recorded = installation.recorded().await;
    for (job, number) in &jobs {
        let status = installation.ended(*job).await;
        assert_eq!(status.phase, Phase::Finished, "{status:?}");
        let in_review = status.history.iter().filter(|step| step.phase == Phase::InReview).count();
        assert_eq!(in_review, usize::from(is_reviewed(*number)), "{status:?}");
        let seen = |step: &str| installation.pods_seen(&format!("{job}-{step}"));
        assert_eq!((seen("c"), seen("a")), (1, 1), "{job} after {kills} kills");
        // Each attempt to store results has a pod of its own.
        let published = seen("p");
        assert_eq!(published == 1, !finds_store_away(*number), "{job}: {published} pods after {kills} kills");
        assert_eq!(recorded.get(&(job.to_string(), AuditAction::Released)), Some(&1), "{job}");
    }
    // Whoever asks for another attempt may do so again.
    let once = recorded.iter().all(|((_, action), times)| *times == 1 || *action == AuditAction::PublishingAsked);
    assert!(once, "{recorded:?}");
}
