//! The installation of `deploy/helm`, as docs/kubernetes.md makes one: the programs run in pods, with their rights and no others;
//! it is used, upgraded, taken away, and made again from the manifests for kustomize.

use super::{
    guide::Guide,
    provider::{self, Asking},
    replicas,
    ways::{self, CAROL},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cloister_k8s_engine::{ArchiveOptions, Cluster, ClusterStore, Namespaces, StoreOptions};
use cloister_model::{AuditAction, AuditEvent, JobId, JobSource, JobStatus, Jobs as _, Phase, Profile};
use cloister_results::{ResultStore, StoreConfig};
use cloister_sources::SourcePolicy;
use cloister_tests::{
    chart::{self, SYSTEM},
    cluster::{self, PATIENCE},
    service::{NOTHING, PRINTS_AND_SLEEPS},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

pub(super) const JOBS: &str = "cloister-jobs";
const ASSETS: &str = "cloister-assets";

/// The namespace of an account.
const ALICE: &str = "team-alice";

pub(super) const TABLE: &str = "age,weight\n41,70\n52,81\n38,64\n";

/// For whom a Provider asks as a dishonest client would.
const OWNER: &str = "0x8ba1f109551bD432803012645Ac136ddd64DBA72";

/// Longest that a job of these tests takes on a busy machine.
pub(super) const LONGEST: Duration = Duration::from_secs(900);

fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(super) fn kubectl(arguments: &[&str]) -> String {
    let output = cluster::run(arguments, b"");
    done(&output);
    String::from_utf8(output.stdout).expect("text")
}

pub(super) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of the definitions in a folder, with their digests.
fn definitions(folder: &Path) -> BTreeMap<String, String> {
    let entry = |line: &str, key: &str| line.trim().strip_prefix(key).map(|value| value.trim().to_owned());
    let of = |text: String| {
        let find =
            |key: &str| text.lines().find_map(|line| entry(line, key)).unwrap_or_else(|| panic!("{key} in {text}"));
        (find("name:"), find("cloister.dev/schema-hash:").replace('"', ""))
    };
    fs::read_dir(folder).expect("a folder").map(|entry| of(read(&entry.expect("an entry").path()))).collect()
}

/// The digests of the definitions that the cluster has.
fn present() -> BTreeMap<String, String> {
    let all: Value = serde_json::from_str(&kubectl(&["get", "crds", "-o", "json"])).expect("JSON");
    let own = all["items"].as_array().expect("items").iter().filter(|item| item["spec"]["group"] == "cloister.dev");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    own.map(|item| {
        (text(&item["metadata"]["name"]), text(&item["metadata"]["annotations"]["cloister.dev/schema-hash"]))
    })
    .collect()
}

/// An installation, removed with everything in it when this is dropped.
pub(super) struct Installation {
    pub(super) guide: Guide,
}

impl Installation {
    /// From an empty cluster, by a chart of an earlier version, whose definitions allow less.
    fn make() -> Self {
        let mut guide = Guide::open();
        let older = guide.folder().join("older");
        done(&Command::new("cp").arg("-rL").arg(chart::folder()).arg(&older).output().expect("cp"));
        let definition = older.join("definitions/environments.cloister.dev.yaml");
        let text = read(&definition);
        let earlier = text.replacen("maxLength: 2000", "maxLength: 1000", 1);
        assert_ne!(text, earlier);
        fs::write(&definition, earlier).expect("written");
        for (name, digest) in definitions(&older.join("definitions")) {
            let file = older.join(format!("definitions/{name}.yaml"));
            fs::write(&file, read(&file).replace(&digest, "earlier")).expect("written");
        }
        guide.replace("helm install cloister deploy/helm/cloister", "helm install cloister older");
        // The images of tests have no digest.
        let pinned = |name: &str| format!("registry.example.org/{name}, digest: \"sha256:...\"");
        for name in ["cloister", "sandbox"] {
            guide.replace(&pinned(name), &format!("{name}, tag: test"));
        }
        let settings = format!("settings: |\n  [operator]\n  providers = [\"{}\"]\n", provider::ADDRESS);
        guide.replace("images:\n", &format!("{settings}images:\n  unpinned: true\n"));
        let results = guide.folder().join("store");
        fs::create_dir(&results).expect("a folder");
        // Pods write it as another user.
        fs::set_permissions(&results, fs::Permissions::from_mode(0o777)).expect("permissions");
        let here = format!("hostPath: {{ path: {}, type: Directory }}", results.display());
        guide.replace("nfs: { server: nfs.example.org, path: /cloister }", &here);
        guide.replace("rollout status", "rollout status --timeout=600s");
        let mut installation = Self { guide };
        let guide = &mut installation.guide;
        if !cluster::define(|| drop(guide.follow("Install", |_, _| {}))) {
            // Another test was sooner.
            guide.replace(
                "helm install cloister older",
                "helm install cloister older --take-ownership --force-conflicts",
            );
            guide.follow("Install", |_, _| {});
        }
        assert!(present().values().all(|digest| digest == "earlier"), "{:?}", present());
        installation
    }

    /// The service's view, with the service's rights: nobody else creates orders.
    async fn store(&self) -> ClusterStore {
        let config = kubectl(&["config", "view", "--raw", "--flatten", "-o", "json"]);
        let mut config: Value = serde_json::from_str(&config).expect("a kubeconfig");
        for user in config["users"].as_array_mut().expect("users") {
            user["user"]["as"] = json!(format!("system:serviceaccount:{SYSTEM}:cloister-api"));
        }
        let kubeconfig = self.guide.folder().join("kubeconfig");
        fs::write(&kubeconfig, config.to_string()).expect("written");
        let names = Namespaces { system: SYSTEM.to_owned(), jobs: JOBS.to_owned(), assets: ASSETS.to_owned() };
        let cluster = Cluster::connect(Some(&kubeconfig), names).await.expect("a cluster");
        let url = format!("file://{}", self.guide.folder().join("store").display());
        let results = ResultStore::open(&StoreConfig { url, options: BTreeMap::new() }).expect("a store of results");
        let options = StoreOptions {
            home: self.guide.folder().join("home"),
            cache_bytes: 64 << 20,
            sources: SourcePolicy::default(),
            results: std::sync::Arc::new(results),
            archive: ArchiveOptions::default(),
        };
        ClusterStore::open(cluster, options).await.expect("a store")
    }

    /// A steward publishes a table, an author a program; the steward allows it; a scientist runs it and fetches the results.
    fn over_http(&mut self) {
        let folder = self.guide.folder();
        fs::write(folder.join("table.csv"), TABLE).expect("written");
        let sample = cloister_testkit::guest("column-stats.p1.wasm").expect("the sample");
        fs::copy(sample, folder.join("stats.wasm")).expect("copied");
        self.guide.follow("The first job over HTTP", with_newest_job);
        assert!(fs::read_dir(self.guide.folder().join("results")).expect("results").count() > 0);
        self.guide.run("CLOISTER_KEY=$(cat secrets/operator.key) cloister audit verify");
        let story = self.guide.follow("Looking at it", |_, _| {});
        self.guide.follow("Container algorithms", |_, _| {});
        for phase in ["Configuring", "Running", "Finished"] {
            assert!(story.contains(phase), "{phase} is not in\n{story}");
        }
    }

    /// The DID of an asset of the guide's accounts.
    pub(super) fn did(&mut self, kind: &str, account: &str, name: &str) -> String {
        let shown = self.guide.run(&format!("CLOISTER_KEY=$(cat {account}.key) cloister {kind} show {name} -o json"));
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        shown["did"].as_str().expect("a DID").to_owned()
    }

    /// Publishes a dataset or an algorithm of an account.
    pub(super) fn publish(&mut self, account: &str, kind: &str, name: &str, spec: &Value) {
        let manifest = json!({
            "apiVersion": "cloister.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec
        });
        fs::write(self.guide.folder().join("more.yaml"), manifest.to_string()).expect("written");
        let command = kind.to_lowercase();
        self.guide.run(&format!("CLOISTER_KEY=$(cat {account}.key) cloister {command} apply -f more.yaml"));
    }

    /// Begins the same jobs through Ocean's operator API, asked as a Provider asks, and as a dishonest client would.
    fn by_a_provider(&mut self) -> Asking {
        // A table that is meant for Providers, on which Bob's algorithms may compute.
        let bobs = json!({"publisherTrustedAlgorithmPublishers": ["bob"]});
        self.publish(
            "alice",
            "Dataset",
            "for-providers",
            &json!({"title": "A table", "files": [{"type": "file", "path": "table.csv"}], "compute": bobs,
                "oceanProviders": ["*"]}),
        );
        let assets = [self.did("dataset", "alice", "for-providers"), self.did("algorithm", "bob", "stats")];
        let patience = LONGEST.as_secs().to_string();
        Asking::start(&self.guide.url(), &assets, &["--timeout", &patience, "--owner", OWNER])
    }

    /// The same with kubectl alone.
    fn by_kubectl(&mut self) {
        let program = wat::parse_str(cloister_testkit::guests::WRITES).expect("a guest");
        for (url, content) in [
            ("https://data.example.org/weights.csv", TABLE.as_bytes()),
            ("https://code.example.org/numbers.wasm", program.as_slice()),
        ] {
            let inline = format!("{{ type: inline, base64: \"{}\" }}", STANDARD.encode(content));
            self.guide.replace(&format!("{{ type: url, url: \"{url}\" }}"), &inline);
        }
        let printed = self.guide.follow("The first job with kubectl alone", |guide, part| {
            for (asset, place) in
                [("dataset/weights", "datasets: [{ did: "), ("algorithm/numbers", "algorithm: { did: ")]
            {
                let place = format!("{place}\"did:op:...\"");
                if part.contains(&place) {
                    let did = kubectl(&["--namespace", ALICE, "get", asset, "-o", "jsonpath={.status.did}"]);
                    guide.replace(&place, &place.replace("did:op:...", &did));
                }
            }
        });
        let (_, results) = printed.split_once('{').expect("the Secret");
        let results: Value = serde_json::from_str(&format!("{{{results}")).expect("JSON");
        assert!(!results["data"].as_object().expect("files").is_empty(), "{results}");
        // An algorithm that the dataset does not allow is denied, with the rule.
        let other = json!({
            "apiVersion": "cloister.dev/v1alpha1",
            "kind": "JobRequest",
            "metadata": {"name": "unknown"},
            "spec": {"datasets": [{"did": "did:op:0000"}], "algorithm": {"rawcode": "x"}},
        });
        done(&cluster::run(&["--namespace", ALICE, "create", "-f", "-"], other.to_string().as_bytes()));
        kubectl(&["--namespace", ALICE, "wait", "--for=condition=Failed", "--timeout=600s", "jobrequest/unknown"]);
        kubectl(&["delete", "namespace", ALICE, "--wait=false"]);
    }

    /// Upgrades to the chart as it is, with other values, and waits until all pods are new.
    fn upgrade(&mut self) {
        let values = self.guide.folder().join("my-values.yaml");
        let before = read(&values);
        let more = before.replacen("settings: |\n", "settings: |\n  times.keep = \"20d\"\n", 1);
        assert_ne!(before, more);
        fs::write(&values, more + "engine:\n  podAnnotations: { upgraded: again }\n").expect("written");
        self.guide.follow("Upgrading", |_, _| {});
        rolled_out();
    }
}

/// What the document calls `JOB` is the job that began last.
fn with_newest_job(guide: &mut Guide, part: &str) {
    if part.contains(" JOB") {
        let order = ["--sort-by=.metadata.creationTimestamp", "-o", "jsonpath={.items[-1:].metadata.name}"];
        let job = kubectl(&[&["--namespace", JOBS, "get", "computejobs"], order.as_slice()].concat());
        guide.replace("JOB", &job);
    }
}

fn rolled_out() {
    for deployment in ["deployment/cloister-engine", "deployment/cloister-api"] {
        kubectl(&["--namespace", SYSTEM, "rollout", "status", "--timeout=600s", deployment]);
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        for volume in ["cloister-service-results", "cloister-jobs-results"] {
            let _ = cluster::run(&["delete", "--wait=false", "persistentvolume", volume], b"");
        }
        let namespaces =
            ["delete", "--wait=false", "--ignore-not-found", "namespace", SYSTEM, JOBS, ASSETS, ALICE, CAROL];
        let _ = cluster::run(&namespaces, b"");
        let policies = ["pods", "pod-changes", "entry", "computejobs", "computejobs-status", "secrets"];
        let policies = policies.map(|name| format!("{name}.cloister.dev"));
        for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
            let names = policies.iter().map(String::as_str);
            let delete: Vec<&str> = ["delete", "--ignore-not-found", kind].into_iter().chain(names).collect();
            let _ = cluster::run(&delete, b"");
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
    // It has the machine's clock, by which one of them sleeps.
    job.terms.profile = Profile::Standard;
    job.terms.profiles = [Profile::Standard].into();
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

/// A job whose algorithm runs, and goes on for most of a minute, however slow kubectl is.
async fn running(store: &ClusterStore, number: u64) -> JobId {
    let job = submit(store, number, PRINTS_AND_SLEEPS).await;
    let pod = format!("pod/{job}-a");
    let phase = ["--namespace", JOBS, "get", &pod, "-o", "jsonpath={.status.phase}"];
    until("the algorithm to run", || cluster::run(&phase, b"").stdout == b"Running").await;
    job
}

/// Waits until none of these controllers is left; one that ends has time to do so.
async fn replaced(before: &str) {
    assert!(before.split(' ').all(|uid| !uid.is_empty()), "{before}");
    until("other controllers", || {
        let after = engines();
        before.split(' ').all(|uid| !after.contains(uid))
    })
    .await;
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

/// Takes the installation away, and sees what stays.
fn uninstall(installation: &mut Installation, job: JobId) {
    let guide = &mut installation.guide;
    let all = ["--namespace", SYSTEM, "get", "deployments,pods,services", "-o", "name"];
    // The last two commands delete the data, and the definitions that other tests use at this moment.
    guide.replace("kubectl delete ", "kubectl delete --dry-run=server ");
    guide.follow("Taking it away", |_, _| {});
    let end = Instant::now() + PATIENCE;
    while !kubectl(&all).is_empty() {
        assert!(Instant::now() < end, "{}", kubectl(&all));
        std::thread::sleep(Duration::from_millis(200));
    }
    kubectl(&["--namespace", JOBS, "get", &format!("computejob/{job}"), "environment/local"]);
    kubectl(&["--namespace", JOBS, "get", "networkpolicy/default-deny"]);
    kubectl(&["--namespace", SYSTEM, "get", "secret/cloister"]);
    let left = kubectl(&["get", "clusterroles,clusterrolebindings", "-o", "name"]);
    assert!(!left.contains("cloister:"), "{left}");
}

/// Makes it again from the manifests for kustomize, and then, as it runs, of the chart.
fn from_kustomize(installation: &mut Installation) {
    let guide = &mut installation.guide;
    guide.follow("A store of results with credentials", |_, _| {});
    // That store does not exist. The one that does:
    kubectl(&["--namespace", SYSTEM, "delete", "secret", "cloister-results"]);
    let url = "--from-literal=CLOISTER_RESULTS_URL=file:///results";
    kubectl(&["--namespace", SYSTEM, "create", "secret", "generic", "cloister-results", url]);
    // Beside the repository's own files, because a kustomization names its base by a relative path.
    let folder = tempfile::tempdir_in(cloister_testkit::root().join("target")).expect("a folder");
    let overlay = folder.path().join("overlay");
    fs::create_dir(&overlay).expect("a folder");
    fs::write(overlay.join("kustomization.yaml"), OVERLAY).expect("written");
    kubectl(&["apply", "--server-side", "--force-conflicts", "-k", &overlay.display().to_string()]);
    rolled_out();
    guide.follow("From kustomize to Helm", |_, _| {});
    rolled_out();
}

/// What the add-ons of this cluster do, as the document says how to see it.
fn look_at_add_ons(guide: &mut Guide) {
    guide.replace("--image=busybox", "--image=busybox:test --image-pull-policy=Never");
    guide.replace("image: busybox", "image: busybox:test");
    guide.replace("--image=registry.example.org/sandbox", "--image=sandbox:test --image-pull-policy=Never");
    let sized = cluster::own_cluster().is_some();
    if sized {
        guide.replace("storageClassName: standard", "storageClassName: sized");
    }
    let title = "What each cluster add-on must provide, and how to see that it does";
    let shown = guide.follow(title, |_, part| {
        if part.contains(" run before ") {
            // A namespace takes pods once the controllers have made its service account, for which a reader needs longer to go on.
            let account = ["--namespace", "try", "get", "serviceaccount", "default"];
            let end = Instant::now() + PATIENCE;
            while !cluster::run(&account, b"").status.success() {
                assert!(Instant::now() < end, "the namespace has no service account");
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    });
    let said = |word: &str| shown.lines().filter(|line| *line == word).count();
    assert_eq!((said("open"), said("closed")), (1, 1), "{shown}");
    assert!(shown.contains("coredns") || !sized, "{shown}");
    assert_eq!((said("kept"), said("larger")), if sized { (1, 0) } else { (said("kept"), said("larger")) }, "{shown}");
    let identity = |line: &str| line.split_whitespace().eq(["0", "0", "4294967295"]);
    assert!(!shown.lines().any(identity), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn an_installation_carries_jobs_through_kills_and_upgrades() {
    let mut installation = tokio::task::block_in_place(Installation::make);
    let current = definitions(&cloister_testkit::root().join("deploy/crds"));
    tokio::task::block_in_place(|| {
        installation.over_http();
        // Meanwhile, algorithms of the other kinds run.
        let asking = installation.by_a_provider();
        let assets = ways::all(&mut installation);
        let checks = asking.passed();
        assert!(checks.len() > 50, "it does check: {checks:#?}");
        replicas::agree(&mut installation, &assets);
    });
    let keys = kubectl(&["--namespace", SYSTEM, "get", "apikeys", "-o", "jsonpath={.items[*].spec.account}"]);
    let operators = keys.split(' ').filter(|account| *account == "operator").count();
    assert_eq!(operators, 1, "of two replicas that start at once, one stores the operator's key: {keys}");

    // Its controllers are killed while it runs.
    let store = installation.store().await;
    let job = running(&store, 1).await;
    let before = engines();
    let all = "-l=app.kubernetes.io/component=engine";
    kubectl(&["--namespace", SYSTEM, "delete", "pods", all, "--grace-period=0", "--force"]);
    let status = ended(&store, job).await;
    assert_eq!(status.phase, Phase::Finished, "{status:?}");
    replaced(&before).await;

    // Everything is upgraded while it runs.
    let job = running(&store, 2).await;
    let before = engines();
    tokio::task::block_in_place(|| installation.upgrade());
    assert_eq!(present(), current);
    let status = ended(&store, job).await;
    assert_eq!(status.phase, Phase::Finished, "{status:?}");
    replaced(&before).await;
    tokio::task::block_in_place(|| installation.by_kubectl());

    tokio::task::block_in_place(|| {
        uninstall(&mut installation, job);
        from_kustomize(&mut installation);
    });
    let store = installation.store().await;
    assert_eq!(store.status(job).await.expect("a status").phase, Phase::Finished);
    let job = submit(&store, 3, NOTHING).await;
    let status = ended(&store, job).await;
    assert_eq!(status.phase, Phase::Finished, "{status:?}");

    tokio::task::block_in_place(|| {
        look_at_add_ons(&mut installation.guide);
        // The other profile would be compiled first, for minutes.
        installation.guide.replace("--output bundle", "--output bundle --profile deterministic");
        installation.guide.follow("Scripts", |_, _| {});
    });
    let left = installation.guide.left();
    assert!(left.is_empty(), "commands of docs/kubernetes.md that nobody has tried: {left:#?}");
}

/// What an operator gets who copies `deploy/kubernetes/example` is what the chart makes of the same images.
#[test]
#[ignore = "needs kubectl: make test-k8s"]
fn the_example_for_kustomize_is_the_chart() {
    let objects = |text: &str| -> BTreeMap<String, Value> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).expect("YAML");
        let named = documents.into_iter().filter(|document| !document.is_null()).map(|mut object| {
            if let Some(annotations) = object["metadata"].get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.remove("helm.sh/resource-policy");
            }
            if object["metadata"]["annotations"] == json!({}) {
                object["metadata"].as_object_mut().expect("metadata").remove("annotations");
            }
            (chart::identity(&object), object)
        });
        named.filter(|(name, _)| !name.starts_with("CustomResourceDefinition ")).collect()
    };
    let digest = "0".repeat(64);
    let pinned = ["cloister", "sandbox"].map(|name| format!("--set=images.{name}.digest=sha256:{digest}"));
    let rendered = chart::render(&[&pinned[0], &pinned[1]]).expect("a rendering");
    let mut expected = objects(&rendered);
    let base = cloister_testkit::root().join("deploy/kubernetes");
    expected.extend(objects(&read(&base.join("base/by-hand.yaml"))));
    assert_eq!(objects(&kubectl(&["kustomize", &base.join("example").display().to_string()])), expected);
}
