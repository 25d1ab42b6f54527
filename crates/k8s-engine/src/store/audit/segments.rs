//! Pieces of the audit log that are in the store of results, many in one segment. What the API server keeps of each segment is where
//! it is, its digest and that of its last record, and the ids of entries of outboxes that are in it, for as long as a process may
//! bring such an entry again.

use super::{Audit, ENTRY_LABEL, LABEL, PAGE, RECORDS, name, number};
use crate::{
    cluster::{CallError, call, version},
    store::{MANAGED_BY, archive::unmanaged},
};
use cloister_model::{Sha256, Timestamp};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use kube::{
    Api,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams, Preconditions},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The value of the label of segments.
const SEALED: &str = "sealed";

/// The annotation that says what a segment is: it is read without the ids.
const SEGMENT: &str = "cloister.dev/audit-segment";

/// The key of the ids.
const IDS: &str = "ids";

/// Bytes of the id of an entry.
const ID_BYTES: usize = 16;

/// Records that are in the store of results, or are being moved there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The first record.
    pub(crate) first: u64,
    pub(crate) form: Form,
    pub(crate) created: Timestamp,
    pub(crate) uid: Option<String>,
    pub(crate) version: u64,
}

/// What an object says of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Form {
    /// The last record.
    pub(crate) through: u64,
    /// Its hash.
    pub(crate) hash: Sha256,
    /// The earliest time of an event.
    pub(crate) from: Timestamp,
    /// The latest.
    pub(crate) to: Timestamp,
    /// The name in the store.
    pub(crate) stored: String,
    /// The digest of what is there; none: the segment does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<Sha256>,
}

/// A piece, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The first record.
    pub(crate) first: u64,
    pub(crate) created: Timestamp,
    /// The ids of entries of outboxes that are in it.
    pub(crate) ids: BTreeSet<String>,
}

impl Segment {
    /// Whether its records are read from the store.
    pub(crate) fn counts(&self) -> bool {
        self.form.sha256.is_some()
    }
}

/// The last record that is in a segment that counts; 0: none is.
pub(crate) fn sealed_through(segments: &[Segment]) -> u64 {
    segments.iter().filter(|segment| segment.counts()).map(|segment| segment.form.through).max().unwrap_or(0)
}

impl Audit {
    /// The segments, also those that do not count, the first one first.
    pub(crate) async fn segments(&self) -> Result<Vec<Segment>, CallError> {
        let mut found: Vec<Segment> = Vec::new();
        let mut page = ListParams::default().labels(&format!("{LABEL}={SEALED}")).limit(PAGE);
        loop {
            let listed = call("list records", || async { self.api.list_metadata(&page).await }).await?;
            for object in &listed.items {
                found.push(read(&object.metadata)?);
            }
            match listed.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => break,
            }
        }
        found.sort_by_key(|segment| segment.first);
        Ok(found)
    }

    /// The first pieces, at most so many.
    pub(crate) async fn first_pieces(&self, at_most: usize) -> Result<Vec<Listed>, CallError> {
        let mut found = Vec::new();
        let mut page = ListParams::default().labels(&format!("{LABEL}={RECORDS}")).limit(PAGE);
        // The API server lists objects in the order of their names, which is that of the records.
        while found.len() < at_most {
            let listed = call("list records", || async { self.api.list_metadata(&page).await }).await?;
            found.extend(listed.items.iter().filter_map(|object| self::listed(&object.metadata)));
            match listed.metadata.continue_.filter(|next| !next.is_empty()) {
                Some(next) => page = page.continue_token(&next),
                None => break,
            }
        }
        found.sort_by_key(|piece| piece.first);
        found.truncate(at_most);
        Ok(found)
    }

    /// Announces a segment, that does not count; none: one that begins there is there.
    pub(crate) async fn announce(
        &self,
        first: u64,
        form: &Form,
        ids: &BTreeSet<String>,
    ) -> Result<Option<ConfigMap>, CallError> {
        let object = object(first, form, ids)?;
        match call("announce records", || async { self.api.create(&PostParams::default(), &object).await }).await {
            Ok(announced) => Ok(Some(announced)),
            Err(CallError::Exists) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a segment count that was announced. False: it was taken for one of a process that was killed.
    pub(crate) async fn count(&self, mut announced: ConfigMap, form: &Form) -> Result<bool, CallError> {
        announced.metadata.managed_fields = unmanaged();
        let annotations = announced.metadata.annotations.get_or_insert_default();
        annotations.insert(SEGMENT.to_owned(), written(form)?);
        if self.replace(&announced).await? {
            return Ok(true);
        }
        // Asked twice, the API server did it the first time.
        let name = announced.metadata.name.unwrap_or_default();
        let found = call("read the records", || async { self.api.get_opt(&name).await }).await?;
        Ok(found.map(|found| read(&found.metadata)).transpose()?.is_some_and(|found| found.form == *form))
    }

    /// Makes a segment count no more. False: it was changed meanwhile.
    pub(crate) async fn end(&self, segment: &Segment) -> Result<bool, CallError> {
        let mut object = object(segment.first, &Form { sha256: None, ..segment.form.clone() }, &BTreeSet::new())?;
        object.metadata.uid.clone_from(&segment.uid);
        object.metadata.resource_version = Some(segment.version.to_string());
        self.replace(&object).await
    }

    /// Deletes the object of a segment, if it is still of this version; whether it did. Without a version: whatever it is.
    pub(crate) async fn remove_segment(&self, segment: &Segment, version: Option<u64>) -> Result<bool, CallError> {
        let resource_version = version.map(|version| version.to_string());
        let this = Preconditions { uid: segment.uid.clone(), resource_version };
        let params = DeleteParams { preconditions: Some(this), ..DeleteParams::default() };
        let name = segment_name(segment.first);
        match call("remove records", || async { self.api.delete(&name, &params).await }).await {
            Ok(_) => Ok(true),
            Err(CallError::Missing | CallError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a piece. It is not an error if it is gone.
    pub(crate) async fn remove_piece(&self, first: u64) -> Result<(), CallError> {
        let name = name(first);
        match call("remove records", || async { self.api.delete(&name, &DeleteParams::default()).await }).await {
            Ok(_) | Err(CallError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether an entry of an outbox is in a segment. Only those that have events of its time are searched.
    pub(super) async fn is_sealed(&self, id: &str, at: Timestamp) -> Result<bool, CallError> {
        let Some(id) = bytes(id) else { return Ok(false) };
        for Segment { first, form, .. } in self.segments().await?.into_iter().filter(Segment::counts) {
            if !(form.from..=form.to).contains(&at) {
                continue;
            }
            let name = segment_name(first);
            let found = call("read the records", || async { self.api.get_opt(&name).await }).await?;
            let ids = found.and_then(|object| object.binary_data?.remove(IDS)).unwrap_or_default().0;
            if ids.as_chunks::<ID_BYTES>().0.contains(&id) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes the ids of entries out of the object of a segment, except these, which may be brought again; whether there were others.
    pub(crate) async fn keep_ids(&self, segment: &Segment, wanted: &BTreeSet<String>) -> Result<bool, CallError> {
        let name = segment_name(segment.first);
        let found = call("read the records", || async { self.api.get_opt(&name).await }).await?;
        let Some(mut object) = found.filter(|object| object.metadata.uid == segment.uid) else { return Ok(false) };
        let ids = object.binary_data.as_ref().and_then(|data| data.get(IDS)).map(|ids| ids.0.as_slice());
        let Some(rest) = without_others(ids.unwrap_or_default(), wanted) else { return Ok(false) };
        object.binary_data = Some([(IDS.to_owned(), ByteString(rest))].into());
        object.metadata.managed_fields = unmanaged();
        self.replace(&object).await
    }

    async fn replace(&self, object: &ConfigMap) -> Result<bool, CallError> {
        let (api, params): (&Api<ConfigMap>, _) = (&self.api, PostParams::default());
        let name = object.metadata.name.clone().unwrap_or_default();
        match call("store records", || async { api.replace(&name, &params, object).await }).await {
            Ok(_) => Ok(true),
            Err(CallError::Missing | CallError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn segment_name(first: u64) -> String {
    format!("audit-sealed-{first:020}")
}

fn created(metadata: &ObjectMeta) -> Timestamp {
    let created = metadata.creation_timestamp.as_ref().map_or(0, |at| at.0.as_millisecond());
    Timestamp::from_unix_ms(u64::try_from(created).unwrap_or(0))
}

fn listed(metadata: &ObjectMeta) -> Option<Listed> {
    let labels = metadata.labels.iter().flatten();
    let ids = labels.filter_map(|(label, _)| label.strip_prefix(ENTRY_LABEL)).map(str::to_owned).collect();
    Some(Listed { first: number(metadata.name.as_deref()?)?, created: created(metadata), ids })
}

/// What an object says of a segment. One that says nothing is an error: without it, records would seem to be missing.
fn read(metadata: &ObjectMeta) -> Result<Segment, CallError> {
    let name = metadata.name.as_deref().unwrap_or_default();
    let unreadable = || CallError::Unreachable {
        what: "read the records",
        words: format!("the ConfigMap {name} does not say which records are sealed; it was changed"),
    };
    let first = name.strip_prefix("audit-sealed-").and_then(|first| first.parse().ok()).ok_or_else(unreadable)?;
    let text = metadata.annotations.as_ref().and_then(|annotations| annotations.get(SEGMENT)).ok_or_else(unreadable)?;
    let form: Form = serde_json::from_str(text).map_err(|_| unreadable())?;
    // Of the metadata alone.
    let object = ConfigMap { metadata: metadata.clone(), ..ConfigMap::default() };
    Ok(Segment { first, form, created: created(metadata), uid: metadata.uid.clone(), version: version(&object) })
}

fn written(form: &Form) -> Result<String, CallError> {
    serde_json::to_string(form)
        .map_err(|error| CallError::Refused { what: "store the record", words: error.to_string() })
}

fn object(first: u64, form: &Form, ids: &BTreeSet<String>) -> Result<ConfigMap, CallError> {
    let labels: BTreeMap<String, String> =
        [(LABEL, SEALED), MANAGED_BY].map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let annotations = [(SEGMENT.to_owned(), written(form)?)].into();
    let ids = ids.iter().filter_map(|id| bytes(id)).flatten().collect();
    Ok(ConfigMap {
        metadata: ObjectMeta {
            name: Some(segment_name(first)),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        binary_data: Some([(IDS.to_owned(), ByteString(ids))].into()),
        ..ConfigMap::default()
    })
}

/// The ids of a segment that are among these; none: all are.
fn without_others(ids: &[u8], wanted: &BTreeSet<String>) -> Option<Vec<u8>> {
    let wanted: BTreeSet<[u8; ID_BYTES]> = wanted.iter().filter_map(|id| bytes(id)).collect();
    let rest: Vec<u8> =
        ids.as_chunks::<ID_BYTES>().0.iter().filter(|id| wanted.contains(*id)).flatten().copied().collect();
    Some(rest).filter(|rest| rest.len() < ids.len())
}

/// The bytes of the id of an entry, which has 32 hexadecimal digits.
fn bytes(id: &str) -> Option<[u8; ID_BYTES]> {
    Some(u128::from_str_radix(id, 16).ok()?.to_be_bytes()).filter(|_| id.len() == 2 * ID_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(sha256: Option<Sha256>) -> Form {
        let (from, to) = (Timestamp::from_unix_ms(5), Timestamp::from_unix_ms(9));
        Form { through: 1200, hash: Sha256::of(b"the last"), from, to, stored: "audit-1".to_owned(), sha256 }
    }

    #[test]
    fn segments_say_what_was_put_into_them() {
        let ids: BTreeSet<String> = [7_u128, 1 << 100].map(|id| format!("{id:032x}")).into();
        for sha256 in [None, Some(Sha256::of(b"a segment"))] {
            let object = object(17, &form(sha256), &ids).expect("an object");
            let segment = read(&object.metadata).expect("a segment");
            assert_eq!((segment.first, &segment.form, segment.counts()), (17, &form(sha256), sha256.is_some()));
            assert_eq!(sealed_through(&[segment]), if sha256.is_some() { 1200 } else { 0 });
            let stored = &object.binary_data.expect("ids")[IDS].0;
            assert_eq!(stored.len(), 2 * ID_BYTES);
            // It is not taken for a piece.
            assert_eq!(number(object.metadata.name.as_deref().expect("a name")), None);
        }
    }

    #[test]
    fn a_segment_that_was_changed_is_an_error_and_not_missing() {
        let mut object = object(17, &form(None), &BTreeSet::new()).expect("an object");
        object.metadata.annotations = Some([(SEGMENT.to_owned(), "{}".to_owned())].into());
        assert!(read(&object.metadata).is_err());
        object.metadata.annotations = None;
        assert!(read(&object.metadata).is_err());
    }

    #[test]
    fn the_ids_stay_that_may_be_brought_again() {
        let id = |number: u128| format!("{number:032x}");
        let all: BTreeSet<String> = [3, 5, 1 << 100].map(id).into();
        let stored = object(17, &form(None), &all).expect("an object").binary_data.expect("ids")[IDS].0.clone();
        for (what, wanted, expected) in [
            ("all", vec![3, 5, 1 << 100], None),
            ("all, and others", vec![1, 3, 5, 7, 1 << 100], None),
            ("one", vec![5, 9], Some(vec![5])),
            ("none", vec![4], Some(vec![])),
        ] {
            let wanted: BTreeSet<String> = wanted.into_iter().map(id).collect();
            let expected =
                expected.map(|numbers: Vec<u128>| numbers.into_iter().flat_map(u128::to_be_bytes).collect::<Vec<u8>>());
            assert_eq!(without_others(&stored, &wanted), expected, "{what}");
        }
        // An object of which all ids were taken out is not written again.
        assert_eq!(without_others(&[], &all), None);
    }

    #[test]
    fn ids_have_32_digits() {
        assert_eq!(bytes(&format!("{:032x}", 258)).map(|id| id[14..].to_vec()), Some(vec![1, 2]));
        for wrong in ["", "1", "z".repeat(32).as_str(), "1".repeat(33).as_str()] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
