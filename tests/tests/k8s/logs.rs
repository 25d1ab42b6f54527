//! The log of an algorithm that runs: read through the service, and in the streams of its pod.

use super::{
    containers::{environment, python},
    jobs::{Installation, LONGEST, event, program},
};
use cloister_model::{AuditAction, ByteRange, JobId, Jobs as _, LogPart, LogScope, Outputs as _, Phase, Profile};
use cloister_tests::{cluster, service::PRINTS_AND_SLEEPS};
use std::{
    process::Output,
    time::{Duration, Instant},
};

/// Longer than it takes to read a log, in milliseconds.
const LONG_MS: u64 = 600_000;

/// What those print whose log may be read at once.
const SAID: &[u8] = b"a,b\n";

/// Prints more than its contract lets out, in one go, and runs on.
const PRINTS: &str = r"
import time
print('a,b\nc,d', flush=True)
time.sleep(3600)
";

async fn log(installation: &Installation, job: JobId, scope: LogScope, offset: u64) -> LogPart {
    let range = ByteRange { offset, at_most: 1 << 20 };
    let end = Instant::now() + LONGEST;
    loop {
        match installation.store.log(job, scope, range).await {
            Ok(part) => return part,
            // The kubelet of a busy node may not answer at once.
            Err(error) => assert!(Instant::now() < end, "{job}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What `kubectl logs` shows of all containers of the pod that runs the algorithm.
fn streams(installation: &Installation, job: JobId) -> Output {
    installation.jobs.kubectl(&["logs", &format!("pod/{job}-a"), "--all-containers"])
}

/// Whether the log of a running algorithm can be read so far. Then it is what may leave, in both places, and no more.
async fn is_said(installation: &Installation, job: JobId) -> bool {
    let part = log(installation, job, LogScope::Readable, 0).await;
    if part.bytes.is_empty() {
        assert_eq!(part, LogPart::default(), "{job}");
        return false;
    }
    assert_eq!(part, LogPart { bytes: SAID.to_vec(), total: 4, ended: false }, "{job}");
    assert_eq!(log(installation, job, LogScope::Readable, 2).await.bytes, SAID[2..], "{job}");
    let streams = streams(installation, job);
    assert!(streams.status.success() && streams.stdout == SAID, "{job}: {streams:?}");
    true
}

/// A log that its contract holds for a reviewer is nowhere while it grows: whoever can read the streams of pods would read it first.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn the_log_of_a_running_algorithm_is_read_where_its_contract_lets_it_out() {
    let installation = Installation::open_with("logs", &environment()).await;
    let guest = |text: &str| program(&wat::parse_str(text).expect("a guest"));
    let endless = guest(cloister_testkit::guests::ENDLESS);
    let open = installation
        .submit(1, |job| {
            job.algorithm.source = endless;
            job.limits.wall_ms = LONG_MS;
        })
        .await;
    let container = installation
        .submit(2, |job| {
            python(PRINTS)(job);
            job.limits.wall_ms = LONG_MS;
            job.terms.output_contract.max_log_bytes = SAID.len() as u64;
        })
        .await;
    let sleeping = guest(PRINTS_AND_SLEEPS);
    let held = installation
        .submit(3, |job| {
            job.algorithm.source = sleeping;
            job.terms.profile = Profile::Standard;
            job.terms.profiles = [Profile::Standard].into();
            job.terms.release.review = true;
        })
        .await;

    // A node may have room for one algorithm at a time: what has been read makes room for the next one.
    let end = Instant::now() + LONGEST;
    let (mut unread, mut looks) = (vec![open, container], 0_u32);
    loop {
        let status = installation.store.status(held).await.expect("a status");
        if status.phase == Phase::Running {
            let parts = [
                log(&installation, held, LogScope::Readable, 0).await,
                log(&installation, held, LogScope::Kept, 0).await,
            ];
            let streams = streams(&installation, held);
            assert!(streams.stdout.is_empty(), "{streams:?}");
            // Otherwise it may have ended before its log was asked for.
            if installation.store.status(held).await.expect("a status").phase == Phase::Running {
                assert_eq!(parts, [LogPart::default(), LogPart::default()], "readable, and kept");
                looks += 1;
            }
        }
        let mut left = Vec::new();
        for job in unread {
            if is_said(&installation, job).await {
                installation.store.stop(job, event(job, AuditAction::JobStopped)).await.expect("stopped");
            } else {
                left.push(job);
            }
        }
        unread = left;
        if unread.is_empty() && status.phase == Phase::InReview {
            break;
        }
        assert!(Instant::now() < end, "not read: {unread:?}; {status:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // All that it has printed until its end is in no stream, and kept.
    let streams = streams(&installation, held);
    assert!(looks > 0 && streams.status.success() && streams.stdout.is_empty(), "{looks} looks, {streams:?}");
    assert_eq!(log(&installation, held, LogScope::Readable, 0).await, LogPart::default());
    if cluster::own_cluster().is_some() {
        let kept = installation.stored("log");
        assert!(kept.iter().any(|log| log == b"x,y\n"), "it printed nothing: {kept:?}");
    }
    installation.store.stop(held, event(held, AuditAction::JobStopped)).await.expect("stopped");
    for job in [open, container, held] {
        let status = installation.ended(job).await;
        assert_eq!(status.phase, Phase::Stopped, "{status:?}");
    }
    installation.nothing_is_left();
}
