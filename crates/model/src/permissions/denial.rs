use crate::Did;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One reason why a job may not run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Denial {
    /// The rule that says so.
    pub rule: DenialRule,
    /// The asset whose rule it is; none if the rule is about the job as a whole, or the environment's.
    pub subject: Option<Did>,
}

/// The rules that can keep a job from running: one name everywhere, in answers, records and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum DenialRule {
    /// No dataset at all.
    NoDataset,
    /// Only datasets that can be downloaded.
    NoComputeService,
    /// One dataset twice: its files could not be told apart.
    DatasetTwice,
    /// `credentials.allow` does not name the consumer.
    CredentialsAllow,
    /// `credentials.deny` names the consumer.
    CredentialsDeny,
    /// `credentials.deny` has an entry that cannot be decided here.
    CredentialsUnknown,
    /// `allowRawAlgorithm` is not true.
    RawAlgorithm,
    /// Neither list of trusted algorithms or publishers names the algorithm.
    AlgorithmNotTrusted,
    /// The algorithm is trusted with other files only.
    FilesChecksum,
    /// The algorithm is trusted with another container section only.
    ContainerSectionChecksum,
    /// The algorithm is private, and not held here by its publisher.
    PrivateAlgorithm,
    /// The dataset's `runtimes`.
    Runtime,
    /// The dataset's `profiles`.
    Profile,
    /// The dataset's `allowNetworkAccess`. Only in records of earlier versions: no algorithm has a network.
    NetworkAccess,
    /// The environment does not have this runtime.
    EnvironmentRuntime,
    /// The environment has no interpreter for the algorithm's image, although the operator says which one that is.
    EnvironmentInterpreter,
    /// The environment does not have this profile.
    EnvironmentProfile,
    /// The environment had no network for this runtime. Only in records of earlier versions.
    EnvironmentNetwork,
    /// The environment runs containers only behind walls that are not known to stand.
    EnvironmentIsolation,
    /// The environment does not run images of this registry.
    EnvironmentRegistry,
    /// The image has no digest, or its name no registry.
    ContainerImage,
    /// `container.entrypoint` is not a command.
    ContainerCommand,
    /// The datasets' output contracts have no file name in common.
    OutputContract,
    /// The dataset's `oceanProviders` does not name the Ocean Provider that asked for the job.
    OceanProvider,
    /// The asset, or its service, was withdrawn since the job was allowed.
    Withdrawn,
    /// The asset was published with other files or another container since the job was allowed.
    Changed,
    /// The rules that allowed the job have become stricter since.
    Narrowed,
}

impl DenialRule {
    /// What is wrong, in half a sentence.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::NoDataset => "the job names no dataset",
            Self::NoComputeService => "no dataset of the job has a compute service",
            Self::DatasetTwice => "the dataset is named twice",
            Self::CredentialsAllow => "the consumer is not on the asset's allow list",
            Self::CredentialsDeny => "the consumer is on the asset's deny list",
            Self::CredentialsUnknown => "the asset's deny list has an entry of a type that cannot be decided here",
            Self::RawAlgorithm => "the dataset does not allow raw algorithms",
            Self::AlgorithmNotTrusted => "the dataset trusts neither this algorithm nor its publisher",
            Self::FilesChecksum => "the dataset trusts this algorithm with other files only",
            Self::ContainerSectionChecksum => "the dataset trusts this algorithm with another container section only",
            Self::PrivateAlgorithm => "the algorithm is private and not held here by its publisher",
            Self::Runtime => "the dataset does not allow this runtime",
            Self::Profile => "the dataset does not allow this profile",
            Self::NetworkAccess => "the dataset does not allow network access",
            Self::EnvironmentRuntime => "the environment does not offer this runtime",
            Self::EnvironmentInterpreter => {
                "the interpreter for the algorithm's image is not installed in this environment"
            }
            Self::EnvironmentProfile => "the environment does not offer this profile",
            Self::EnvironmentNetwork => "the environment offers no network to this runtime",
            Self::EnvironmentIsolation => {
                "the environment runs containers only where its network policy and the size of its volumes are enforced, \
                 and at least one of them is not known to be"
            }
            Self::EnvironmentRegistry => "the environment does not run container images of this registry",
            Self::ContainerImage => {
                "the algorithm's container image is not named with its registry and pinned by a digest"
            }
            Self::ContainerCommand => "the algorithm's `container.entrypoint` is not a command",
            Self::OutputContract => "the output contracts of the datasets have no file name or no media type in common",
            Self::OceanProvider => "the dataset is not meant for this Ocean Provider",
            Self::Withdrawn => "the asset or its service was withdrawn after the job was allowed",
            Self::Changed => "the asset was published with other files after the job was allowed",
            Self::Narrowed => "the rules of the datasets became stricter after the job was allowed",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::NoDataset => "name at least one dataset",
            Self::NoComputeService => "name a dataset with a compute service; what may be downloaded needs no Cloister",
            Self::DatasetTwice => "name every dataset once",
            Self::CredentialsAllow | Self::CredentialsDeny => "ask the asset's publisher for access",
            Self::CredentialsUnknown => "the asset's publisher can use entries of type `address`",
            Self::RawAlgorithm => "publish the algorithm and ask the dataset's publisher to trust it",
            Self::AlgorithmNotTrusted => {
                "ask the dataset's publisher to add it to publisherTrustedAlgorithms, with its checksums"
            }
            Self::FilesChecksum | Self::ContainerSectionChecksum => {
                "ask the dataset's publisher to review this version; an entry needs both checksums, or `*`"
            }
            Self::PrivateAlgorithm => "run it at its publisher's Cloister",
            Self::Runtime => "use a WebAssembly build, or ask the dataset's publisher to allow the runtime",
            Self::Profile => "use the deterministic profile, or ask the dataset's publisher to allow the other",
            Self::NetworkAccess | Self::EnvironmentNetwork => "run it without network: no algorithm has one",
            Self::EnvironmentRuntime => {
                "choose another environment, or ask its operator: an image that no interpreter stands for is a container"
            }
            Self::EnvironmentInterpreter => {
                "ask its operator to install it (`cloister runtime add`), or choose another environment"
            }
            Self::EnvironmentProfile => "choose another environment",

            Self::EnvironmentIsolation => {
                "use a WebAssembly build, or ask its operator: the conditions of the environment say what is missing"
            }
            Self::EnvironmentRegistry => "ask its operator to add the registry, or choose another environment",
            Self::ContainerImage => {
                "its publisher sets `container.image` to a name such as registry.example/team/image, and \
                 `container.checksum` to `sha256:` and the digest of the image's manifest"
            }
            Self::ContainerCommand => "its publisher corrects it; an example is `python3 $ALGO`",
            Self::OutputContract => "run one job per dataset, or ask the publishers to agree on names",
            Self::OceanProvider => "ask the dataset's publisher to name the Provider in `oceanProviders`",
            Self::Withdrawn => "ask its publisher",
            Self::Changed | Self::Narrowed => "submit the job again",
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(subject) = &self.subject {
            write!(f, "{subject}: ")?;
        }
        write!(f, "{}; {}", self.rule.describe(), self.rule.advice())
    }
}
