//! One pod, from its binding to its end.

use super::{
    Machine, NAME,
    container::{Running, now},
};
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    Pod, PodSpec,
};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};
use std::{fs, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle};

/// The pause before something is told to the API server again that it did not take.
const RETRY: Duration = Duration::from_millis(200);

/// The pod of this node that a task carries. When it is dropped, its processes are killed.
pub(super) struct Life {
    task: JoinHandle<()>,
    /// With how many seconds of grace it is to end.
    end: watch::Sender<Option<u64>>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Life {
    pub(super) fn begin(machine: Arc<Machine>, pod: Pod) -> Self {
        let (end, asked) = watch::channel(None);
        let task = tokio::spawn(async move { Carrier { machine, pod, asked, shown: Vec::new() }.live().await });
        Self { task, end }
    }

    /// Asks it to end.
    pub(super) fn end(&self, grace_seconds: u64) {
        self.end.send_replace(Some(grace_seconds));
    }
}

/// Why a pod ends before its last container does by itself.
enum Cut {
    /// It is deleted.
    Deleted,
    /// It took too long.
    Deadline,
}

struct Carrier {
    machine: Arc<Machine>,
    pod: Pod,
    asked: watch::Receiver<Option<u64>>,
    /// What every container does, in the order in which they run.
    shown: Vec<ContainerState>,
}

impl Carrier {
    async fn live(mut self) {
        let spec = self.pod.spec.clone().expect("a spec");
        if spec.node_name.is_none() {
            self.bind().await;
        }
        let waiting = |reason: &str| ContainerState {
            waiting: Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message: None }),
            ..ContainerState::default()
        };
        self.shown = containers(&spec).map(|_| waiting("PodInitializing")).collect();
        let seconds = spec.active_deadline_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let deadline = tokio::time::sleep(Duration::from_secs(seconds.unwrap_or(u64::from(u32::MAX))));
        let mut deadline = std::pin::pin!(deadline);
        let mut asked = self.asked.clone();
        let volumes = tokio::select! {
            volumes = self.machine.volumes(&self.pod) => volumes,
            // It began nothing: there is nothing to wait for.
            _ = deleted(&mut asked) => return self.leave().await,
        };
        let mut cut = None;
        let uid = self.pod.uid().unwrap_or_default();
        for (index, container) in containers(&spec).enumerate() {
            let mut running = Running::start(&self.machine, &uid, container, &volumes);
            let state = ContainerStateRunning { started_at: Some(running.started()) };
            self.shown[index] = ContainerState { running: Some(state), ..ContainerState::default() };
            let last = index + 1 == self.shown.len();
            self.show(&spec, if last { "Running" } else { "Pending" }, None).await;
            let ended = tokio::select! {
                ended = running.ended() => ended,
                seconds = deleted(&mut asked) => {
                    cut = Some(Cut::Deleted);
                    running.stop(Duration::from_secs(seconds)).await
                }
                () = &mut deadline => {
                    cut = Some(Cut::Deadline);
                    let grace = spec.termination_grace_period_seconds.and_then(|seconds| u64::try_from(seconds).ok());
                    running.stop(Duration::from_secs(grace.unwrap_or(30))).await
                }
            };
            self.machine.ended(&self.pod.name_any(), ended.exit_code);
            let failed = ended.exit_code != 0;
            self.shown[index] = terminated(ended);
            if failed || cut.is_some() {
                break;
            }
        }
        self.leave_as(&spec, cut).await;
    }

    /// Shows how the pod ended, and removes it once that is wanted.
    async fn leave_as(&self, spec: &PodSpec, cut: Option<Cut>) {
        let well = |state: &ContainerState| state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0);
        let phase = if self.shown.iter().all(well) { "Succeeded" } else { "Failed" };
        let reason = matches!(cut, Some(Cut::Deadline)).then_some("DeadlineExceeded");
        self.show(spec, phase, reason).await;
        let _ = fs::remove_dir_all(self.machine.folder_of(&self.pod.uid().unwrap_or_default()).join("volumes"));
        // It may be deleted already: then the object waits for this.
        let _ = deleted(&mut self.asked.clone()).await;
        self.leave().await;
    }

    async fn bind(&self) {
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": self.pod.name_any(), "uid": self.pod.uid()},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NAME},
        });
        let (pods, name, plain) = (self.machine.pods(), self.pod.name_any(), PostParams::default());
        // It may have been deleted meanwhile.
        let _ = pods.create_subresource::<_, Value>("binding", &name, &plain, &binding).await;
    }

    /// Removes the object: nothing of the pod runs any more.
    async fn leave(&self) {
        let this = Preconditions { uid: self.pod.uid(), resource_version: None };
        let now = DeleteParams { grace_period_seconds: Some(0), preconditions: Some(this), ..DeleteParams::default() };
        let _ = self.machine.pods().delete(&self.pod.name_any(), &now).await;
    }

    /// Stores what the pod shows, unless it is gone.
    async fn show(&self, spec: &PodSpec, phase: &str, reason: Option<&str>) {
        let first = spec.init_containers.as_ref().map_or(0, Vec::len);
        let all: Vec<ContainerStatus> =
            containers(spec).zip(&self.shown).map(|(container, state)| status(container, state.clone())).collect();
        let (before, after) = all.split_at(first);
        let shown = json!({
            "phase": phase, "reason": reason, "startTime": now(),
            "initContainerStatuses": before, "containerStatuses": after,
        });
        let patch = Patch::Merge(json!({"metadata": {"uid": self.pod.uid()}, "status": shown}));
        let (pods, name) = (self.machine.pods(), self.pod.name_any());
        loop {
            match pods.patch_status(&name, &PatchParams::default(), &patch).await {
                Ok(_) => return,
                // It is gone, or another one has its name.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return,
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

/// Waits until it is to be deleted.
async fn deleted(asked: &mut watch::Receiver<Option<u64>>) -> u64 {
    match asked.wait_for(Option::is_some).await.map(|seconds| *seconds) {
        Ok(Some(seconds)) => seconds,
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

/// The containers in the order in which they run.
fn containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    spec.init_containers.iter().flatten().chain(&spec.containers)
}

fn terminated(ended: ContainerStateTerminated) -> ContainerState {
    ContainerState { terminated: Some(ended), ..ContainerState::default() }
}

fn status(container: &Container, state: ContainerState) -> ContainerStatus {
    ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        started: Some(state.running.is_some()),
        state: Some(state),
        ..ContainerStatus::default()
    }
}
