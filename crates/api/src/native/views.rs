use super::schemas::{FaultSchema, PhaseSchema, ResultKindSchema, RuleSchema};
use crate::date;
use cloister_model::{
    Denial, DenialRule, Did, Fault, JobParameters, JobStatus, Phase, ResultFile, ResultKind, StoreWait, Terms, escape,
};
use cloister_service::{AGREEMENT, ALGORITHM, ENVIRONMENT, OWNER, datasets_of, label_of};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// The `cursor` of the next page; null at the end.
    pub(super) next: Option<String>,
}

/// A complete list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
}

/// How a job is doing.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job)]
pub(super) struct JobView {
    /// 32 hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{32}$")]
    id: String,
    /// Where it is.
    #[schema(value_type = PhaseSchema)]
    phase: Phase,
    /// The same as a number, in Ocean's numbers.
    code: u16,
    /// The same as a text.
    phase_text: &'static str,
    /// Why it ended.
    reason: Option<ReasonView>,
    /// Its log, if it has ended and the rules of its datasets keep the log from its consumer.
    withheld_log: Option<WithheldLogView>,
    /// When it was allowed.
    #[schema(format = DateTime)]
    created: String,
    /// When it entered its phase.
    #[schema(format = DateTime)]
    changed: String,
    #[schema(format = DateTime)]
    ended: Option<String>,
    /// When it was asked to stop.
    #[schema(format = DateTime)]
    stop_requested: Option<String>,
    /// When its results are deleted.
    #[schema(format = DateTime)]
    expires: Option<String>,
    /// Grows with every change.
    revision: u64,
    progress: Option<ProgressView>,
    /// Present while its results wait for a result store that does not answer or refuses them. They are kept.
    store_wait: Option<StoreWaitView>,
    /// Every phase that it has entered.
    history: Vec<StepView>,
    /// The account that submitted it.
    owner: Option<String>,
    /// What its owner calls it.
    label: Option<String>,
    /// Where it runs.
    environment: Option<String>,
    /// Its datasets, sorted.
    datasets: Vec<String>,
    algorithm: AlgorithmView,
    /// Ocean's agreement, if it came through Ocean's API.
    agreement_id: Option<String>,
}

/// Why a job ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reason)]
pub(super) struct ReasonView {
    text: String,
    #[schema(value_type = FaultSchema)]
    fault: Fault,
}

/// A log that the rules of datasets keep from the consumer. Their publishers can read it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WithheldLog)]
pub(super) struct WithheldLogView {
    /// The datasets whose rules withhold it.
    by: Vec<String>,
    /// Those of them whose publisher has not released it yet.
    missing: Vec<String>,
    /// When the last of their publishers released it; null: the consumer may not read it.
    #[schema(format = DateTime)]
    released: Option<String>,
    /// The same as a text, with what can be done.
    text: String,
}

/// How many bytes of its inputs are fetched.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Progress)]
pub(super) struct ProgressView {
    done_bytes: u64,
    total_bytes: Option<u64>,
}

/// The wait for a result store that does not answer or refuses results.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StoreWait)]
pub(super) struct StoreWaitView {
    /// When the first attempt failed.
    #[schema(format = DateTime)]
    since: String,
    /// How many attempts have failed.
    failures: u32,
    /// When the next attempt begins, unless an earlier one is requested.
    #[schema(format = DateTime)]
    next: String,
    /// When the job ends without results, if the store has not taken the results by then.
    #[schema(format = DateTime)]
    until: String,
    /// Why the last attempt failed, and what can be done.
    why: String,
}

/// A phase that a job has entered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub(super) struct StepView {
    #[schema(value_type = PhaseSchema)]
    phase: Phase,
    #[schema(format = DateTime)]
    at: String,
}

/// What a job runs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobAlgorithm)]
pub(super) struct AlgorithmView {
    /// Its DID, if it is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    did: Option<String>,
    /// Whether the job brought it.
    raw: bool,
}

impl From<&JobStatus> for JobView {
    fn from(status: &JobStatus) -> Self {
        let JobStatus {
            id,
            labels,
            phase,
            reason,
            detail: _,
            created,
            changed,
            ended,
            stop_requested,
            expires,
            review: _,
            withheld_log,
            revision,
            progress,
            store_wait,
            history,
        } = status;
        let did = labels.get(ALGORITHM).and_then(|id| id.parse::<Did>().ok()).map(|did| did.to_string());
        Self {
            id: id.to_string(),
            phase: *phase,
            code: phase.code(),
            phase_text: phase.text(),
            reason: reason.as_ref().map(|reason| ReasonView { text: reason.text().to_owned(), fault: reason.fault() }),
            withheld_log: withheld_log.as_ref().map(|log| WithheldLogView {
                by: log.by.iter().map(ToString::to_string).collect(),
                missing: log.missing.iter().map(ToString::to_string).collect(),
                released: log.released().map(date::write),
                text: log.to_string(),
            }),
            created: date::write(*created),
            changed: date::write(*changed),
            ended: ended.map(date::write),
            stop_requested: stop_requested.map(date::write),
            expires: expires.map(date::write),
            revision: *revision,
            progress: progress
                .map(|progress| ProgressView { done_bytes: progress.done_bytes, total_bytes: progress.total_bytes }),
            store_wait: store_wait.as_ref().map(|StoreWait { since, failures, next, until, why }| StoreWaitView {
                since: date::write(*since),
                failures: *failures,
                next: date::write(*next),
                until: date::write(*until),
                why: why.clone(),
            }),
            history: history.iter().map(|step| StepView { phase: step.phase, at: date::write(step.at) }).collect(),
            owner: labels.get(OWNER).map(str::to_owned),
            label: label_of(labels).map(|label| label.to_string()),
            environment: labels.get(ENVIRONMENT).map(str::to_owned),
            datasets: datasets_of(labels).iter().map(ToString::to_string).collect(),
            algorithm: AlgorithmView { raw: did.is_none(), did },
            agreement_id: labels.get(AGREEMENT).map(str::to_owned),
        }
    }
}

/// What the consumer of a job gives its algorithm in addition to the data.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobParameters)]
pub(super) struct ParametersView {
    /// What it finds in `algoCustomData.json`.
    #[schema(value_type = Object)]
    values: Value,
    /// The arguments of its program.
    arguments: Vec<String>,
    /// What its program reads as its standard input, as an entrypoint says it: `< PATH` or `<<< TEXT`; null if nothing.
    stdin: Option<String>,
}

impl From<JobParameters> for ParametersView {
    fn from(JobParameters { values, arguments, stdin }: JobParameters) -> Self {
        let values = values.map_or_else(|| serde_json::json!({}), |values| values.expose().clone());
        Self { values, arguments, stdin: stdin.map(|stdin| stdin.to_string()) }
    }
}

/// A file of a job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Result)]
pub(super) struct ResultView {
    /// Its place in the list.
    index: usize,
    /// Its path below `/data/outputs`, or a log's name; made safe to show.
    name: String,
    #[schema(value_type = ResultKindSchema)]
    kind: ResultKind,
    bytes: u64,
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: String,
}

impl ResultView {
    pub(super) fn list(files: &[ResultFile]) -> List<Self> {
        let view = |(index, file): (usize, &ResultFile)| Self {
            index,
            name: escape(file.name.as_bytes(), 4096).to_string(),
            kind: file.kind,
            bytes: file.bytes,
            sha256: file.sha256.to_string(),
        };
        List { items: files.iter().enumerate().map(view).collect() }
    }
}

/// A rule that refuses a job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rule)]
pub(super) struct RuleView {
    #[schema(value_type = RuleSchema)]
    rule: DenialRule,
    /// The asset whose rule it is; null if it is about the job as a whole.
    subject: Option<String>,
    /// What is wrong.
    text: &'static str,
    /// What to do about it.
    advice: &'static str,
}

impl From<&Denial> for RuleView {
    fn from(denial: &Denial) -> Self {
        let Denial { rule, subject } = denial;
        Self {
            rule: *rule,
            subject: subject.as_ref().map(ToString::to_string),
            text: rule.describe(),
            advice: rule.advice(),
        }
    }
}

/// What a job is allowed, as its consumer may see it: not which checksums a publisher trusts.
pub(super) fn terms(terms: &Terms) -> Value {
    serde_json::json!({
        "admitted": terms.admitted.iter().map(|dataset| serde_json::json!({
            "did": dataset.did, "service": dataset.service, "by": dataset.by
        })).collect::<Vec<_>>(),
        "outputContract": terms.output_contract,
        "releaseRules": terms.release,
        "runtime": terms.runtime,
        "profile": terms.profile,
        // No algorithm has one. Clients may read the field.
        "network": false,
    })
}
