//! The kubelet, containerd and the API server are killed in the middle of jobs. These tests run alone, after the others and one after
//! the other, because everything on the cluster waits meanwhile.

use super::{
    containers::{self, digest, python},
    jobs::{Installation, LONGEST, program},
};
use cloister_model::{Fault, JobId, JobStatus, Jobs as _, Phase, Reason};
use cloister_tests::{cluster, root};
use serde_json::Value;
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

/// The most pods of one step of a job.
const MOST_PODS: u64 = 3;

/// For how long the API server is away, at least.
const AWAY: Duration = Duration::from_secs(5);

/// How soon after the end of the last job nothing is left of any.
const CLEAN: Duration = Duration::from_secs(60);

/// Leaves an output that is longer if it runs a second time.
pub(super) const BEGINS: &str = r"
with open('/data/outputs/begun', 'a') as file:
    file.write('begun NUMBER\n')
";

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

/// Containers, too, on volumes that are folders: nothing has to be mounted again.
fn environment() -> Value {
    let mut environment = containers::environment();
    environment["spec"]["storage"] = cluster::environment()["spec"]["storage"].clone();
    environment
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_kubelet_or_containerd_that_is_killed_loses_no_job_and_begins_none_twice() {
    let folder = cluster::needs_own_cluster();
    let kills = std::env::var(KILLS).ok().map(|kills| kills.parse::<u64>().expect("a number"));
    let _alone = ALONE.lock().await;
    block_in_place(digest);
    let installation = Installation::open_with("killed", &environment()).await;
    let guest = wat::parse_str(cloister_testkit::guests::WRITES).expect("a guest");
    // Every third one is a container.
    let submit = async |number: u64| {
        if number.is_multiple_of(3) {
            installation.submit(number, python(&BEGINS.replace("NUMBER", &number.to_string()))).await
        } else {
            installation.submit(number, |job| job.algorithm.source = program(&guest)).await
        }
    };
    let (began, mut killed, mut number) = (Instant::now(), 0_u64, 0_u64);
    let (mut all, mut open): (Vec<(u64, JobId)>, Vec<JobId>) = (Vec::new(), Vec::new());
    while kills.map_or(began.elapsed() < LONG_ENOUGH, |kills| killed < kills) {
        while open.len() < JOBS {
            number += 1;
            let job = submit(number).await;
            open.push(job);
            all.push((number, job));
        }
        // As soon as a pod has a node and no container of it runs, or a moment later.
        let pending = ["get", "pods", "-l", "cloister.dev/job", "--field-selector=status.phase=Pending", "-o", "name"];
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
    let (mut finished, mut cut_off) = (Vec::new(), 0_u64);
    for (number, job) in &all {
        let status = installation.ended(*job).await;
        begun_once(&installation, &status);
        if status.phase == Phase::Finished {
            finished.push(*number);
        } else {
            assert!(was_begun(&status), "{status:?} after {killed} kills");
            cut_off += 1;
        }
    }
    installation.nothing_is_left_within(CLEAN);
    println!("{killed} kills, {} jobs, {} finished, {cut_off} cut off", all.len(), finished.len());
    assert!(!finished.is_empty() && cut_off <= killed, "{cut_off} jobs cut off by {killed} kills");
    // What a container began twice would have said twice.
    let stored = installation.stored("");
    for number in finished.iter().filter(|number| *number % 3 == 0) {
        let once = format!("begun {number}\n");
        let said: Vec<_> = stored.iter().filter(|content| content.starts_with(once.as_bytes())).collect();
        assert!(!said.is_empty() && said.iter().all(|said| *said == once.as_bytes()), "job {number}: {said:?}");
    }
}

/// Asserts that a job came to its run once, and that no step took more pods than it may.
fn begun_once(installation: &Installation, status: &JobStatus) {
    let running = status.history.iter().filter(|step| step.phase == Phase::Running).count();
    assert_eq!(running, 1, "{status:?}");
    let attempts = &installation.jobs.get(&format!("computejob/{}", status.id))["status"]["attempts"];
    for step in ["configuration", "algorithm"] {
        let pods = attempts[step].as_u64().unwrap_or_default();
        assert!((1..=MOST_PODS).contains(&pods), "{step}: {attempts} {status:?}");
    }
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
    installation.nothing_is_left_within(CLEAN);
}

/// Whether a job ended because its algorithm was cut off, or would have begun a second time.
pub(super) fn was_begun(status: &JobStatus) -> bool {
    let fault = status.reason.as_ref().map(Reason::fault);
    status.phase == Phase::AlgorithmFailed && fault == Some(Fault::System)
}
