//! What the audit log and the rules of a dataset say. Texts are the service's, and names of files are an algorithm's: they are
//! escaped when they are shown.

use super::super::names::Names;
use cloister_model::AssetKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;

/// A record of the audit log.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    pub(super) at: String,
    pub(super) actor: String,
    /// Text, because a newer service may have more actions.
    pub(super) action: String,
    pub(super) subject: String,
    pub(super) detail: String,
}

/// What happened to a dataset.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct History {
    /// Submissions that were denied.
    pub(super) denied: u64,
    /// Downloads of the dataset's own files.
    pub(super) files_downloaded: u64,
    /// Changes of the dataset, oldest first.
    pub(super) changes: Vec<Changed>,
    /// Jobs that were allowed, oldest first.
    pub(super) jobs: Vec<ReportedJob>,
}

/// A change of the dataset or of its rules.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Changed {
    pub(super) at: String,
    pub(super) by: String,
    pub(super) what: &'static str,
}

/// A job on the dataset.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReportedJob {
    pub(super) id: String,
    pub(super) at: String,
    /// The account that submitted it: an Ocean Provider on behalf of a consumer, otherwise the consumer.
    pub(super) consumer: String,
    /// The DID of its algorithm; none: it brought one.
    pub(super) algorithm: Option<String>,
    /// How it ended; none: it has not, or no receipt says so.
    pub(super) end: Option<String>,
    /// Who decided about its outputs, and how.
    pub(super) reviews: Vec<String>,
    /// Files that left, if a receipt names them.
    pub(super) files: Vec<LeftFile>,
    /// How many files left, and their size in bytes, as the audit log has it; none: nothing left.
    pub(super) left: Option<(u64, u64)>,
    /// The rule that kept its outputs back.
    pub(super) refused_by: Option<String>,
    /// Times that a file of it, or its withheld log, was read. One record stands for a file, an account and a day.
    pub(super) downloads: u64,
    /// Publishers that let its consumer read its withheld log.
    pub(super) log_released_by: Vec<String>,
}

/// A file that left.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct LeftFile {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl History {
    pub(super) fn of(events: Vec<Event>) -> Self {
        let mut history = Self::default();
        let mut places: HashMap<String, usize> = HashMap::new();
        for Event { at, actor, action, subject, detail } in events {
            let detail: Value = serde_json::from_str(&detail).unwrap_or_default();
            let mut changed = |what| history.changes.push(Changed { at: at.clone(), by: actor.clone(), what });
            match action.as_str() {
                "asset-published" => changed("published or changed"),
                "permissions-changed" => changed("rules changed"),
                "asset-withdrawn" => changed("withdrawn"),
                "file-downloaded" => history.files_downloaded += 1,
                "job-denied" => history.denied += 1 + detail["more"].as_u64().unwrap_or(0),
                "job-allowed" => {
                    let algorithm = detail.pointer("/algorithm/did").and_then(Value::as_str).map(str::to_owned);
                    places.entry(subject.clone()).or_insert_with(|| {
                        history.jobs.push(ReportedJob {
                            id: subject,
                            at,
                            consumer: actor,
                            algorithm,
                            ..ReportedJob::default()
                        });
                        history.jobs.len() - 1
                    });
                }
                _ => {
                    // Of jobs that were submitted before the time of the report, only their ends are in it: they have no place.
                    let job = places.get(&subject).and_then(|place| history.jobs.get_mut(*place));
                    if let Some(job) = job {
                        job.add(&action, actor, &detail);
                    }
                }
            }
        }
        history
    }
}

impl ReportedJob {
    fn add(&mut self, action: &str, actor: String, detail: &Value) {
        let text = |name: &str| detail[name].as_str().unwrap_or_default().to_owned();
        match action {
            "released" => {
                let number = |name: &str| detail[name].as_u64().unwrap_or(0);
                self.left = Some((number("files"), number("bytes")));
            }
            "release-refused" => self.refused_by = Some(text("rule")),
            "reviewed" => {
                let verdict = if text("verdict") == "approve" { "approved" } else { "refused" };
                self.reviews.push(format!("{verdict} by {actor}"));
            }
            "result-downloaded" => self.downloads += 1,
            "log-released" => self.log_released_by.push(actor),
            _ => {}
        }
    }

    /// Adds what the receipt of the job says.
    pub(super) fn add_receipt(&mut self, receipt: &Value) {
        self.end = receipt["phase"].as_str().map(str::to_owned);
        if let Some(did) = receipt["algorithm"].as_str() {
            self.algorithm = Some(did.to_owned());
        }
        let files = receipt.pointer("/outputs/files").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let file = |file: &Value| LeftFile {
            name: file["name"].as_str().unwrap_or_default().to_owned(),
            bytes: file["bytes"].as_u64().unwrap_or(0),
            sha256: file["sha256"].as_str().unwrap_or_default().to_owned(),
        };
        self.files = files.iter().map(file).collect();
    }
}

/// Who may use a dataset, in sentences.
pub(super) async fn may_use(ddo: &Value, names: &mut Names<'_>) -> Vec<String> {
    let mut sentences = vec![visible_to(&ddo["credentials"])];
    let services = ddo["services"].as_array().map(Vec::as_slice).unwrap_or_default();
    if services.iter().any(|service| service["type"] == "access") {
        sentences.push("Everyone who may see the dataset can download it.".to_owned());
    } else {
        sentences.push("No one can download the dataset: computing on it is the only use.".to_owned());
    }
    for rules in services.iter().filter(|service| service["type"] == "compute").map(|service| &service["compute"]) {
        sentences.extend(may_compute(rules, names).await);
    }
    sentences
}

fn visible_to(credentials: &Value) -> String {
    let accounts = |list: &str| -> Vec<String> {
        let entries = credentials[list].as_array().map(Vec::as_slice).unwrap_or_default();
        let values = entries.iter().filter_map(|entry| entry["values"].as_array()).flatten();
        values.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (allowed, denied) = (accounts("allow"), accounts("deny"));
    let allows = credentials["allow"].as_array().is_some_and(|entries| !entries.is_empty());
    let mut sentence = match (allows, allowed.is_empty()) {
        (false, _) => "Every account of the service can see the dataset".to_owned(),
        (true, true) => "No other account can see the dataset".to_owned(),
        (true, false) => format!("These accounts can see the dataset: {}", allowed.join(", ")),
    };
    if !denied.is_empty() {
        sentence.push_str(&format!(", except {}", denied.join(", ")));
    }
    sentence.push('.');
    sentence
}

/// Which algorithms may compute, in sentences.
async fn may_compute(rules: &Value, names: &mut Names<'_>) -> Vec<String> {
    let mut sentences = Vec::new();
    let list = |name: &str| rules[name].as_array().cloned().unwrap_or_default();
    if rules["allowRawAlgorithm"] == true {
        sentences.push(
            "Programs that a consumer brings may compute on it. Their publisher does not see them first.".to_owned(),
        );
    }
    if rules["allowAlgorithmsPublishedHere"] == true {
        sentences.push("Every algorithm that is published on the service may compute on it.".to_owned());
    }
    for publisher in list("publisherTrustedAlgorithmPublishers") {
        sentences.push(match publisher.as_str().unwrap_or_default() {
            "*" => "Every published algorithm may compute on it.".to_owned(),
            account => format!("Every algorithm that {account} publishes may compute on it, now and in future."),
        });
    }
    for trusted in list("publisherTrustedAlgorithms") {
        sentences.push(match trusted["did"].as_str().unwrap_or_default() {
            "*" => "Every published algorithm may compute on it.".to_owned(),
            did => {
                let name = names.of(AssetKind::Algorithm, did).await;
                let exactly = if trusted["filesChecksum"].is_string() {
                    ", with exactly the files that its publisher inspected"
                } else {
                    ""
                };
                format!("The algorithm {name} may compute on it{exactly}.")
            }
        });
    }
    if sentences.is_empty() {
        sentences.push("No algorithm may compute on it yet.".to_owned());
    }
    if rules["allowNetworkAccess"] == true {
        sentences.push(
            "It sets `allowNetworkAccess`, which has no effect: no algorithm has a network, not even in a container."
                .to_owned(),
        );
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(action: &str, actor: &str, subject: &str, detail: &Value) -> Event {
        let text = |text: &str| text.to_owned();
        Event {
            at: text("2026-01-31T12:00:00Z"),
            actor: text(actor),
            action: text(action),
            subject: text(subject),
            detail: detail.to_string(),
        }
    }

    #[test]
    fn records_become_jobs_and_changes() {
        let history = History::of(vec![
            event("asset-published", "alice", "did:op:d", &json!({})),
            event("job-denied", "bob", "", &json!({"more": 2})),
            event("released", "engine", "before", &json!({"files": 1, "bytes": 1})),
            event("job-allowed", "bob", "one", &json!({"algorithm": {"did": "did:op:a"}})),
            event("reviewed", "alice", "one", &json!({"verdict": "approve"})),
            event("released", "engine", "one", &json!({"files": 2, "bytes": 300})),
            event("result-downloaded", "bob", "one", &json!({})),
            event("job-allowed", "carol", "two", &json!({"algorithm": "raw"})),
            event("release-refused", "engine", "two", &json!({"rule": "csv"})),
            event("permissions-changed", "alice", "did:op:d", &json!({})),
            event("something-newer", "alice", "two", &json!({})),
        ]);
        assert_eq!((history.denied, history.files_downloaded, history.changes.len()), (3, 0, 2));
        let [one, two] = &history.jobs[..] else { panic!("{history:?}") };
        assert_eq!(
            (one.left, one.downloads, &one.reviews[..]),
            (Some((2, 300)), 1, &["approved by alice".to_owned()][..])
        );
        assert_eq!((one.algorithm.as_deref(), two.algorithm.as_deref()), (Some("did:op:a"), None));
        assert_eq!((two.left, two.refused_by.as_deref()), (None, Some("csv")));
    }

    #[test]
    fn who_can_see_a_dataset_is_said() {
        for (credentials, expected) in [
            (Value::Null, "Every account of the service can see the dataset."),
            (
                json!({"allow": [], "deny": [{"values": ["eve"]}]}),
                "Every account of the service can see the dataset, except eve.",
            ),
            (json!({"allow": [{"values": ["bob", "carol"]}]}), "These accounts can see the dataset: bob, carol."),
            (json!({"allow": [{"type": "other"}]}), "No other account can see the dataset."),
        ] {
            assert_eq!(visible_to(&credentials), expected);
        }
    }
}
