use super::{ComputeJobStatus, Moment, Order, OrderError, schema, status::StatusFormError};
use cloister_lifecycle::with_release;
use cloister_model::{Approval, JobId, JobSpec, JobStatus, Labels, LogRelease, Phase, Review};
use kube::{CustomResource, KubeSchema, ResourceExt as _};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// One run of one algorithm, as the service allowed it. Only the service creates one; people create a `JobRequest`.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "cloister.dev",
    version = "v1alpha1",
    kind = "ComputeJob",
    namespaced,
    status = "ComputeJobStatus",
    derive = "PartialEq",
    shortname = "cj",
    category = "cloister",
    doc = "One run of one algorithm on datasets that must not leave. The service creates it; people create a JobRequest.",
    selectable = ".spec.order.environment",
    selectable = ".status.phase",
    selectable = ".status.over",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Code", type_ = "integer", json_path = ".status.code"),
    printcolumn(name = "Ahead", type_ = "integer", json_path = ".status.queueAhead"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.reason.text"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Node", type_ = "string", json_path = ".status.node", priority = 1),
    printcolumn(name = "Environment", type_ = "string", json_path = ".spec.order.environment", priority = 1),
    printcolumn(name = "Algorithm", type_ = "string", json_path = ".spec.order.algorithm.did", priority = 1),
    printcolumn(name = "Ended", type_ = "date", json_path = ".status.ended", priority = 1),
    validation = Rule::new("self.metadata.name.matches('^[0-9a-f]{32}$')")
        .message("the name of a ComputeJob is the id of a job, 32 lower-case hexadecimal digits; create a JobRequest instead"),
    validation = Rule::new(
        "!has(self.spec.review) || has(oldSelf.spec.review) || (has(self.status) && self.status.phase == 'InReview')"
    ).message("a job can be reviewed only while its phase is InReview; status.phase says where it is"),
    validation = Rule::new(
        "!has(self.spec.firstApproval) || has(oldSelf.spec.firstApproval) || (has(self.status) && self.status.phase == 'InReview')"
    ).message("a job can be approved only while its phase is InReview; status.phase says where it is")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(oldSelf.stop) || (has(self.stop) && self.stop == oldSelf.stop)")
        .message("a request to stop is set once, and stays"),
    validation = Rule::new("!has(oldSelf.publish) || (has(self.publish) && self.publish.attempt >= oldSelf.publish.attempt)")
        .message("a request to publish stays until there is a later one"),
    validation = Rule::new("!has(oldSelf.review) || (has(self.review) && self.review == oldSelf.review)")
        .message("a review is decided once, and stays"),
    validation = Rule::new(
        "!has(oldSelf.firstApproval) || (has(self.firstApproval) && self.firstApproval == oldSelf.firstApproval)"
    ).message("a job is approved first once, and stays so"),
    validation = Rule::new(
        "!has(oldSelf.logReleases) || (has(self.logReleases) && oldSelf.logReleases.all(old, old in self.logReleases))"
    ).message("a publisher releases a log once, and it stays released"),
    validation = Rule::new("!has(oldSelf.removal) || (has(self.removal) && self.removal == oldSelf.removal)")
        .message("a removal is asked for once, and stays"),
    validation = Rule::new(
        "!has(oldSelf.registration) || (has(self.registration) && self.registration == oldSelf.registration)"
    ).message("the results of a job are registered once, and stay so")
)]
pub struct ComputeJobSpec {
    /// What was allowed. It never changes.
    #[x_kube(validation = Rule::new("self == oldSelf").message("an order never changes; submit another job"))]
    pub order: Order,
    /// A request to stop the job. Absent if there was no request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopRequest>,
    /// A request to store the results at once that wait for the result store. Absent if there was no request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<PublishRequest>,
    /// A reviewer's decision. Absent until there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewDecision>,
    /// The first of two approvals. Absent until there is one, and where one approval is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_approval: Option<FirstApproval>,
    /// The decisions of publishers to let the consumer read a withheld log, one of each at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub log_releases: Vec<LogDecision>,
    /// Says that the job was removed. The object is deleted soon, and the service treats the job as gone already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removal: Option<Removal>,
    /// The outcome of registering the results as a dataset. Absent if this was not tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
}

impl ComputeJobSpec {
    /// A job as it is submitted: without requests and decisions.
    pub(crate) fn of(order: Order) -> Self {
        Self {
            order,
            stop: None,
            publish: None,
            review: None,
            first_approval: None,
            log_releases: Vec::new(),
            removal: None,
            registration: None,
        }
    }
}

/// A request to stop a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct StopRequest {
    /// When the stop was requested.
    pub at: Moment,
    /// The account that requested it.
    #[schemars(schema_with = "schema::account")]
    pub by: String,
}

/// A request to store results at once that wait for the result store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct PublishRequest {
    /// When this was requested.
    pub at: Moment,
    /// The account that requested it.
    #[schemars(schema_with = "schema::account")]
    pub by: String,
    /// The attempt of publishing that is to begin at once. It is the current one of `status.attempts`.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub attempt: u32,
}

/// A reviewer's decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct ReviewDecision {
    /// The decision.
    pub verdict: Verdict,
    /// The reason, which the consumer can read. Absent if none was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5000))]
    pub reason: Option<String>,
    /// The account that decided.
    #[schemars(schema_with = "schema::account")]
    pub by: String,
    /// When it decided.
    pub at: Moment,
}

/// The first of two approvals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct FirstApproval {
    /// The account that approved.
    #[schemars(schema_with = "schema::account")]
    pub by: String,
    /// When it approved.
    pub at: Moment,
}

impl FirstApproval {
    /// As the ports show it.
    ///
    /// # Errors
    /// [`StatusFormError::Account`].
    pub fn read(&self, job: JobId) -> Result<Approval, StatusFormError> {
        let by = self.by.parse().map_err(|_| StatusFormError::Account(job))?;
        Ok(Approval { by, at: self.at.timestamp() })
    }
}

/// What a reviewer decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline)]
pub enum Verdict {
    /// The outputs may leave.
    Approve,
    /// They may not.
    Refuse,
}

/// The release of a withheld log by one publisher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct LogDecision {
    /// The account that released the log.
    #[schemars(schema_with = "schema::account")]
    pub by: String,
    /// When it released the log.
    pub at: Moment,
}

/// That a job was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Removal {
    /// When the job was removed.
    pub at: Moment,
    /// The account that removed it.
    #[schemars(schema_with = "schema::account")]
    pub by: String,
}

/// What came of registering the results of a job as a dataset: the service does it, because the document of an asset is a Secret,
/// and the controller may read none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Registration {
    /// When the service tried it.
    pub at: Moment,
    /// Whether the dataset exists. False if another dataset has its name.
    pub registered: bool,
}

impl ComputeJob {
    /// Which job it is.
    ///
    /// # Errors
    /// If its name is not the id of a job.
    pub fn id(&self) -> Result<JobId, OrderError> {
        self.name_any()
            .parse()
            .map_err(|_| OrderError::Name(cloister_model::escape(self.name_any().as_bytes(), 64).to_string()))
    }

    /// The job without its secrets: no source, no parameter, no code, no DDO.
    ///
    /// # Errors
    /// [`OrderError`].
    pub fn job(&self) -> Result<JobSpec, OrderError> {
        self.spec.order.job(self.id()?)
    }

    /// How the job is doing. A job that the controller has not seen is queued. A request to stop or to publish and a decision of a
    /// reviewer count from the moment when they are stored.
    ///
    /// # Errors
    /// If the order or the status cannot be read.
    pub fn status(&self) -> Result<JobStatus, StatusFormError> {
        let (id, order) = (self.id()?, self.spec.order.read()?);
        let labels: Labels = order.labels().clone();
        let created = order.created();
        let mut status = match &self.status {
            None => JobStatus::queued(id, labels, created),
            Some(stored) => stored.status(id, labels, created)?,
        };
        if status.stop_requested.is_none() {
            status.stop_requested = self.spec.stop.as_ref().map(|stop| stop.at.timestamp());
        }
        if let (Some(wait), Some(asked)) = (&mut status.store_wait, &self.spec.publish)
            && asked.attempt >= self.publishing_attempt()
        {
            wait.next = wait.next.min(asked.at.timestamp());
        }
        if status.phase == Phase::InReview {
            let first = self.spec.first_approval.as_ref().map(|first| first.read(id)).transpose()?;
            status.review = match &self.spec.review {
                Some(ReviewDecision { verdict, reason: _, by, at }) => {
                    let by = by.parse().map_err(|_| StatusFormError::Account(id))?;
                    Some(Review { approved: *verdict == Verdict::Approve, by, at: at.timestamp(), first })
                }
                None => first.map(|Approval { by, at }| Review { approved: true, by, at, first: None }),
            };
        }
        if !self.spec.log_releases.is_empty()
            && let Some(mut log) = status.withheld_log.take()
        {
            let record = self.spec.order.job(id)?.record;
            for LogDecision { by, at } in &self.spec.log_releases {
                let by = by.parse().map_err(|_| StatusFormError::Account(id))?;
                log = with_release(&record, log, LogRelease { by, at: at.timestamp() });
            }
            status.withheld_log = Some(log);
        }
        status.revision = digest(&status);
        Ok(status)
    }

    /// Which attempt of publishing is the present one, or comes next.
    pub(crate) fn publishing_attempt(&self) -> u32 {
        self.status.as_ref().map_or(0, |status| status.attempts.publishing)
    }

    /// The phase, if it is known.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.status.as_ref().map_or(Phase::Queued, |status| status.phase)
    }
}

/// A number that differs where what a follower sees differs. The version of the object would differ more often: with every
/// event that was put on record, and with every number that the controller notes for itself.
fn digest(status: &JobStatus) -> u64 {
    let unnumbered = JobStatus { revision: 0, ..status.clone() };
    let text = serde_json::to_vec(&unnumbered).unwrap_or_default();
    let digest: [u8; 32] = sha2::Sha256::digest(text).into();
    // JSON numbers that every client reads exactly.
    digest.iter().take(6).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
