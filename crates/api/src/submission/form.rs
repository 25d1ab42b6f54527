use cloister_model::{AgeRecipient, Container, Did, HttpUrl, Labels, Profile, Secret, Sha256};
use serde_json::Value;

/// A request for a job, whichever API it came through.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    /// What it computes on, in the order of `DIDS`.
    pub(crate) datasets: Vec<DatasetRef>,
    /// What it runs.
    pub(crate) algorithm: AlgorithmRef,
    /// What the consumer sets; none: nothing, and no file of parameters unless defaults make one.
    pub(crate) parameters: Option<Secret<Value>>,
    /// Where; none: the first environment.
    pub(crate) environment: Option<String>,
    /// What it may learn of time and chance; none: nothing.
    pub(crate) profile: Option<Profile>,
    /// What it may use.
    pub(crate) limits: WantedLimits,
    /// An age recipient for its results.
    pub(crate) encrypt_to: Option<AgeRecipient>,
    /// The dataset that its results become.
    pub(crate) register: Option<Register>,
    /// Labels of the API's own, such as `agreement`. The rest is set by [`super::submit`].
    pub(crate) labels: Labels,
    /// What it is called.
    pub(crate) identity: Identity,
}

/// A dataset, and through which service.
#[derive(Clone, Debug)]
pub(crate) struct DatasetRef {
    /// Which.
    pub(crate) did: Did,
    /// Its service; none: its only compute service, else its only service.
    pub(crate) service: Option<String>,
    /// How a problem with it is named, such as `datasets[0]`.
    pub(crate) field: String,
}

/// An algorithm.
#[derive(Clone, Debug)]
pub(crate) enum AlgorithmRef {
    /// An asset, and through which service (chosen as for datasets).
    Published { did: Did, service: Option<String> },
    /// A program that the job brings.
    Raw {
        source: RawSource,
        /// What it runs in; none: it is a WebAssembly program.
        container: Option<Container>,
    },
}

/// Where a program is that a job brings.
#[derive(Clone, Debug)]
pub(crate) enum RawSource {
    /// Here.
    Code(Secret<String>),
    /// Uploaded before, by the same account.
    Upload(Sha256),
    /// At these URLs, at least one.
    Urls(Vec<HttpUrl>),
}

/// Limits that a job asks for; none: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WantedLimits {
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) wall_ms: Option<u64>,
    pub(crate) cpu_seconds: Option<u64>,
    pub(crate) fuel: Option<u64>,
}

/// The dataset that results become, once they are released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Register {
    /// Its owner's name for it.
    pub(crate) name: cloister_model::AssetName,
    /// Its title; none: the name.
    pub(crate) title: Option<String>,
}

/// What a job is called. `request` is a digest of all that was asked for: the same name for another request is refused.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    /// A new name each time.
    Random,
    /// One that follows from the account and this key: asking again finds the same job.
    Key { key: String, request: Sha256 },
}
