//! The log of an algorithm that runs: read through the service, and in the streams of its pod.

use super::{
    containers::{environment, python},
    jobs::{Installation, LONGEST, event, program},
};
use cloister_model::{AuditAction, ByteRange, JobId, Jobs as _, LogPart, LogScope, Outputs as _, Phase};
use cloister_tests::cluster;
use std::{
    process::Output,
    time::{Duration, Instant},
};

/// What those print whose log may be read at once.
const SAID: &[u8] = b"a,b\n";

/// Prints more than its contract lets out, in one go, and runs on.
const PRINTS: &str = r"
import time
print('a,b\nc,d', flush=True)
time.sleep(600)
";

/// Prints, and works for about ten seconds.
const PRINTS_AND_WORKS: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\20\00\00\00\04\00\00\00")
  (data (i32.const 32) "x,y\0a")
  (func (export "_start") (local $left i64)
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))
    (local.set $left (i64.const 20000000000))
    (loop $again
      (local.set $left (i64.sub (local.get $left) (i64.const 1)))
      (br_if $again (i64.ne (local.get $left) (i64.const 0))))))"#;

async fn log(installation: &Installation, job: JobId, scope: LogScope, offset: u64) -> LogPart {
    let range = ByteRange { offset, at_most: 1 << 20 };
    installation.store.log(job, scope, range).await.expect("a log")
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
    let open = installation.submit(1, |job| job.algorithm.source = endless).await;
    let container = installation
        .submit(2, |job| {
            python(PRINTS)(job);
            job.terms.output_contract.max_log_bytes = SAID.len() as u64;
        })
        .await;
    let working = guest(PRINTS_AND_WORKS);
    let held = installation
        .submit(3, |job| {
            job.algorithm.source = working;
            job.terms.release.review = true;
        })
        .await;

    // A node may have room for one algorithm at a time: what has been read makes room for the next one.
    let end = Instant::now() + LONGEST;
    let (mut unread, mut looks) = (vec![open, container], 0_u32);
    loop {
        let status = installation.store.status(held).await.expect("a status");
        if status.phase == Phase::Running {
            for scope in [LogScope::Readable, LogScope::Kept] {
                assert_eq!(log(&installation, held, scope, 0).await, LogPart::default(), "{scope:?}");
            }
            let streams = streams(&installation, held);
            assert!(streams.stdout.is_empty(), "{streams:?}");
            looks += 1;
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
