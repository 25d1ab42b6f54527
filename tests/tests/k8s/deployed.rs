//! The installation of `deploy/kubernetes`, as an operator makes one: the programs run in pods, with their rights and no others.

use super::people;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cloister_k8s_engine::{Cluster, ClusterStore, Namespaces, StoreOptions, build::CONFIG_FILE};
use cloister_model::{AuditAction, AuditEvent, JobId, JobSource, JobStatus, Jobs as _, Phase};
use cloister_results::{ResultStore, StoreConfig};
use cloister_sources::SourcePolicy;
use cloister_tests::{
    cluster::{self, PATIENCE},
    service::NOTHING,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub(super) const SYSTEM: &str = "cloister-system";
const JOBS: &str = "cloister-jobs";

/// Works for some seconds, and writes nothing.
const BUSY: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "_start") (local $left i64)
    (local.set $left (i64.const 20000000000))
    (loop $again
      (local.set $left (i64.sub (local.get $left) (i64.const 1)))
      (br_if $again (i64.ne (local.get $left) (i64.const 0))))))"#;

/// Longest that a job of these tests takes on a busy machine.
const LONGEST: Duration = Duration::from_secs(300);

fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(super) fn kubectl(arguments: &[&str]) -> String {
    let output = cluster::run(arguments, b"");
    done(&output);
    String::from_utf8(output.stdout).expect("text")
}

fn create(namespace: &str, object: &Value) {
    done(&cluster::run(&["--namespace", namespace, "create", "-f", "-"], object.to_string().as_bytes()));
}

/// An installation, removed with everything in it when this is dropped.
pub(super) struct Installation {
    folder: TempDir,
    overlay: PathBuf,
}

impl Installation {
    fn make() -> Self {
        let definitions = cloister_testkit::root().join("deploy/crds");
        kubectl(&["apply", "--server-side", "-f", &definitions.display().to_string()]);
        for kind in ["computejobs", "environments", "apikeys", "datasets", "algorithms"] {
            kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &format!("crd/{kind}.cloister.dev")]);
        }
        // Beside the repository's own files, because a kustomization names its base by a relative path.
        let folder = tempfile::tempdir_in(cloister_testkit::root().join("target")).expect("a folder");
        let overlay = folder.path().join("overlay");
        fs::create_dir(&overlay).expect("a folder");
        fs::write(overlay.join("kustomization.yaml"), OVERLAY).expect("written");
        let installation = Self { folder, overlay };
        installation.apply();
        installation.secrets();
        installation.configure();
        for deployment in ["cloister-engine", "cloister-api"] {
            let wait =
                ["--namespace", SYSTEM, "rollout", "status", "--timeout=180s", &format!("deployment/{deployment}")];
            let output = cluster::run(&wait, b"");
            if !output.status.success() {
                let shown = kubectl(&["--namespace", SYSTEM, "describe", "pods"]);
                let logs = kubectl(&[
                    "--namespace",
                    SYSTEM,
                    "logs",
                    "--tail=20",
                    "--prefix",
                    "-l",
                    "app.kubernetes.io/name=cloister",
                ]);
                panic!("{deployment} is not there: {}\n{shown}\n{logs}", String::from_utf8_lossy(&output.stderr));
            }
        }
        installation
    }

    fn apply(&self) {
        let overlay = self.overlay.display().to_string();
        kubectl(&["apply", "--server-side", "--force-conflicts", "-k", &overlay]);
    }

    /// As an operator does it.
    fn secrets(&self) {
        let into = self.folder.path().join("secrets");
        let mut command = Command::new(cloister_testkit::program("cloister").expect("the program"));
        done(&command.args(["secrets", "--into"]).arg(&into).output().expect("it ends"));
        let from = format!("--from-file={}", into.display());
        kubectl(&["--namespace", SYSTEM, "create", "secret", "generic", "cloister", &from]);
        let url = "--from-literal=CLOISTER_RESULTS_URL=file:///results";
        kubectl(&["--namespace", SYSTEM, "create", "secret", "generic", "cloister-results", url]);
    }

    /// The operator's key.
    pub(super) fn operator_key(&self) -> String {
        let key = fs::read_to_string(self.folder.path().join("secrets/operator.key")).expect("the key");
        key.trim().to_owned()
    }

    fn configure(&self) {
        self.results();
        // Publishing writes results there, and configuration reads uploads.
        for name in ["results", "sources"] {
            let settings = json!({CONFIG_FILE: "[results]\nurl = \"file:///results\"\n"});
            create(
                JOBS,
                &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": settings}),
            );
        }
        create(JOBS, &cluster::environment());
    }

    /// The store of results: one folder, which the pods of the service and those of jobs mount under claims of their namespaces.
    fn results(&self) {
        let folder = self.folder.path().join("results");
        fs::create_dir(&folder).expect("a folder");
        // Pods write it as another user.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("permissions");
        for namespace in [SYSTEM, JOBS] {
            let volume = format!("{namespace}-results");
            let spec = json!({
                "accessModes": ["ReadWriteMany"],
                "capacity": {"storage": "64Mi"},
                "claimRef": {"namespace": namespace, "name": "results"},
                "hostPath": {"path": folder, "type": "Directory"},
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "",
            });
            create(
                namespace,
                &json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}, "spec": spec}),
            );
            let spec = json!({
                "accessModes": ["ReadWriteMany"],
                "resources": {"requests": {"storage": "64Mi"}},
                "storageClassName": "",
                "volumeName": volume,
            });
            create(
                namespace,
                &json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "results"}, "spec": spec}),
            );
        }
    }

    /// The service's view, with the service's rights: nobody else creates orders.
    async fn store(&self) -> ClusterStore {
        let config = kubectl(&["config", "view", "--raw", "--flatten", "-o", "json"]);
        let mut config: Value = serde_json::from_str(&config).expect("a kubeconfig");
        for user in config["users"].as_array_mut().expect("users") {
            user["user"]["as"] = json!(format!("system:serviceaccount:{SYSTEM}:cloister-api"));
        }
        let kubeconfig = self.folder.path().join("kubeconfig");
        fs::write(&kubeconfig, config.to_string()).expect("written");
        let names =
            Namespaces { system: SYSTEM.to_owned(), jobs: JOBS.to_owned(), assets: "cloister-assets".to_owned() };
        let cluster = Cluster::connect(Some(&kubeconfig), names).await.expect("a cluster");
        let url = format!("file://{}", self.folder.path().join("results").display());
        let results = ResultStore::open(&StoreConfig { url, options: BTreeMap::new() }).expect("a store of results");
        let options = StoreOptions {
            home: self.folder.path().join("home"),
            cache_bytes: 64 << 20,
            sources: SourcePolicy::default(),
            results: std::sync::Arc::new(results),
        };
        ClusterStore::open(cluster, options).await.expect("a store")
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        let _ = cluster::run(&["delete", "--wait=false", "-k", &self.overlay.display().to_string()], b"");
        for namespace in [SYSTEM, JOBS] {
            let volume = format!("persistentvolume/{namespace}-results");
            let _ = cluster::run(&["delete", "--wait=false", &volume], b"");
        }
    }
}

/// What an operator's overlay says; the images of tests have no digest.
const OVERLAY: &str = r#"
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../../deploy/kubernetes/base]
images:
  - { name: cloister, newTag: test }
patches:
  - target: { kind: Deployment, name: cloister-engine }
    patch: |
      - { op: replace, path: /spec/template/spec/containers/0/env/0/value, value: "cloister:test" }
      - { op: replace, path: /spec/template/spec/containers/0/env/1/value, value: "sandbox:test" }
      - { op: add, path: /spec/template/spec/containers/0/env/-, value: { name: CLOISTER_K8S_UNPINNED_IMAGES, value: "true" } }
      - { op: add, path: /spec/template/spec/containers/0/env/-, value: { name: CLOISTER_K8S_RESULTS_CLAIM, value: results } }
      - { op: add, path: /spec/template/spec/containers/0/env/-, value: { name: CLOISTER_K8S_SOURCES_SECRET, value: sources } }
  - target: { kind: Deployment, name: cloister-api }
    patch: |
      - { op: add, path: /spec/template/spec/containers/0/volumeMounts/-, value: { name: results, mountPath: /results } }
      - { op: add, path: /spec/template/spec/volumes/-, value: { name: results, persistentVolumeClaim: { claimName: results } } }
"#;

async fn submit(store: &ClusterStore, number: u64, guest: &str) -> JobId {
    let mut job = cloister_testkit::job(number, cloister_testkit::now());
    let program = STANDARD.encode(wat::parse_str(guest).expect("a guest"));
    let files = json!([{"type": "inline", "base64": program}]);
    job.algorithm.source = JobSource::Files(serde_json::from_value(files).expect("sources"));
    let id = job.id;
    let event = cloister_testkit::event(AuditAction::JobAllowed, cloister_testkit::now());
    store.submit(job, Vec::new(), AuditEvent { subject: id.to_string(), ..event }).await.expect("a job");
    id
}

async fn ended(store: &ClusterStore, job: JobId) -> JobStatus {
    let end = Instant::now() + LONGEST;
    loop {
        let status = store.status(job).await.expect("a status");
        if status.phase.has_ended() {
            return status;
        }
        if Instant::now() > end {
            let shown = kubectl(&["--namespace", JOBS, "get", "events,pods", "-o", "wide"]);
            panic!("job {job} stays as it is: {status:?}\n{shown}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn engines() -> String {
    let wanted = "-l=app.kubernetes.io/component=engine";
    kubectl(&["--namespace", SYSTEM, "get", "pods", wanted, "-o", "jsonpath={.items[*].metadata.uid}"])
}

async fn until(what: &str, attempt: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !attempt() {
        assert!(Instant::now() < end, "gave up waiting for {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_deployed_installation_carries_jobs_and_goes_on_when_its_controllers_are_killed() {
    let installation = Installation::make();
    let store = installation.store().await;
    let job = submit(&store, 1, NOTHING).await;
    let status = ended(&store, job).await;
    assert_eq!(status.phase, Phase::Finished, "{status:?}");
    // `kubectl describe` tells what happened.
    let story = kubectl(&["--namespace", JOBS, "describe", "computejob", &job.to_string()]);
    for phase in ["Configuring", "Running", "Finished"] {
        assert!(story.contains(phase), "{phase} is not in\n{story}");
    }

    let job = submit(&store, 2, BUSY).await;
    let pod = format!("pod/{job}-a");
    let phase = ["--namespace", JOBS, "get", &pod, "-o", "jsonpath={.status.phase}"];
    until("the algorithm to run", || cluster::run(&phase, b"").stdout == b"Running").await;
    let before = engines();
    let all = "-l=app.kubernetes.io/component=engine";
    kubectl(&["--namespace", SYSTEM, "delete", "pods", all, "--grace-period=0", "--force"]);
    let status = ended(&store, job).await;
    assert_eq!(status.phase, Phase::Finished, "{status:?}");
    let after = engines();
    assert!(before.split(' ').all(|uid| !uid.is_empty() && !after.contains(uid)), "{before} and {after}");

    // Both replicas of the service take requests, and have the same keys.
    let ready = format!("/api/v1/namespaces/{SYSTEM}/services/cloister:http/proxy/readyz");
    until("the service to be ready", || cluster::run(&["get", "--raw", &ready], b"").status.success()).await;
    let keys = kubectl(&["--namespace", SYSTEM, "get", "apikeys", "-o", "jsonpath={.items[*].spec.account}"]);
    assert_eq!(keys, "operator", "of two replicas that start at once, one stores the operator's key");

    tokio::task::block_in_place(|| {
        people::over_http(&installation);
        people::by_kubectl(&installation);
    });
}
