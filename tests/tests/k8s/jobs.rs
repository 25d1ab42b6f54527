//! Jobs in pods of a real cluster: submitted as the service does it, carried by the controller, and run by the images.

use super::stores::S3;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cloister_k8s_engine::{
    ArchiveOptions, Cluster, ClusterStore, Namespaces, StoreOptions,
    build::{CONFIG_FILE, ResultStoreAccess},
    controller::{Controller, EngineOptions},
};
use cloister_model::{
    AuditAction, AuditEvent, ByteRange, EngineError, Fault, JobId, JobSource, JobSpec, JobStatus, Jobs as _, LogScope,
    Outputs as _, Phase,
};
use cloister_results::{ResultStore, StoreConfig};
use cloister_sources::SourcePolicy;
use cloister_tests::{
    cluster::{self, Namespace, PATIENCE},
    service::{ENDLESS, EXITS_WITH_7, NOTHING},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub(super) const TABLE: &str = "age,weight\n41,70\n52,81\n38,64\n";

/// Longest that a job of these tests takes on a busy machine.
pub(super) const LONGEST: Duration = Duration::from_secs(900);

/// An installation on the cluster.
pub(super) struct Installation {
    pub(super) jobs: Namespace,
    pub(super) store: Arc<ClusterStore>,
    controller: tokio::task::JoinHandle<()>,
    /// Of the programs, and of assets.
    pub(super) others: [Namespace; 2],
    _folder: TempDir,
}

impl Installation {
    pub(super) async fn open(purpose: &str) -> Self {
        Self::open_with(purpose, &cluster::environment()).await
    }

    /// An installation with this environment.
    pub(super) async fn open_with(purpose: &str, environment: &Value) -> Self {
        Self::open_on(purpose, environment, None).await
    }

    /// An installation with this environment, and an S3 store instead of a claim.
    pub(super) async fn open_on(purpose: &str, environment: &Value, store: Option<&S3>) -> Self {
        cluster::definitions();
        let jobs = Namespace::new(purpose, "restricted");
        let others = [Namespace::new("system", "restricted"), Namespace::new("assets", "restricted")];
        let policies = cloister_testkit::root().join("deploy/network/policies.yaml");
        let applied = jobs.kubectl(&["apply", "-f", &policies.display().to_string()]);
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
        jobs.create(&json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "results"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}},
        }));
        jobs.create(&json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "results"},
            "stringData": {CONFIG_FILE: store.map_or_else(|| "[results]\nurl = \"file:///results\"\n".to_owned(), S3::settings)},
        }));
        // For orders that read results of other jobs. Those of all others do not see the claim.
        jobs.create(&json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "sources"},
            "stringData": {CONFIG_FILE: "[results]\nurl = \"file:///results\"\n"},
        }));
        jobs.create(environment);
        let namespaces = Namespaces {
            system: others[0].name().to_owned(),
            jobs: jobs.name().to_owned(),
            assets: others[1].name().to_owned(),
        };
        let cluster = Cluster::connect(None, namespaces).await.expect("a cluster");
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("file://{}", folder.path().join("results").display());
        let here = StoreConfig { url, options: BTreeMap::new() };
        let results = Arc::new(ResultStore::open(&store.map_or(here, S3::config)).expect("a store of results"));
        let replica = || StoreOptions {
            home: folder.path().join("home"),
            cache_bytes: 64 << 20,
            sources: SourcePolicy::default(),
            results: Arc::clone(&results),
            archive: ArchiveOptions::default(),
        };
        // One that cannot begin in time is started again, as the kubelet does; so is the controller.
        let end = Instant::now() + PATIENCE;
        let client = loop {
            match ClusterStore::open(cluster.clone(), replica()).await {
                Ok(client) => break Arc::new(client),
                Err(error) => assert!(Instant::now() < end, "no replica begins: {error}"),
            }
        };
        let options = EngineOptions {
            cloister_image: "cloister:test".to_owned(),
            sandbox_image: "sandbox:test".to_owned(),
            results: ResultStoreAccess {
                secret: "results".to_owned(),
                claim: store.is_none().then(|| "results".to_owned()),
            },
            sources_secret: Some("sources".to_owned()),
            priority_class: None,
            user_namespaces: true,
            selinux_levels: false,
            strict_groups: true,
        };
        let controller = loop {
            match Controller::open(cluster.clone(), options.clone()).await {
                Ok(controller) => break controller,
                Err(error) => assert!(Instant::now() < end, "no controller begins: {error}"),
            }
        };
        let controller = tokio::spawn(async move { controller.run(std::future::pending()).await });
        Self { jobs, store: client, controller, others, _folder: folder }
    }

    pub(super) async fn submit(&self, number: u64, change: impl FnOnce(&mut JobSpec)) -> JobId {
        let mut job = cloister_testkit::job(number, cloister_testkit::now());
        job.inputs[0].source = cloister_testkit::inline(TABLE);
        change(&mut job);
        let (id, record, end) = (job.id, event(job.id, AuditAction::JobAllowed), Instant::now() + PATIENCE);
        loop {
            match self.store.submit(job.clone(), Vec::new(), record.clone()).await {
                Ok(_) => return id,
                // The API server does not answer for a moment. Asked again, it comes to the same.
                Err(EngineError::Unavailable { .. }) if Instant::now() < end => {}
                Err(error) => panic!("job {id}: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    pub(super) async fn until(&self, job: JobId, wanted: impl Fn(&JobStatus) -> bool) -> JobStatus {
        let end = Instant::now() + LONGEST;
        loop {
            // It may not be known for a moment.
            let status = match self.store.status(job).await {
                Ok(status) if wanted(&status) => return status,
                other => other,
            };
            if Instant::now() > end {
                let shown = self.jobs.kubectl(&["get", "events,pods", "-o", "wide"]);
                panic!("job {job} stays as it is: {status:?}\n{}", String::from_utf8_lossy(&shown.stdout));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) async fn ended(&self, job: JobId) -> JobStatus {
        self.until(job, |status| status.phase.has_ended()).await
    }

    /// Waits until the explanation of a job has all of these parts.
    pub(super) async fn explained(&self, job: JobId, parts: &[&str]) {
        let end = Instant::now() + LONGEST;
        loop {
            let text = self.store.explain(job).await.expect("an explanation").text;
            if parts.iter().all(|part| text.contains(part)) {
                return;
            }
            assert!(Instant::now() < end, "{parts:?} are not in: {text}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the algorithm of a job runs, or has done so: kubectl may be slower than a short one.
    pub(super) fn runs(&self, job: JobId) {
        let pod = format!("pod/{job}-a");
        self.jobs.until("the algorithm to run", |namespace| {
            let phase = namespace.kubectl(&["get", &pod, "-o", "jsonpath={.status.phase}"]).stdout;
            (phase == b"Running" || phase == b"Succeeded").then_some(())
        });
    }

    /// Waits until the algorithm of a job has begun, and not only its pod: until what it prints can be read.
    pub(super) async fn prints(&self, job: JobId) {
        let range = ByteRange { offset: 0, at_most: 100 };
        let end = Instant::now() + LONGEST;
        // The kubelet of a busy node may not answer at once.
        while !self.store.log(job, LogScope::Readable, range).await.is_ok_and(|part| !part.bytes.is_empty()) {
            assert!(Instant::now() < end, "job {job} prints nothing");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Files of a name in the store of results, where this machine sees it.
    pub(super) fn stored(&self, name: &str) -> Vec<Vec<u8>> {
        fn look(folder: PathBuf, name: &str, found: &mut Vec<Vec<u8>>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    look(path, name, found);
                } else if entry.file_name().to_string_lossy().contains(name) {
                    found.extend(std::fs::read(path));
                }
            }
        }
        let Some(folder) = cluster::own_cluster() else { return Vec::new() };
        let claim = self.jobs.get("persistentvolumeclaim/results");
        let volume = claim["spec"]["volumeName"].as_str().unwrap_or_default();
        let mut found = Vec::new();
        for node in std::fs::read_dir(folder.join("nodes")).into_iter().flatten().flatten() {
            look(node.path().join("volumes").join(volume), name, &mut found);
        }
        found
    }

    /// Waits until no pod and no volume of a job is left.
    pub(super) fn nothing_is_left(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.left() {
                Ok(left) if left.is_empty() => return,
                left => assert!(Instant::now() < end, "still there: {left:?}"),
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Pods and claims of jobs, and the volumes that were made for the claims; or that the cluster does not answer.
    fn left(&self) -> Result<Vec<String>, String> {
        let asked = |output: Output| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
        };
        let objects = ["get", "pods,persistentvolumeclaims", "-l", "cloister.dev/job", "-o", "name"];
        let objects = asked(self.jobs.kubectl(&objects))?;
        // What becomes of a volume without a claim is the class's affair on other clusters.
        let volumes = if cluster::own_cluster().is_some() {
            let claims = r#"jsonpath={range .items[*]}{.spec.claimRef.namespace}/{.spec.claimRef.name}{"\n"}{end}"#;
            asked(cluster::run(&["get", "persistentvolumes", "-o", claims], b""))?
        } else {
            String::new()
        };
        let namespace = format!("{}/", self.jobs.name());
        let of_jobs = volumes.lines().filter(|claim| claim.starts_with(&namespace) && claim.ends_with("-data"));
        Ok(objects.lines().chain(of_jobs).map(str::to_owned).collect())
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        self.controller.abort();
    }
}

pub(super) fn event(job: JobId, action: AuditAction) -> AuditEvent {
    AuditEvent { subject: job.to_string(), ..cloister_testkit::event(action, cloister_testkit::now()) }
}

pub(super) fn program(bytes: &[u8]) -> JobSource {
    let file = json!({"type": "inline", "base64": STANDARD.encode(bytes)});
    JobSource::Files(serde_json::from_value(json!([file])).expect("sources"))
}

pub(super) fn text(guest: &str) -> JobSource {
    program(&wat::parse_str(guest).expect("a guest"))
}

/// Files and bytes of what the program writes and prints here, on the same table: its outputs and its log.
fn results_here(guest: &Path) -> (u64, u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("table"), TABLE).expect("written");
    let mut command = Command::new(cloister_testkit::program("sandbox").expect("the sandbox"));
    command.arg("run").arg(guest).arg(format!("--dataset=d={}", at("table").display()));
    for option in ["outputs", "log", "home"] {
        command.arg(format!("--{option}={}", at(option).display()));
    }
    let output = command.output().expect("the sandbox ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written = std::fs::read_dir(at("outputs")).expect("outputs");
    let sizes = written.map(|entry| entry.and_then(|entry| entry.metadata()).expect("an output").len());
    let log = std::fs::metadata(at("log")).expect("a log").len();
    sizes.chain([log]).fold((0, 0), |(files, bytes), size| (files + 1, bytes + size))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_webassembly_job_runs_in_three_pods_and_its_outputs_are_released() {
    let guest = cloister_testkit::guest("column-stats.p1.wasm").expect("a guest");
    let installation = Installation::open("jobs").await;
    let job =
        installation.submit(1, |job| job.algorithm.source = program(&std::fs::read(&guest).expect("a guest"))).await;
    let status = installation.ended(job).await;
    assert_eq!(status.phase, Phase::Finished, "{status:?}");
    let object: Value = installation.jobs.get(&format!("computejob/{job}"));
    let (files, bytes) = results_here(&guest);
    assert!(files > 1 && bytes > 0);
    assert_eq!(object["status"]["results"]["files"], files, "{object}");
    assert_eq!(object["status"]["results"]["bytes"], bytes, "{object}");
    let complete = ["wait", "--for=condition=Complete", "--timeout=600s", &format!("computejob/{job}")];
    assert!(installation.jobs.kubectl(&complete).status.success());
    installation.nothing_is_left();
}

/// The pods of a job are created together, and come to the same as in order.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn jobs_whose_pods_start_together_end_as_they_should() {
    let mut environment = cluster::environment();
    environment["spec"]["steps"]["startEarly"] = json!(true);
    let installation = Installation::open_with("together", &environment).await;
    let finishes = installation.submit(1, |job| job.algorithm.source = text(NOTHING)).await;
    let fails = installation.submit(2, |job| job.algorithm.source = text(EXITS_WITH_7)).await;
    let without_data = |job: &mut JobSpec| {
        job.algorithm.source = text(NOTHING);
        job.inputs[0].source = cloister_testkit::url("https://127.0.0.1/table.csv");
    };
    let without_data = installation.submit(3, without_data).await;
    for (job, phase) in
        [(finishes, Phase::Finished), (fails, Phase::AlgorithmFailed), (without_data, Phase::DataProvisioningFailed)]
    {
        let status = installation.ended(job).await;
        assert_eq!(status.phase, phase, "{status:?}");
    }
    let stopped = installation.submit(4, |job| job.algorithm.source = text(ENDLESS)).await;
    installation.runs(stopped);
    installation.store.stop(stopped, event(stopped, AuditAction::JobStopped)).await.expect("stopped");
    let status = installation.ended(stopped).await;
    assert_eq!(status.phase, Phase::Stopped, "{status:?}");
    installation.nothing_is_left();
}

/// Configuration reads the store of results, which is a claim, and gets what is agreed or nothing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_job_reads_the_results_of_another_job() {
    let guest = cloister_testkit::guest("column-stats.p1.wasm").expect("a guest");
    let guest = std::fs::read(&guest).expect("a guest");
    let installation = Installation::open("chained").await;
    let first = installation.submit(1, |job| job.algorithm.source = program(&guest)).await;
    let status = installation.ended(first).await;
    assert_eq!(status.phase, Phase::Finished, "{status:?}");
    let result = |more: Value| {
        let mut file = json!({"type": "result", "job": first, "index": 0});
        file.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        JobSource::Files(serde_json::from_value(json!([file])).expect("sources"))
    };
    let chained = |input: JobSource| {
        move |job: &mut JobSpec| {
            job.algorithm.source = text(NOTHING);
            job.inputs[0].source = input;
        }
    };
    let second = installation.submit(2, chained(result(json!({})))).await;
    let other = installation.submit(3, chained(result(json!({"sha256": "0".repeat(64)})))).await;
    // It was never sent.
    let unsent = installation.submit(4, |job| job.algorithm.source = cloister_testkit::missing_upload()).await;
    for (job, phase) in [
        (second, Phase::Finished),
        (other, Phase::DataProvisioningFailed),
        (unsent, Phase::AlgorithmProvisioningFailed),
    ] {
        let status = installation.ended(job).await;
        assert_eq!(status.phase, phase, "{status:?}");
    }
    installation.nothing_is_left();
}

/// Each is provoked for real.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_job_that_fails_ends_in_the_phase_of_its_cause() {
    let mut environment = cluster::environment();
    environment["spec"]["limits"]["jobs"] = json!(9);
    let installation = Installation::open_with("failures", &environment).await;
    let by = Fault::Algorithm;
    let mut expected = Vec::new();
    let mut add = |what: &'static str, job, phase, fault, words: &'static str| {
        expected.push((what, job, phase, fault, words));
    };
    let runs = |guest: &str| {
        let source = text(guest);
        move |job: &mut JobSpec| job.algorithm.source = source
    };
    let job = installation.submit(1, runs(EXITS_WITH_7)).await;
    add("exit code 7", job, Phase::AlgorithmFailed, by, "exit code 7");
    let endless = |job: &mut JobSpec| {
        job.algorithm.source = text(ENDLESS);
        job.limits.wall_ms = 2000;
    };
    let job = installation.submit(2, endless).await;
    add("endless", job, Phase::LimitExceeded, by, "limit exceeded: wall-time");
    // The networks of the cluster are closed to sources.
    let closed = |job: &mut JobSpec| {
        job.algorithm.source = text(NOTHING);
        job.inputs[0].source = cloister_testkit::url("https://127.0.0.1/table.csv");
    };
    let job = installation.submit(3, closed).await;
    add("a source at a closed address", job, Phase::DataProvisioningFailed, Fault::Publisher, "");
    let no_program = |job: &mut JobSpec| job.algorithm.source = program(b"no program");
    let job = installation.submit(4, no_program).await;
    add("no WebAssembly", job, Phase::AlgorithmFailed, by, "");
    let job = installation.submit(5, runs(&hostile("import_sock_open"))).await;
    add("an import that is refused", job, Phase::AlgorithmFailed, by, "refused: ");
    let trap = r#"(module (memory (export "memory") 1) (func (export "_start") unreachable))"#;
    let job = installation.submit(6, runs(trap)).await;
    add("a trap", job, Phase::AlgorithmFailed, by, "algorithm crashed: reached `unreachable`");
    let job = installation.submit(7, runs(&hostile("memory_growth"))).await;
    add("memory", job, Phase::LimitExceeded, by, "limit exceeded: memory (");
    let floods = |job: &mut JobSpec| {
        job.algorithm.source = text(&hostile("output_flood"));
        job.terms.output_contract.max_bytes = 1_000_000;
    };
    let job = installation.submit(8, floods).await;
    add("bytes of outputs", job, Phase::LimitExceeded, by, "limit exceeded: output-bytes");
    // A table, where pictures alone may leave.
    let table = |job: &mut JobSpec| {
        job.algorithm.source = text(cloister_testkit::guests::WRITES);
        job.terms.release = serde_json::from_value(json!({"mediaTypes": ["image/png"]})).expect("rules");
    };
    let job = installation.submit(9, table).await;
    add("outputs of another kind", job, Phase::OutputRefused, by, "allowed: image/png");
    for (what, job, phase, fault, words) in expected {
        let status = installation.ended(job).await;
        let reason = status.reason.as_ref().map(cloister_model::Reason::fault);
        assert_eq!((status.phase, reason), (phase, Some(fault)), "{what}: {status:?}");
        let text = status.reason.as_ref().map(cloister_model::Reason::text).unwrap_or_default();
        assert!(text.contains(words), "{what}: {text}");
    }
    installation.nothing_is_left();
}

/// A program of `tests/hostile`, as its text.
pub(super) fn hostile(name: &str) -> String {
    let file = cloister_testkit::root().join(format!("tests/hostile/{name}.wat"));
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_running_algorithm_is_stopped_and_its_pods_are_removed() {
    let installation = Installation::open("stops").await;
    let job = installation.submit(1, |job| job.algorithm.source = text(ENDLESS)).await;
    installation.runs(job);
    installation.store.stop(job, event(job, AuditAction::JobStopped)).await.expect("stopped");
    let status = installation.ended(job).await;
    assert_eq!(status.phase, Phase::Stopped, "{status:?}");
    installation.nothing_is_left();
}

/// The claim on the job's volume lets an algorithm begin once, even if its pod is deleted.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn an_algorithm_whose_pod_is_deleted_is_not_begun_again() {
    let installation = Installation::open("deleted").await;
    let job = installation.submit(1, |job| job.algorithm.source = text(cloister_testkit::guests::ENDLESS)).await;
    // Its pod may run before it has its claim, and then another pod may begin it.
    installation.prints(job).await;
    let name = format!("pod/{job}-a");
    let killed = ["delete", &name, "--grace-period=0", "--force"];
    assert!(installation.jobs.kubectl(&killed).status.success());
    let status = installation.ended(job).await;
    let fault = status.reason.as_ref().map(cloister_model::Reason::fault);
    assert_eq!((status.phase, fault), (Phase::AlgorithmFailed, Some(Fault::System)), "{status:?}");
    installation.nothing_is_left();
}

/// Nothing of a job holds its namespace back, not even while no controller runs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a cluster with nodes: make test-k8s"]
async fn a_namespace_that_is_deleted_in_the_middle_of_a_job_goes_away_without_a_controller() {
    let installation = Installation::open("gone").await;
    let job = installation.submit(1, |job| job.algorithm.source = text(ENDLESS)).await;
    installation.runs(job);
    installation.controller.abort();
    let name = installation.jobs.name();
    let deleted = cluster::run(&["delete", "namespace", name, "--timeout=600s"], &[]);
    assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
}
