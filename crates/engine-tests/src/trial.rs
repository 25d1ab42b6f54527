use crate::{Conditions, Fixture};
use cloister_model::{
    AuditAction, AuditEvent, AuditRecord, Backend, ByteRange, Claim, JobId, JobQuery, JobSource, JobSpec, JobStatus,
    LogScope, Phase, ResultSet, Seen, Sha256, Timestamp,
};
use cloister_testkit::{OWNER, SourceServer, account, uploaded, url};
use serde_json::json;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A whole file, as far as tests write any.
pub const ALL: ByteRange = ByteRange { offset: 0, at_most: 1 << 20 };

/// The longest that anything may take. It ends a test that hangs; it does not measure an engine.
const PATIENCE: Duration = Duration::from_secs(300);

/// The pause between two looks at something of which the ports announce no change.
const PAUSE: Duration = Duration::from_millis(20);

/// The engine of one case, and what cases do with it again and again.
pub struct Trial {
    fixture: Box<dyn Fixture>,
    conditions: Conditions,
    engine: Option<Arc<dyn Backend>>,
    numbers: AtomicU64,
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial").field("conditions", &self.conditions).finish_non_exhaustive()
    }
}

impl Trial {
    /// Opens the engine of a fixture.
    pub async fn start(fixture: impl Fixture + 'static) -> Self {
        let (conditions, numbers) = (Conditions::default(), AtomicU64::new(1));
        let mut trial = Self { fixture: Box::new(fixture), conditions, engine: None, numbers };
        trial.restart().await;
        trial
    }

    /// Ends the engine and opens it on the same store, set up as before.
    pub async fn restart(&mut self) {
        self.reopen(self.conditions).await;
    }

    /// Ends the engine and opens it on the same store, set up in another way.
    pub async fn reopen(&mut self, conditions: Conditions) {
        self.engine = None;
        self.conditions = conditions;
        self.engine = Some(within("the engine opens", self.fixture.open(conditions)).await);
    }

    /// From now on, jobs stay in their queue.
    pub async fn start_no_jobs(&mut self) {
        self.reopen(Conditions { max_jobs: 0, ..self.conditions }).await;
    }

    /// The engine.
    ///
    /// # Panics
    /// If it could not be opened.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn Backend> {
        self.engine.as_ref().expect("an open engine")
    }

    /// Every process of the engine.
    #[must_use]
    pub fn processes(&self) -> Vec<Arc<dyn Backend>> {
        std::iter::once(Arc::clone(self.engine())).chain(self.fixture.replica()).collect()
    }

    /// The present time on the engine's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.fixture.now()
    }

    /// A number that this trial has not used.
    pub fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// An event that differs from every other of this trial.
    pub fn event(&self, action: AuditAction) -> AuditEvent {
        let detail = json!({ "number": self.number() }).to_string();
        AuditEvent { detail, ..cloister_testkit::event(action, self.now()) }
    }

    /// Everything on record.
    pub async fn records(&self) -> Vec<AuditRecord> {
        let mut records: Vec<AuditRecord> = Vec::new();
        loop {
            let after = records.last().map_or(0, |record| record.sequence);
            let page = self.engine().records(after, 100).await.expect("records");
            assert!(page.len() <= 100, "more records than were asked for");
            if page.is_empty() {
                return records;
            }
            records.extend(page);
        }
    }

    /// How often exactly this event is on record.
    pub async fn recorded(&self, event: &AuditEvent) -> usize {
        self.records().await.iter().filter(|record| record.event == *event).count()
    }

    /// Uploads a file for [`OWNER`].
    pub async fn upload(&self, bytes: &[u8]) -> Sha256 {
        let engine = self.engine();
        let upload = engine.begin_upload().await.expect("an upload begins");
        engine.append_upload(upload, bytes.to_vec()).await.expect("bytes are appended");
        engine
            .finish_upload(upload, account(OWNER), self.now(), (1 << 30).into())
            .await
            .expect("an upload ends")
            .file
            .sha256
    }

    /// Uploads a program.
    pub async fn upload_guest(&self, guest: &str) -> Sha256 {
        self.upload(&wat::parse_str(guest).expect("WebAssembly text")).await
    }

    /// A job that was never submitted, allowed just now, whose algorithm cannot run: for cases in which it need not.
    pub fn idle_job(&self) -> JobSpec {
        let environment = self.fixture.environment().parse().expect("the name of an environment");
        JobSpec { environment, ..cloister_testkit::job(self.number(), self.now()) }
    }

    /// A job that runs this guest.
    pub async fn job(&self, guest: &str) -> JobSpec {
        let source = uploaded(self.upload_guest(guest).await);
        let mut job = self.idle_job();
        job.algorithm.source = source;
        job
    }

    /// A job that runs this guest, and whose outputs wait for a reviewer.
    pub async fn job_for_review(&self, guest: &str) -> JobSpec {
        let mut job = self.job(guest).await;
        job.terms.release.review = true;
        job
    }

    /// The source `path` of a server.
    pub fn source(&self, server: &SourceServer, path: &str) -> JobSource {
        url(&format!("{}{path}", self.fixture.origin(server.address())))
    }

    /// Publishes the dataset of [`recorded_dataset`](cloister_testkit::recorded_dataset), so that jobs on it may run.
    pub async fn publish(&self, did: &str, publisher: &str) {
        let asset = cloister_testkit::dataset(did, publisher, did);
        if self.engine().asset(asset.ddo.id().clone()).await.expect("an answer").is_none() {
            let event = self.event(AuditAction::AssetPublished);
            self.engine().put_asset(asset, u64::MAX, event).await.expect("the asset is stored");
        }
    }

    /// Submits a job.
    pub async fn submit(&self, job: &JobSpec) -> JobStatus {
        self.submit_with(job, Vec::new()).await
    }

    /// Submits a job with claims.
    pub async fn submit_with(&self, job: &JobSpec, claims: Vec<Claim>) -> JobStatus {
        let event = self.event(AuditAction::JobAllowed);
        self.engine().submit(job.clone(), claims, event).await.expect("the job is taken in")
    }

    /// Asks for a job to be stopped.
    pub async fn stop(&self, job: JobId) -> JobStatus {
        self.engine().stop(job, self.event(AuditAction::JobStopped)).await.expect("the request is taken")
    }

    /// Stops a job and follows it to its end.
    pub async fn stop_to_the_end(&self, job: JobId) -> JobStatus {
        self.stop(job).await;
        self.ended(job).await
    }

    /// The status of a job.
    pub async fn status(&self, job: JobId) -> JobStatus {
        self.engine().status(job).await.expect("a status")
    }

    /// Follows a job until its status is as wanted.
    ///
    /// # Panics
    /// If the job ends otherwise.
    pub async fn until(&self, job: JobId, what: &str, wanted: impl Fn(&JobStatus) -> bool) -> JobStatus {
        let follow = async {
            let mut seen = Seen::default();
            loop {
                let status = self.engine().wait(job, seen).await.expect("a status");
                if wanted(&status) {
                    return status;
                }
                assert!(!status.phase.has_ended(), "never `{what}`: it ended as {status:?}");
                seen = status.seen();
            }
        };
        within(what, follow).await
    }

    /// Follows a job until it is in this phase.
    pub async fn until_phase(&self, job: JobId, phase: Phase) -> JobStatus {
        self.until(job, phase.text(), |status| status.phase == phase).await
    }

    /// Follows a job to its end.
    pub async fn ended(&self, job: JobId) -> JobStatus {
        self.until(job, "an end", |status| status.phase.has_ended()).await
    }

    /// Submits a job and follows it to its end.
    pub async fn run(&self, job: &JobSpec) -> JobStatus {
        self.submit(job).await;
        self.ended(job.id).await
    }

    /// The jobs of a query, by id.
    pub async fn listed(&self, query: JobQuery) -> Vec<JobId> {
        self.engine().list(query).await.expect("a list").iter().map(|status| status.id).collect()
    }

    /// All jobs, by id.
    pub async fn all_jobs(&self) -> Vec<JobId> {
        self.listed(JobQuery { at_most: 1000, ..JobQuery::default() }).await
    }

    /// The log of a job as text.
    pub async fn log(&self, job: JobId) -> String {
        String::from_utf8(self.engine().log(job, LogScope::Readable, ALL).await.expect("a log").bytes).expect("text")
    }

    /// Names and texts of the files of one set, each read to its end.
    pub async fn files(&self, job: JobId, set: ResultSet) -> Vec<(String, String)> {
        let mut files = Vec::new();
        for (index, file) in (0..).zip(self.engine().results(job, set).await.expect("results")) {
            let bytes = self.engine().read_result(job, set, index, ALL).await.expect("a file");
            assert_eq!((bytes.len() as u64, digest(&bytes)), (file.bytes, file.sha256), "{}", file.name);
            files.push((file.name, String::from_utf8(bytes).expect("text")));
        }
        files
    }

    /// Waits until the condition holds, of whose change the ports say nothing.
    pub async fn eventually(&self, what: &str, holds: impl AsyncFn() -> bool) {
        within(what, async {
            while !holds().await {
                tokio::time::sleep(PAUSE).await;
            }
        })
        .await;
    }
}

/// Waits for a future, and fails if it hangs.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => unreachable!("never: {what}"),
    }
}

/// The one-line reason of an ended job.
pub(crate) fn reason(status: &JobStatus) -> &str {
    status.reason.as_ref().map_or("", |reason| reason.text())
}

pub(crate) fn digest(bytes: &[u8]) -> Sha256 {
    Sha256::of(bytes)
}
