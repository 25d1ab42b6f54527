//! The kubelet, containerd and the API server are killed in the middle of jobs. These tests run alone, after the others and one after
//! the other, because everything on the cluster waits meanwhile.

use super::jobs::{Installation, LONGEST, program};
use cloister_model::{Fault, JobId, JobStatus, Jobs as _, Phase, Reason};
use cloister_tests::{cluster, root};
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use tokio::{sync::Mutex, task::block_in_place, time::sleep};

/// How often one of them is killed: as often as fits into two minutes, or as often as this variable says.
const KILLS: &str = "CLOISTERDEV_KILLS";

/// How long killing goes on without that variable.
const LONG_ENOUGH: Duration = Duration::from_secs(120);

/// Jobs under way at the same time.
const JOBS: usize = 3;

/// For how long the API server is away, at least.
const AWAY: Duration = Duration::from_secs(5);

/// One of these tests at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

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
    let folder = cluster::needs_own_cluster();
    let kills = std::env::var(KILLS).ok().map(|kills| kills.parse::<u64>().expect("a number"));
    let _alone = ALONE.lock().await;
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
        sleep(Duration::from_millis(shuffled(killed) % 1200)).await;
        let program = if killed % 2 == 0 { "kubelet" } else { "containerd" };
        block_in_place(|| {
            of_cluster(&folder, "node", &["node1", "--kill", program]);
            of_cluster(&folder, "up", &[]);
        });
        killed += 1;
        let mut left = Vec::new();
        for job in open {
            let status = installation.store.status(job).await.expect("a status");
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

/// As on a cluster whose only API server is upgraded: nobody can ask anything for a while, and pods go on.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn an_api_server_that_restarts_in_every_step_of_a_job_loses_none() {
    let folder = cluster::needs_own_cluster();
    let _alone = ALONE.lock().await;
    let installation = Installation::open("api-server").await;
    let guest = wat::parse_str(cloister_testkit::guests::WRITES).expect("a guest");
    let mut jobs = Vec::new();
    for (number, step) in (1..).zip(["c", "a", "p"]) {
        let job = installation.submit(number, |job| job.algorithm.source = program(&guest)).await;
        jobs.push(job);
        let pod = format!("pod/{job}-{step}");
        installation.jobs.until("the pod of the step", |namespace| {
            (!namespace.kubectl(&["get", &pod, "--ignore-not-found", "-o", "name"]).stdout.is_empty()).then_some(())
        });
        block_in_place(|| {
            of_cluster(&folder, "node", &["kube-apiserver", "--kill"]);
            std::thread::sleep(AWAY);
            of_cluster(&folder, "up", &[]);
        });
    }
    for job in jobs {
        let end = Instant::now() + LONGEST;
        let status = loop {
            // It may not be known for a moment.
            match installation.store.status(job).await {
                Ok(status) if status.phase.has_ended() => break status,
                asked if Instant::now() > end => panic!("job {job} stays as it is: {asked:?}"),
                _ => sleep(Duration::from_millis(200)).await,
            }
        };
        assert_eq!(status.phase, Phase::Finished, "{status:?}");
        let running = status.history.iter().filter(|step| step.phase == Phase::Running).count();
        assert_eq!(running, 1, "{status:?}");
        let attempts = &installation.jobs.get(&format!("computejob/{job}"))["status"]["attempts"];
        assert_eq!(attempts["algorithm"], 1, "{attempts}");
    }
    installation.nothing_is_left();
}

/// Whether a job ended because its algorithm was cut off, or would have begun a second time.
pub(super) fn was_begun(status: &JobStatus) -> bool {
    let fault = status.reason.as_ref().map(Reason::fault);
    status.phase == Phase::AlgorithmFailed && fault == Some(Fault::System)
}
