//! Jobs whose pods do not start: what they say meanwhile, and how that ends.

use super::jobs::{Installation, program};
use cloister_k8s_engine::build::algorithm::memory_request;
use cloister_model::{Fault, JobSpec, Limits, Phase, Reason};
use cloister_tests::{cluster, service::NOTHING};
use serde_json::json;

/// More memory than a node has, in bytes.
const TOO_MUCH: u64 = 1 << 40;

/// The time limit of jobs that no node takes, in milliseconds. By then, it was read why they wait.
const TOTAL_MS: u64 = 120_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_job_whose_pod_does_not_start_says_why_and_ends_by_its_time_limit_or_goes_on() {
    let mut environment = cluster::environment();
    environment["spec"]["limits"]["memoryBytes"] = json!(4 * TOO_MUCH);
    environment["spec"]["limits"]["jobMemoryBytes"] = json!(TOO_MUCH);
    let installation = Installation::open_with("waiting", &environment).await;
    let mut nowhere = cluster::environment();
    nowhere["metadata"]["name"] = json!("nowhere");
    nowhere["spec"]["nodeSelector"] = json!({"cloister.dev/nowhere": "yes"});
    installation.jobs.create(&nowhere);
    // A pod that mounts it does not start, and starts once it is there.
    let secret = installation.jobs.get("secret/sources");
    let gone = installation.jobs.kubectl(&["delete", "secret", "sources"]);
    assert!(gone.status.success(), "{}", String::from_utf8_lossy(&gone.stderr));

    let guest = wat::parse_str(NOTHING).expect("a guest");
    let unplaced = |job: &mut JobSpec| {
        job.environment = "nowhere".parse().expect("a name");
        job.algorithm.source = program(&guest);
        job.times.total_ms = TOTAL_MS;
    };
    let large = |job: &mut JobSpec| {
        job.algorithm.source = program(&guest);
        job.limits.memory_bytes = TOO_MUCH;
        job.times.total_ms = TOTAL_MS;
    };
    let unplaced = installation.submit(1, unplaced).await;
    let large = installation.submit(2, large).await;
    let without_secret = installation.submit(3, |job| job.algorithm.source = program(&guest)).await;
    let asked = memory_request(&Limits { memory_bytes: TOO_MUCH, ..Limits::default() });
    let asks = format!("it asks for {asked} of memory");
    for (job, parts) in [
        // As many as there are: another test adds one.
        (unplaced, ["no node takes its pod", "0/", "nodes are available"]),
        (large, [asks.as_str(), "0/", "nodes are available"]),
    ] {
        installation.explained(job, &parts).await;
    }
    // The kubelet says which volume it is in an event, and the pod itself does not.
    installation.explained(without_secret, &["its pod does not start"]).await;
    installation.jobs.create(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sources"}, "data": secret["data"],
    }));
    let status = installation.ended(without_secret).await;
    assert_eq!(status.phase, Phase::Finished, "{status:?}");
    for job in [unplaced, large] {
        let status = installation.ended(job).await;
        let reason = status.reason.as_ref();
        assert_eq!((status.phase, reason.map(Reason::fault)), (Phase::Expired, Some(Fault::System)), "{status:?}");
        assert!(reason.is_some_and(|reason| reason.text().contains("its total time limit")), "{status:?}");
        assert!(status.history.iter().all(|step| step.phase != Phase::Running), "{status:?}");
    }
    installation.nothing_is_left();
}
