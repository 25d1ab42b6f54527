//! The kubelet and containerd are killed while pods are created and started. These tests run alone, after the others, because
//! everything on the node waits meanwhile.

use super::jobs::{Installation, program};
use cloister_model::{Fault, JobId, JobStatus, Phase, Reason};
use cloister_tests::{cluster, root};
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// How often one of them is killed: as often as fits into two minutes, or as often as this variable says.
const KILLS: &str = "CLOISTERDEV_KILLS";

/// How long killing goes on without that variable.
const LONG_ENOUGH: Duration = Duration::from_secs(120);

/// Jobs under way at the same time.
const JOBS: usize = 3;

/// Runs a command of tests/cluster, and returns what it prints.
pub(super) fn of_cluster(folder: &Path, command: &str, arguments: &[&str]) -> String {
    let output = Command::new(root().join("tests/cluster").join(command))
        .arg("--dir")
        .arg(folder)
        .args(arguments)
        .output()
        .expect("bash");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A number that looks random, the same in each run.
fn shuffled(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_kubelet_or_containerd_that_is_killed_loses_no_job_and_begins_none_twice() {
    let Some(folder) = cluster::own_cluster() else {
        println!("not run: needs a node of tests/cluster");
        return;
    };
    let kills = std::env::var(KILLS).ok().map(|kills| kills.parse::<u64>().expect("a number"));
    let installation = Installation::open("killed").await;
    let guest = wat::parse_str(cloister_testkit::guests::WRITES).expect("a guest");
    let submit = async |number| installation.submit(number, |job| job.algorithm.source = program(&guest)).await;
    let (began, mut killed, mut number) = (Instant::now(), 0_u64, 0_u64);
    let (mut all, mut open): (Vec<JobId>, Vec<JobId>) = (Vec::new(), Vec::new());
    while kills.map_or(began.elapsed() < LONG_ENOUGH, |kills| killed < kills) {
        while open.len() < JOBS {
            number += 1;
            open.push(submit(number).await);
            all.extend(open.last());
        }
        // As soon as a pod has a node and no container of it runs, or a moment later.
        let pending = ["get", "pods", "--field-selector=status.phase=Pending", "-o", "name"];
        installation.jobs.until("a pod that has not begun", |namespace| {
            (!namespace.kubectl(&pending).stdout.is_empty() || killed % 4 == 3).then_some(())
        });
        tokio::time::sleep(Duration::from_millis(shuffled(killed) % 1200)).await;
        let program = if killed % 2 == 0 { "kubelet" } else { "containerd" };
        tokio::task::block_in_place(|| {
            of_cluster(&folder, "node", &["node1", "--kill", program]);
            of_cluster(&folder, "up", &[]);
        });
        killed += 1;
        let mut left = Vec::new();
        for job in open {
            let status = cloister_model::Jobs::status(&*installation.store, job).await.expect("a status");
            left.extend((!status.phase.has_ended()).then_some(job));
        }
        open = left;
    }
    let mut finished = 0;
    for job in &all {
        let status = installation.ended(*job).await;
        if status.phase == Phase::Finished {
            finished += 1;
        } else {
            assert!(was_begun(&status), "{status:?} after {killed} kills");
        }
    }
    println!("{killed} kills, {} jobs, {finished} finished", all.len());
    assert!(finished > 0, "no job finished");
    installation.nothing_is_left();
}

/// Whether a job ended because its algorithm was cut off, or would have begun a second time.
pub(super) fn was_begun(status: &JobStatus) -> bool {
    let fault = status.reason.as_ref().map(Reason::fault);
    status.phase == Phase::AlgorithmFailed && fault == Some(Fault::System)
}
