use super::Inner;
use crate::{cluster::call, resources::Environment};
use cloister_model::{EngineError, EnvironmentStatus};
use kube::{Api, api::ListParams};

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
        let phases = self.counts.lock().phases(&environment.id);
        Some(EnvironmentStatus { phases, ..environment })
    }
}
