//! The images of `deploy/images`: the programs in pods, behind the pod's walls and their own.

use cloister_tests::{cluster::Namespace, service::NOTHING};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};

const RESTRICTED: &str = "restricted";
const USER: u32 = 65532;

/// A pod that complies with the level `restricted` and has what these programs need: `/in` is the config map `input`,
/// `/volume` is writable.
fn pod(name: &str, image: &str, command: &[&str]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "hostUsers": false,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "step",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": command,
                "resources": {
                    "requests": {"cpu": "100m", "memory": "64Mi"},
                    "limits": {"cpu": "1", "memory": "512Mi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": [
                    {"name": "input", "mountPath": "/in", "readOnly": true},
                    {"name": "volume", "mountPath": "/volume"},
                ],
            }],
            "volumes": [
                {"name": "input", "configMap": {"name": "input", "optional": true}},
                {"name": "volume", "emptyDir": {"sizeLimit": "64Mi"}},
            ],
        },
    })
}

fn with_input(purpose: &str, guest: &str) -> Namespace {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let namespace = Namespace::new(purpose, RESTRICTED);
    namespace.create(&json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "input"},
        "data": {"data": "data"},
        "binaryData": {"guest.wasm": STANDARD.encode(wat::parse_str(guest).expect("a guest"))},
    }));
    namespace
}

#[test]
#[ignore = "needs a cluster with nodes: make test-k8s"]
fn a_guest_runs_behind_all_walls_in_a_restricted_pod() {
    let namespace = with_input("sandbox", NOTHING);
    let arguments = [
        "/sandbox",
        "run",
        "/in/guest.wasm",
        "--dataset=d=/in/data",
        "--outputs=/volume/outputs",
        "--home=/volume/home",
        "--claim=/volume/claim",
        "--require-isolation",
        "--json",
    ];
    namespace.create(&pod("run", "sandbox:test", &arguments));
    let phase = namespace.ended("run");
    let log = namespace.logs("run");
    assert_eq!(phase, "Succeeded", "{log}");
    let report: Value = serde_json::from_str(&log).expect("a report and nothing else");
    assert_eq!(report["outcome"]["result"], "succeeded", "{log}");
    let walls = report["isolation"].as_object().expect("walls");
    assert_eq!(walls.len(), 7, "{log}");
    for (wall, state) in walls {
        assert_eq!(state["state"], "enforced", "{wall}: {log}");
    }
}

/// The image of the algorithm pod holds one program.
#[test]
#[ignore = "needs a cluster with nodes: make test-k8s"]
fn the_image_of_the_sandbox_has_no_shell() {
    let namespace = Namespace::new("no-shell", RESTRICTED);
    for (name, program) in [("sh", "/bin/sh"), ("cat", "/bin/cat"), ("busybox", "/busybox")] {
        namespace.create(&pod(name, "sandbox:test", &[program]));
        assert_eq!(namespace.ended(name), "Failed");
        let ended = &namespace.get(&format!("pod/{name}"))["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(ended["reason"], "StartError", "{ended}");
        assert!(ended["message"].as_str().unwrap_or_default().contains("no such file"), "{ended}");
    }
}

/// The C library inside a static program finds addresses as every other program in a cluster does.
#[test]
#[ignore = "needs a cluster with nodes: make test-k8s"]
fn a_static_program_resolves_the_names_of_services() {
    let namespace = Namespace::new("names", RESTRICTED);
    let check = |name: &str, url: &str| {
        let key = "--key=/in/key";
        namespace.create(&pod(name, "cloister:test", &["/cloister", "whoami", "--url", url, key]));
        assert_eq!(namespace.ended(name), "Failed");
        namespace.logs(name)
    };
    namespace.create(&json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "input"},
        "data": {"key": "ck_test"},
    }));
    // The API server answers over TLS, with a certificate that this program does not trust: it was found by its name. The servers of
    // names of a busy cluster may not answer in time: then it is asked again.
    let attempts = AtomicU32::new(0);
    namespace.until("an address of the API server", |_| {
        let name = format!("found-{}", attempts.fetch_add(1, Ordering::Relaxed));
        check(&name, "https://kubernetes.default.svc").contains("certificate").then_some(())
    });
    let missing = check("missing", "https://nonesuch.default.svc");
    assert!(!missing.contains("certificate") && missing.contains("nonesuch"), "{missing}");
}
