//! The controller against a real API server. The test plays the kubelet: it ends each pod with what its step would have said.

use crate::{
    cluster::{self, Room},
    endings::{DIGEST, Ending},
    kubelet::Kubelet,
};
use cloister_k8s_engine::{
    Cluster, ClusterStore,
    build::ResultStoreAccess,
    controller::{Controller, EngineOptions},
    resources::ComputeJob,
};
use cloister_model::{
    AuditAction, AuditEvent, AuditLog as _, ByteRange, JobId, JobSpec, JobStatus, Jobs as _, Outputs as _, Phase,
    ResultSet, Sha256, Timestamp,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tempfile::TempDir;

/// An installation with one environment, and a kubelet.
pub(crate) struct Installation {
    pub(crate) room: Room,
    pub(crate) store: Arc<ClusterStore>,
    kubelet: Arc<Kubelet>,
    _folder: TempDir,
}

pub(crate) fn options() -> EngineOptions {
    let image = |name: &str| format!("registry.example/{name}@sha256:{}", "1".repeat(64));
    EngineOptions {
        cloister_image: image("cloister"),
        sandbox_image: image("sandbox"),
        results: ResultStoreAccess { secret: "results".to_owned(), claim: None },
        sources_secret: None,
        priority_class: None,
        user_namespaces: true,
        selinux_levels: false,
        strict_groups: true,
    }
}

/// The environment of the testkit's jobs, with so many places.
pub(crate) fn environment(jobs: u64) -> serde_json::Value {
    json!({
        "apiVersion": "cloister.dev/v1alpha1",
        "kind": "Environment",
        "metadata": {"name": "local"},
        "spec": {"limits": {
            "jobs": jobs, "queued": 1000, "cpus": 100, "memoryBytes": 1_u64 << 40, "jobMemoryBytes": 1_u64 << 30,
            "wallMs": 600_000,
        }},
    })
}

/// The service's view of a cluster. A replica that cannot begin in time is started again, as the kubelet does.
pub(crate) async fn store(cluster: Cluster, folder: &std::path::Path) -> Arc<ClusterStore> {
    let mut last = None;
    for _ in 0..10 {
        match ClusterStore::open(cluster.clone(), cluster::options(folder, "home")).await {
            Ok(store) => return Arc::new(store),
            Err(error) => last = Some(error),
        }
    }
    panic!("no replica begins: {last:?}");
}

impl Installation {
    pub(crate) async fn open(jobs: u64) -> Self {
        let room = Room::open().await;
        room.create("environments", &environment(jobs)).await.expect("an environment");
        // A namespace takes pods once its service account is there.
        let api: Api<k8s_openapi::api::core::v1::ServiceAccount> =
            Api::namespaced(room.client(), &room.cluster.namespaces().jobs);
        let account = serde_json::from_value(json!({"metadata": {"name": "default"}})).expect("an account");
        let _ = api.create(&PostParams::default(), &account).await;
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(room.cluster.clone(), folder.path()).await;
        crate::node::register(&room.client()).await;
        let kubelet = Arc::new(Kubelet::default());
        let pods: Api<Pod> = Api::namespaced(room.client(), &room.cluster.namespaces().jobs);
        tokio::spawn(Arc::clone(&kubelet).work(pods));
        Self { room, store, kubelet, _folder: folder }
    }

    async fn controller(&self) -> Controller {
        let mut last = None;
        // One that cannot begin in time is started again, as the kubelet does.
        for _ in 0..10 {
            match Controller::open(self.room.cluster.clone(), options()).await {
                Ok(controller) => return controller,
                Err(error) => last = Some(error),
            }
        }
        panic!("no controller begins: {last:?}");
    }

    /// Starts a controller that works until the task is aborted.
    pub(crate) async fn start(&self) -> tokio::task::JoinHandle<()> {
        let controller = self.controller().await;
        tokio::spawn(async move { controller.run(std::future::pending()).await })
    }

    pub(crate) async fn submit(&self, number: u64) -> JobId {
        self.submit_as(number, |_| {}).await
    }

    pub(crate) async fn submit_as(&self, number: u64, change: impl FnOnce(&mut JobSpec)) -> JobId {
        let mut job: JobSpec = cloister_testkit::job(number, cloister_testkit::now());
        change(&mut job);
        let id = job.id;
        self.store.submit(job, Vec::new(), event(id, AuditAction::JobAllowed)).await.expect("a job");
        id
    }

    /// The status of a job, as soon as it is as wanted.
    pub(crate) async fn until(&self, job: JobId, wanted: impl Fn(&JobStatus) -> bool) -> JobStatus {
        let mut last = None;
        for _ in 0..crate::LOOKS {
            let status = self.store.status(job).await.expect("a status");
            if wanted(&status) {
                return status;
            }
            last = Some(status);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("job {job} stays as it is: {last:?}");
    }

    /// Waits until a job says that so many come before it.
    async fn says_ahead(&self, job: JobId, ahead: u64) {
        let mut said = None;
        for _ in 0..crate::LOOKS {
            said = Some(self.store.explain(job).await.expect("an explanation"));
            if said.as_ref().is_some_and(|said| said.ahead == Some(ahead)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("job {job} should say that {ahead} come before it: {said:?}");
    }

    /// Leaves pods whose names end like this as they are.
    pub(crate) fn hold(&self, step: Option<&'static str>) {
        self.kubelet.hold(step);
    }

    /// From now on, the pods of this job end so.
    pub(crate) fn end(&self, job: JobId, ending: Ending) {
        self.kubelet.end(job, ending);
    }

    /// Waits until there is a pod of this name.
    pub(crate) async fn shown(&self, name: &str) {
        self.kubelet.until(name, 1).await;
        assert_eq!(self.kubelet.pods(name), 1, "{name}");
    }

    /// The folder of its store of results, and of replicas.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self._folder.path()
    }

    /// How many pods of this name there were.
    pub(crate) fn pods_seen(&self, name: &str) -> usize {
        self.kubelet.pods(name)
    }

    /// Waits until these jobs have finished and left nothing, and checks that each of their pods was created once, and each event put
    /// on record once.
    pub(crate) async fn each_pod_was_created_once(&self, jobs: &[JobId]) {
        for job in jobs {
            assert_eq!(self.ended(*job).await.phase, Phase::Finished);
        }
        self.nothing_is_left(jobs).await;
        for job in jobs {
            for step in ["c", "a", "p"] {
                assert_eq!(self.pods_seen(&format!("{job}-{step}")), 1, "{job}-{step}");
            }
        }
        let recorded = self.recorded().await;
        assert!(recorded.values().all(|times| *times == 1), "{recorded:?}");
    }

    pub(crate) async fn ended(&self, job: JobId) -> JobStatus {
        self.until(job, |status| status.phase.has_ended()).await
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.room.client(), &self.room.cluster.namespaces().jobs)
    }

    /// Waits until nothing is left of these jobs but their objects and their payloads, and everything is on record.
    pub(crate) async fn nothing_is_left(&self, jobs: &[JobId]) {
        let volumes: Api<PersistentVolumeClaim> =
            Api::namespaced(self.room.client(), &self.room.cluster.namespaces().jobs);
        let objects: Api<ComputeJob> = Api::namespaced(self.room.client(), &self.room.cluster.namespaces().jobs);
        let mut left = String::new();
        for _ in 0..crate::LOOKS {
            let pods = self.pods().list(&ListParams::default()).await.expect("pods");
            // The protection of volumes in use is taken off by the controller manager, which is not there.
            let volumes = volumes.list(&ListParams::default()).await.expect("volumes");
            let volumes = volumes.items.iter().filter(|volume| volume.metadata.deletion_timestamp.is_none()).count();
            let mut unrecorded = 0;
            for job in jobs {
                let object = objects.get(&job.to_string()).await.expect("the job");
                unrecorded += usize::from(object.status.expect("a status").records.is_some());
            }
            if pods.items.is_empty() && volumes == 0 && unrecorded == 0 {
                return;
            }
            left = format!("{} pods, {volumes} volumes, {unrecorded} jobs with events", pods.items.len());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("something is left: {left}");
    }

    /// The reasons of the events that `kubectl describe` shows of a job that has finished, once there are so many, and that it has.
    pub(crate) async fn story(&self, job: JobId, events: usize) -> Vec<String> {
        let api: Api<k8s_openapi::api::core::v1::Event> =
            Api::namespaced(self.room.client(), &self.room.cluster.namespaces().jobs);
        let object = self.room.read("computejobs", &job.to_string()).await;
        let uid = object["metadata"]["uid"].as_str().expect("a uid");
        let of_job = format!("involvedObject.kind=ComputeJob,involvedObject.name={job},involvedObject.uid={uid}");
        let mut story: Vec<String> = Vec::new();
        for _ in 0..crate::LOOKS {
            let mut found = api.list(&ListParams::default().fields(&of_job)).await.expect("events").items;
            // Several in one millisecond are told apart by their names, which follow the history.
            found.sort_by_key(|event| event.name_any());
            story = found.into_iter().map(|event| event.reason.unwrap_or_default()).collect();
            if story.len() >= events && story.last().is_some_and(|last| last == "Finished") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        story
    }

    /// How often each action of these jobs is on record, in a chain that verifies.
    pub(crate) async fn recorded(&self) -> BTreeMap<(String, AuditAction), usize> {
        let (mut found, mut last, mut after) = (BTreeMap::new(), None, 0);
        loop {
            let records = self.store.records(after, 100).await.expect("records");
            let Some(end) = records.last() else { return found };
            after = end.sequence;
            for record in &records {
                record.verify(last).expect("a chain");
                last = Some((record.sequence, record.hash));
                *found.entry((record.event.subject.clone(), record.event.action)).or_default() += 1;
            }
        }
    }
}

pub(crate) fn event(job: JobId, action: AuditAction) -> AuditEvent {
    AuditEvent { subject: job.to_string(), ..cloister_testkit::event(action, cloister_testkit::now()) }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_job_is_carried_to_its_end() {
    let installation = Installation::open(10).await;
    let controller = installation.start().await;
    let job = installation.submit(1).await;
    let status = installation.ended(job).await;
    assert_eq!(status.phase, Phase::Finished, "{status:?}");
    let phases: Vec<Phase> = status.history.iter().map(|step| step.phase).collect();
    let expected = [
        Phase::Queued,
        Phase::Accepted,
        Phase::Configuring,
        Phase::Configured,
        Phase::Running,
        Phase::Filtering,
        Phase::Publishing,
        Phase::Finished,
    ];
    assert_eq!(phases, expected);
    installation.nothing_is_left(&[job]).await;
    for step in ["c", "a", "p"] {
        assert_eq!(installation.kubelet.pods(&format!("{job}-{step}")), 1, "{step}");
    }
    // As `kubectl wait --for=condition=Complete` sees it.
    let object = installation.room.read("computejobs", &job.to_string()).await;
    let conditions = object["status"]["conditions"].as_array().expect("conditions");
    let holds = |kind: &str| conditions.iter().any(|one| one["type"] == kind && one["status"] == "True");
    assert!(holds("Complete") && holds("Released") && !holds("Failed"), "{conditions:?}");
    assert_eq!(object["status"]["results"]["manifestSha256"], DIGEST.to_string());
    let recorded = installation.recorded().await;
    assert!(recorded.values().all(|times| *times == 1), "{recorded:?}");
    assert_eq!(recorded.get(&(job.to_string(), AuditAction::Released)), Some(&1), "{recorded:?}");
    // Phases that it only passed through are in its history.
    assert_eq!(installation.story(job, 1).await.last().map(String::as_str), Some("Finished"));
    controller.abort();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn two_controllers_at_once_create_each_pod_once() {
    let installation = Installation::open(10).await;
    let controllers = [installation.start().await, installation.start().await];
    let mut jobs = Vec::new();
    for number in 0..20 {
        jobs.push(installation.submit(number).await);
    }
    installation.each_pod_was_created_once(&jobs).await;
    controllers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_stop_ends_a_job_in_every_step_and_removes_its_pods() {
    let installation = Installation::open(10).await;
    let controller = installation.start().await;
    for (number, step) in ["-c", "-a", "-p"].into_iter().enumerate() {
        installation.hold(Some(step));
        let job = installation.submit(u64::try_from(number).expect("a number")).await;
        let name = format!("{job}{step}");
        installation.kubelet.until(&name, 1).await;
        assert_eq!(installation.kubelet.pods(&name), 1, "{step}");
        installation.store.stop(job, event(job, AuditAction::JobStopped)).await.expect("stopped");
        // The algorithm has ended by then: another pod keeps its log and its report.
        let pods = if step == "-p" { 2 } else { 1 };
        if step == "-p" {
            installation.kubelet.until(&name, pods).await;
            installation.hold(None);
        }
        let status = installation.ended(job).await;
        assert_eq!(status.phase, Phase::Stopped, "{step}: {status:?}");
        installation.nothing_is_left(&[job]).await;
        assert_eq!(installation.kubelet.pods(&name), pods, "{step}");
    }
    controller.abort();
}

/// More jobs than places: those that wait say so, and all come to their turn.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn jobs_wait_for_their_turn_and_say_how_many_come_before() {
    let installation = Installation::open(1).await;
    installation.hold(Some("-a"));
    let controller = installation.start().await;
    let mut jobs = Vec::new();
    for number in 0..3 {
        jobs.push(installation.submit(number).await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    installation.until(jobs[0], |status| status.phase == Phase::Running).await;
    installation.says_ahead(jobs[2], 1).await;
    for job in &jobs[1..] {
        assert_eq!(installation.store.status(*job).await.expect("a status").phase, Phase::Queued);
    }
    // The place in the queue follows the queue.
    installation.store.stop(jobs[1], event(jobs[1], AuditAction::JobStopped)).await.expect("stopped");
    installation.says_ahead(jobs[2], 0).await;
    jobs.remove(1);
    installation.hold(None);
    for job in &jobs {
        assert_eq!(installation.ended(*job).await.phase, Phase::Finished);
    }
    installation.nothing_is_left(&jobs).await;
    // A phase that lasts is an event, beside the end.
    let story = installation.story(jobs[0], 2).await;
    let (last, before) = story.split_last().expect("events");
    assert!(last == "Finished" && before.iter().any(|phase| phase == "Running"), "{story:?}");
    controller.abort();
}

/// A pod that somebody deletes is noticed: the step is done again, and the algorithm begins at most once by its claim.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_pod_that_was_deleted_from_outside_is_created_again() {
    let installation = Installation::open(1).await;
    installation.hold(Some("-c"));
    let controller = installation.start().await;
    let job = installation.submit(1).await;
    let name = format!("{job}-c");
    for times in 1..=2 {
        installation.kubelet.until(&name, times).await;
        assert_eq!(installation.kubelet.pods(&name), times);
        let _ = installation.pods().delete(&name, &kube::api::DeleteParams::default()).await;
    }
    installation.hold(None);
    assert_eq!(installation.ended(job).await.phase, Phase::Finished);
    installation.nothing_is_left(&[job]).await;
    controller.abort();
}

/// An object of the name of a job's pod that does not belong to the job is not taken for it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn a_foreign_pod_of_the_same_name_is_never_taken_over() {
    let installation = Installation::open(1).await;
    let job = cloister_testkit::job(1, Timestamp::from_unix_ms(5)).id;
    let foreign: Pod = serde_json::from_value(json!({
        "metadata": {"name": format!("{job}-c")},
        "spec": {"containers": [{"name": "configure", "image": "registry.example/other:1"}]},
    }))
    .expect("a pod");
    installation.pods().create(&PostParams::default(), &foreign).await.expect("the foreign pod");
    let controller = installation.start().await;
    assert_eq!(installation.submit(1).await, job);
    installation.until(job, |status| status.phase == Phase::Configuring).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(installation.store.status(job).await.expect("a status").phase, Phase::Configuring);
    installation.store.stop(job, event(job, AuditAction::JobStopped)).await.expect("stopped");
    assert_eq!(installation.ended(job).await.phase, Phase::Stopped);
    assert!(installation.pods().get_opt(&format!("{job}-c")).await.expect("an answer").is_some());
    controller.abort();
}

/// Who can write to the store of results, such as a pod of publishing, decides neither what the results of a job are nor when they
/// can be read.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn what_is_in_the_store_is_no_result_unless_the_controller_has_stored_its_digest() {
    let installation = Installation::open(10).await;
    let job = installation.submit(1).await;
    let (content, folder) = (b"guess", installation._folder.path().join("results").join(job.to_string()));
    let file = json!({"name": "a", "type": "output", "bytes": content.len(), "sha256": Sha256::of(content)});
    let manifest = json!({"version": "cloister.dev/manifest/v1", "encrypted": false, "files": [file]});
    std::fs::create_dir_all(folder.join("files")).expect("a folder");
    std::fs::write(folder.join("files/0"), content).expect("written");
    std::fs::write(folder.join("manifest.json"), manifest.to_string()).expect("written");
    let (store, all) = (&installation.store, ByteRange { offset: 0, at_most: 100 });
    let listed = async || store.results(job, ResultSet::Released).await;
    let read = async || store.read_result(job, ResultSet::Released, 0, all).await;
    assert_eq!((listed().await, read().await.is_err()), (Ok(Vec::new()), true));
    let controller = installation.start().await;
    assert_eq!(installation.ended(job).await.phase, Phase::Finished);
    assert_eq!((listed().await.is_err(), read().await.is_err()), (true, true));
    // No receipt says what was not released.
    assert!(store.receipt(job).await.is_err());
    controller.abort();
}
