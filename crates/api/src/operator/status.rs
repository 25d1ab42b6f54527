//! A job in Ocean's form.

use cloister_model::{Did, JobStatus, Phase, ResultFile, ResultKind, escape};
use cloister_service::{AGREEMENT, ALGORITHM, OWNER, OWNER_AS_SENT};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The status of a job that was stopped or that waited too long. Old clients know no number above 70, and take 70 for
/// success. Ocean documents 7 as "Job stopped" and never sends it. A job that waited too long has `stopreq` 2 beside it,
/// which is Ocean's mark of a time limit. Every other phase keeps its own number; all of these are below 70 but success.
const STOPPED: u16 = 7;

/// One element of the answer to `GET /compute`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusBody {
    #[serde(flatten)]
    job: JobBody,
    /// Unix time in seconds, as text; null while it has not ended.
    date_finished: Option<String>,
    /// `""` until there are any, then a list of `{filename, filesize, type}`. A result's place in it is its index.
    #[schema(value_type = Object)]
    results: Value,
    /// 1: it was asked to stop. 2: it met a time limit outside its run.
    stopreq: u8,
    /// Always 0: a removed job is not listed.
    removed: u8,
    /// Not Ocean's: why a job ended other than well, and who withholds its log.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// One element of the answer to `GET /runningjobs`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct RunningBody {
    #[serde(flatten)]
    pub(super) job: JobBody,
    /// The environment it runs in.
    pub(super) namespace: String,
}

/// What both tell.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobBody {
    agreement_id: String,
    job_id: String,
    owner: String,
    status: u16,
    status_text: &'static str,
    date_created: String,
    #[serde(rename = "algoDID")]
    algo_did: String,
    #[serde(rename = "inputDID")]
    input_did: Vec<String>,
}

impl JobBody {
    /// `inputs` in the order of the workflow.
    pub(super) fn new(job: &JobStatus, inputs: &[Did]) -> Self {
        let label = |name| job.labels.get(name).unwrap_or_default().to_owned();
        Self {
            agreement_id: label(AGREEMENT),
            job_id: job.id.to_string(),
            owner: job.labels.get(OWNER_AS_SENT).or(job.labels.get(OWNER)).unwrap_or_default().to_owned(),
            status: code(job.phase),
            status_text: job.phase.text(),
            date_created: job.created.to_string(),
            algo_did: job.labels.get(ALGORITHM).map(|id| format!("did:op:{id}")).unwrap_or_default(),
            input_did: inputs.iter().map(ToString::to_string).collect(),
        }
    }
}

impl StatusBody {
    /// `results` as they can be read; empty until there are some.
    pub(super) fn new(job: &JobStatus, inputs: &[Did], results: &[ListedResult]) -> Self {
        let published = job.phase == Phase::Finished || !results.is_empty();
        Self {
            job: JobBody::new(job, inputs),
            date_finished: job.ended.map(|at| at.to_string()),
            // An empty text is what Ocean sends for "not yet".
            results: if published { results.iter().map(result).collect() } else { json!("") },
            stopreq: match job.phase {
                Phase::Expired => 2,
                _ => u8::from(job.stop_requested.is_some()),
            },
            removed: 0,
            reason: reason(job),
        }
    }
}

/// What Ocean's clients are told of the end of a job that did not go well.
fn reason(job: &JobStatus) -> Option<String> {
    let reason = job.reason.as_ref().filter(|_| !job.phase.is_success())?.text();
    let withheld = job.withheld_log.as_ref().filter(|log| log.released().is_none());
    Some(withheld.map_or_else(|| reason.to_owned(), |log| format!("{reason}; {log}")))
}

/// A file in the list of results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedResult {
    /// A stranger's text.
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) kind: ResultKind,
}

impl From<&ResultFile> for ListedResult {
    fn from(file: &ResultFile) -> Self {
        Self { name: file.name.clone(), bytes: file.bytes, kind: file.kind }
    }
}

fn result(file: &ListedResult) -> Value {
    json!({"filename": escape(file.name.as_bytes(), 255).to_string(), "filesize": file.bytes, "type": file.kind})
}

fn code(phase: Phase) -> u16 {
    match phase {
        Phase::Stopped | Phase::Expired => STOPPED,
        other => other.code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{Event, Fault, JobId, Labels, LogRelease, Reason, Timestamp, WithheldLog};

    fn job(events: &[Event]) -> JobStatus {
        let labels = [("owner", "0xab"), (OWNER_AS_SENT, "0xAB"), (AGREEMENT, "0x28"), ("algorithm", "e4d8")];
        let labels = labels.iter().try_fold(Labels::new(), |all, (name, value)| all.with(name, value)).expect("labels");
        let queued = JobStatus::queued(JobId::from_bytes([1; 16]), labels, Timestamp::from_unix_ms(1_795_363_289_821));
        events.iter().fold(queued, |job, event| {
            let reason = Reason::new("limit", Fault::Algorithm);
            job.after(*event, Timestamp::from_unix_ms(1_795_363_311_020), Some(reason)).expect("a step")
        })
    }

    const RUN: [Event; 4] = [Event::Accept, Event::Configure, Event::Provisioned, Event::Run];

    fn body(job: &JobStatus, results: &[ListedResult]) -> Value {
        serde_json::to_value(StatusBody::new(job, &["did:op:5b1f".parse().expect("a DID")], results)).expect("json")
    }

    #[test]
    fn a_finished_job_looks_as_oceans_do() {
        let finished = job(&[RUN.as_slice(), &[Event::Succeeded, Event::Passed, Event::Published]].concat());
        let file = |name: &str, kind, bytes| ListedResult { name: name.to_owned(), kind, bytes };
        let results =
            [file("result.json", ResultKind::Output, 8), file("algorithm.log", ResultKind::AlgorithmLog, 210)];
        assert_eq!(
            body(&finished, &results),
            json!({
                "agreementId": "0x28", "jobId": "01".repeat(16), "owner": "0xAB", "status": 70,
                "statusText": "Job finished", "dateCreated": "1795363289.821", "dateFinished": "1795363311.020",
                "results": [
                    {"filename": "result.json", "filesize": 8, "type": "output"},
                    {"filename": "algorithm.log", "filesize": 210, "type": "algorithmLog"}
                ],
                "stopreq": 0, "removed": 0, "algoDID": "did:op:e4d8", "inputDID": ["did:op:5b1f"]
            })
        );
    }

    #[test]
    fn a_job_on_its_way_has_no_results_and_no_end() {
        let queued = body(&job(&[]), &[]);
        assert_eq!(
            (&queued["status"], &queued["statusText"], &queued["results"]),
            (&json!(1), &json!("Warming up"), &json!(""))
        );
        assert!(queued["dateFinished"].is_null() && queued.get("reason").is_none());
        let running = job(&RUN);
        assert_eq!(body(&JobStatus { stop_requested: Some(running.created), ..running }, &[])["stopreq"], 1);
    }

    #[test]
    fn only_success_is_70_and_nothing_is_above() {
        for phase in Phase::ALL {
            assert_eq!(code(phase) == 70, phase.is_success(), "{phase:?}");
            assert!(code(phase) <= 70);
        }
        let expired = body(&job(&[Event::Expire]), &[]);
        assert_eq!(
            (&expired["status"], &expired["stopreq"], &expired["reason"]),
            (&json!(7), &json!(2), &json!("limit"))
        );
        let failed = body(&job(&[RUN.as_slice(), &[Event::Failed]].concat()), &[]);
        assert_eq!((&failed["status"], &failed["statusText"]), (&json!(41), &json!("Algorithm failed")));
        assert!(failed["dateFinished"].is_string());
        // Who withholds the log is said where there is something to explain.
        let withheld = WithheldLog::by(vec!["did:op:5b1f".parse().expect("a DID")]);
        let release = LogRelease { by: "bob".parse().expect("an account"), at: Timestamp::from_unix_ms(1) };
        let released = WithheldLog { releases: vec![release], missing: Vec::new(), bytes: 9, ..withheld.clone() };
        let silent = |log| JobStatus { withheld_log: Some(log), ..job(&[RUN.as_slice(), &[Event::Failed]].concat()) };
        let told = body(&silent(withheld), &[])["reason"].as_str().expect("a text").to_owned();
        assert!(told.starts_with("limit; the log is withheld by the rules of did:op:5b1f"), "{told}");
        assert_eq!(body(&silent(released), &[])["reason"], "limit");
    }
}
