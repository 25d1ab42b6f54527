//! The conformance suite over the API server: two replicas of the service and a controller, and a node that runs the programs
//! of every pod.

use crate::site::{ENVIRONMENT, Site};
use cloister_engine_tests::{Conditions, Fixture, FixtureFuture, conformance_tests};
use cloister_k8s_engine::{ArchiveOptions, Cluster, ClusterStore};
use cloister_model::Backend;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio::task::JoinHandle;

/// One installation. It is made when it is opened first.
#[derive(Default)]
pub(crate) struct Installation {
    engine: Option<Engine>,
    site: Option<Site>,
    /// How often it was opened.
    opened: u32,
    /// What others see of it, and set.
    pub(crate) outside: Arc<Outside>,
}

/// What a test sees and sets beside the ports.
#[derive(Default)]
pub(crate) struct Outside {
    /// When replicas that are opened from now on archive jobs.
    pub(crate) archive: Mutex<ArchiveOptions>,
    /// The cluster, and the folder of the store of results.
    pub(crate) place: OnceLock<(Cluster, PathBuf)>,
}

/// Two replicas of the service, and a controller.
struct Engine {
    replicas: [Arc<ClusterStore>; 2],
    controller: JoinHandle<()>,
}

fn installation() -> Installation {
    Installation::default()
}

impl Fixture for Installation {
    /// Ends the controller wherever it is, and drops the replicas.
    fn open(&mut self, conditions: Conditions) -> FixtureFuture<'_, Arc<dyn Backend>> {
        Box::pin(async move {
            if let Some(mut engine) = self.engine.take() {
                engine.controller.abort();
                let _ = (&mut engine.controller).await;
            }
            let site = match self.site.take() {
                Some(site) => site,
                None => Site::open().await,
            };
            let site = self.site.insert(site);
            let _ = self.outside.place.set((site.room.cluster.clone(), site.results()));
            let archive = *self.outside.archive.lock().unwrap_or_else(PoisonError::into_inner);
            site.set(conditions).await;
            self.opened += 1;
            let names = ["a", "b"].map(|letter| format!("{}{letter}", self.opened));
            let (first, second) = tokio::join!(site.replica(&names[0], archive), site.replica(&names[1], archive));
            let replicas = [first, second];
            let engine = self.engine.insert(Engine { replicas, controller: site.controller().await });
            Arc::clone(&engine.replicas[0]) as Arc<dyn Backend>
        })
    }

    fn environment(&self) -> String {
        ENVIRONMENT.to_owned()
    }

    fn replica(&self) -> Option<Arc<dyn Backend>> {
        self.engine.as_ref().map(|engine| Arc::clone(&engine.replicas[1]) as Arc<dyn Backend>)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.controller.abort();
    }
}

conformance_tests!(installation, #[ignore = "needs an API server: make test-k8s"], except {
    // The log of an algorithm that runs comes from its kubelet by way of the API server, and this node serves no requests:
    // the tests on a whole cluster see to it.
    outputs::a_log_has_a_length_and_an_end,
});
