use super::{Inner, KnownJob};
use crate::{
    cluster::call,
    resources::{Environment, EnvironmentSpec},
};
use cloister_model::{EngineError, EnvironmentStatus, Phase};
use kube::{Api, api::ListParams};
use std::collections::BTreeMap;

impl Inner {
    /// Every environment, with its jobs counted.
    pub(super) async fn environments(&self) -> Result<Vec<EnvironmentStatus>, EngineError> {
        let api: Api<Environment> = self.cluster.jobs();
        let listed = call("list environments", || async { api.list(&ListParams::default()).await }).await?;
        let mut environments: Vec<_> =
            listed.items.iter().filter_map(|environment| self.environment(environment)).collect();
        environments.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(environments)
    }

    fn environment(&self, resource: &Environment) -> Option<EnvironmentStatus> {
        let id: cloister_model::EnvironmentId = resource.metadata.name.as_deref()?.parse().ok()?;
        let EnvironmentSpec { description, limits, runtimes, interpreters, .. } = &resource.spec;
        let mut phases: BTreeMap<Phase, u64> = BTreeMap::new();
        self.jobs.each(|KnownJob { status, environment, removed, .. }| {
            if *environment == id && !removed {
                *phases.entry(status.phase).or_default() += 1;
            }
        });
        Some(EnvironmentStatus {
            id,
            description: description.clone(),
            offers: cloister_model::Environment {
                runtimes: runtimes.kinds.clone(),
                profiles: runtimes.profiles.clone(),
                network: runtimes.network,
            },
            interpreters: interpreters.iter().filter_map(|interpreter| interpreter.name.parse().ok()).collect(),
            cpus: limits.cpus,
            memory_bytes: limits.memory_bytes,
            job_memory_bytes: limits.job_memory_bytes,
            max_wall_ms: limits.wall_ms,
            max_jobs: limits.jobs,
            max_queued: limits.queued,
            phases,
        })
    }
}
