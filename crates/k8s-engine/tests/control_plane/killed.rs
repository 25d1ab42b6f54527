//! The controller is killed again and again, at any moment, while real algorithms of all endings run: each begins once, each job
//! ends as it should, and nothing is lost or left.

use crate::site::{ENVIRONMENT, Site};
use cloister_engine_tests::Conditions;
use cloister_k8s_engine::{ArchiveOptions, ClusterStore};
use cloister_model::{
    AuditAction, AuditLog as _, ByteRange, JobId, JobSpec, Jobs as _, LogScope, Outputs as _, Phase, Sha256,
    Uploads as _,
};
use cloister_testkit::{OWNER, account, guests, now, uploaded};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::{Api, ResourceExt as _, api::ListParams};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// The exit code of a sandbox that found the claim of an earlier run: it ran nothing.
const CLAIM_TAKEN: i32 = 6;

/// How a job is meant to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Finished,
    Failed,
    Limit,
    Refused,
    Stopped,
}

impl Ending {
    const ALL: [Self; 5] = [Self::Finished, Self::Failed, Self::Limit, Self::Refused, Self::Stopped];

    fn guest(self) -> &'static str {
        match self {
            Self::Finished | Self::Refused => guests::WRITES,
            Self::Failed => guests::FAILS,
            Self::Limit | Self::Stopped => guests::ENDLESS,
        }
    }

    fn phase(self) -> Phase {
        match self {
            Self::Finished => Phase::Finished,
            Self::Failed => Phase::AlgorithmFailed,
            Self::Limit => Phase::LimitExceeded,
            Self::Refused => Phase::OutputRefused,
            Self::Stopped => Phase::Stopped,
        }
    }
}

async fn upload(store: &ClusterStore, guest: &str) -> Sha256 {
    let bytes = wat::parse_str(guest).expect("WebAssembly text");
    let upload = store.begin_upload().await.expect("an upload begins");
    store.append_upload(upload, bytes).await.expect("bytes are appended");
    store.finish_upload(upload, account(OWNER), now(), (16 << 20).into()).await.expect("an upload ends").file.sha256
}

async fn submit(store: &ClusterStore, number: u64, ending: Ending) -> JobId {
    let source = uploaded(upload(store, ending.guest()).await);
    let mut job = JobSpec { environment: ENVIRONMENT.parse().expect("a name"), ..cloister_testkit::job(number, now()) };
    job.algorithm.source = source;
    match ending {
        Ending::Limit => job.limits.wall_ms = 1500,
        Ending::Refused => job.terms.release.media_types = Some(["image/png".parse().expect("a media type")].into()),
        Ending::Finished | Ending::Failed | Ending::Stopped => {}
    }
    let record = cloister_testkit::event(AuditAction::JobAllowed, now());
    store.submit(job.clone(), Vec::new(), record).await.expect("the job is taken in");
    job.id
}

/// Stops a job as soon as its algorithm has printed.
async fn stop_when_it_runs(site: Arc<Site>, store: Arc<ClusterStore>, job: JobId) {
    while site.node.file(&format!("{job}-data"), "run/log").as_deref() != Some(b"a,b\n") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    store.stop(job, cloister_testkit::event(AuditAction::JobStopped, now())).await.expect("it is asked to stop");
}

/// A number that looks random, the same in each run.
fn shuffled(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}

/// Waits until it holds.
async fn eventually(what: &str, holds: impl AsyncFn() -> Result<(), String>) {
    let mut last = String::new();
    for _ in 0..crate::LOOKS {
        match holds().await {
            Ok(()) => return,
            Err(found) => last = found,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never: {what}: {last}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an API server: make test-k8s"]
async fn algorithms_begin_once_and_end_as_they_should_however_often_their_controller_is_killed() {
    let site = Arc::new(Site::open().await);
    site.set(Conditions { max_jobs: 8, ..Conditions::default() }).await;
    let store = site.replica("a", ArchiveOptions::default()).await;
    let mut jobs = Vec::new();
    for number in 0..30 {
        let ending = Ending::ALL[usize::try_from(number % 5).expect("a number")];
        let job = submit(&store, number, ending).await;
        jobs.push((job, ending));
        if ending == Ending::Stopped {
            tokio::spawn(stop_when_it_runs(Arc::clone(&site), Arc::clone(&store), job));
        }
    }
    let mut kills = 0;
    loop {
        let controller = site.controller().await;
        // From before its first request to after several phases, for which a slow machine needs longer.
        tokio::time::sleep(Duration::from_millis(shuffled(kills) % (900 + (10 * kills).min(2000)))).await;
        controller.abort();
        let _ = controller.await;
        kills += 1;
        let mut left = 0;
        for (job, _) in &jobs {
            left += usize::from(!store.status(*job).await.expect("a status").phase.has_ended());
        }
        if left == 0 {
            break;
        }
        assert!(kills < 1000, "{left} jobs have not ended after {kills} kills");
    }
    let controller = site.controller().await;
    for (job, ending) in &jobs {
        ended_as_it_should(&site, &store, *job, *ending).await;
    }
    nothing_is_left(&site).await;
    on_record_once(&store, &jobs).await;
    // What is removed leaves nothing but its receipt.
    let mut removed = Vec::new();
    for (job, _) in jobs.iter().step_by(2) {
        let record = cloister_testkit::event(AuditAction::JobRemoved, now());
        store.remove(*job, record).await.expect("removed");
        eventually("what is stored of a removed job goes", async || {
            if site.stored(&job.to_string()).exists() { Err(job.to_string()) } else { Ok(()) }
        })
        .await;
        assert!(store.receipt(*job).await.expect("asked").is_some(), "{job}");
        removed.push(job.to_string());
    }
    let secrets: Api<Secret> = Api::namespaced(site.room.client(), &site.room.cluster.namespaces().jobs);
    eventually("the Secrets of removed jobs go", async || {
        let found = secrets.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let of_removed = |secret: &&Secret| removed.iter().any(|job| secret.name_any().starts_with(job.as_str()));
        let left = found.items.iter().filter(of_removed).count();
        if left == 0 { Ok(()) } else { Err(format!("{left} Secrets")) }
    })
    .await;
    controller.abort();
}

async fn ended_as_it_should(site: &Site, store: &ClusterStore, job: JobId, ending: Ending) {
    let status = store.status(job).await.expect("a status");
    assert_eq!(status.phase, ending.phase(), "{ending:?}: {status:?}");
    let running = status.history.iter().filter(|step| step.phase == Phase::Running).count();
    let begun = site.node.ends(&format!("{job}-a")).iter().filter(|code| **code != CLAIM_TAKEN).count();
    assert_eq!((running, begun), (1, 1), "{ending:?}: {status:?}");
    let all = ByteRange { offset: 0, at_most: 1 << 20 };
    let log = store.log(job, LogScope::Kept, all).await.expect("a log");
    assert_eq!((log.bytes.as_slice(), log.ended), (b"a,b\n".as_slice(), true), "{ending:?} {job}");
    // The pod of a run that is stopped goes with what it said, and with it the digest of its report, unless a controller saw it.
    let report = store.report(job).await.expect("asked");
    assert!(report.is_some() || ending == Ending::Stopped, "{ending:?} {job} has no report");
    assert!(store.receipt(job).await.expect("asked").is_some(), "{ending:?} {job} has no receipt");
}

/// Waits until no pod and no volume of a job is left.
async fn nothing_is_left(site: &Site) {
    let namespace = &site.room.cluster.namespaces().jobs;
    let pods: Api<Pod> = Api::namespaced(site.room.client(), namespace);
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(site.room.client(), namespace);
    eventually("pods and volumes of ended jobs go", async || {
        let listed = |error: kube::Error| error.to_string();
        let pods = pods.list(&ListParams::default()).await.map_err(listed)?.items.len();
        let claims = claims.list(&ListParams::default()).await.map_err(listed)?.items;
        let claims = claims.iter().filter(|claim| claim.name_any().ends_with("-data")).count();
        match (pods, claims, site.node.volumes()) {
            (0, 0, 0) => Ok(()),
            left => Err(format!("pods, claims, volumes: {left:?}")),
        }
    })
    .await;
}

/// What was released, and what was refused, is on record once, and the chain holds.
async fn on_record_once(store: &ClusterStore, jobs: &[(JobId, Ending)]) {
    eventually("everything is on record", async || {
        let (mut found, mut last, mut after) = (BTreeMap::<(String, AuditAction), usize>::new(), None, 0);
        loop {
            let records = store.records(after, 100).await.map_err(|error| error.to_string())?;
            let Some(end) = records.last() else { break };
            after = end.sequence;
            for record in &records {
                record.verify(last).expect("a chain");
                last = Some((record.sequence, record.hash));
                *found.entry((record.event.subject.clone(), record.event.action)).or_default() += 1;
            }
        }
        for (job, ending) in jobs {
            for (action, expected) in [
                (AuditAction::Released, *ending == Ending::Finished),
                (AuditAction::ReleaseRefused, *ending == Ending::Refused),
            ] {
                let times = found.get(&(job.to_string(), action)).copied().unwrap_or_default();
                assert!(times <= usize::from(expected), "{ending:?} {job}: {action:?} {times} times");
                if times != usize::from(expected) {
                    return Err(format!("{ending:?} {job}: {action:?} is not on record"));
                }
            }
        }
        Ok(())
    })
    .await;
}
