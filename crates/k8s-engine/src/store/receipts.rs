//! Receipts as immutable Secrets: they hold what opens the sealed values. Made once, and kept when their job is gone: as Secrets
//! until they are sealed in the store of results.

use super::secret;
use crate::cluster::{CallError, Cluster, call};
use cloister_model::{JobId, JobRecord, Opening, Secret as Hidden, Sha256, StoredReceipt};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bytes of one part. A Secret holds a mebibyte.
const PART_BYTES: usize = 700 * 1024;

/// The key of the beginning of a receipt.
const RECEIPT: &str = "receipt";

/// The key of the names of the Secrets with the rest, as a JSON list; absent: the beginning is all of it.
const REST: &str = "rest";

/// The version of [`Form`] that this code writes. Readers refuse versions that they do not know.
const VERSION: &str = "cloister.dev/stored-receipt/v1";

/// A [`StoredReceipt`] as it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form {
    version: String,
    text: String,
    openings: Hidden<Vec<Opening>>,
    record: JobRecord,
}

/// Stores a receipt, unless one is there. The one that is there afterwards.
pub(crate) async fn put(cluster: &Cluster, job: JobId, receipt: StoredReceipt) -> Result<StoredReceipt, CallError> {
    let whole = write(receipt.clone())?;
    let api: Api<Secret> = cluster.system();
    let mut parts = whole.chunks(PART_BYTES);
    let first = parts.next().unwrap_or_default();
    let mut rest = Vec::new();
    for part in parts {
        // Named after its content: of two receipts that are made at once, one counts, and none is put together of both.
        let digest: String = Sha256::of(part).to_string().chars().take(32).collect();
        let name = format!("{}-{digest}", name(job));
        let data = [(RECEIPT.to_owned(), part.to_vec())].into();
        match create(&api, &name, data).await {
            Ok(()) | Err(CallError::Exists) => rest.push(name),
            Err(error) => return Err(error),
        }
    }
    let mut data = BTreeMap::from([(RECEIPT.to_owned(), first.to_vec())]);
    if !rest.is_empty() {
        data.insert(REST.to_owned(), serde_json::to_vec(&rest).unwrap_or_default());
    }
    match create(&api, &name(job), data).await {
        Ok(()) => Ok(receipt),
        // Another replica's, or this one's when the API server was asked twice.
        Err(CallError::Exists) => get(cluster, job).await?.ok_or(CallError::Conflict),
        Err(error) => Err(error),
    }
}

/// The receipt of a job; none if none was made.
pub(crate) async fn get(cluster: &Cluster, job: JobId) -> Result<Option<StoredReceipt>, CallError> {
    let api: Api<Secret> = cluster.system();
    let Some(mut data) = read(&api, &name(job)).await? else { return Ok(None) };
    let mut whole = data.remove(RECEIPT).unwrap_or_default().0;
    let rest = data.remove(REST).map(|names| serde_json::from_slice::<Vec<String>>(&names.0));
    for name in rest.transpose().map_err(|_| unreadable("its parts are not named"))?.unwrap_or_default() {
        let part = read(&api, &name).await?.and_then(|mut data| data.remove(RECEIPT));
        whole.extend(part.ok_or_else(|| unreadable("a part of it is missing"))?.0);
    }
    parse(&whole).map(Some)
}

/// Removes the Secrets of a receipt, the one that names the others last: a process that is killed in between leaves what is found
/// again.
pub(crate) async fn remove(cluster: &Cluster, job: JobId) -> Result<(), CallError> {
    let api: Api<Secret> = cluster.system();
    let name = name(job);
    let Some(mut data) = read(&api, &name).await? else { return Ok(()) };
    let rest = data.remove(REST).map(|names| serde_json::from_slice::<Vec<String>>(&names.0));
    let rest = rest.transpose().map_err(|_| unreadable("its parts are not named"))?.unwrap_or_default();
    for name in rest.iter().chain([&name]) {
        match call("remove a receipt", || async { api.delete(name, &DeleteParams::default()).await }).await {
            Ok(_) | Err(CallError::Missing) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The receipt of a job as one line, to be sealed with others.
pub(crate) fn line(job: JobId, receipt: StoredReceipt) -> Result<Vec<u8>, CallError> {
    let mut line = format!("{job} ").into_bytes();
    line.extend(write(receipt)?);
    line.push(b'\n');
    Ok(line)
}

/// The receipt of a job among such lines; none if it is not among them.
pub(crate) fn among(lines: &[u8], job: JobId) -> Result<Option<StoredReceipt>, CallError> {
    let start = format!("{job} ").into_bytes();
    let found = lines.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(start.as_slice()));
    found.map(parse).transpose()
}

fn write(receipt: StoredReceipt) -> Result<Vec<u8>, CallError> {
    let StoredReceipt { text, openings, record } = receipt;
    let form = Form { version: VERSION.to_owned(), text, openings, record };
    serde_json::to_vec(&form).map_err(|_| unreadable("it cannot be written as JSON"))
}

fn parse(whole: &[u8]) -> Result<StoredReceipt, CallError> {
    let form: Form = serde_json::from_slice(whole).map_err(|_| unreadable("it is not one, or of another version"))?;
    if form.version != VERSION {
        return Err(unreadable("it is of another version"));
    }
    let Form { version: _, text, openings, record } = form;
    Ok(StoredReceipt { text, openings, record })
}

/// Whether there is a receipt of a job.
pub(crate) async fn exists(cluster: &Cluster, job: JobId) -> Result<bool, CallError> {
    Ok(read(&cluster.system(), &name(job)).await?.is_some())
}

fn name(job: JobId) -> String {
    format!("receipt-{job}")
}

async fn read(api: &Api<Secret>, name: &str) -> Result<Option<BTreeMap<String, ByteString>>, CallError> {
    let found = call("read a receipt", || async { api.get_opt(name).await }).await?;
    Ok(found.map(|secret| secret.data.unwrap_or_default()))
}

async fn create(api: &Api<Secret>, name: &str, data: BTreeMap<String, Vec<u8>>) -> Result<(), CallError> {
    let data = data.into_iter().map(|(key, value)| (key, ByteString(value))).collect();
    let secret = secret(name, "cloister.dev/receipt", data, None);
    call("store a receipt", || async { api.create(&PostParams::default(), &secret).await }).await.map(drop)
}

fn unreadable(words: &str) -> CallError {
    CallError::Refused { what: "give the receipt of a job", words: words.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::Timestamp;
    use cloister_testkit::{job, job_id};

    #[test]
    fn a_receipt_is_found_among_others_as_it_was() {
        let receipt = |number| {
            let record = job(number, Timestamp::from_unix_ms(5)).record;
            StoredReceipt { text: format!("{{\"a\":\"\\n{number}\"}}\n"), openings: Hidden::new(Vec::new()), record }
        };
        let mut lines = Vec::new();
        for number in [1, 2, 30] {
            lines.extend(line(job_id(number), receipt(number)).expect("a line"));
        }
        for number in [30, 1, 2] {
            assert_eq!(among(&lines, job_id(number)), Ok(Some(receipt(number))));
        }
        assert_eq!(among(&lines, job_id(3)), Ok(None));
        assert_eq!(among(b"", job_id(3)), Ok(None));
        // One that was written by another version is not read as if it were of this one.
        let other = String::from_utf8(lines).expect("text").replace(VERSION, "cloister.dev/stored-receipt/v9");
        assert!(among(other.as_bytes(), job_id(1)).is_err());
    }
}
