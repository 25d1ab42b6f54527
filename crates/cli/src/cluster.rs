//! The Kubernetes cluster of an installation, as its settings say.

use crate::{config::Settings, exit::Usage};
use cloister_k8s_engine::{Cluster, Namespaces};

/// The API server and the namespaces. No request is made.
///
/// # Errors
/// If the settings do not lead to a cluster.
pub(crate) async fn connect(settings: &Settings) -> anyhow::Result<Cluster> {
    let namespaces = Namespaces {
        system: settings.k8s_system_namespace.clone(),
        jobs: settings.k8s_jobs_namespace.clone(),
        assets: settings.k8s_assets_namespace.clone(),
    };
    Cluster::connect(settings.k8s_kubeconfig.as_deref(), namespaces)
        .await
        .map_err(|error| Usage::error(format!("`k8s.kubeconfig`: {error}")))
}
