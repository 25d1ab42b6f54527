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
pub(super) const MOST_PODS: u64 = 3;

/// For how long the API server is away, at least.
const AWAY: Duration = Duration::from_secs(5);

/// For how long the test looks for a pod that has not begun.
const LONGEST_LOOK: Duration = Duration::from_secs(15);

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
        // As soon as a pod has a node and no container of it runs, or a moment later. A slow kubectl sees no such pod, and all jobs may
        // end meanwhile: then something is killed all the same.
        let pending = ["get", "pods", "-l", "cloister.dev/job", "--field-selector=status.phase=Pending", "-o", "name"];
        let enough = Instant::now() + LONGEST_LOOK;
        installation.jobs.until("a pod that has not begun", |namespace| {
            let found = !namespace.kubectl(&pending).stdout.is_empty();
            (found || killed % 4 == 3 || Instant::now() > enough).then_some(())
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
    // Nothing is killed while this one runs.
    number += 1;
    let job = submit(number).await;
    all.push((number, job));
    let (mut finished, mut cut_off) = (Vec::new(), 0_u64);
    for (number, job) in &all {
        let status = installation.ended(*job).await;
        let met = was_met(&installation, &status);
        if status.phase == Phase::Finished {
            finished.push(*number);
        } else {
            assert!(met, "{status:?} after {killed} kills");
            cut_off += 1;
        }
    }
    installation.nothing_is_left();
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

/// Asserts that a job came to its run once, and that no step took more pods than it may. Whether a kill has met the job: its algorithm
/// was cut off, or each pod that a step may take.
fn was_met(installation: &Installation, status: &JobStatus) -> bool {
    let attempts = &installation.jobs.get(&format!("computejob/{}", status.id))["status"]["attempts"];
    let pods = ["configuration", "algorithm", "publishing"].map(|step| attempts[step].as_u64().unwrap_or_default());
    let is_systems = status.reason.as_ref().map(Reason::fault) == Some(Fault::System);
    let all_pods = is_systems && pods.contains(&MOST_PODS);
    let running = status.history.iter().filter(|step| step.phase == Phase::Running).count();
    assert!(running == 1 || (running == 0 && all_pods), "{attempts} {status:?}");
    let [configuration, algorithm, _] = pods;
    assert!((1..=MOST_PODS).contains(&configuration) && algorithm <= MOST_PODS, "{attempts} {status:?}");
    assert!(running == 0 || algorithm > 0, "{attempts} {status:?}");
    was_begun(status) || all_pods
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
        // A slow kubectl may miss the pod, because the job has ended meanwhile.
        installation.jobs.until("the pod of the step", |namespace| {
            let ended = "jsonpath={.status.conditions[?(@.type==\"Complete\")].status}";
            let found = namespace.kubectl(&["get", &pod, "--ignore-not-found", "-o", "name"]).stdout;
            let ended = namespace.kubectl(&["get", &format!("computejob/{job}"), "-o", ended]).stdout;
            (!found.is_empty() || ended == b"True").then_some(())
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
