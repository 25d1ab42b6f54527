use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Config, Resource,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{fmt, path::Path, time::Duration};

/// Opening a connection. The time of a whole request is bounded where it is made.
const CONNECT: Duration = Duration::from_secs(5);

/// For how long nothing may come on a connection. Watches end before that, and are begun anew.
const SILENCE: Duration = Duration::from_secs(75);

/// The namespaces of one installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespaces {
    /// Of the programs: keys, audit log, claims.
    pub system: String,
    /// Of jobs.
    pub jobs: String,
    /// Of the assets that were published over HTTP.
    pub assets: String,
}

/// The API server, as one service account sees it.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespaces: Namespaces,
}

/// Why the API server cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file does not say how.
    #[error("the kubeconfig {file} cannot be used: {problem}")]
    Kubeconfig {
        /// Which file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Neither a pod nor a kubeconfig.
    #[error("no cluster is known: {0}; run in a pod with a service account, or set KUBECONFIG")]
    Unknown(String),
    /// The client cannot be made.
    #[error("the client of the API server cannot be made: {0}")]
    Client(String),
}

impl Cluster {
    /// The cluster that a kubeconfig names; without one, that of `KUBECONFIG` or of the pod that this runs in.
    ///
    /// # Errors
    /// [`ConnectError`]. No request is made.
    pub async fn connect(kubeconfig: Option<&Path>, namespaces: Namespaces) -> Result<Self, ConnectError> {
        let mut config = match kubeconfig {
            None => Config::infer().await.map_err(|error| ConnectError::Unknown(error.to_string()))?,
            Some(file) => {
                let wrong = |problem: String| ConnectError::Kubeconfig { file: file.display().to_string(), problem };
                let read = Kubeconfig::read_from(file).map_err(|error| wrong(error.to_string()))?;
                Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
                    .await
                    .map_err(|error| wrong(error.to_string()))?
            }
        };
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(SILENCE);
        // The client's own policy tries every request fifteen times, creates included, for minutes.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|error| ConnectError::Client(error.to_string()))?;
        Ok(Self { client, namespaces })
    }

    /// The cluster as a client sees it that was made elsewhere, with its own rules for connections and for what is tried again.
    #[must_use]
    pub fn through(client: Client, namespaces: Namespaces) -> Self {
        Self { client, namespaces }
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The namespaces of this installation.
    #[must_use]
    pub fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    pub(crate) fn system<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespaces.system)
    }

    pub(crate) fn jobs<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespaces.jobs)
    }

    pub(crate) fn assets<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespaces.assets)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("namespaces", &self.namespaces).finish_non_exhaustive()
    }
}
