use super::{Inner, KnownJob};
use crate::{cluster::call, resources::Environment};
use cloister_model::{EngineError, EnvironmentStatus, Phase};
use kube::{Api, api::ListParams};
use std::collections::BTreeMap;

impl Inner {
    /// Every environment, with its jobs counted.
    pub(super) async fn environments(&self) -> Result<Vec<EnvironmentStatus>, EngineError> {
        self.complete_archive().await?;
        let api: Api<Environment> = self.cluster.jobs();
        let listed = call("list environments", || async { api.list(&ListParams::default()).await }).await?;
        let mut environments: Vec<_> =
            listed.items.iter().filter_map(|environment| self.environment(environment)).collect();
        environments.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(environments)
    }

    fn environment(&self, resource: &Environment) -> Option<EnvironmentStatus> {
        let environment = resource.offered()?;
        let mut phases: BTreeMap<Phase, u64> = BTreeMap::new();
        self.each_job(|KnownJob { status, environment: of, removed, .. }| {
            if *of == environment.id && !removed {
                *phases.entry(status.phase).or_default() += 1;
            }
        });
        Some(EnvironmentStatus { phases, ..environment })
    }
}
