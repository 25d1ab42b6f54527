//! Canaries: for every environment that runs containers and wants to know its walls, pods like those of containers, now and then,
//! one after the other on all of its nodes. What they find are conditions of the environment; without them, no container runs there.

use super::Controller;
use crate::{
    act::verify::verify,
    build::{
        ATTEMPT,
        container::{self, CONTAINER, EnvironmentOwner},
    },
    clock::now,
    cluster::{CallError, call, exactly},
    observe::{
        canary::{Finding, Sighting, been_to, bytes, failed, found, is_due},
        kernels::leave_to_canaries,
    },
    resources::{Condition, Environment, Isolation},
};
use cloister_model::CanaryMessage;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// The pause between two looks at environments.
const LOOK: Duration = Duration::from_secs(5);
/// How long a canary may take, with its image and its volume.
const PATIENCE_MS: u64 = 600_000;

impl Controller {
    /// Sends canaries and hears them, for ever.
    pub(super) async fn send_canaries(&self) {
        loop {
            let mut environments: Vec<Arc<Environment>> = Vec::new();
            self.environments.each(|environment| environments.push(Arc::clone(environment)));
            for environment in environments {
                if !is_due(&environment, now()) {
                    continue;
                }
                if let Err(error) = self.hear(&environment).await {
                    let environment = environment.name_any();
                    tracing::warn!(%error, environment, "a canary cannot be sent or heard; it is tried again");
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// One look at the canary of an environment.
    async fn hear(&self, environment: &Environment) -> Result<(), CallError> {
        let owner = EnvironmentOwner { name: environment.name_any(), uid: environment.uid().unwrap_or_default() };
        let pods = self.reconciler.objects.cluster.jobs::<Pod>();
        let name = owner.pod();
        let Some(pod) = call("read a canary", || async { pods.get_opt(&name).await }).await? else {
            return self.send(environment, &owner).await;
        };
        if pod.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let of_this = pod.owner_references().iter().any(|reference| reference.uid == owner.uid);
        let present = environment.metadata.generation.map(|generation| generation.to_string());
        if !of_this || pod.annotations().get(ATTEMPT) != present.as_ref() {
            return self.remove(&owner, &pod).await;
        }
        let status = pod.status.as_ref();
        let ended =
            status.and_then(|status| status.container_statuses.as_ref()?.iter().find(|it| it.name == CONTAINER));
        let ended = ended.and_then(|container| container.state.as_ref()?.terminated.as_ref());
        let word = ended.and_then(|ended| CanaryMessage::read(ended.message.as_deref()?.as_bytes()));
        let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or_default();
        let since = pod.creation_timestamp().map_or(0, |at| at.0.as_millisecond());
        let late = now().unix_ms().saturating_sub(u64::try_from(since).unwrap_or(0)) > PATIENCE_MS;
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        let sighting = Sighting { environment, node, now: now() };
        let finding = match (word, phase) {
            (Some(word), "Succeeded") => found(sighting, &word, self.capacity(&owner).await?),
            (_, "Succeeded" | "Failed") => failed(sighting, "its canary ended without a report"),
            _ if late => failed(sighting, "its canary did not come to an end"),
            _ => return Ok(()),
        };
        self.publish(environment, &finding).await?;
        self.remove(&owner, &pod).await
    }

    async fn send(&self, environment: &Environment, owner: &EnvironmentOwner) -> Result<(), CallError> {
        let settings = self.settings(environment);
        let generation = environment.metadata.generation.unwrap_or_default();
        let (claim, pod) = container::canary(&settings, owner, generation, &been_to(environment));
        let cluster = &self.reconciler.objects.cluster;
        let (claims, pods) = (cluster.jobs::<PersistentVolumeClaim>(), cluster.jobs::<Pod>());
        match call("create the volume of a canary", || async { claims.create(&PostParams::default(), &claim).await })
            .await
        {
            Ok(_) => {}
            // Of a canary that was removed: what is in it would be believed.
            Err(CallError::Exists) => return self.remove_volume(owner).await,
            Err(error) => return Err(error),
        }
        let created = call("create a canary", || async { pods.create(&PostParams::default(), &pod).await }).await?;
        if let Err(tampered) = verify(&pod, &created) {
            let sighting = Sighting { environment, node: None, now: now() };
            self.publish(environment, &failed(sighting, &tampered.to_string())).await?;
            return self.remove(owner, &created).await;
        }
        Ok(())
    }

    async fn capacity(&self, owner: &EnvironmentOwner) -> Result<Option<u64>, CallError> {
        let claims = self.reconciler.objects.cluster.jobs::<PersistentVolumeClaim>();
        let name = owner.volume();
        let claim = call("read the volume of a canary", || async { claims.get_opt(&name).await }).await?;
        Ok(claim.and_then(|claim| bytes(&claim.status?.capacity?.get("storage")?.0)))
    }

    /// Stores what a canary has found, if nothing about the environment has changed since.
    async fn publish(&self, environment: &Environment, finding: &Finding) -> Result<(), CallError> {
        for condition in &finding.conditions {
            tracing::info!(
                environment = environment.name_any(),
                condition = condition.kind,
                status = ?condition.status,
                reason = condition.reason,
                "a canary was heard"
            );
        }
        self.store_findings(environment, &finding.conditions, &finding.isolation).await
    }

    /// Stores conditions of an environment, and what was found on which node, if nothing about the environment has changed since.
    pub(super) async fn store_findings(
        &self,
        environment: &Environment,
        found: &[Condition],
        isolation: &Isolation,
    ) -> Result<(), CallError> {
        let mut conditions = environment.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
        leave_to_canaries(environment, &mut conditions);
        for condition in found {
            Condition::put(&mut conditions, condition.clone());
        }
        let isolation = json!({
            "at": isolation.at,
            // What is absent is removed.
            "windowMs": isolation.window_ms,
            "roundEnded": isolation.round_ended,
            "nodes": isolation.nodes,
        });
        let patch = Patch::Merge(json!({
            "metadata": {"uid": environment.uid(), "resourceVersion": environment.resource_version()},
            "status": {
                "conditions": conditions, "isolation": isolation, "observedGeneration": environment.metadata.generation,
            },
        }));
        let environments = self.reconciler.objects.cluster.jobs::<Environment>();
        let name = environment.name_any();
        let stored = call("store the conditions of an environment", || async {
            environments.patch_status(&name, &PatchParams::default(), &patch).await
        });
        stored.await.map(drop)
    }

    async fn remove(&self, owner: &EnvironmentOwner, pod: &Pod) -> Result<(), CallError> {
        let pods = self.reconciler.objects.cluster.jobs::<Pod>();
        let this = DeleteParams { grace_period_seconds: Some(0), ..exactly(pod.uid()) };
        let name = pod.name_any();
        match call("delete a canary", || async { pods.delete(&name, &this).await }).await {
            Ok(_) | Err(CallError::Missing | CallError::Conflict) => self.remove_volume(owner).await,
            Err(error) => Err(error),
        }
    }

    async fn remove_volume(&self, owner: &EnvironmentOwner) -> Result<(), CallError> {
        let claims = self.reconciler.objects.cluster.jobs::<PersistentVolumeClaim>();
        let name = owner.volume();
        match call("delete the volume of a canary", || async { claims.delete(&name, &DeleteParams::default()).await })
            .await
        {
            Ok(_) | Err(CallError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
