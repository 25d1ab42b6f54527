use crate::{LogFate, Recorded, Transition};
use cloister_model::{Asset, Ddo, Event, Fault, FileDigest, JobId, JobSpec, Reason, ResultFile, ResultKind};
use serde_json::{Value, json};

/// What the name of an encrypted result ends in.
pub const ENCRYPTED: &str = ".age";

/// A result as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResult {
    /// As the consumer finds it: encrypted, if the job says so.
    pub file: ResultFile,
    /// What was read to be stored, before any encryption.
    pub content: FileDigest,
}

/// Why results were not published. Safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishFailure {
    /// They could not be stored.
    NotStored {
        /// Why.
        text: String,
        /// Whose doing it was.
        fault: Fault,
    },
    /// The results were to be registered as a dataset, and their owner has another one of that name.
    NameTaken,
}

/// What becomes readable when a job finishes.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// The results, in order.
    pub files: Vec<ResultFile>,
    /// The dataset to register them under.
    pub asset: Option<Asset>,
}

/// What publishing's result means for a job in [`Phase::Publishing`](cloister_model::Phase::Publishing). `checked` is what
/// filtering let pass.
pub(crate) fn published(
    spec: &JobSpec,
    checked: &[ResultFile],
    result: &Result<Vec<StoredResult>, PublishFailure>,
) -> Transition {
    let stored = match result {
        Ok(stored) => stored,
        Err(PublishFailure::NotStored { text, fault }) => {
            return failed(spec, &format!("the results could not be stored: {text}"), *fault);
        }
        Err(PublishFailure::NameTaken) => {
            let text = "the results cannot be registered: their owner has another dataset of that name";
            return failed(spec, text, Fault::Algorithm);
        }
    };
    if !are_those_checked(spec, checked, stored) {
        let text = "the results that were stored are not the ones that were checked";
        return failed(spec, text, Fault::System);
    }
    let files: Vec<ResultFile> = stored.iter().map(|stored| stored.file.clone()).collect();
    let asset = match spec.delivery.register.as_deref().map(|asset| registered(asset, spec.id, &files)).transpose() {
        Ok(asset) => asset,
        Err(problem) => {
            let text = format!("the results cannot be registered as a dataset: {problem}");
            return failed(spec, &text, Fault::Algorithm);
        }
    };
    let did = asset.as_ref().map(|asset| asset.ddo.id());
    Transition {
        records: vec![Recorded::released(&files, did)],
        log: LogFate::Kept,
        release: Some(Box::new(Release { files, asset })),
        ..Transition::step(&[Event::Published], crate::Durability::Disk)
    }
}

fn failed(spec: &JobSpec, text: &str, fault: Fault) -> Transition {
    let reason = Reason::new(text, fault);
    let ended = Transition::end(&[Event::PublishFailed], reason, LogFate::without_release(&spec.terms));
    Transition { discard_results: true, ..ended }
}

/// Whether what was stored is what was checked, in the same order. The content is compared before encryption, because nothing
/// else ties an encrypted file to the one that was checked, or that a reviewer saw.
fn are_those_checked(spec: &JobSpec, checked: &[ResultFile], stored: &[StoredResult]) -> bool {
    let plain = spec.delivery.encrypt_to.is_none();
    let ending = if plain { "" } else { ENCRYPTED };
    let same = |(stored, checked): (&StoredResult, &ResultFile)| {
        let StoredResult { file, content } = stored;
        let ResultFile { name, kind, bytes, sha256 } = checked;
        let content_is_same = content.bytes == *bytes && content.sha256 == *sha256;
        let file_is_same = !plain || (file.bytes == *bytes && file.sha256 == *sha256);
        file.name.strip_suffix(ending) == Some(name) && file.kind == *kind && content_is_same && file_is_same
    };
    stored.len() == checked.len() && stored.iter().zip(checked).all(same)
}

/// The dataset that the service has prepared, with the outputs of the job as its files.
fn registered(asset: &Asset, job: JobId, results: &[ResultFile]) -> Result<Asset, String> {
    let outputs = || results.iter().enumerate().filter(|(_, file)| file.kind == ResultKind::Output);
    let sources: Vec<Value> =
        outputs().map(|(index, _)| json!({"type": "result", "job": job, "index": index})).collect();
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
