//! The engine behind the service: this machine's, or that of a Kubernetes cluster.

use super::{
    applied::Applied,
    operator_key,
    secrets::{own, shared},
    settings::{self, ServiceSecrets},
};
use crate::{
    client::KEY_FILE,
    cluster,
    config::{EngineKind, Settings},
    exit::{CONFLICT, Ended, Usage},
    output::note,
};
use cloister_api::Service;
use cloister_k8s_engine::{
    ArchiveOptions, Cluster, ClusterStore, StoreOptions, decide_what_is_requested, publish_what_is_applied,
};
use cloister_local_engine::{LocalEngine, OpenError};
use cloister_model::{Backend, Secret, Timestamp};
use cloister_results::ResultStore;
use cloister_sources::SourcePolicy;
use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::task::AbortHandle;

/// Keys that are to be made anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    pub(super) new_operator_key: bool,
    pub(super) new_receipt_key: bool,
}

/// An engine that is open.
pub(super) struct Opened {
    secrets: Option<ServiceSecrets>,
    engine: Engine,
}

enum Engine {
    Local { engine: Arc<LocalEngine>, new_operator_key: bool },
    K8s(Box<Replica>),
}

/// One of the replicas of a service on a cluster.
struct Replica {
    store: Arc<ClusterStore>,
    cluster: Cluster,
    operator_key: Secret<String>,
    applied: Option<AbortHandle>,
}

/// Opens the engine that `engine.kind` names.
pub(super) async fn open(settings: &Settings, keys: Keys) -> anyhow::Result<Opened> {
    match settings.engine_kind {
        EngineKind::Local => open_local(settings, keys).await,
        EngineKind::K8s => open_k8s(settings, keys).await,
    }
}

async fn open_local(settings: &Settings, keys: Keys) -> anyhow::Result<Opened> {
    let Keys { new_operator_key, new_receipt_key } = keys;
    // Before the database is made, so that a start that is interrupted leaves a folder that counts as new.
    let is_new = !LocalEngine::is_used(&settings.home);
    let engine = LocalEngine::open(settings::engine(settings)?).await.map_err(cannot_open)?;
    let secrets = Some(own(&settings.home, is_new, new_receipt_key)?);
    Ok(Opened { secrets, engine: Engine::Local { engine, new_operator_key } })
}

async fn open_k8s(settings: &Settings, keys: Keys) -> anyhow::Result<Opened> {
    if keys.new_operator_key || keys.new_receipt_key {
        return Err(Usage::error(
            "replicas share their keys: make new ones with `cloister secrets` in an empty folder, and replace the Secret",
        ));
    }
    let folder = settings.k8s_secrets.clone().unwrap_or_else(|| settings.home.join("secrets"));
    let (secrets, operator_key) = shared(&folder)?;
    let cluster = cluster::connect(settings).await?;
    let store = Arc::new(open_cluster(settings, cluster.clone()).await?);
    let engine = Engine::K8s(Box::new(Replica { store, cluster, operator_key, applied: None }));
    Ok(Opened { secrets: Some(secrets), engine })
}

/// The whole backend over the API server.
async fn open_cluster(settings: &Settings, cluster: Cluster) -> anyhow::Result<ClusterStore> {
    if settings.results_url.is_none() {
        return Err(Usage::error(
            "`results.url` is empty: replicas share their store of results, with each other and with the pods of jobs; write \
             s3://bucket/prefix, or file:///folder of a volume that all of them mount",
        ));
    }
    let results = ResultStore::open(&settings::results(settings)?).map_err(|error| Usage::error(error.to_string()))?;
    // `sources.local_roots` says what accounts may publish. The folders are on claims that pods of jobs mount, and not here.
    let sources = SourcePolicy { local_roots: Vec::new(), ..settings::sources(settings)? };
    let options = StoreOptions {
        home: settings.home.clone(),
        cache_bytes: settings.cache_bytes.0,
        sources,
        results: Arc::new(results),
        archive: ArchiveOptions {
            after: Duration::from_millis(settings.k8s_archive_after.ms()),
            most: usize::try_from(settings.k8s_archive_beyond).unwrap_or(usize::MAX),
            ..ArchiveOptions::default()
        },
    };
    Ok(ClusterStore::open(cluster, options).await?)
}

/// The message about a new key of the operator. Only a terminal gets the key: other outputs can be stored and read by others.
fn message_of_key(place: &Path, key: &Secret<String>, is_terminal: bool) -> String {
    let place = place.display();
    match is_terminal {
        true => format!("The operator's key, shown this once and kept in {place}:\n\n    {}\n", key.expose()),
        false => format!("The operator's key is in {place}"),
    }
}

fn cannot_open(error: OpenError) -> anyhow::Error {
    match error {
        OpenError::InUse { .. } => Ended::error(CONFLICT, error.to_string()),
        OpenError::Results(_) => Usage::error(error.to_string()),
        _ => error.into(),
    }
}

impl Opened {
    /// The secrets of the service, once.
    pub(super) fn take_secrets(&mut self) -> anyhow::Result<ServiceSecrets> {
        self.secrets.take().ok_or_else(|| anyhow::anyhow!("the secrets were taken before"))
    }

    pub(super) fn backend(&self) -> Arc<dyn Backend> {
        match &self.engine {
            Engine::Local { engine, .. } => Arc::clone(engine) as Arc<dyn Backend>,
            Engine::K8s(replica) => Arc::clone(&replica.store) as Arc<dyn Backend>,
        }
    }

    /// Does what the service needs of its engine when it begins: the operator's key is valid, and what is applied to the cluster
    /// is published.
    pub(super) async fn begin(&mut self, settings: &Settings, service: &Service, now: Timestamp) -> anyhow::Result<()> {
        match &mut self.engine {
            Engine::Local { engine, new_operator_key } => {
                let made = operator_key::ensure(&**engine, &settings.home, *new_operator_key, now).await?;
                if let Some(key) = made {
                    let place: PathBuf = settings.home.join(KEY_FILE);
                    note(&message_of_key(&place, &key, io::stderr().is_terminal()));
                }
            }
            Engine::K8s(replica) => {
                let Replica { store, cluster, operator_key, applied } = &mut **replica;
                operator_key::accept(&**store, operator_key, now).await?;
                let use_cases = Arc::new(Applied(service.clone()));
                let published = publish_what_is_applied(cluster.clone(), Arc::clone(&use_cases) as _);
                let requested = decide_what_is_requested(cluster.clone(), Arc::clone(store), use_cases);
                let work = async { tokio::join!(published, requested) };
                *applied = Some(tokio::spawn(work).abort_handle());
            }
        }
        Ok(())
    }

    /// Ends the engine, after the last request.
    pub(super) async fn end(self) {
        match self.engine {
            Engine::Local { engine, .. } => engine.shutdown().await,
            Engine::K8s(replica) => {
                if let Some(applied) = replica.applied {
                    applied.abort();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_shows_the_key() {
        let key = Secret::new("clk_secret".to_owned());
        let message = |is_terminal| message_of_key(Path::new("operator.key"), &key, is_terminal);
        assert!(message(true).contains("clk_secret") && message(true).contains("operator.key"));
        assert!(!message(false).contains("clk_secret") && message(false).contains("operator.key"));
    }
}
