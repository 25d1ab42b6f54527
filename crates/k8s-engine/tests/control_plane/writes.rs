//! What one job costs the API server, in requests that change something: counted in its audit log, with two replicas of each
//! program and the rights of the installation.

use crate::{
    cluster::{Room, options},
    controller::{Installation, event},
    installed::{install, kubeconfig_as},
    program::Program,
};
use cloister_k8s_engine::{
    ACCOUNT, Cluster, ClusterStore, Decide, Decided, Deciding, Results, decide_what_is_requested,
};
use cloister_model::{Account, AuditAction, AuditLog as _, JobId, Jobs as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;

/// The most writes for one job, from its JobRequest to its results in a Secret, without the lease, which is renewed by the clock.
const MOST: usize = 30;

/// After how long every replica has done what follows the end of a job.
const AFTER_THE_END: Duration = Duration::from_secs(4);

/// Longer than any program pauses between two looks at what there is to do, and than a lease stays as it is.
const A_WHILE: Duration = Duration::from_secs(12);

/// Allows everything, and has results as the use cases have them: reading them goes on record.
#[derive(Debug)]
struct Allowed {
    store: Arc<ClusterStore>,
    number: Arc<AtomicU64>,
}

impl Decide for Allowed {
    fn request(&self, _account: Account, _key: String, request: Value) -> Deciding<'_, Decided> {
        Box::pin(async move {
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            let mut job = cloister_testkit::job(number, cloister_testkit::now());
            job.environment = request["environment"].as_str().and_then(|name| name.parse().ok()).expect("a name");
            let id = job.id;
            self.store.submit(job, Vec::new(), event(id, AuditAction::JobAllowed)).await.expect("a job");
            Decided::Allowed(id)
        })
    }

    fn results(&self, _account: Account, job: JobId) -> Deciding<'_, Results> {
        Box::pin(async move {
            self.store.record(vec![event(job, AuditAction::ResultDownloaded)]).await.expect("on record");
            Results::Files(vec![("a.csv".to_owned(), b"guess".to_vec())])
        })
    }

    fn stop(&self, _account: Account, _job: JobId) -> Deciding<'_, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// The audit log of the API server that this suite runs against.
struct AuditFile {
    folder: PathBuf,
    namespaces: [String; 3],
}

impl AuditFile {
    fn of(room: &Room) -> Self {
        let kubeconfig = std::env::var("KUBECONFIG").expect("a kubeconfig");
        let folder = Path::new(&kubeconfig).parent().expect("a folder").join("logs");
        let names = room.cluster.namespaces();
        Self { folder, namespaces: [names.system.clone(), names.jobs.clone(), names.assets.clone()] }
    }

    /// What the programs of this installation wrote so far, by account, verb and kind. Attempts that were refused count as well.
    fn writes(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        // The log is rotated.
        for file in fs::read_dir(&self.folder).expect("the folder of the audit log").flatten() {
            if !file.file_name().to_string_lossy().starts_with("audit") {
                continue;
            }
            for line in fs::read_to_string(file.path()).expect("the audit log").lines() {
                let Some(what) = serde_json::from_str(line).ok().and_then(|event| self.write(&event)) else { continue };
                *counts.entry(what).or_default() += 1;
            }
        }
        counts
    }

    fn write(&self, event: &Value) -> Option<String> {
        let account = event["impersonatedUser"]["username"].as_str()?;
        let account = account.strip_prefix(&format!("system:serviceaccount:{}:", self.namespaces[0]))?;
        let (of, verb) = (&event["objectRef"], event["verb"].as_str()?);
        let namespace = of["namespace"].as_str()?;
        let ours = self.namespaces.iter().any(|name| name == namespace);
        let resource = of["resource"].as_str().filter(|_| ours)?;
        let subresource = of["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
        (event["stage"] == "ResponseComplete").then(|| format!("{account} {verb} {resource}{subresource}"))
    }
}

/// A replica of the service, with the rights of the service.
async fn replica(room: &Room, folder: &TempDir, number: &Arc<AtomicU64>, name: &str) -> tokio::task::JoinHandle<()> {
    let kubeconfig = kubeconfig_as(room, "cloister-api");
    let cluster =
        Cluster::connect(Some(kubeconfig.path()), room.cluster.namespaces().clone()).await.expect("a cluster");
    let store = ClusterStore::open(cluster.clone(), options(folder.path(), name)).await.expect("a store");
    let store = Arc::new(store);
    let decide = Allowed { store: Arc::clone(&store), number: Arc::clone(number) };
    tokio::spawn(decide_what_is_requested(cluster, store, Arc::new(decide)))
}

/// Until a field of a request is as wanted.
async fn until(room: &Room, request: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..crate::LOOKS {
        last = room.read("jobrequests", request).await["status"].take();
        if wanted(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{request} stays as it is: {last}");
}

fn holds(status: &Value, condition: &str) -> bool {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|found| found["type"] == condition && found["status"] == "True")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_job_costs_few_writes() {
    let _alone = crate::assets::ALONE.lock().await;
    let installation = Installation::open(10).await;
    let room = &installation.room;
    install(room, false).await;
    let early = json!({
        "apiVersion": "cloister.dev/v1alpha1",
        "kind": "Environment",
        "metadata": {"name": "early"},
        "spec": {
            "limits": {"jobs": 9, "queued": 9, "cpus": 9, "memoryBytes": 1_u64 << 40, "jobMemoryBytes": 1_u64 << 30,
                "wallMs": 600_000},
            "steps": {"startEarly": true},
        },
    });
    room.create("environments", &early).await.expect("an environment");
    let namespaces: Api<Namespace> = Api::all(room.client());
    let label = Patch::Merge(json!({"metadata": {"labels": {ACCOUNT: "alice"}}}));
    namespaces.patch(&room.cluster.namespaces().jobs, &PatchParams::default(), &label).await.expect("a label");
    let (folder, number) = (tempfile::tempdir().expect("a folder"), Arc::new(AtomicU64::new(1)));
    let replicas = [replica(room, &folder, &number, "one").await, replica(room, &folder, &number, "two").await];
    let kubeconfig = kubeconfig_as(room, "cloister-engine");
    let path = kubeconfig.path().display().to_string();
    let engines = [(); 2].map(|()| Program::start(room, &["--kubeconfig", &path]));
    for engine in &engines {
        engine.until("/readyz", |(status, _)| *status == 200).await;
    }

    let log = AuditFile::of(room);
    for environment in ["local", "early"] {
        let before = log.writes();
        let request = json!({
            "apiVersion": "cloister.dev/v1alpha1",
            "kind": "JobRequest",
            "metadata": {"name": environment},
            "spec": {"datasets": [{"did": format!("did:op:{}", "a".repeat(64))}], "environment": environment,
                "algorithm": {"did": format!("did:op:{}", "b".repeat(64))}},
        });
        room.create("jobrequests", &request).await.expect("a request");
        let status = until(room, environment, |status| holds(status, "Complete") || holds(status, "Failed")).await;
        assert!(holds(&status, "Complete"), "{status}");
        let job: JobId = status["job"].as_str().and_then(|job| job.parse().ok()).expect("a job");
        installation.nothing_is_left(&[job]).await;
        // Not asserted: a replica that does something twice does it by then.
        tokio::time::sleep(AFTER_THE_END).await;
        let mut writes = log.writes();
        writes.retain(|what, count| {
            *count -= before.get(what).copied().unwrap_or(0);
            *count > 0 && !what.ends_with(" leases")
        });
        let total: usize = writes.values().sum();
        assert!(total <= MOST, "{environment}: {total} writes, {writes:#?}");
        // They were seen.
        for (what, least) in [
            ("cloister-api create computejobs", 1),
            ("cloister-engine create pods", 3),
            ("cloister-engine deletecollection pods", 1),
        ] {
            let found = writes.get(what).copied().unwrap_or(0);
            assert!(found >= least, "{environment}: {found} of `{what}` in {writes:#?}");
        }
    }
    // Nobody decides twice.
    assert_eq!(number.load(Ordering::Relaxed), 3);
    replicas.iter().for_each(tokio::task::JoinHandle::abort);
}

/// A lease is for those that stand by, and nothing else is written while nothing happens.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_controller_without_a_lease_writes_nothing_while_nothing_happens() {
    let _alone = crate::assets::ALONE.lock().await;
    let installation = Installation::open(10).await;
    let room = &installation.room;
    install(room, false).await;
    let kubeconfig = kubeconfig_as(room, "cloister-engine");
    let path = kubeconfig.path().display().to_string();
    let log = AuditFile::of(room);
    let started = async |lease: &str| {
        let engine = Program::start(room, &["--kubeconfig", &path, "--set", lease]);
        engine.until("/metrics", |(status, text)| *status == 200 && text.contains("cloister_engine_working 1")).await;
        engine
    };
    // One that has a lease is seen to write it.
    let one = started("k8s.lease=true").await;
    let renews = || log.writes().contains_key("cloister-engine update leases");
    for _ in 0..crate::LOOKS {
        if renews() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(renews(), "{:?}", log.writes());
    assert_eq!(one.end(), Some(0));

    let other = started("k8s.lease=false").await;
    // Until the log has what the first one wrote at its end.
    tokio::time::sleep(AFTER_THE_END).await;
    let before = log.writes();
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(log.writes(), before);
    assert_eq!(other.end(), Some(0));
}
