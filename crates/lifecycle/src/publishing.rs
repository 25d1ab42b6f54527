use crate::{
    LogFate, Recorded, ResultList, StepAnswer, Transition,
    step::{Answer, Done, answer},
    store_wait::away,
};
use cloister_model::{
    Asset, Ddo, Event, Fault, FileDigest, JobId, JobSpec, ListDigest, Reason, ResultFile, ResultKind, Said, StepName,
    StepResult,
};
use serde_json::{Value, json};

/// What the name of an encrypted result ends in.
pub const ENCRYPTED: &str = ".age";

/// What becomes readable when a job finishes.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// The results, in order.
    pub files: ResultList,
    /// The dataset to register them under. None where [`Release::files`] is a digest: the caller that has the list registers them.
    pub asset: Option<Asset>,
}

/// What publishing's report means for a job in [`Phase::Publishing`](cloister_model::Phase::Publishing). `checked` is what
/// filtering let pass. None: it is done again.
pub(crate) fn published(spec: &JobSpec, checked: &ResultList, report: StepAnswer<'_>) -> Option<Transition> {
    if let Some(waits) = away(spec, report) {
        return Some(waits);
    }
    match answer(spec, StepName::Publish, report) {
        Answer::Again => None,
        Answer::Failed { event: _, rule: _, reason, detail: _ } => Some(failed(spec, reason)),
        Answer::Done(result) => {
            let released = match (result, checked) {
                (Done::Report(StepResult::Published { files }), ResultList::Files(checked)) => {
                    are_those_checked(spec, checked, files).then(|| released(spec, files))
                }
                (Done::Message(Said::Published { checked: found, stored }), ResultList::Digest(checked)) => {
                    are_those_of_digest(spec, *checked, *found, *stored).then(|| released_elsewhere(spec, *stored))
                }
                // One is a list and the other a digest of one.
                (Done::Report(StepResult::Published { .. }) | Done::Message(Said::Published { .. }), _) => None,
                (Done::Report(_) | Done::Message(_), _) => return None,
            };
            let text = "the results that were stored are not the ones that were checked";
            Some(released.unwrap_or_else(|| failed(spec, Reason::new(text, Fault::System))))
        }
    }
}

/// The end of a job whose dataset cannot be registered because of its name.
pub(crate) fn name_taken(spec: &JobSpec) -> Transition {
    let text = "the results cannot be registered: their owner has another dataset of that name";
    failed(spec, Reason::new(text, Fault::Algorithm))
}

/// The end of a job whose list of checked files is lost, so that nothing says what may leave.
pub(crate) fn without_list(spec: &JobSpec) -> Transition {
    failed(spec, Reason::new("the results could not be stored: the list of checked files is lost", Fault::System))
}

fn released(spec: &JobSpec, stored: &[ResultFile]) -> Transition {
    let files = stored.to_vec();
    let asset = match spec.delivery.register.as_deref().map(|asset| registered(asset, spec.id, &files)).transpose() {
        Ok(asset) => asset,
        Err(problem) => {
            let text = format!("the results cannot be registered as a dataset: {problem}");
            return failed(spec, Reason::new(&text, Fault::Algorithm));
        }
    };
    let did = asset.as_ref().map(|asset| asset.ddo.id());
    let record = Recorded::released(&ListDigest::of(&files), did);
    let files = ResultList::Files(files);
    Transition { release: Some(Box::new(Release { files, asset })), ..release(record, LogFate::with_release(spec)) }
}

/// The release of results whose list the result store has.
fn released_elsewhere(spec: &JobSpec, stored: ListDigest) -> Transition {
    let files = ResultList::Digest(stored);
    let did = spec.delivery.register.as_deref().map(|asset| asset.ddo.id());
    let record = Recorded::released(&stored, did);
    Transition {
        release: Some(Box::new(Release { files, asset: None })),
        ..release(record, LogFate::with_release(spec))
    }
}

fn release(record: Recorded, log: LogFate) -> Transition {
    Transition { records: vec![record], log, ..Transition::step(&[Event::Published], crate::Durability::Disk) }
}

fn failed(spec: &JobSpec, reason: Reason) -> Transition {
    let ended = Transition::end(&[Event::PublishFailed], reason, LogFate::without_release(spec));
    Transition { discard_results: true, ..ended }
}

/// Whether what was stored is what was checked, in the same order. Encrypted files have other sizes and digests: the step
/// itself compares what it reads with the order, and stores nothing that differs.
fn are_those_checked(spec: &JobSpec, checked: &[ResultFile], stored: &[ResultFile]) -> bool {
    let plain = spec.delivery.encrypt_to.is_none();
    let ending = if plain { "" } else { ENCRYPTED };
    let same = |(stored, checked): (&ResultFile, &ResultFile)| {
        let ResultFile { name, kind, bytes, sha256 } = stored;
        name.strip_suffix(ending) == Some(checked.name.as_str())
            && *kind == checked.kind
            && (!plain || (*bytes == checked.bytes && *sha256 == checked.sha256))
    };
    stored.len() == checked.len() && stored.iter().zip(checked).all(same)
}

/// The same where there are digests alone. The step that stores the files compares names, sizes and digests; what it read
/// of the list of checked files must be what filtering wrote.
fn are_those_of_digest(spec: &JobSpec, checked: ListDigest, found: ListDigest, stored: ListDigest) -> bool {
    let plain = spec.delivery.encrypt_to.is_none();
    checked == found && checked.files == stored.files && (checked.sha256 == stored.sha256) == plain
}

/// The dataset that the service has prepared for the results of a job, with the outputs of the job as its files. It has their digests:
/// what a job fetches from the store of results later is what was released, or nothing.
///
/// # Errors
/// Why the document cannot hold them.
pub fn registered(asset: &Asset, job: JobId, results: &[ResultFile]) -> Result<Asset, String> {
    let outputs = || results.iter().enumerate().filter(|(_, file)| file.kind == ResultKind::Output);
    let source = |(index, file): (usize, &ResultFile)| {
        let ResultFile { name: _, kind: _, bytes, sha256 } = file;
        json!({"type": "result", "job": job, "index": index, "sha256": sha256, "bytes": bytes})
    };
    let sources: Vec<Value> = outputs().map(source).collect();
    let mut document = serde_json::to_value(&asset.ddo).map_err(|error| error.to_string())?;
    for service in document.get_mut("services").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(service) = service.as_object_mut() {
            service.insert("files".to_owned(), Value::from(sources.clone()));
        }
    }
    let digests = outputs().map(|(_, file)| FileDigest { sha256: file.sha256, bytes: file.bytes }).collect();
    let ddo = Ddo::from_value(document).map_err(|error| error.to_string())?;
    Ok(Asset { ddo, files: Some(digests), ..asset.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;
    use cloister_model::Sha256;

    #[test]
    fn a_dataset_of_results_names_what_was_released_by_its_digests() {
        let document = json!({
            "id": "did:op:derived", "metadata": {"type": "dataset", "name": "derived"},
            "services": [{"id": "compute", "type": "compute", "compute": {"allowRawAlgorithm": true}}]
        });
        let asset = Asset {
            ddo: Ddo::from_value(document).expect("a DDO"),
            owner: "alice".parse().expect("an account"),
            name: "derived".to_owned(),
            created: at(1),
            updated: at(1),
            revision: 1,
            withdrawn: None,
            files: None,
        };
        let file = |name: &str, kind, bytes, byte| ResultFile {
            name: name.to_owned(),
            kind,
            bytes,
            sha256: Sha256::from_bytes([byte; 32]),
        };
        let results = [
            file("a", ResultKind::Output, 3, 1),
            file("algorithm.log", ResultKind::AlgorithmLog, 9, 2),
            file("b", ResultKind::Output, 5, 3),
        ];
        let job = JobId::from_bytes([1; 16]);
        let made = registered(&asset, job, &results).expect("a dataset");
        let document = serde_json::to_value(&made.ddo).expect("JSON");
        let source = |index: usize| {
            let ResultFile { sha256, bytes, .. } = &results[index];
            json!({"type": "result", "job": job, "index": index, "sha256": sha256, "bytes": bytes})
        };
        assert_eq!(document["services"][0]["files"], json!([source(0), source(2)]));
    }
}
