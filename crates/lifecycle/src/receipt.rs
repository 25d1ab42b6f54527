use crate::audit::PERMISSION;
use cloister_model::{
    JobSpec, JobStatus, Opening, RECEIPT_VERSION, Reason, Receipt, ReceiptDataset, ReceiptOutputs, Report, ResultFile,
    Sealed, Secret, Sha256, StoredReceipt, Timestamp,
};
use serde_json::{Value, json};

/// What a receipt is made from.
#[derive(Clone, Copy, Debug)]
pub struct EndedJob<'a> {
    /// The job.
    pub spec: &'a JobSpec,
    /// Its final status.
    pub status: &'a JobStatus,
    /// The report of its run, as it is stored; none: nothing ran, or the report is lost.
    pub report: Option<&'a Report>,
    /// The files that were released; empty if nothing was.
    pub released: &'a [ResultFile],
    /// The rule that kept the outputs back; none if no rule did.
    pub rule: Option<&'a str>,
}

/// Rules whose reasons hold no text of the guest: what the engine, a publisher's rules, a check program, a reviewer or a step
/// says.
const WITHOUT_GUEST_TEXT: [&str; 5] = ["check", "files-checksum", PERMISSION, "review", "step"];

/// The reason as it stands in a receipt. Where the consumer may be told the name of an output that was kept back, the readers
/// of the receipt are told the rule alone.
fn reason_for_all_readers(reason: &Reason, rule: Option<&str>) -> Reason {
    match rule.filter(|rule| !WITHOUT_GUEST_TEXT.contains(rule)) {
        Some(rule) => Reason::new(&format!("the outputs may not leave: {rule}"), reason.fault()),
        None => reason.clone(),
    }
}

/// Why there is no receipt.
#[derive(Debug, thiserror::Error)]
pub enum NoReceipt {
    /// The job can still change.
    #[error("the job has not ended; a receipt is made at its end")]
    NotEnded,
    /// A part of it cannot be written.
    #[error("the receipt cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The receipt of a job that has just ended. An engine makes it once, and stores it together with the end.
///
/// `secret` is 32 random bytes, drawn for this receipt: the salts of its sealed values are derived from it. Outputs stand in a
/// receipt only if they were released.
///
/// # Errors
/// [`NoReceipt`].
pub fn receipt(job: &EndedJob<'_>, secret: &[u8; 32]) -> Result<StoredReceipt, NoReceipt> {
    let EndedJob { spec, status, report, released, rule } = job;
    let (Some(ended), Some(reason)) = (status.ended, &status.reason) else { return Err(NoReceipt::NotEnded) };
    let mut openings = Vec::new();
    let mut seal = |pointer: &str, value: Option<Value>| match value {
        None => Sealed::Absent,
        Some(value) => {
            let opening = Opening::new(secret, pointer, value);
            let sealed = opening.sealed();
            openings.push(opening);
            sealed
        }
    };
    let parameters = spec.parameters.as_ref().map(|value| digest(value.expose().to_string().as_bytes()));
    let parameters = seal("/parameters", parameters);
    let report_digest = report.map(|report| serde_json::to_vec(report).map(|text| digest(&text))).transpose()?;
    let report_sealed = seal("/report", report_digest);
    let datasets = spec.inputs.iter().enumerate().map(|(number, input)| ReceiptDataset {
        did: input.did.clone(),
        files: seal(&format!("/datasets/{number}/files"), report.and_then(|report| files(report, input.did.id()))),
    });
    let datasets = datasets.collect();
    let outputs = if status.phase.is_success() {
        ReceiptOutputs::Released { files: released.to_vec() }
    } else {
        ReceiptOutputs::NothingReleased
    };
    let receipt = Receipt {
        version: RECEIPT_VERSION.to_owned(),
        job: spec.id,
        created: rfc3339(status.created),
        ended: rfc3339(ended),
        phase: status.phase,
        code: status.phase.code(),
        reason: reason_for_all_readers(reason, *rule),
        datasets,
        algorithm: spec.algorithm.did.clone(),
        algorithm_sha256: report.map(|report| report.algorithm.sha256),
        runtime: report.and_then(|report| report.algorithm.runtime.clone()),
        container: spec.algorithm.container.clone(),
        parameters,
        terms: spec.terms.admitted.clone(),
        profile: spec.terms.profile,
        output_contract: spec.terms.output_contract.clone(),
        release_rules: spec.terms.release.clone(),
        limits: spec.limits.clone(),
        outcome: report.map(|report| {
            let outcome = report.outcome.clone();
            if spec.terms.lets_log_out() { outcome } else { outcome.coarse() }
        }),
        engine: report.map(|report| report.engine.clone()),
        isolation: report.and_then(|report| report.isolation.clone()),
        report: report_sealed,
        review: status.review.clone(),
        outputs,
    };
    let text = serde_json::to_string(&receipt)?;
    Ok(StoredReceipt { text, openings: Secret::new(openings), record: spec.record.clone() })
}

/// What opens to the digest of a value that is itself not part of the receipt.
fn digest(bytes: &[u8]) -> Value {
    json!({ "sha256": Sha256::of(bytes) })
}

/// The files of one dataset as the run found them; none if nothing ran.
fn files(report: &Report, did: &str) -> Option<Value> {
    if report.inputs.is_empty() {
        return None;
    }
    let prefix = format!("inputs/{did}/");
    let files = report.inputs.iter().filter_map(|file| Some((file.path.strip_prefix(&prefix)?, file)));
    Some(files.map(|(path, file)| json!({"path": path, "bytes": file.bytes, "sha256": file.sha256})).collect())
}

/// A moment as text, such as `2026-01-02T03:04:05.678Z`. Moments beyond the year 9999 become the last that can be written.
fn rfc3339(at: Timestamp) -> String {
    let moment = i64::try_from(at.unix_ms()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    format!("{:.3}", moment.unwrap_or(jiff::Timestamp::MAX))
}

#[cfg(test)]
mod tests;
