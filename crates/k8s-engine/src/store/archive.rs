//! What the API server keeps of archived jobs and of their receipts: for each batch where it is and what its digest is, so that
//! credentials of the store of results can make up neither; and of single jobs what was changed after they were archived.

use super::{
    MANAGED_BY,
    catalog::{Catalog, Filter},
    secret,
};
use crate::cluster::{CallError, Cluster, call, version};
use cloister_model::{JobId, Sha256, Timestamp};
use cloister_results::SealingKey;
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
    apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry,
};
use kube::{
    Api, ResourceExt as _,
    api::{ObjectMeta, PostParams},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The label of everything about archived jobs.
pub(crate) const ARCHIVE_LABEL: &str = "cloister.dev/archive";

/// Its value, as a selector, for what is about jobs.
pub(crate) const ARCHIVED_JOBS: &str = "cloister.dev/archive=true";

/// Its value, as a selector, for what is about receipts.
pub(crate) const SEALED_RECEIPTS: &str = "cloister.dev/archive=receipts";

/// The Secret with the key that seals, in the namespace of the programs.
const KEY_SECRET: &str = "archive-key";

/// Its key in that Secret.
const KEY: &str = "identity";

const SHA256: &str = "sha256";
const EXCEPT: &str = "except";
const ENDED: &str = "ended";
const JOB: &str = "job";
const SPEC: &str = "spec";
const RECEIPTS: &str = "receipts";
const ALONE: &str = "alone";
const RECEIPT: &str = "receipt";
const FILTER: &str = "filter";
const MEMBERS: &str = "members";

/// What the object of a catalog says in the place of the id of a job. An earlier version, which may run beside this one during an upgrade,
/// makes nothing of an object that says this, and leaves it alone.
const CATALOG: &str = "catalog";

/// Bytes of the id of a job, among those whose receipts are in a batch.
const ID_BYTES: usize = 16;

/// One object about archived jobs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Archived {
    Batch(Batch),
    Change(Change),
    Receipts(Receipts),
    Waiting(Waiting),
    Catalog(Catalog),
}

/// Jobs that were archived together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// The name of the object, and of what is in the store.
    pub(crate) name: String,
    pub(crate) uid: Option<String>,
    /// The digest of what is in the store; none: the batch does not count, because it is being made, or nothing of it is left.
    pub(crate) sha256: Option<Sha256>,
    /// Jobs that had changed, and do not count.
    pub(crate) except: BTreeSet<JobId>,
    /// Whether nothing of it is left.
    pub(crate) ended: bool,
    pub(crate) created: Timestamp,
    pub(crate) version: u64,
}

/// What was changed of an archived job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) job: JobId,
    /// What is merged into the `spec` of its ComputeJob.
    pub(crate) spec: Value,
    pub(crate) created: Timestamp,
    pub(crate) version: u64,
}

/// Receipts that were sealed together. They stay when nothing else is left of their jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receipts {
    /// The name of the object, and of what is in the store.
    pub(crate) name: String,
    pub(crate) uid: Option<String>,
    /// The digest of what is in the store; none: they do not count, because they are being sealed.
    pub(crate) sha256: Option<Sha256>,
    /// Whose receipts, sorted.
    pub(crate) jobs: Arc<[JobId]>,
    /// Whether the Secrets are gone that these receipts were in before.
    pub(crate) alone: bool,
    pub(crate) created: Timestamp,
    pub(crate) version: u64,
}

/// A job that left the API server without being archived, and whose receipt is in a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) job: JobId,
    pub(crate) created: Timestamp,
    pub(crate) version: u64,
}

/// The name of the object that says that the receipt of a job waits to be sealed.
pub(crate) fn waiting_name(job: JobId) -> String {
    format!("receipt-of-{job}")
}

/// The name of the object that says what was changed of an archived job.
pub(crate) fn change_name(job: JobId) -> String {
    format!("archived-{job}")
}

/// What an object says; none if it cannot be read.
pub(crate) fn read_archived(object: &ConfigMap) -> Option<Archived> {
    let none = BTreeMap::new();
    let data = object.data.as_ref().unwrap_or(&none);
    let created = object.metadata.creation_timestamp.as_ref().map_or(0, |at| at.0.as_millisecond());
    let created = Timestamp::from_unix_ms(u64::try_from(created).unwrap_or(0));
    let version = version(object);
    if let Some(job) = data.get(JOB) {
        let spec = serde_json::from_str(data.get(SPEC)?).ok()?;
        return Some(Archived::Change(Change { job: job.parse().ok()?, spec, created, version }));
    }
    if data.get(RECEIPT).is_some_and(|receipt| receipt == CATALOG) {
        return read_catalog(object, created, version).map(Archived::Catalog);
    }
    if let Some(job) = data.get(RECEIPT) {
        return Some(Archived::Waiting(Waiting { job: job.parse().ok()?, created, version }));
    }
    let sha256: Option<Sha256> = data.get(SHA256).map(|sha256| sha256.parse()).transpose().ok()?;
    let (name, uid) = (object.name_any(), object.uid());
    if let Some(ids) = object.binary_data.as_ref().and_then(|data| data.get(RECEIPTS)) {
        let (ids, rest) = ids.0.as_chunks::<ID_BYTES>();
        let jobs: Arc<[JobId]> = ids.iter().map(|id| JobId::from_bytes(*id)).collect();
        let alone = data.contains_key(ALONE);
        let receipts = Receipts { name, uid, sha256, jobs, alone, created, version };
        return Some(Archived::Receipts(receipts)).filter(|_| rest.is_empty());
    }
    let except = data.get(EXCEPT).map(String::as_str).unwrap_or_default();
    Some(Archived::Batch(Batch {
        name,
        uid,
        sha256,
        except: except.split(',').filter(|job| !job.is_empty()).map(str::parse).collect::<Result<_, _>>().ok()?,
        ended: data.contains_key(ENDED),
        created,
        version,
    }))
}

/// What the object of a catalog says. One without a filter excludes no job.
fn read_catalog(object: &ConfigMap, created: Timestamp, version: u64) -> Option<Catalog> {
    let data = object.data.as_ref()?;
    let filter = object.binary_data.as_ref().and_then(|data| data.get(FILTER));
    let members = data.get(MEMBERS).map(String::as_str).unwrap_or_default();
    Some(Catalog {
        name: object.name_any(),
        uid: object.uid(),
        sha256: data.get(SHA256).map(|sha256| sha256.parse()).transpose().ok()?,
        filter: Filter::read(filter.map(|filter| filter.0.as_slice()).unwrap_or_default()),
        members: members.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        created,
        version,
    })
}

/// The object of a batch that does not count.
pub(crate) fn batch_object(name: &str) -> ConfigMap {
    object(name.to_owned(), BTreeMap::new())
}

/// The same object, that counts, except for these jobs.
pub(crate) fn that_counts(mut object: ConfigMap, sha256: Sha256, except: &BTreeSet<JobId>) -> ConfigMap {
    object.metadata.managed_fields = unmanaged();
    let data = object.data.get_or_insert_default();
    data.insert(SHA256.to_owned(), sha256.to_string());
    if !except.is_empty() {
        let except: Vec<String> = except.iter().map(ToString::to_string).collect();
        data.insert(EXCEPT.to_owned(), except.join(","));
    }
    object
}

/// The object of a batch of which nothing is left, in place of the one that was read.
pub(crate) fn that_ended(batch: &Batch) -> ConfigMap {
    let mut object = object(batch.name.clone(), [(ENDED, "true".to_owned())].into());
    object.metadata.uid.clone_from(&batch.uid);
    object.metadata.resource_version = Some(batch.version.to_string());
    object
}

/// The object that says what was changed of an archived job.
pub(crate) fn change_object(job: JobId, spec: &Value) -> ConfigMap {
    object(change_name(job), [(JOB, job.to_string()), (SPEC, spec.to_string())].into())
}

/// The object of receipts that do not count.
pub(crate) fn receipts_object(name: &str, jobs: &BTreeSet<JobId>) -> ConfigMap {
    let mut object = labelled(SEALED_RECEIPTS, name.to_owned(), BTreeMap::new());
    let ids = jobs.iter().flat_map(|job| *job.as_bytes()).collect();
    object.binary_data = Some([(RECEIPTS.to_owned(), ByteString(ids))].into());
    object
}

/// The object of receipts whose Secrets are gone, in place of the one that was read.
pub(crate) fn that_are_alone(receipts: &Receipts) -> ConfigMap {
    let mut object = receipts_object(&receipts.name, &receipts.jobs.iter().copied().collect());
    object.metadata.managed_fields = unmanaged();
    object.metadata.uid.clone_from(&receipts.uid);
    object.metadata.resource_version = Some(receipts.version.to_string());
    let data = object.data.get_or_insert_default();
    data.extend(receipts.sha256.map(|sha256| (SHA256.to_owned(), sha256.to_string())));
    data.insert(ALONE.to_owned(), "true".to_owned());
    object
}

/// The object of a catalog of these receipts, that does not count.
pub(crate) fn catalog_object(name: &str, receipts: &[Receipts]) -> ConfigMap {
    let members: Vec<&str> = receipts.iter().map(|receipts| receipts.name.as_str()).collect();
    let data = [(RECEIPT, CATALOG.to_owned()), (MEMBERS, members.join(","))].into();
    let jobs: BTreeSet<JobId> = receipts.iter().flat_map(|receipts| receipts.jobs.iter().copied()).collect();
    let filter = ByteString(Filter::of(&jobs).bytes().to_vec());
    let mut object = labelled(SEALED_RECEIPTS, name.to_owned(), data);
    object.binary_data = Some([(FILTER.to_owned(), filter)].into());
    object
}

/// The same object, that counts. Its list says which objects it replaces.
pub(crate) fn that_lists(mut object: ConfigMap, sha256: Sha256) -> ConfigMap {
    object.data.get_or_insert_default().remove(MEMBERS);
    that_counts(object, sha256, &BTreeSet::new())
}

/// In an object that is stored, it takes out who last wrote which field. The API server then keeps no account of that, which has more bytes
/// than a digest. An empty list would change nothing.
pub(super) fn unmanaged() -> Option<Vec<ManagedFieldsEntry>> {
    Some(vec![ManagedFieldsEntry::default()])
}

/// The object that says that the receipt of a job waits to be sealed.
pub(crate) fn waiting_object(job: JobId) -> ConfigMap {
    labelled(SEALED_RECEIPTS, waiting_name(job), [(RECEIPT, job.to_string())].into())
}

fn object(name: String, data: BTreeMap<&str, String>) -> ConfigMap {
    labelled(ARCHIVED_JOBS, name, data)
}

/// An object with the label of a selector.
fn labelled(selector: &str, name: String, data: BTreeMap<&str, String>) -> ConfigMap {
    let archive = selector.split_once('=').unwrap_or((ARCHIVE_LABEL, ""));
    let labels = [archive, MANAGED_BY];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    ConfigMap {
        metadata: ObjectMeta { name: Some(name), labels: Some(labels), ..ObjectMeta::default() },
        data: Some(data.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ..ConfigMap::default()
    }
}

/// The key that seals what is archived. The first replica that needs it makes it.
pub(crate) async fn sealing_key(cluster: &Cluster) -> Result<SealingKey, CallError> {
    let api: Api<Secret> = cluster.system();
    let unusable = || CallError::Refused {
        what: "give the key of archived jobs",
        words: format!("the Secret {KEY_SECRET} was changed; restore it"),
    };
    for _ in 0..2 {
        if let Some(found) = call("read a key", || async { api.get_opt(KEY_SECRET).await }).await? {
            let text = found.data.and_then(|mut data| data.remove(KEY)).and_then(|text| String::from_utf8(text.0).ok());
            return text.and_then(|text| SealingKey::read(text.trim())).ok_or_else(unusable);
        }
        let key = SealingKey::generate();
        let data = [(KEY.to_owned(), ByteString(key.secret().expose().clone().into_bytes()))].into();
        let secret = secret(KEY_SECRET, "cloister.dev/archive-key", data, None);
        match call("store a key", || async { api.create(&PostParams::default(), &secret).await }).await {
            // Read again: of two replicas, one has made it.
            Ok(_) | Err(CallError::Exists) => {}
            Err(error) => return Err(error),
        }
    }
    Err(unusable())
}

/// Merges a patch into a value (RFC 7396).
pub(crate) fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = Value::Object(serde_json::Map::new());
    }
    let Value::Object(into) = into else { return };
    for (key, value) in patch {
        if value.is_null() {
            into.remove(key);
        } else {
            merge(into.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_testkit::job_id;
    use serde_json::json;

    #[test]
    fn objects_say_what_was_put_into_them() {
        let sha256 = Sha256::of(b"a batch");
        let except = BTreeSet::from([job_id(1), job_id(2)]);
        let new = batch_object("archive-1");
        for (object, counts, expected) in [
            (new.clone(), None, BTreeSet::new()),
            (that_counts(new.clone(), sha256, &BTreeSet::new()), Some(sha256), BTreeSet::new()),
            (that_counts(new, sha256, &except), Some(sha256), except.clone()),
        ] {
            let Some(Archived::Batch(batch)) = read_archived(&object) else { panic!("{object:?}") };
            assert_eq!((batch.name.as_str(), batch.sha256), ("archive-1", counts));
            assert_eq!((&batch.except, batch.ended), (&expected, false));
            let Some(Archived::Batch(ended)) = read_archived(&that_ended(&batch)) else { panic!("{object:?}") };
            assert_eq!((ended.sha256, ended.ended), (None, true));
        }
        let spec = json!({"removal": {"by": "alice"}});
        let Some(Archived::Change(change)) = read_archived(&change_object(job_id(3), &spec)) else {
            panic!("no change")
        };
        assert_eq!((change.job, change.spec), (job_id(3), spec));
    }

    #[test]
    fn receipts_say_whose_they_are() {
        let (sha256, jobs) = (Sha256::of(b"receipts"), BTreeSet::from([job_id(7), job_id(300), job_id(2)]));
        let new = receipts_object("receipts-1", &jobs);
        let read = |object: &ConfigMap| match read_archived(object) {
            Some(Archived::Receipts(receipts)) => receipts,
            other => panic!("{other:?}"),
        };
        let (announced, counts) = (read(&new), read(&that_counts(new.clone(), sha256, &BTreeSet::new())));
        assert_eq!((announced.sha256, counts.sha256, counts.alone), (None, Some(sha256), false));
        assert!(counts.jobs.iter().eq(&jobs), "they are sorted");
        let alone = read(&that_are_alone(&counts));
        assert_eq!(alone, Receipts { alone: true, ..counts });
        let Some(Archived::Waiting(waiting)) = read_archived(&waiting_object(job_id(5))) else {
            panic!("nothing waits")
        };
        assert_eq!(waiting.job, job_id(5));
        // Half an id is invalid.
        let mut cut = new;
        cut.binary_data.get_or_insert_default().insert(RECEIPTS.to_owned(), ByteString(vec![0; ID_BYTES + 1]));
        assert_eq!(read_archived(&cut), None);
    }

    #[test]
    fn catalogs_say_whose_receipts_may_be_in_them() {
        let sealed = |number: u64| {
            let jobs = BTreeSet::from([job_id(number), job_id(number + 100)]);
            let object =
                that_counts(receipts_object(&format!("receipts-{number}"), &jobs), Sha256::of(b"a"), &BTreeSet::new());
            match read_archived(&object) {
                Some(Archived::Receipts(receipts)) => receipts,
                other => panic!("{other:?}"),
            }
        };
        let read = |object: &ConfigMap| match read_archived(object) {
            Some(Archived::Catalog(catalog)) => catalog,
            other => panic!("{other:?}"),
        };
        let new = catalog_object("catalog-1", &[sealed(1), sealed(2)]);
        let sha256 = Sha256::of(b"a list");
        let (announced, counts) = (read(&new), read(&that_lists(new.clone(), sha256)));
        assert_eq!((announced.sha256, counts.sha256), (None, Some(sha256)));
        assert_eq!(announced.members, ["receipts-1", "receipts-2"].map(str::to_owned).into());
        assert_eq!(counts.members, BTreeSet::new());
        for number in [1, 2, 101, 102] {
            assert!(announced.filter.may_have(job_id(number)) && counts.filter.may_have(job_id(number)), "{number}");
        }
        // A filter that somebody took away frees no id.
        let mut changed = that_lists(new, sha256);
        changed.binary_data = None;
        assert!(read(&changed).filter.may_have(job_id(50)));
    }

    /// What is in clusters already is read for ever: these are objects as they are stored.
    #[test]
    fn objects_of_earlier_versions_are_read() {
        let read = |object: &Value| read_archived(&serde_json::from_value(object.clone()).expect("a ConfigMap"));
        let metadata = json!({
            "name": "a-1", "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-11-30T00:00:00Z",
            "managedFields": [{"manager": "cloister", "operation": "Update", "apiVersion": "v1"}],
        });
        let digest = Sha256::of(b"a");
        let one = JobId::from_bytes(1_u128.to_be_bytes());
        let id = format!("{}Q==", "A".repeat(21));
        let receipts = json!({
            "metadata": metadata, "data": {"sha256": digest.to_string(), "alone": "true"}, "binaryData": {"receipts": id},
        });
        let Some(Archived::Receipts(receipts)) = read(&receipts) else { panic!("no receipts") };
        assert_eq!((receipts.sha256, receipts.alone, receipts.version), (Some(digest), true, 7));
        assert_eq!(receipts.jobs.to_vec(), [one]);
        let batch = json!({"metadata": metadata, "data": {"sha256": digest.to_string(), "except": one.to_string()}});
        let Some(Archived::Batch(batch)) = read(&batch) else { panic!("no batch") };
        assert_eq!((batch.sha256, batch.except, batch.ended), (Some(digest), [one].into(), false));
        let waiting = json!({"metadata": metadata, "data": {"receipt": one.to_string()}});
        assert!(matches!(read(&waiting), Some(Archived::Waiting(waiting)) if waiting.job == one));
        let catalog = json!({
            "metadata": metadata, "data": {"receipt": "catalog", "sha256": digest.to_string()}, "binaryData": {"filter": "AQID"},
        });
        let Some(Archived::Catalog(catalog)) = read(&catalog) else { panic!("no catalog") };
        assert_eq!((catalog.sha256, catalog.filter.bytes()), (Some(digest), &[1, 2, 3][..]));
    }

    /// A version that knows no catalogs takes the word for the id of a job whose receipt waits, and makes nothing of the object. It would
    /// delete one that it took for a batch that was never made.
    #[test]
    fn a_catalog_names_no_job() {
        assert!(CATALOG.parse::<JobId>().is_err());
        let object = catalog_object("catalog-1", &[]);
        let keys: Vec<&String> = object.data.iter().flatten().map(|(key, _)| key).collect();
        assert!(keys.iter().any(|key| *key == RECEIPT) && keys.iter().all(|key| *key != JOB), "{keys:?}");
    }

    #[test]
    fn an_object_that_was_changed_is_not_believed() {
        for (key, value) in [(SHA256, "abc"), (EXCEPT, "abc"), (JOB, "abc"), (RECEIPT, "abc")] {
            let mut object = that_counts(batch_object("archive-1"), Sha256::of(b"a"), &BTreeSet::new());
            object.data.get_or_insert_default().insert(key.to_owned(), value.to_owned());
            assert_eq!(read_archived(&object), None, "{key}");
        }
    }

    #[test]
    fn patches_are_merged_as_the_api_server_merges_them() {
        for (before, patch, after) in [
            (json!({"a": 1}), json!({"b": 2}), json!({"a": 1, "b": 2})),
            (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": null, "d": 3}}), json!({"a": {"c": 2, "d": 3}})),
            (json!({"a": [1]}), json!({"a": [2, 3]}), json!({"a": [2, 3]})),
            (json!({"a": 1}), json!({"a": {"b": null}}), json!({"a": {}})),
        ] {
            let mut value = before;
            merge(&mut value, &patch);
            assert_eq!(value, after);
        }
    }
}
