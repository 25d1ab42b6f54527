//! Plays the kubelet: ends each pod with what its step would have said, or as the job's ending wants it.

use crate::endings::{Ending, status};
use cloister_model::JobId;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

#[derive(Default)]
pub(crate) struct Kubelet {
    /// The pods of each name that were there.
    seen: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// Pods whose names end like this are left as they are.
    holds: Mutex<Option<&'static str>>,
    endings: Mutex<BTreeMap<JobId, Ending>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kubelet {
    pub(crate) async fn work(self: Arc<Self>, pods: Api<Pod>) {
        loop {
            if let Ok(found) = pods.list(&ListParams::default()).await {
                for pod in found.items {
                    self.advance(&pods, &pod).await;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Leaves pods whose names end like this as they are.
    pub(crate) fn hold(&self, step: Option<&'static str>) {
        *locked(&self.holds) = step;
    }

    /// From now on, the pods of this job end so.
    pub(crate) fn end(&self, job: JobId, ending: Ending) {
        locked(&self.endings).insert(job, ending);
    }

    async fn advance(&self, pods: &Api<Pod>, pod: &Pod) {
        let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
        let is_first = {
            let mut seen = locked(&self.seen);
            let uids = seen.entry(name.clone()).or_default();
            uids.insert(uid);
            uids.len() == 1
        };
        let holds = *locked(&self.holds);
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let ended = matches!(phase, Some("Succeeded" | "Failed"));
        if ended || pod.metadata.deletion_timestamp.is_some() || holds.is_some_and(|end| name.ends_with(end)) {
            return;
        }
        let Some(job) = name.get(..32).and_then(|id| id.parse().ok()) else { return };
        let ending = locked(&self.endings).get(&job).copied().unwrap_or_default();
        if ending == Ending::DeletedOnce && is_first && !name.ends_with("-a") {
            let _ = pods.delete(&name, &DeleteParams::default().grace_period(0)).await;
            return;
        }
        let Some(status) = status(job, pod, ending, is_first) else { return };
        let patch = Patch::Merge(json!({"metadata": {"uid": pod.uid()}, "status": status}));
        let _ = pods.patch_status(&name, &PatchParams::default(), &patch).await;
    }

    /// Waits until there were so many pods of a name. The caller says what it means if there were not.
    pub(crate) async fn until(&self, name: &str, pods: usize) {
        for _ in 0..600 {
            if self.pods(name) == pods {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How many pods of this name there were.
    pub(crate) fn pods(&self, name: &str) -> usize {
        locked(&self.seen).get(name).map_or(0, BTreeSet::len)
    }
}
