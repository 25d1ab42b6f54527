//! Plays the nodes: every pod takes its time and ends well. Sees when a step of a job ends, and when the pod of its next step is there.

use super::PATIENCE;
use anyhow::{Result, bail};
use cloister_k8s_engine::build::{algorithm, configuration, publishing};
use cloister_model::{FilesChecksum, JobId, ListDigest, RunEnd, RunSummary, Said, Sha256, StepMessage};
use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams, WatchEvent, WatchParams},
};
use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

/// The longest that a step takes, in times of the shortest.
const LONGEST: u32 = 5;

const DIGEST: Sha256 = Sha256::from_bytes([3; 32]);
const LIST: ListDigest = ListDigest { sha256: DIGEST, files: 1, bytes: 5 };

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Played {
    /// Seconds from the end of each step to the creation of the pod of the next one.
    pub(crate) gaps: Vec<f64>,
    /// The most jobs that had begun and not ended.
    pub(crate) most: usize,
    /// Seconds from the first pod to the end of the last.
    pub(crate) seconds: f64,
    created: HashSet<String>,
    ended: HashMap<String, Instant>,
    begun: usize,
    finished: usize,
}

/// Ends pods until so many jobs have come to their end. The steps take between `step` and five times as long.
pub(crate) async fn play(client: Client, namespace: &str, jobs: usize, step: Duration) -> Result<Played> {
    let pods: Api<Pod> = Api::namespaced(client, namespace);
    let (mut played, mut version, mut since) = (Played::default(), "0".to_owned(), None);
    loop {
        let mut events = pods.watch(&WatchParams::default().timeout(240), &version).await?.boxed();
        while let Some(event) = tokio::time::timeout(PATIENCE, events.try_next()).await?? {
            match event {
                WatchEvent::Added(pod) | WatchEvent::Modified(pod) => {
                    version = pod.resource_version().unwrap_or_default();
                    since.get_or_insert_with(Instant::now);
                    if played.sees(&pod) {
                        tokio::spawn(end(pods.clone(), pod, step));
                    }
                }
                WatchEvent::Deleted(pod) => version = pod.resource_version().unwrap_or_default(),
                WatchEvent::Bookmark(bookmark) => version = bookmark.metadata.resource_version,
                WatchEvent::Error(error) => bail!("the watch of pods ended: {error:?}"),
            }
            if played.finished >= jobs {
                played.seconds = since.map_or(0.0, |since| since.elapsed().as_secs_f64());
                played.gaps.sort_unstable_by(f64::total_cmp);
                return Ok(played);
            }
        }
    }
}

impl Played {
    /// Whether the pod is a new one, which is to be ended.
    fn sees(&mut self, pod: &Pod) -> bool {
        let (now, name) = (Instant::now(), pod.name_any());
        let (job, step) = name.split_at_checked(32).unwrap_or_default();
        let is_new = self.created.insert(name.clone());
        let before = match step {
            "-a" => Some(format!("{job}-c")),
            "-p" => Some(format!("{job}-a")),
            _ => None,
        };
        if is_new && step == "-c" {
            self.begun += 1;
            self.most = self.most.max(self.begun - self.finished);
        }
        if is_new && let Some(ended) = before.and_then(|before| self.ended.get(&before)) {
            self.gaps.push(now.duration_since(*ended).as_secs_f64());
        }
        let has_ended = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Succeeded");
        if has_ended && self.ended.insert(name.clone(), now).is_none() && step == "-p" {
            self.finished += 1;
        }
        is_new
    }
}

/// Ends a pod when its step has taken its time.
async fn end(pods: Api<Pod>, pod: Pod, step: Duration) {
    let name = pod.name_any();
    // Different for each pod, and the same in each run.
    let dice = name.bytes().fold(0_u32, |dice, byte| dice.wrapping_mul(31).wrapping_add(u32::from(byte)));
    tokio::time::sleep(step * (100 + dice % (100 * (LONGEST - 1))) / 100).await;
    let Some(status) = done(&name) else { return };
    let patch = Patch::Merge(json!({"metadata": {"uid": pod.uid()}, "status": status}));
    // A pod that does not end keeps its job from ending, and that is noticed.
    let _ = pods.patch_status(&name, &PatchParams::default(), &patch).await;
}

/// What the kubelet says of a pod of this name whose step has done its work; none if it is not one of a step.
fn done(name: &str) -> Option<Value> {
    let (job, step) = name.split_at_checked(32)?;
    let job: JobId = job.parse().ok()?;
    let container = |name: &str, said: Said| {
        let message = String::from_utf8(StepMessage::new(job, said).write()).unwrap_or_default();
        let terminated = json!({"exitCode": 0, "reason": "Completed", "message": message});
        json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": terminated}})
    };
    let files = FilesChecksum::of(vec![DIGEST]).ok()?.digest();
    let (first, last) = match step {
        "-c" => (None, container(configuration::CONTAINER, Said::Configured { algorithm: files, is_wasm: true })),
        "-a" => {
            let ran = RunSummary {
                end: RunEnd::Succeeded,
                reason: None,
                algorithm: DIGEST,
                interpreted: false,
                files: Some(files),
                report: Some(DIGEST),
            };
            (None, container(algorithm::CONTAINER, Said::Ran(ran)))
        }
        "-p" => (
            Some(container(publishing::FILTER, Said::Passed { checked: LIST })),
            container(publishing::PUBLISH, Said::Published { checked: LIST, stored: LIST }),
        ),
        _ => return None,
    };
    Some(json!({"phase": "Succeeded", "initContainerStatuses": Vec::from_iter(first), "containerStatuses": [last]}))
}
