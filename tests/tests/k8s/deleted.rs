//! Pods that a person deletes by hand before they have begun: another one takes the place of each.

use super::jobs::{Installation, program};
use cloister_model::{JobSpec, Phase, Profile};
use cloister_tests::{
    cluster::{self, Namespace},
    service::{NOTHING, PRINTS_AND_SLEEPS},
};
use serde_json::{Value, json};
use std::process::Output;

/// A label that nodes must have to take the pods of one environment. While none has it, such pods wait for certain.
struct Gate {
    label: String,
}

impl Gate {
    /// The gate of an environment that is made in an installation.
    fn new(installation: &Installation, environment: &str, start_early: bool) -> Self {
        let gate = Self { label: format!("cloister.dev/{environment}-{}", installation.jobs.name()) };
        let mut made = cluster::environment();
        made["metadata"]["name"] = json!(environment);
        made["spec"]["steps"]["startEarly"] = json!(start_early);
        made["spec"]["nodeSelector"] = json!({gate.label.as_str(): "open"});
        installation.jobs.create(&made);
        gate
    }

    /// Gives nodes the label with this value, or takes it away.
    fn label(&self, change: &str) -> Output {
        // A second node of that cluster comes and goes with another test.
        let nodes = if cluster::own_cluster().is_some() { "node1" } else { "--all" };
        cluster::run(&["label", "nodes", nodes, &format!("{}{change}", self.label)], b"")
    }

    fn open(&self) {
        let output = self.label("=open");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn close(&self) {
        let output = self.label("-");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.label("-");
    }
}

fn runs(environment: &'static str, guest: &str) -> impl FnOnce(&mut JobSpec) {
    let guest = wat::parse_str(guest).expect("a guest");
    move |job| {
        job.environment = environment.parse().expect("a name");
        job.algorithm.source = program(&guest);
    }
}

/// Deletes a pod that waits for its node, and waits for the one that takes its place.
fn delete_waiting(installation: &Installation, pod: &str) {
    let waiting = |namespace: &Namespace| {
        let wanted = ["get", "pod", pod, "--ignore-not-found", "-o", "jsonpath={.metadata.uid}/{.spec.nodeName}"];
        let shown = String::from_utf8_lossy(&namespace.kubectl(&wanted).stdout).into_owned();
        let (uid, node) = shown.split_once('/')?;
        assert_eq!(node, "", "{pod} has a node");
        Some(uid.to_owned())
    };
    let before = installation.jobs.until("a pod that waits for its node", waiting);
    let deleted = installation.jobs.kubectl(&["delete", "pod", pod]);
    assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
    installation.jobs.until("another pod", |namespace| waiting(namespace).filter(|uid| *uid != before));
}

/// The pod of another step of each of three jobs. What comes of an algorithm that has begun:
/// `an_algorithm_whose_pod_is_deleted_is_not_begun_again`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_pod_that_is_deleted_while_it_waits_is_made_again_and_its_job_finishes() {
    let installation = Installation::open("by-hand").await;
    let (configuration, algorithm, publishing) = (
        Gate::new(&installation, "configuration", false),
        // The pod of the algorithm is the first one here.
        Gate::new(&installation, "algorithm", true),
        Gate::new(&installation, "publishing", false),
    );
    publishing.open();
    // It lasts until the gate of the next step is shut, also with a slow kubectl.
    let sleeps = |job: &mut JobSpec| {
        runs("publishing", PRINTS_AND_SLEEPS)(job);
        job.terms.profile = Profile::Standard;
        job.terms.profiles = [Profile::Standard].into();
    };
    let stored = installation.submit(1, sleeps).await;
    let fetched = installation.submit(2, runs("configuration", NOTHING)).await;
    let run = installation.submit(3, runs("algorithm", NOTHING)).await;
    installation.runs(stored);
    publishing.close();
    delete_waiting(&installation, &format!("{fetched}-c"));
    delete_waiting(&installation, &format!("{run}-a"));
    configuration.open();
    algorithm.open();
    delete_waiting(&installation, &format!("{stored}-p"));
    publishing.open();
    for job in [stored, fetched, run] {
        let status = installation.ended(job).await;
        assert_eq!(status.phase, Phase::Finished, "{status:?}");
        let running = status.history.iter().filter(|step| step.phase == Phase::Running).count();
        let attempts: Value = installation.jobs.get(&format!("computejob/{job}"))["status"]["attempts"].clone();
        assert_eq!((running, &attempts["algorithm"]), (1, &json!(1)), "{status:?} {attempts}");
    }
    installation.nothing_is_left();
}
