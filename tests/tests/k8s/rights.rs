//! What the pods of a job may do, read from a live cluster: defaults, admission and controllers have had their say by then.

use super::jobs::{Installation, event, program};
use cloister_model::{AuditAction, JobId, Jobs as _, Phase};
use cloister_tests::{cluster, service::ENDLESS};
use serde_json::{Value, json};

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn all(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Texts in their order, whatever the order of the objects.
fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<String> = texts.collect();
    texts.sort();
    texts
}

/// What is behind a volume of a pod.
fn volume(volume: &Value) -> String {
    let of_secret = |source: &Value| source.as_object().is_some_and(|source| source.keys().eq(["secret"]));
    let sources = &volume["projected"]["sources"];
    let what = if let Some(secret) = volume["secret"]["secretName"].as_str() {
        format!("secret {secret}")
    } else if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str() {
        format!("claim {claim}")
    } else if all(sources).count() > 0 && all(sources).all(of_secret) {
        "parts of secrets".to_owned()
    } else if volume["emptyDir"].is_object() {
        "folder of the pod".to_owned()
    } else {
        volume.to_string()
    };
    format!("{}: {what}", text(&volume["name"]))
}

/// What a container sees, and whether it may write it.
fn mount(mount: &Value) -> String {
    let folder = mount["subPath"].as_str().map_or_else(String::new, |folder| format!("/{folder}"));
    let rights = if mount["readOnly"] == true { "read" } else { "write" };
    format!("{}{folder}: {rights}", text(&mount["name"]))
}

/// The network policies that select a pod, by its labels.
fn policies(installation: &Installation, pod: &Value) -> Vec<String> {
    let found = installation.jobs.kubectl(&["get", "networkpolicies", "-o", "json"]);
    let found: Value = serde_json::from_slice(&found.stdout).expect("policies");
    let labels = &pod["metadata"]["labels"];
    let selects = |policy: &&Value| {
        let wanted = &policy["spec"]["podSelector"]["matchLabels"];
        wanted.as_object().into_iter().flatten().all(|(label, value)| labels[label.as_str()] == *value)
    };
    sorted(all(&found["items"]).filter(selects).map(|policy| text(&policy["metadata"]["name"]).to_owned()))
}

/// The row of the table of rights that a pod has.
fn rights(installation: &Installation, pod: &Value) -> Value {
    let spec = &pod["spec"];
    let containers = all(&spec["initContainers"]).chain(all(&spec["containers"])).map(|container| {
        json!({
            "name": container["name"],
            "image": container["image"],
            "mounts": sorted(all(&container["volumeMounts"]).map(mount)),
        })
    });
    json!({
        "step": pod["metadata"]["labels"]["cloister.dev/step"],
        "names": spec["dnsPolicy"],
        "policies": policies(installation, pod),
        "volumes": sorted(all(&spec["volumes"]).map(volume)),
        "containers": containers.collect::<Vec<_>>(),
    })
}

/// What is the same in all of them.
fn is_locked(pod: &Value) {
    let spec = &pod["spec"];
    for (field, expected) in [
        ("automountServiceAccountToken", json!(false)),
        ("enableServiceLinks", json!(false)),
        ("hostUsers", json!(false)),
        ("ephemeralContainers", Value::Null),
    ] {
        assert_eq!(spec[field], expected, "{field}: {pod:#}");
    }
    for field in ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"] {
        assert_ne!(spec[field], true, "{field}: {pod:#}");
    }
    for (field, expected) in [
        ("runAsNonRoot", json!(true)),
        ("runAsUser", json!(65532)),
        ("runAsGroup", json!(65532)),
        ("fsGroup", json!(65532)),
        ("supplementalGroupsPolicy", json!("Strict")),
        ("seccompProfile", json!({"type": "RuntimeDefault"})),
    ] {
        assert_eq!(spec["securityContext"][field], expected, "{field}: {pod:#}");
    }
    let container_rights = json!({
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "privileged": false,
        "readOnlyRootFilesystem": true,
    });
    for container in all(&spec["initContainers"]).chain(all(&spec["containers"])) {
        assert_eq!(container["securityContext"], container_rights, "{container:#}");
        for field in ["env", "envFrom", "volumeDevices", "ports", "lifecycle"] {
            assert_eq!(container[field], Value::Null, "{field}: {container:#}");
        }
    }
}

/// The rows that there have to be.
fn table(job: JobId) -> [Value; 3] {
    let data = format!("job: claim {job}-data");
    let scratch = "scratch: folder of the pod";
    [
        json!({
            "step": "configuration", "names": "ClusterFirst", "policies": ["configuration", "default-deny"],
            "volumes": ["config: secret sources", data, "order: parts of secrets", scratch],
            "containers": [{"name": "configure", "image": "cloister:test", "mounts": [
                "config: read", "job/checks: write", "job/control: write", "job/in: write", "job/ready: write", "order: read",
                "scratch: write",
            ]}],
        }),
        json!({
            "step": "algorithm", "names": "None", "policies": ["default-deny"],
            "volumes": [data, scratch],
            "containers": [{"name": "sandbox", "image": "sandbox:test", "mounts": [
                "job/claim: write", "job/in: read", "job/out: write", "job/ready: read", "job/run: write", "scratch: write",
            ]}],
        }),
        json!({
            "step": "publishing", "names": "ClusterFirst", "policies": ["default-deny", "publishing"],
            "volumes": ["config: secret results", data, "results: claim results", scratch],
            "containers": [
                {"name": "filter", "image": "cloister:test", "mounts": ["job/out: read", "job/run: read", "scratch: write"]},
                {"name": "publish", "image": "cloister:test", "mounts": [
                    "config: read", "job/out: read", "job/run: read", "results: write", "scratch: write",
                ]},
            ],
        }),
    ]
}

/// They are there at the same time, because they start together.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn the_three_pods_of_a_job_have_the_rights_of_their_steps_and_no_others() {
    let mut environment = cluster::environment();
    environment["spec"]["steps"]["startEarly"] = json!(true);
    let installation = Installation::open_with("rights", &environment).await;
    let guest = wat::parse_str(ENDLESS).expect("a guest");
    let job = installation.submit(1, |job| job.algorithm.source = program(&guest)).await;
    installation.runs(job);
    let of_job = format!("cloister.dev/job={job}");
    let pods = installation.jobs.until("the three pods", |namespace| {
        let found = namespace.kubectl(&["get", "pods", "-l", &of_job, "-o", "json"]);
        let found: Value = serde_json::from_slice(&found.stdout).ok()?;
        (all(&found["items"]).count() == 3).then_some(found)
    });
    for (step, expected) in ["c", "a", "p"].into_iter().zip(table(job)) {
        let name = format!("{job}-{step}");
        let pod = all(&pods["items"]).find(|pod| pod["metadata"]["name"] == name.as_str());
        let pod = pod.unwrap_or_else(|| panic!("no pod {name}: {pods:#}"));
        is_locked(pod);
        let found = rights(&installation, pod);
        assert_eq!(found, expected, "{name}: {found:#}");
    }
    installation.store.stop(job, event(job, AuditAction::JobStopped)).await.expect("stopped");
    let status = installation.ended(job).await;
    assert_eq!(status.phase, Phase::Stopped, "{status:?}");
    installation.nothing_is_left();
}
