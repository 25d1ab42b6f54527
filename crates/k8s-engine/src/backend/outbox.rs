use super::Inner;
use crate::{
    clock::now,
    cluster::{CallError, call},
    resources::{Algorithm, ApiKey, ComputeJob, Dataset},
    store::{PENDING_LABEL, Pending},
};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::ConfigMap};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeSet, fmt, sync::Weak, time::Duration};

/// Between two looks for events that the process that made the change did not put on record.
const PAUSE: Duration = Duration::from_secs(10);

/// How old a change must be: the process that made it comes first.
const GRACE_MS: u64 = 30_000;

/// How often an object that changes meanwhile is read again.
const ATTEMPTS: u32 = 5;

/// Objects in one answer.
const PAGE: u32 = 200;

/// What is done to an object whose events are on record.
const CLEAR: &str = "clear the events of an object";

/// An object whose changes are put on record.
pub(super) trait Recorded:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + DeserializeOwned
    + fmt::Debug
    + Send
    + Sync
    + 'static
{
}

impl<K> Recorded for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + fmt::Debug
        + Send
        + Sync
        + 'static
{
}

impl Inner {
    /// Puts the events of an object on record, and takes them out of it. That they stay in it is no failure: the sweep finds
    /// that they are on record.
    pub(super) async fn flush<K: Recorded>(&self, api: &Api<K>, object: &K) -> Result<(), CallError> {
        let pending = Pending::of(object.meta().annotations.as_ref())?;
        if pending.is_empty() {
            return Ok(());
        }
        self.audit.append(pending.entries()).await?;
        if let Err(error) = clear(api, object, &pending).await {
            tracing::warn!(%error, "events that are on record stay in their object for now");
        }
        Ok(())
    }
}

/// Takes events that are on record out of their object.
///
/// The patch holds for an object with exactly these events and not for one version of it, because the status of a job that was
/// just submitted changes at the same time.
async fn clear<K: Recorded>(api: &Api<K>, object: &K, recorded: &Pending) -> Result<(), CallError> {
    let name = object.name_any();
    let mut object = object.clone();
    for _ in 0..ATTEMPTS {
        let Some(patch) = Pending::clearing(object.meta(), recorded)? else { return Ok(()) };
        let unreadable = |error: serde_json::Error| CallError::Refused { what: CLEAR, words: error.to_string() };
        let patch = Patch::Json::<()>(serde_json::from_value(patch).map_err(unreadable)?);
        match call(CLEAR, || async { api.patch(&name, &PatchParams::default(), &patch).await }).await {
            Ok(_) | Err(CallError::Missing) => return Ok(()),
            // A test of the patch fails where an event was added meanwhile.
            Err(error @ (CallError::Conflict | CallError::Refused { .. })) => {
                let found = call("read an object", || async { api.get_opt(&name).await }).await?;
                match found.filter(|present| present.meta().uid == object.meta().uid) {
                    Some(present) if present.meta().annotations != object.meta().annotations => object = present,
                    Some(_) => return Err(error),
                    None => return Ok(()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(CallError::Conflict)
}

/// Puts on record what other processes changed and did not: they were killed in between.
pub(super) async fn sweep(store: Weak<Inner>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(inner) = store.upgrade() else { return };
        let cluster = &inner.cluster;
        let swept = [
            sweep_kind::<ApiKey>(&inner, cluster.system()).await,
            sweep_kind::<Dataset>(&inner, cluster.assets()).await,
            sweep_kind::<Algorithm>(&inner, cluster.assets()).await,
            sweep_kind::<ComputeJob>(&inner, cluster.jobs()).await,
            // Changes of archived jobs.
            sweep_kind::<ConfigMap>(&inner, cluster.system()).await,
        ];
        for error in swept.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "changes that are not on record could not be swept; they are tried again");
        }
    }
}

impl Inner {
    /// The ids of all events that objects have, whether they are on record or not. Nothing else brings an event again.
    pub(super) async fn events_of_objects(&self) -> Result<BTreeSet<String>, CallError> {
        let (cluster, mut ids) = (&self.cluster, BTreeSet::new());
        ids_of_kind::<ApiKey>(cluster.system(), Some(PENDING_LABEL), outbox, &mut ids).await?;
        ids_of_kind::<Dataset>(cluster.assets(), Some(PENDING_LABEL), outbox, &mut ids).await?;
        ids_of_kind::<Algorithm>(cluster.assets(), Some(PENDING_LABEL), outbox, &mut ids).await?;
        ids_of_kind::<ConfigMap>(cluster.system(), Some(PENDING_LABEL), outbox, &mut ids).await?;
        // All jobs: those that the controller has yet to put on record, or has, are in their status, which has no label.
        ids_of_kind::<ComputeJob>(cluster.jobs(), None, of_job, &mut ids).await?;
        Ok(ids)
    }
}

/// Collects the ids of the events of one kind of objects, a page at a time.
async fn ids_of_kind<K: Recorded>(
    api: Api<K>,
    label: Option<&str>,
    events: impl Fn(&K) -> Result<Vec<Pending>, CallError>,
    ids: &mut BTreeSet<String>,
) -> Result<(), CallError> {
    let mut page = ListParams::default().limit(PAGE);
    page.label_selector = label.map(str::to_owned);
    loop {
        let listed = call("list the events of objects", || async { api.list(&page).await }).await?;
        for object in &listed.items {
            let entries = events(object)?.into_iter().flat_map(|pending| pending.entries());
            ids.extend(entries.filter_map(|entry| entry.id));
        }
        match listed.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(()),
        }
    }
}

/// The events of an object that are not known to be on record.
fn outbox<K: Recorded>(object: &K) -> Result<Vec<Pending>, CallError> {
    Ok(vec![Pending::of(object.meta().annotations.as_ref())?])
}

/// The same of a job, and the events of its last change by the controller.
fn of_job(job: &ComputeJob) -> Result<Vec<Pending>, CallError> {
    let mut events = outbox(job)?;
    if let Some(records) = job.status.as_ref().and_then(|status| status.records.as_deref()) {
        events.push(serde_json::from_str(records).map_err(|error| CallError::Unreachable {
            what: "read the events of a job",
            words: format!("the status of job {} was changed: {error}", job.name_any()),
        })?);
    }
    Ok(events)
}

async fn sweep_kind<K: Recorded>(inner: &Inner, api: Api<K>) -> Result<(), CallError> {
    let wanted = ListParams::default().labels(PENDING_LABEL).limit(500);
    let found = call("list changes that are not on record", || async { api.list(&wanted).await }).await?;
    for object in found.items {
        let old = |entry: &crate::store::Entry| now().unix_ms().saturating_sub(entry.event.at.unix_ms()) > GRACE_MS;
        let swept = match Pending::of(object.meta().annotations.as_ref()) {
            Ok(pending) if !pending.entries().iter().all(old) => Ok(()),
            Ok(_) => match inner.flush(&api, &object).await {
                // The others would wait as long for nothing.
                Err(error @ CallError::Unreachable { .. }) => return Err(error),
                flushed => flushed,
            },
            Err(error) => Err(error),
        };
        // One whose events cannot be read or stored keeps no other from the record.
        if let Err(error) = swept {
            let object = object.name_any();
            tracing::warn!(%error, object, "changes of an object are not on record; they are tried again");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{ComputeJobSpec, ComputeJobStatus, Order, Payload};
    use cloister_model::{AuditAction, ConfigureOrder, Phase, Timestamp};
    use cloister_testkit::{event, status_in};
    use std::collections::BTreeMap;

    /// The events of a job are where the service puts them, and where the controller does.
    #[test]
    fn a_job_has_the_events_of_its_outbox_and_of_its_status() {
        let job = cloister_testkit::job(1, Timestamp::from_unix_ms(5));
        let (payload, _) = Payload::cut(&ConfigureOrder::of(&job)).expect("a payload");
        let order = Order::of(&job, payload).expect("an order");
        let mut object = ComputeJob::new(&job.id.to_string(), ComputeJobSpec::of(order));
        let ids = |object: &ComputeJob| -> Vec<String> {
            let events = of_job(object).expect("events").into_iter().flat_map(|pending| pending.entries());
            events.filter_map(|entry| entry.id).collect()
        };
        assert_eq!(ids(&object), Vec::<String>::new());
        let pending =
            |ms| Pending::default().with("job/a", event(AuditAction::JobStopped, Timestamp::from_unix_ms(ms)));
        let (asked, done) = (pending(6), pending(7));
        let id = |pending: &Pending| pending.entries()[0].id.clone().expect("an id");
        let status = status_in(Phase::Stopped, job.id, Timestamp::from_unix_ms(7));
        let records = serde_json::to_string(&done).expect("JSON");
        let status = ComputeJobStatus { records: Some(records), ..ComputeJobStatus::of(&status, None, None) };
        object.status = Some(status.clone());
        assert_eq!(ids(&object), [id(&done)]);
        let (mut annotations, mut labels) = (BTreeMap::new(), BTreeMap::new());
        asked.put(&mut annotations, &mut labels);
        object.metadata.annotations = Some(annotations);
        assert_eq!(ids(&object), [id(&asked), id(&done)]);
        // What cannot be read may be any event.
        object.status = Some(ComputeJobStatus { records: Some("changed".to_owned()), ..status });
        assert!(of_job(&object).is_err());
    }
}
