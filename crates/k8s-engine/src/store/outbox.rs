use super::audit::Entry;
use crate::cluster::CallError;
use cloister_model::{AuditEvent, Sha256};
use kube::api::ObjectMeta;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use std::collections::BTreeMap;

/// The label of an object whose events are not all on record.
pub(crate) const PENDING_LABEL: &str = "cloister.dev/audit-pending";

/// The annotation that holds these events.
const PENDING: &str = "cloister.dev/audit-pending";

/// The events of an object that are not on record yet.
///
/// No effect without its record, without transactions: a change and the event that describes it are one write to one
/// object. Its writer puts the event on record and takes it out of the object; a sweep does it for those that were
/// killed in between. The event has an id, so that it is on record once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Pending(Vec<PendingEvent>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PendingEvent {
    id: String,
    event: AuditEvent,
}

impl Pending {
    /// What an object holds.
    pub(crate) fn of(annotations: Option<&BTreeMap<String, String>>) -> Result<Self, CallError> {
        let Some(text) = annotations.and_then(|annotations| annotations.get(PENDING)) else {
            return Ok(Self::default());
        };
        serde_json::from_str(text).map_err(|error| CallError::Unreachable {
            what: "read the events of an object",
            words: format!("the annotation {PENDING} was changed: {error}"),
        })
    }

    /// These and one more, which describes a change of the object of this name.
    pub(crate) fn with(mut self, object: &str, event: AuditEvent) -> Self {
        let mut hash = sha2::Sha256::new();
        hash.update(object);
        hash.update([0]);
        // An event is texts and a number: it can be written.
        hash.update(serde_json::to_vec(&event).unwrap_or_default());
        let id = Sha256::from_bytes(hash.finalize().into()).to_string().chars().take(32).collect();
        self.0.push(PendingEvent { id, event });
        self
    }

    /// Those that are not among these.
    pub(crate) fn without(&self, recorded: &Self) -> Self {
        Self(self.0.iter().filter(|event| !recorded.0.contains(event)).cloned().collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For the audit log.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.0.iter().map(|PendingEvent { id, event }| Entry { event: event.clone(), id: Some(id.clone()) }).collect()
    }

    /// The annotation and the label, to be merged into the object's metadata.
    pub(crate) fn patch(&self) -> serde_json::Value {
        let (annotation, label) = self.written();
        serde_json::json!({"annotations": {PENDING: annotation}, "labels": {PENDING_LABEL: label}})
    }

    /// The JSON patch that takes events that are on record out of an object of this metadata. It fails where the object has other
    /// events by now. None: there are none of them in it.
    pub(crate) fn clearing(object: &ObjectMeta, recorded: &Self) -> Result<Option<serde_json::Value>, CallError> {
        let before = Self::of(object.annotations.as_ref())?;
        let rest = before.without(recorded);
        let text = object.annotations.as_ref().and_then(|annotations| annotations.get(PENDING));
        let Some(text) = text.filter(|_| rest != before) else { return Ok(None) };
        let at = |field: &str, name: &str| format!("/metadata/{field}/{}", name.replace('/', "~1"));
        let annotation = at("annotations", PENDING);
        let mut patch = vec![
            serde_json::json!({"op": "test", "path": "/metadata/uid", "value": object.uid}),
            serde_json::json!({"op": "test", "path": annotation, "value": text}),
        ];
        match rest.written().0 {
            Some(rest) => patch.push(serde_json::json!({"op": "replace", "path": annotation, "value": rest})),
            None => {
                patch.push(serde_json::json!({"op": "remove", "path": annotation}));
                if object.labels.as_ref().is_some_and(|labels| labels.contains_key(PENDING_LABEL)) {
                    patch.push(serde_json::json!({"op": "remove", "path": at("labels", PENDING_LABEL)}));
                }
            }
        }
        Ok(Some(serde_json::Value::Array(patch)))
    }

    /// Adds the annotation and the label to those of a new object.
    pub(crate) fn put(&self, annotations: &mut BTreeMap<String, String>, labels: &mut BTreeMap<String, String>) {
        if let (Some(annotation), Some(label)) = self.written() {
            annotations.insert(PENDING.to_owned(), annotation);
            labels.insert(PENDING_LABEL.to_owned(), label);
        }
    }

    fn written(&self) -> (Option<String>, Option<String>) {
        if self.is_empty() {
            return (None, None);
        }
        (serde_json::to_string(self).ok(), Some("true".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::{AuditAction, Timestamp};

    fn event(ms: u64) -> AuditEvent {
        cloister_testkit::event(AuditAction::KeyCreated, Timestamp::from_unix_ms(ms))
    }

    #[test]
    fn what_is_on_record_leaves_the_outbox_and_the_rest_stays() {
        let one = Pending::default().with("ApiKey/a", event(1));
        let two = one.clone().with("ApiKey/a", event(2));
        let (mut annotations, mut labels) = (BTreeMap::new(), BTreeMap::new());
        two.put(&mut annotations, &mut labels);
        assert_eq!(Pending::of(Some(&annotations)).expect("events"), two);
        assert!(labels.contains_key(PENDING_LABEL));
        let rest = two.without(&one);
        assert_eq!(rest.entries().len(), 1);
        assert!(rest.without(&two).is_empty());
        // The annotation holds the rest; nothing pending removes both.
        let object = ObjectMeta { annotations: Some(annotations), labels: Some(labels), ..ObjectMeta::default() };
        let operations = |recorded| {
            let patch = Pending::clearing(&object, recorded).expect("events").unwrap_or_default();
            let operation = |one: &serde_json::Value| format!("{} {}", one["op"], one["path"]).replace('"', "");
            patch.as_array().map(|all| all.iter().map(operation).collect::<Vec<_>>()).unwrap_or_default()
        };
        let tests = ["test /metadata/uid", "test /metadata/annotations/cloister.dev~1audit-pending"];
        let replaced = "replace /metadata/annotations/cloister.dev~1audit-pending";
        assert_eq!(operations(&one), [tests[0], tests[1], replaced]);
        let removed =
            ["annotations", "labels"].map(|field| format!("remove /metadata/{field}/cloister.dev~1audit-pending"));
        assert_eq!(operations(&two), [tests[0], tests[1], removed[0].as_str(), removed[1].as_str()]);
        assert!(operations(&Pending::default()).is_empty());
    }

    #[test]
    fn an_event_of_another_object_has_another_id() {
        let id = |object: &str, ms| Pending::default().with(object, event(ms)).entries()[0].id.clone();
        assert_eq!(id("a", 1), id("a", 1));
        assert_ne!(id("a", 1), id("b", 1));
        assert_ne!(id("a", 1), id("a", 2));
        assert_eq!(id("a", 1).map(|id| id.len()), Some(32));
    }
}
