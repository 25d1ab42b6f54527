//! What the kubelet says of a pod whose step has done its work, or has come to an end that a test wants.

use cloister_k8s_engine::build::{algorithm, configuration, publishing};
use cloister_model::{
    Fault, FilesChecksum, JobId, ListDigest, Reason, RunEnd, RunSummary, Said, Sha256, StepFailure, StepMessage,
    StepName,
};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};

pub(crate) const DIGEST: Sha256 = Sha256::from_bytes([3; 32]);
const LIST: ListDigest = ListDigest { sha256: DIGEST, files: 1, bytes: 5 };

/// How the pods of a job end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// Well.
    #[default]
    Well,
    /// Its data cannot be fetched.
    NoData,
    /// Its algorithm is not one that may run.
    Refused,
    /// Its algorithm fails.
    Fails,
    /// Its algorithm meets a limit.
    MeetsLimit,
    /// The kernel ends its algorithm for its memory.
    OutOfMemory,
    /// Its outputs break a rule.
    OutputsBreakARule,
    /// The kernel ends each program that looks at its outputs, for its memory.
    OutputsTakeTooMuch,
    /// The store of results is away.
    StoreAway,
    /// The first pod of each step but the algorithm's is deleted by hand, and all others end well.
    DeletedOnce,
    /// Not at all.
    Never,
    /// The node of each step's first pod gives it up before anything of it has begun.
    GivenUpOnce,
}

/// What a pod shows when its step has done its work, or has come to its ending.
pub(crate) fn status(job: JobId, pod: &Pod, ending: Ending, is_first: bool) -> Option<Value> {
    let container = |name: &str, code: i32, said: Said| {
        let message = String::from_utf8(StepMessage::new(job, said).write()).unwrap_or_default();
        let reason = if code == 0 { "Completed" } else { "Error" };
        json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "reason": reason, "message": message}}})
    };
    let one = |name: &str, said: Said| {
        let (code, phase) = if matches!(said, Said::Failed { .. }) { (1, "Failed") } else { (0, "Succeeded") };
        json!({"phase": phase, "containerStatuses": [container(name, code, said)]})
    };
    let out_of_memory = |name: &str| {
        json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}})
    };
    let failed = |step, failure, rule: Option<&str>| Said::Failed {
        step,
        failure,
        rule: rule.map(str::to_owned),
        reason: Reason::new("as the test wants it", Fault::Algorithm),
        detail: None,
    };
    if ending == Ending::Never {
        return None;
    }
    if ending == Ending::GivenUpOnce && is_first {
        return Some(json!({"phase": "Failed", "reason": "NodeShutdown", "message": "the node shuts down"}));
    }
    let mut containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    if containers.any(|container| container.name == publishing::KEEP) {
        return Some(one(publishing::KEEP, Said::Kept));
    }
    let files = FilesChecksum::of(vec![DIGEST]).ok()?.digest();
    Some(match (pod.name_any().get(32..)?, ending) {
        ("-c", Ending::NoData) => one(configuration::CONTAINER, failed(StepName::Configure, StepFailure::Data, None)),
        ("-c", _) => one(configuration::CONTAINER, Said::Configured { algorithm: files, is_wasm: true }),
        ("-a", Ending::OutOfMemory) => {
            json!({"phase": "Failed", "containerStatuses": [out_of_memory(algorithm::CONTAINER)]})
        }
        ("-a", ending) => {
            let end = match ending {
                Ending::Refused => RunEnd::Refused,
                Ending::Fails => RunEnd::Failed,
                Ending::MeetsLimit => RunEnd::MetLimit,
                _ => RunEnd::Succeeded,
            };
            let reason = (end != RunEnd::Succeeded).then(|| Reason::new("as the test wants it", Fault::Algorithm));
            let said = Said::Ran(RunSummary {
                end,
                reason,
                algorithm: DIGEST,
                interpreted: false,
                files: Some(files),
                report: Some(DIGEST),
            });
            one(algorithm::CONTAINER, said)
        }
        ("-p", Ending::OutputsBreakARule) => {
            // The second program keeps the log, and says what the first one said.
            let said = failed(StepName::Filter, StepFailure::Outputs, Some("names"));
            json!({
                "phase": "Failed",
                "initContainerStatuses": [container(publishing::FILTER, 0, said.clone())],
                "containerStatuses": [container(publishing::PUBLISH, 1, said)],
            })
        }
        ("-p", Ending::StoreAway) => json!({
            "phase": "Failed",
            "initContainerStatuses": [container(publishing::FILTER, 0, Said::Passed { checked: LIST })],
            "containerStatuses": [
                container(publishing::PUBLISH, 1, failed(StepName::Publish, StepFailure::StoreAway, None))
            ],
        }),
        ("-p", Ending::OutputsTakeTooMuch) => {
            json!({"phase": "Failed", "initContainerStatuses": [out_of_memory(publishing::FILTER)]})
        }
        ("-p", _) => json!({
            "phase": "Succeeded",
            "initContainerStatuses": [container(publishing::FILTER, 0, Said::Passed { checked: LIST })],
            "containerStatuses": [container(publishing::PUBLISH, 0, Said::Published { checked: LIST, stored: LIST })],
        }),
        _ => return None,
    })
}
