//! A cluster that adds a container to the pods of jobs, as a service mesh does: such a pod is deleted at once, and its job ends with
//! a reason that names the container. No other pod of it is created again and again.

use crate::{boundaries, cluster::Room, controller::Installation};
use cloister_model::{Fault, Phase};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding},
    core::v1::Pod,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use std::time::Duration;

/// The container that is added.
const ADDED: &str = "mesh-proxy";

/// Adds a container to the pods of these steps in the namespace of jobs. Done when it is in force. The name of the policy.
async fn add_a_container(room: &Room, steps: &[&str]) -> String {
    let jobs = &room.cluster.namespaces().jobs;
    let name = format!("cloister-tests.{jobs}");
    let pods = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
    let label = "object.metadata.labels['cloister.dev/step']";
    let has_label = "has(object.metadata.labels) && 'cloister.dev/step' in object.metadata.labels";
    let of_steps = format!("{has_label} && {label} in {}", json!(steps));
    let container = format!("Object.spec.containers{{name: '{ADDED}', image: 'registry.example/proxy'}}");
    let adding = format!("Object{{spec: Object.spec{{containers: [{container}]}}}}");
    let policy = json!({
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [pods]},
            "matchConditions": [{"name": "steps", "expression": of_steps}],
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": adding}}],
        },
    });
    let here = json!({"matchLabels": {"kubernetes.io/metadata.name": jobs}});
    let binding = json!({
        "metadata": {"name": name}, "spec": {"policyName": name, "matchResources": {"namespaceSelector": here}},
    });
    let policy: MutatingAdmissionPolicy = serde_json::from_value(policy).expect("a policy");
    let binding: MutatingAdmissionPolicyBinding = serde_json::from_value(binding).expect("a binding");
    let plain = PostParams::default();
    Api::all(room.client()).create(&plain, &policy).await.expect("a policy: Kubernetes 1.36 or newer has them");
    Api::all(room.client()).create(&plain, &binding).await.expect("a binding");
    let probe = json!({
        "metadata": {"name": "probe", "labels": {"cloister.dev/step": steps[0]}},
        "spec": {"containers": [{"name": "a", "image": "registry.example/a"}]},
    });
    let probe: Pod = serde_json::from_value(probe).expect("a pod");
    let (api, dry): (Api<Pod>, _) = (Api::namespaced(room.client(), jobs), PostParams { dry_run: true, ..plain });
    for _ in 0..crate::LOOKS {
        let made = api.create(&dry, &probe).await.expect("a pod");
        if made.spec.iter().flat_map(|spec| &spec.containers).any(|container| container.name == ADDED) {
            return name;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the policy {name} is never in force");
}

async fn remove(room: &Room, policy: &str) {
    let now = DeleteParams::default();
    let bindings: Api<MutatingAdmissionPolicyBinding> = Api::all(room.client());
    bindings.delete(policy, &now).await.expect("deleted");
    let policies: Api<MutatingAdmissionPolicy> = Api::all(room.client());
    policies.delete(policy, &now).await.expect("deleted");
}

/// Runs a job in this environment while the pods of these steps get a container more, and expects it to end so.
async fn ends(environment: &str, steps: &[&str], expected: Phase) {
    let installation = Installation::open(10).await;
    boundaries::make_early(&installation).await;
    let policy = add_a_container(&installation.room, steps).await;
    let controller = installation.start().await;
    let named = environment.parse().expect("a name");
    let job = installation.submit_as(1, |job| job.environment = named).await;
    let status = installation.ended(job).await;
    assert_eq!(status.phase, expected, "{environment}, {steps:?}: {status:?}");
    let reason = status.reason.expect("a reason");
    let text = reason.text();
    assert!(text.contains(&format!("the container `{ADDED}`")) && text.contains(&job.to_string()), "{text}");
    assert_eq!(reason.fault(), Fault::System, "{text}");
    // Of the pod with a stranger in it as well.
    installation.nothing_is_left(&[job]).await;
    for step in ["c", "a"] {
        assert!(installation.pods_seen(&format!("{job}-{step}")) <= 1, "{environment}, {steps:?}: {step}");
    }
    // One for the outputs, and one that keeps the log.
    assert!(installation.pods_seen(&format!("{job}-p")) <= 2, "{environment}, {steps:?}");
    let recorded = installation.recorded().await;
    assert!(recorded.values().all(|times| *times == 1), "{recorded:?}");
    controller.abort();
    remove(&installation.room, &policy).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_pod_to_which_the_cluster_adds_a_container_ends_its_job_with_the_name_of_it() {
    for environment in ["local", "early"] {
        for (steps, expected) in [
            (&["configuration"][..], Phase::DataProvisioningFailed),
            (&["algorithm"][..], Phase::AlgorithmFailed),
            (&["publishing"][..], Phase::OutputRefused),
            (&["configuration", "algorithm", "publishing"][..], Phase::DataProvisioningFailed),
        ] {
            ends(environment, steps, expected).await;
        }
    }
}
