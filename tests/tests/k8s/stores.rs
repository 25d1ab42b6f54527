//! Results in an S3 store that runs in the cluster, and that the pods which publish reach by a policy of the operator's. At first they
//! cannot, and the results wait.

use super::{
    containers::{IMAGE, digest},
    jobs::{Installation, LONGEST, event, program},
};
use cloister_model::{AuditAction, ByteRange, EngineError, Jobs as _, Outputs as _, Phase, ResultSet};
use cloister_results::StoreConfig;
use cloister_tests::{
    cluster::{self, Namespace},
    root,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

/// The port of the store, and the names of its keys.
const PORT: u16 = 9000;
const KEY_ID: &str = "PLANTED-KEY-ID";
const SECRET_KEY: &str = "PLANTED-SECRET-KEY";

/// The name that it has for pods.
const NAME: &str = "results";

/// An S3 store in a pod.
pub(super) struct S3 {
    namespace: Namespace,
    /// The address of its Service, which this machine reaches as well.
    address: String,
}

impl S3 {
    fn start() -> Self {
        digest();
        let namespace = Namespace::new("store", "restricted");
        let script = fs::read_to_string(root().join("tests/cluster/s3.py")).expect("the store");
        namespace.create(&json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s3"}, "data": {"s3.py": script},
        }));
        let security = json!({
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true,
        });
        let container = json!({
            "name": "s3", "image": format!("{IMAGE}:test"), "imagePullPolicy": "Never", "securityContext": security,
            "command": ["python3", "/srv/s3.py", PORT.to_string(), KEY_ID],
            "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
            "volumeMounts": [{"name": "script", "mountPath": "/srv"}],
        });
        namespace.create(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "s3", "labels": {"app": "s3"}},
            "spec": {
                "automountServiceAccountToken": false,
                "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [container],
                "volumes": [{"name": "script", "configMap": {"name": "s3"}}],
            },
        }));
        service(&namespace, "s3");
        let ready = ["wait", "--for=condition=Ready", "--timeout=600s", "pod/s3"];
        let waited = namespace.kubectl(&ready);
        assert!(waited.status.success(), "{} {}", String::from_utf8_lossy(&waited.stderr), namespace.logs("s3"));
        let address = namespace.get("service/s3")["spec"]["clusterIP"].as_str().expect("an address").to_owned();
        Self { namespace, address }
    }

    fn options(host: &str) -> BTreeMap<String, String> {
        [
            ("endpoint", format!("http://{host}:{PORT}")),
            ("region", "eu".to_owned()),
            ("access_key_id", KEY_ID.to_owned()),
            ("secret_access_key", SECRET_KEY.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// As this machine reaches it.
    pub(super) fn config(&self) -> StoreConfig {
        StoreConfig { url: "s3://results/tests".to_owned(), options: Self::options(&self.address) }
    }

    /// The settings of the pods that publish, which find it by a name that is there as soon as the store is [open](Self::open_to).
    pub(super) fn settings(&self) -> String {
        let options = Self::options(&format!("{NAME}.{}.svc.cluster.local", self.namespace.name()));
        let options: Vec<String> = options.iter().map(|(name, value)| format!("{name} = {value:?}")).collect();
        format!("[results]\nurl = \"s3://results/tests\"\noptions = {{ {} }}\n", options.join(", "))
    }

    /// Gives the store its name, and what `network.store` of the chart makes: the pods that publish may reach it.
    fn open_to(&self, jobs: &Namespace) {
        service(&self.namespace, NAME);
        let of_store =
            json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace.name()}}});
        jobs.create(&json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "store"},
            "spec": {
                "podSelector": {"matchLabels": {"cloister.dev/step": "publishing"}},
                "policyTypes": ["Egress"],
                "egress": [{"to": [of_store], "ports": [{"protocol": "TCP", "port": PORT}]}],
            },
        }));
    }
}

/// A name and an address for the pod of the store.
fn service(namespace: &Namespace, name: &str) {
    namespace.create(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": "s3"}, "ports": [{"port": PORT}]},
    }));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn results_wait_for_an_s3_store_that_is_away_and_are_stored_once_it_can_be_reached() {
    let store = tokio::task::block_in_place(S3::start);
    let installation = Installation::open_on("s3", &cluster::environment(), Some(&store)).await;
    let guest = wat::parse_str(cloister_testkit::guests::WRITES).expect("a guest");
    let job = installation.submit(1, |job| job.algorithm.source = program(&guest)).await;
    let waits = installation.until(job, |status| status.store_wait.is_some() || status.phase.has_ended()).await;
    assert_eq!(waits.phase, Phase::Publishing, "{waits:?}");
    // Between two attempts, it says so. Each attempt says something else.
    installation.explained(job, &["its results are kept and wait for the result store"]).await;
    assert!(installation.store.results(job, ResultSet::Released).await.expect("results").is_empty());
    store.open_to(&installation.jobs);
    // An attempt that began before may still find the store away, and its pause is longer than the one before: so it is asked again. A
    // pause may also be over before anybody asks, and the results be stored.
    let end = Instant::now() + LONGEST;
    let status = loop {
        let asked = installation.store.publish_again(job, event(job, AuditAction::PublishingAsked)).await;
        assert!(matches!(asked, Ok(_) | Err(EngineError::NotWaitingForStore(_))), "{asked:?}");
        let status = installation.store.status(job).await.expect("a status");
        if status.phase.has_ended() {
            break status;
        }
        assert!(Instant::now() < end, "it does not end: {status:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    assert_eq!((status.phase, &status.store_wait), (Phase::Finished, &None), "{status:?}");
    let attempts = &installation.jobs.get(&format!("computejob/{job}"))["status"]["attempts"];
    assert_eq!(attempts["algorithm"], 1, "{attempts}");
    assert!(attempts["publishing"].as_u64() >= Some(2) && attempts["storeAway"].as_u64() >= Some(1), "{attempts}");
    let files = installation.store.results(job, ResultSet::Released).await.expect("results");
    assert!(!files.is_empty());
    for (index, file) in (0..).zip(&files) {
        let range = ByteRange { offset: 0, at_most: 1 << 20 };
        let bytes = installation.store.read_result(job, ResultSet::Released, index, range).await.expect("a result");
        assert_eq!(cloister_model::Sha256::of(&bytes), file.sha256, "{}", file.name);
    }
    assert!(installation.store.receipt(job).await.expect("an answer").is_some());
    installation.nothing_is_left();
}
