//! A node that the cluster loses while algorithms run on it, and that comes back. It is a second node of `tests/cluster`, which takes
//! no pods but those of this test.

use super::{
    jobs::{Installation, program},
    killed::{of_cluster, was_begun},
};
use cloister_model::{Fault, JobId, JobSpec, JobStatus, Jobs as _, Phase, Reason};
use cloister_tests::{
    cluster::{self, PATIENCE},
    root,
    service::ENDLESS,
};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant},
};
use tokio::task::block_in_place;

const NODE: &str = "node2";

/// Keeps pods of other tests away from the node.
const TAINT: &str = "cloister.dev/lost";

/// Longest until a job ends whose node is lost: 50 s until the cluster says so, two minutes that its pod tolerates it, the grace
/// period and a minute; and several times as long again, because other things run on the machine, which may be a slow one.
const LONGEST: Duration = Duration::from_secs(1200);

/// Works for about twenty seconds, and writes nothing.
const BUSY: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "_start") (local $left i64)
    (local.set $left (i64.const 40000000000))
    (loop $again
      (local.set $left (i64.sub (local.get $left) (i64.const 1)))
      (br_if $again (i64.ne (local.get $left) (i64.const 0))))))"#;

/// The second node, which is there until this is dropped.
struct Second {
    folder: PathBuf,
}

impl Second {
    fn start(folder: PathBuf) -> Self {
        let second = Self { folder };
        second.starts();
        second
    }

    /// Runs `tests/cluster/up` for so many nodes.
    fn up(&self, nodes: &str) -> Output {
        let taint = format!("--register-with-taints={TAINT}=true:NoSchedule");
        let mut up = Command::new(root().join("tests/cluster/up"));
        up.arg("--dir").arg(&self.folder).args(["--nodes", nodes]).env("CLOISTERDEV_CLUSTER_KUBELET_ARGS", taint);
        block_in_place(|| up.output()).expect("bash")
    }

    /// Starts it, or what of it has died.
    fn starts(&self) {
        let output = self.up("2");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Cuts it off, mends it, or takes its power.
    fn undergoes(&self, what: &str) {
        block_in_place(|| of_cluster(&self.folder, "node", &[NODE, what]));
    }

    /// Waits until it runs no container any more.
    fn runs_nothing(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let tasks = [NODE, "ctr", "-n", "k8s.io", "tasks", "ls", "-q"];
            let left = block_in_place(|| of_cluster(&self.folder, "node", &tasks));
            if left.trim().is_empty() {
                return;
            }
            assert!(Instant::now() < end, "these containers still run: {left}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let _ = self.up("1");
    }
}

/// An environment whose pods run on the second node.
fn environment() -> Value {
    let mut environment = cluster::environment();
    environment["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": NODE});
    environment["spec"]["tolerations"] = json!([{"key": TAINT, "operator": "Exists"}]);
    environment
}

fn runs(guest: &str) -> impl FnOnce(&mut JobSpec) {
    let guest = wat::parse_str(guest).expect("a guest");
    move |job| {
        job.algorithm.source = program(&guest);
        job.limits.wall_ms = 600_000;
    }
}

/// How often a pod was made for the algorithm of a job.
fn pods_made(installation: &Installation, job: JobId) -> Value {
    installation.jobs.get(&format!("computejob/{job}"))["status"]["attempts"]["algorithm"].clone()
}

fn times_run(status: &JobStatus) -> usize {
    status.history.iter().filter(|step| step.phase == Phase::Running).count()
}

/// Waits until the cluster says of the second node's condition `Ready` that it is this.
fn node_counts_as(ready: &str) {
    let condition = format!("--for=condition=Ready={ready}");
    let wanted = ["wait", &condition, "--timeout=600s", &format!("node/{NODE}")];
    let output = block_in_place(|| cluster::run(&wanted, b""));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_node_that_is_lost_and_comes_back_runs_nothing_twice_and_keeps_nothing() {
    // Dropped last.
    let second = Second::start(cluster::needs_own_cluster());
    let installation = Installation::open_with("lost", &environment()).await;

    // Cut off until the cluster has noticed it, and back before its pods are given up: what runs there goes on, and what ended
    // there counts.
    let lasting = installation.submit(1, runs(BUSY)).await;
    let endless = installation.submit(2, runs(ENDLESS)).await;
    [lasting, endless].into_iter().for_each(|job| installation.runs(job));
    let pod = format!("pod/{endless}-a");
    let before = installation.jobs.get(&pod)["metadata"]["uid"].clone();
    second.undergoes("--cut");
    node_counts_as("Unknown");
    second.undergoes("--mend");
    node_counts_as("True");
    let status = installation.ended(lasting).await;
    assert_eq!((status.phase, times_run(&status)), (Phase::Finished, 1), "{status:?}");
    assert_eq!(pods_made(&installation, lasting), 1);
    let status = installation.store.status(endless).await.expect("a status");
    assert_eq!(status.phase, Phase::Running, "{status:?}");
    assert_eq!(installation.jobs.get(&pod)["metadata"]["uid"], before);

    // A power cut: its containers are gone, and what was begun is not begun again.
    second.undergoes("--kill");
    second.starts();
    let status = installation.ended(endless).await;
    assert!(was_begun(&status) && times_run(&status) == 1, "{status:?}");

    // Cut off for longer: its pod is given up, and the job ends while its algorithm still runs.
    let given_up = installation.submit(3, runs(ENDLESS)).await;
    installation.runs(given_up);
    second.undergoes("--cut");
    let end = Instant::now() + LONGEST;
    let status = loop {
        let status = installation.store.status(given_up).await.expect("a status");
        if status.phase.has_ended() {
            break status;
        }
        assert!(Instant::now() < end, "it does not end: {status:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let reason = status.reason.as_ref();
    assert_eq!((status.phase, reason.map(Reason::fault)), (Phase::AlgorithmFailed, Some(Fault::System)), "{status:?}");
    assert!(reason.is_some_and(|reason| reason.text().contains("its node does not answer")), "{status:?}");
    assert_eq!((pods_made(&installation, given_up), times_run(&status)), (json!(1), 1));

    // Back, it ends what still runs there, and everything of the three jobs is gone.
    second.undergoes("--mend");
    node_counts_as("True");
    installation.nothing_is_left();
    second.runs_nothing();
    let after = installation.store.status(given_up).await.expect("a status");
    assert_eq!((after.phase, after.reason, after.history), (status.phase, status.reason, status.history));
}
