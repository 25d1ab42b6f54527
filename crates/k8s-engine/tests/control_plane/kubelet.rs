//! Plays scheduler and kubelet: ends each pod with what its step would have said, or as the job's ending wants it. A pod that was
//! created before its turn gets a node, and waits there for the step before it.

use crate::{
    endings::{Ending, status},
    node,
};
use cloister_model::JobId;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
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

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref().and_then(|status| status.phase.as_deref())
}

fn is_bound(pod: &Pod) -> bool {
    pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some())
}

/// The step whose end a pod waits for that was created before its turn.
fn awaits(pod: &Pod) -> Option<&'static str> {
    let spec = pod.spec.as_ref()?;
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let mut arguments = containers.flat_map(|container| container.args.iter().flatten());
    arguments.find_map(|argument| match argument.as_str() {
        "--wait-for" => Some("-c"),
        "--after-run" => Some("-a"),
        _ => None,
    })
}

/// Gives a pod to the node, as the scheduler does. It may have been deleted meanwhile.
async fn bind(pods: &Api<Pod>, pod: &Pod) {
    let name = pod.name_any();
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "uid": pod.uid()},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node::NAME},
    });
    let _ = pods.create_subresource::<_, Value>("binding", &name, &PostParams::default(), &binding).await;
}

impl Kubelet {
    pub(crate) async fn work(self: Arc<Self>, pods: Api<Pod>) {
        loop {
            if let Ok(found) = pods.list(&ListParams::default()).await {
                let well = found.items.iter().filter(|pod| phase(pod) == Some("Succeeded"));
                let well: BTreeSet<String> = well.map(Pod::name_any).collect();
                for pod in found.items {
                    self.advance(&pods, &pod, &well).await;
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

    /// What comes next for a pod; `well` are the names of those that have ended well.
    async fn advance(&self, pods: &Api<Pod>, pod: &Pod, well: &BTreeSet<String>) {
        let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
        let is_first = {
            let mut seen = locked(&self.seen);
            let uids = seen.entry(name.clone()).or_default();
            uids.insert(uid);
            uids.len() == 1
        };
        let holds = *locked(&self.holds);
        if pod.metadata.deletion_timestamp.is_some() {
            // One without a node is gone at once. This one waits for its kubelet.
            if is_bound(pod) {
                let _ = pods.delete(&name, &DeleteParams::default().grace_period(0)).await;
            }
            return;
        }
        let ended = matches!(phase(pod), Some("Succeeded" | "Failed"));
        if ended || holds.is_some_and(|end| name.ends_with(end)) {
            return;
        }
        let Some(job) = name.get(..32).and_then(|id| id.parse::<JobId>().ok()) else { return };
        if let Some(step) = awaits(pod) {
            if !is_bound(pod) {
                bind(pods, pod).await;
                return;
            }
            if !well.contains(&format!("{job}{step}")) {
                return;
            }
        }
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
        for _ in 0..crate::LOOKS {
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
