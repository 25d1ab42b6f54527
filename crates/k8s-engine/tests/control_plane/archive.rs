//! Ended jobs leave the API server, and nobody who asks about them notices.

use crate::{
    cluster,
    conformance::{Installation, Outside},
    controller,
};
use cloister_engine_tests::{ALL, Trial};
use cloister_k8s_engine::{
    ArchiveOptions, ClusterStore, StoreOptions,
    resources::{ComputeJob, ComputeJobStatus},
};
use cloister_model::{
    AuditAction, Backend, Claim, EngineError, Explanation, JobCard, JobId, JobParameters, JobQuery, JobSpec, JobStatus,
    Jobs as _, LogPart, LogScope, Outputs as _, Phase, RecordedDataset, Report, ResultFile, ResultSet, ReviewVerdict,
    Secret, Seen, StoredReceipt, TimeLimits, Unavailability,
};
use cloister_testkit::{guests, labels, recorded_dataset};
use k8s_openapi::api::core::v1::{ConfigMap, Secret as StoredSecret};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::Duration,
};

/// Everything that has ended goes, as soon as it is seen.
pub(crate) const AT_ONCE: ArchiveOptions = ArchiveOptions {
    after: Duration::ZERO,
    most: 1000,
    settle: Duration::from_secs(1),
    records_after: Duration::from_secs(3600),
    pieces: 1000,
    ids_after: Duration::from_secs(3600),
    receipts: 10,
};

/// All answers about a job.
#[derive(Debug, PartialEq)]
struct Answers {
    status: JobStatus,
    waited: JobStatus,
    explanation: Explanation,
    card: JobCard,
    parameters: JobParameters,
    logs: [LogPart; 2],
    report: Option<Report>,
    results: Vec<ResultFile>,
    first: Result<Vec<u8>, EngineError>,
    receipt: Option<StoredReceipt>,
}

async fn answers(engine: &Arc<dyn Backend>, job: JobId) -> Answers {
    Answers {
        status: engine.status(job).await.expect("a status"),
        waited: engine.wait(job, Seen::default()).await.expect("a status"),
        explanation: engine.explain(job).await.expect("an explanation"),
        card: engine.card(job).await.expect("a card"),
        parameters: engine.parameters(job).await.expect("parameters"),
        logs: [
            engine.log(job, LogScope::Readable, ALL).await.expect("a log"),
            engine.log(job, LogScope::Kept, ALL).await.expect("a log"),
        ],
        report: engine.report(job).await.expect("an answer"),
        results: engine.results(job, ResultSet::Released).await.expect("results"),
        first: engine.read_result(job, ResultSet::Released, 0, ALL).await,
        receipt: engine.receipt(job).await.expect("an answer"),
    }
}

/// All answers about all jobs.
async fn overview(engine: &Arc<dyn Backend>) -> impl std::fmt::Debug + PartialEq + use<> {
    let labelled = JobQuery { labels: labels(&[("owner", "alice")]), at_most: 100, ..JobQuery::default() };
    let finished = Some([Phase::Finished].into_iter().collect());
    let finished = JobQuery { phases: finished, at_most: 100, ..JobQuery::default() };
    let mut lists = Vec::new();
    for query in [JobQuery { at_most: 100, ..JobQuery::default() }, labelled, finished] {
        lists.push(engine.list(query).await.expect("a list"));
    }
    let bytes = engine.result_bytes(cloister_testkit::account(cloister_testkit::OWNER)).await.expect("bytes");
    (lists, bytes, engine.environments().await.expect("environments"))
}

/// A trial, what is seen of it beside the ports, and its folder of results. Nothing is archived yet.
pub(crate) async fn trial() -> (Trial, Arc<Outside>, PathBuf) {
    let installation = Installation::default();
    let outside = Arc::clone(&installation.outside);
    let trial = Trial::start(installation).await;
    let (_, folder) = outside.place.get().expect("it is open");
    let folder = folder.clone();
    (trial, outside, folder)
}

pub(crate) fn set(outside: &Outside, archive: ArchiveOptions) {
    *outside.archive.lock().unwrap_or_else(PoisonError::into_inner) = archive;
}

fn jobs(outside: &Outside) -> Api<ComputeJob> {
    let (cluster, _) = outside.place.get().expect("it is open");
    Api::namespaced(cluster.client().clone(), &cluster.namespaces().jobs)
}

pub(crate) async fn names<K>(api: &Api<K>, label: &str) -> BTreeSet<String>
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let found = api.list(&ListParams::default().labels(label)).await.expect("a list");
    found.items.iter().map(|object| object.name_any()).collect()
}

/// Batches in the API server, and in the store.
async fn batches(outside: &Outside) -> [BTreeSet<String>; 2] {
    let (cluster, folder) = outside.place.get().expect("it is open");
    let api: Api<ConfigMap> = Api::namespaced(cluster.client().clone(), &cluster.namespaces().system);
    let mut objects = names(&api, "cloister.dev/archive").await;
    objects.retain(|name| name.starts_with("archive-"));
    [objects, archived_files(folder, "archive-")]
}

/// What is archived in the store under names that begin like this.
pub(crate) fn archived_files(folder: &Path, start: &str) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder.join("archive")) else { return BTreeSet::new() };
    let names = entries.map(|entry| entry.expect("a file").file_name().into_string().expect("text"));
    names.filter(|name| name.starts_with(start)).collect()
}

/// The Secrets that hold receipts.
pub(crate) async fn receipt_secrets(client: kube::Client, system: &str) -> BTreeSet<String> {
    let api: Api<StoredSecret> = Api::namespaced(client, system);
    let found = api.list_metadata(&ListParams::default().fields("type=cloister.dev/receipt")).await.expect("a list");
    found.items.iter().map(|object| object.name_any()).collect()
}

pub(crate) async fn until_no_receipt_is_a_secret(trial: &Trial, outside: &Outside) {
    let (cluster, _) = outside.place.get().expect("it is open");
    let system = &cluster.namespaces().system;
    let gone = async || receipt_secrets(cluster.client().clone(), system).await.is_empty();
    trial.eventually("the receipts leave their Secrets", gone).await;
}

pub(crate) async fn until_archived(trial: &Trial, outside: &Outside) {
    let api = jobs(outside);
    trial.eventually("the jobs leave the API server", async || names(&api, "").await.is_empty()).await;
    until_no_receipt_is_a_secret(trial, outside).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn an_archived_job_answers_as_before_at_every_replica() {
    let (mut trial, outside, folder) = trial().await;
    let mut finished = trial.job(guests::WRITES).await;
    finished.parameters = Some(Secret::new(json!({"planted": "PLANTED-PARAMETER"})));
    finished.labels = labels(&[("owner", "alice")]);
    let mut silent = trial.job(guests::FAILS).await;
    silent.terms.output_contract.max_log_bytes = 0;
    trial.publish("d", "bob").await;
    silent.record.datasets = vec![RecordedDataset { log_bytes: 0, ..recorded_dataset("d", "bob", false) }];
    for job in [&finished, &silent] {
        trial.run(job).await;
    }
    let ids = [finished.id, silent.id];
    let before = (answers(trial.engine(), ids[0]).await, answers(trial.engine(), ids[1]).await);
    assert_eq!(before.0.parameters.values, finished.parameters);
    assert!(before.0.results.len() == 2 && before.1.logs[1].total > 0, "{before:?}");
    let all = overview(trial.engine()).await;

    set(&outside, AT_ONCE);
    trial.restart().await;
    until_archived(&trial, &outside).await;
    for _ in 0..2 {
        for process in trial.processes() {
            assert_eq!((answers(&process, ids[0]).await, answers(&process, ids[1]).await), before);
            assert_eq!(overview(&process).await, all);
        }
        trial.restart().await;
    }
    // Nothing of what was sealed can be read in the store.
    let sealed = [folder.join(ids[0].to_string()).join("parameters")];
    let archived = archived_files(&folder, "").into_iter().map(|name| folder.join("archive").join(name));
    for file in archived.chain(sealed) {
        let bytes = fs::read(&file).expect("a file");
        for planted in [ids[0].to_string(), "PLANTED-PARAMETER".to_owned()] {
            let found = bytes.windows(planted.len()).any(|window| window == planted.as_bytes());
            assert!(!found, "{} shows {planted}", file.display());
        }
    }

    // What may be done with an ended job can be done with an archived one, and is on record once.
    let [process, other] = trial.processes().try_into().unwrap_or_else(|_| panic!("two processes"));
    let (stop, review) = (trial.event(AuditAction::JobStopped), trial.event(AuditAction::Reviewed));
    assert_eq!(process.stop(ids[0], stop.clone()).await, Ok(before.0.status.clone()));
    let reviewed = process.review(ids[0], ReviewVerdict::Approve, review.clone()).await;
    assert_eq!(reviewed, Err(EngineError::NotInReview(ids[0])));
    let mut release = trial.event(AuditAction::LogReleased);
    release.actor = "bob".to_owned();
    let released = other.release_log(ids[1], release.clone()).await.expect("released");
    assert_ne!(released.seen(), before.1.status.seen());
    let again = cloister_model::AuditEvent { detail: "again".to_owned(), ..release.clone() };
    assert_eq!(process.release_log(ids[1], again.clone()).await, Ok(released.clone()));
    trial.eventually("both know", async || process.status(ids[1]).await == Ok(released.clone())).await;
    for process in [&process, &other] {
        let log = process.log(ids[1], LogScope::Readable, ALL).await.expect("a log");
        assert_eq!(log.bytes, before.1.logs[1].bytes);
    }
    for (event, times) in [(&stop, 0), (&review, 0), (&release, 1), (&again, 0)] {
        assert_eq!(trial.recorded(event).await, times, "{event:?}");
    }
    // The same job again is the one that is there, and another one of its id is refused.
    let submit =
        async |job: &JobSpec| process.submit(job.clone(), Vec::new(), trial.event(AuditAction::JobAllowed)).await;
    assert_eq!(submit(&finished).await, Ok(before.0.status.clone()));
    let different = JobSpec { queue: "bob".to_owned(), ..finished.clone() };
    assert_eq!(submit(&different).await, Err(EngineError::JobExists(ids[0])));

    // Of many removals at once, one is recorded; the results go, and the receipt stays.
    let mut tasks = Vec::new();
    for process in [&process, &other].into_iter().cycle().take(6) {
        let (process, event) = (Arc::clone(process), trial.event(AuditAction::JobRemoved));
        tasks.push(tokio::spawn(async move { (process.remove(ids[0], event.clone()).await, event) }));
    }
    let mut recorded = 0;
    for task in tasks {
        let (answer, event) = task.await.expect("no panic");
        assert!(matches!(answer, Ok(()) | Err(EngineError::NoSuchJob(_))), "{answer:?}");
        recorded += trial.recorded(&event).await;
    }
    assert_eq!(recorded, 1);
    for process in [&process, &other] {
        let gone = async || process.status(ids[0]).await == Err(EngineError::NoSuchJob(ids[0]));
        trial.eventually("both know", gone).await;
        assert_eq!(process.parameters(ids[0]).await, Err(EngineError::NoSuchJob(ids[0])));
        assert_eq!(process.receipt(ids[0]).await, Ok(before.0.receipt.clone()));
    }
    trial.eventually("the results go", async || !folder.join(ids[0].to_string()).exists()).await;
    // With its last job, a batch goes.
    assert_eq!(batches(&outside).await.map(|names| names.is_empty()), [false, false]);
    process.remove(ids[1], trial.event(AuditAction::JobRemoved)).await.expect("removed");
    drop((process, other));
    trial.eventually("the batches go", async || batches(&outside).await == [BTreeSet::new(), BTreeSet::new()]).await;
    trial.restart().await;
    assert!(trial.all_jobs().await.is_empty());
}

/// Credentials of the store of results can remove the parameters of an archived job, and not make it one that had none.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn parameters_that_are_gone_from_the_store_are_missed() {
    let (mut trial, outside, folder) = trial().await;
    let mut job = trial.job(guests::WRITES).await;
    job.parameters = Some(Secret::new(json!({"bins": 20})));
    let without = JobSpec { parameters: None, ..trial.job(guests::FAILS).await };
    for job in [&job, &without] {
        trial.run(job).await;
    }
    set(&outside, AT_ONCE);
    trial.restart().await;
    until_archived(&trial, &outside).await;
    let place = folder.join(job.id.to_string()).join("parameters");
    let kept = fs::read(&place).expect("parameters");
    fs::remove_file(&place).expect("removed");
    for process in trial.processes() {
        let answer = process.parameters(job.id).await;
        let missed = matches!(&answer, Err(EngineError::Unavailable { kind: Unavailability::Store, .. }));
        assert!(missed, "{answer:?}");
        assert_eq!(process.parameters(without.id).await.expect("an answer").values, None);
    }
    fs::write(&place, kept).expect("restored");
    for process in trial.processes() {
        assert_eq!(process.parameters(job.id).await.expect("an answer").values, job.parameters);
    }
}

/// A job whose time is over goes from the archive as it goes from the API server.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn an_archived_job_goes_when_its_time_is_over() {
    let (mut trial, outside, folder) = trial().await;
    set(&outside, AT_ONCE);
    trial.restart().await;
    let job = trial.job(guests::WRITES).await;
    let job = JobSpec { times: TimeLimits { keep_ms: 20_000, ..TimeLimits::default() }, ..job };
    trial.run(&job).await;
    until_archived(&trial, &outside).await;
    let receipt = trial.engine().receipt(job.id).await.expect("an answer");
    let gone = async || trial.engine().status(job.id).await == Err(EngineError::NoSuchJob(job.id));
    trial.eventually("the job goes", gone).await;
    trial.eventually("its results go", async || !folder.join(job.id.to_string()).exists()).await;
    trial.eventually("its batch goes", async || batches(&outside).await == [BTreeSet::new(), BTreeSet::new()]).await;
    assert_eq!(trial.engine().receipt(job.id).await, Ok(receipt));
}

/// Credentials of the store alone make up no job and change none.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn an_archive_that_was_changed_in_the_store_is_not_believed() {
    let (mut trial, outside, folder) = trial().await;
    set(&outside, AT_ONCE);
    trial.restart().await;
    let job = trial.job(guests::WRITES).await;
    let status = trial.run(&job).await;
    until_archived(&trial, &outside).await;
    let files: Vec<PathBuf> =
        archived_files(&folder, "archive-").iter().map(|name| folder.join("archive").join(name)).collect();
    let whole: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a file")).collect();
    let other = trial.job(guests::TRIVIAL).await;
    trial.run(&other).await;
    until_archived(&trial, &outside).await;
    let others = archived_files(&folder, "archive-").into_iter().map(|name| folder.join("archive").join(name));
    let others =
        fs::read(others.into_iter().find(|file| !files.contains(file)).expect("another batch")).expect("a file");
    for wrong in [vec![], whole[0][..whole[0].len() - 1].to_vec(), others] {
        for file in &files {
            fs::write(file, &wrong).expect("written");
        }
        trial.restart().await;
        assert_eq!(trial.engine().status(job.id).await, Err(EngineError::NoSuchJob(job.id)));
        // The others are there, and the id stays taken.
        assert_eq!(trial.all_jobs().await, [other.id]);
        let again = trial.engine().submit(job.clone(), Vec::new(), trial.event(AuditAction::JobAllowed)).await;
        assert_eq!(again, Err(EngineError::JobExists(job.id)));
    }
    for (file, bytes) in files.iter().zip(&whole) {
        fs::write(file, bytes).expect("restored");
    }
    trial.restart().await;
    assert_eq!(trial.status(job.id).await, status);
}

/// A job that was stopped before it began.
pub(crate) async fn ended(installation: &controller::Installation, objects: &Api<ComputeJob>, number: u64) -> JobId {
    let job = installation.submit(number).await;
    end(objects, job).await;
    installation.ended(job).await;
    job
}

/// Ends a job as the controller does when it is stopped before it begins.
pub(crate) async fn end(objects: &Api<ComputeJob>, job: JobId) {
    let ended = cloister_testkit::status_in(Phase::Stopped, job, cloister_testkit::now());
    let patch = Patch::Merge(json!({"status": ComputeJobStatus::of(&ended, None, None)}));
    objects.patch_status(&job.to_string(), &PatchParams::default(), &patch).await.expect("the controller's write");
}

/// Opens a replica that archives at once, with a folder of this name. One that cannot begin in time is started again.
async fn archiving(room: &cluster::Room, folder: &Path, name: &str) -> ClusterStore {
    let mut last = None;
    for _ in 0..10 {
        let options = StoreOptions { archive: AT_ONCE, ..cluster::options(folder, name) };
        match ClusterStore::open(room.cluster.clone(), options).await {
            Ok(store) => return store,
            Err(error) => last = Some(error),
        }
    }
    panic!("no replica begins: {last:?}");
}

async fn listed(store: &ClusterStore) -> Vec<JobId> {
    let query = JobQuery { at_most: 1000, ..JobQuery::default() };
    store.list(query).await.expect("a list").iter().map(|status| status.id).collect()
}

/// Replicas are killed wherever they are while they archive, and jobs removed: none is lost, and none comes back.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn replicas_that_are_killed_lose_no_job_and_bring_none_back() {
    let installation = controller::Installation::open(1).await;
    let room = &installation.room;
    let objects: Api<ComputeJob> = Api::namespaced(room.client(), &room.cluster.namespaces().jobs);
    let (mut kept, mut removed, mut before) = (Vec::new(), Vec::new(), Vec::new());
    let mut receipts = Vec::new();
    for number in 1..=60 {
        let job = ended(&installation, &objects, number).await;
        if number % 3 == 0 {
            removed.push(job);
        } else {
            kept.push(job);
            before.push(installation.store.status(job).await.expect("a status"));
        }
        receipts.push((job, installation.store.receipt(job).await.expect("an answer").expect("a receipt")));
    }
    let folder = installation.folder();
    let mut to_remove = removed.clone();
    for round in 0..30_u64 {
        let names = [0, 1].map(|which| format!("{round}-{which}"));
        let replicas = [archiving(room, folder, &names[0]).await, archiving(room, folder, &names[1]).await];
        tokio::time::sleep(Duration::from_millis(round * 197 % 3000)).await;
        if let Some(job) = to_remove.pop() {
            let event = controller::event(job, AuditAction::JobRemoved);
            replicas[usize::from(round % 2 == 0)].remove(job, event).await.expect("removed");
        }
        for replica in &replicas {
            let found = listed(replica).await;
            assert!(kept.iter().all(|job| found.contains(job)), "round {round}: {} of {}", found.len(), kept.len());
        }
        // Both end in the middle of whatever they do.
        drop(replicas);
    }
    assert!(to_remove.is_empty());
    let replicas = [archiving(room, folder, "a").await, archiving(room, folder, "b").await];
    for _ in 0..crate::LOOKS {
        if names(&objects, "").await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(names(&objects, "").await.is_empty(), "jobs stay in the API server");
    let system = room.cluster.namespaces().system.as_str();
    for _ in 0..crate::LOOKS {
        if receipt_secrets(room.client(), system).await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(receipt_secrets(room.client(), system).await, BTreeSet::new(), "receipts stay in the API server");
    for replica in &replicas {
        let found = listed(replica).await;
        assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), kept.iter().copied().collect());
        assert_eq!(found.len(), kept.len(), "a job is listed twice");
        for (job, status) in kept.iter().zip(&before) {
            assert_eq!(replica.status(*job).await.as_ref(), Ok(status));
        }
        for job in &removed {
            assert_eq!(replica.status(*job).await, Err(EngineError::NoSuchJob(*job)));
        }
        // Of the jobs that were removed, too, wherever a replica was killed.
        for (job, receipt) in &receipts {
            assert_eq!(replica.receipt(*job).await.as_ref(), Ok(&Some(receipt.clone())), "{job}");
        }
    }
}

/// Objects of a kind with this label, in a namespace of the installation.
async fn count<K>(api: &Api<K>, label: &str) -> usize
where
    K: kube::Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    names(api, label).await.len()
}

/// The agreement of an archived job is free, and its claim does not stay in the API server. That of a job that has not ended stays.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn claims_on_agreements_go_when_their_jobs_have_left() {
    let installation = controller::Installation::open(1).await;
    let room = &installation.room;
    let objects: Api<ComputeJob> = Api::namespaced(room.client(), &room.cluster.namespaces().jobs);
    let configs: Api<ConfigMap> = Api::namespaced(room.client(), &room.cluster.namespaces().system);
    let claims = |number: u64| vec![Claim::agreement(&format!("0x{number}"))];
    let submit = async |number: u64, claims: Vec<Claim>| {
        let job = cloister_testkit::job(number, cloister_testkit::now());
        let event = controller::event(job.id, AuditAction::JobAllowed);
        installation.store.submit(job, claims, event).await
    };
    let (one, other) = (submit(1, claims(1)).await.expect("a job"), submit(2, claims(2)).await.expect("a job"));
    end(&objects, one.id).await;
    installation.ended(one.id).await;
    let replica = archiving(room, installation.folder(), "a").await;
    let wanted = format!("claim-agreement-{}", claims(1)[0].key());
    for _ in 0..crate::LOOKS {
        if !names(&configs, "cloister.dev/claim").await.contains(&wanted) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let left = names(&configs, "cloister.dev/claim").await;
    assert_eq!(left, [format!("claim-agreement-{}", claims(2)[0].key())].into());
    assert_eq!(replica.status(one.id).await.map(|status| status.phase), Ok(Phase::Stopped));
    assert_eq!(submit(3, claims(2)).await, Err(EngineError::Claimed(claims(2).remove(0))));
    assert_eq!(replica.status(other.id).await.map(|status| status.phase), Ok(Phase::Queued));
    submit(4, claims(1)).await.expect("the agreement is free");
}

/// What the API server has of many ended jobs are a few objects, however many there are.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn many_ended_jobs_become_few_objects() {
    const JOBS: usize = 520;
    let installation = controller::Installation::open(1).await;
    let room = &installation.room;
    let objects: Api<ComputeJob> = Api::namespaced(room.client(), &room.cluster.namespaces().jobs);
    for number in 0..JOBS {
        ended(&installation, &objects, number as u64).await;
    }
    assert_eq!(count(&objects, "").await, JOBS);
    let folder = installation.folder();
    let replica = archiving(room, folder, "a").await;
    for _ in 0..crate::LOOKS {
        if count(&objects, "").await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(count(&objects, "").await, 0);
    let configs: Api<ConfigMap> = Api::namespaced(room.client(), &room.cluster.namespaces().system);
    let batches = count(&configs, "cloister.dev/archive=true").await;
    assert_eq!(batches, JOBS.div_ceil(500), "batches of {JOBS} jobs");
    let secrets: Api<StoredSecret> = Api::namespaced(room.client(), &room.cluster.namespaces().system);
    for _ in 0..crate::LOOKS {
        if count(&secrets, "app.kubernetes.io/managed-by=cloister").await == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(count(&secrets, "app.kubernetes.io/managed-by=cloister").await, 1, "the key");
    // Two replicas may have begun with the same ones.
    let receipts = count(&configs, "cloister.dev/archive=receipts").await;
    assert!((JOBS.div_ceil(200)..=2 * JOBS.div_ceil(200)).contains(&receipts), "{receipts} objects");
    assert_eq!(listed(&replica).await.len(), JOBS);
    // Another replica reads them in as many steps as there are batches.
    let other = archiving(room, folder, "b").await;
    assert_eq!(listed(&other).await, listed(&replica).await);
    let bytes: u64 = fs::read_dir(folder.join("results/archive"))
        .expect("batches")
        .map(|entry| entry.expect("a file").metadata().expect("a size").len())
        .sum();
    println!("{} bytes of the store for each job and its receipt", bytes / JOBS as u64);
}
