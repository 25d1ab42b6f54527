//! The pods and the volume of a job, as pure functions: settings, job and orders in, objects of the API server out.
//!
//! Three pods with three sets of rights; the one of the algorithm is another one where the algorithm is a container
//! ([`container`]). What one of them may do stands in its file alone; what all of them have in common is
//! in `frame`.
//!
//! | | [`configuration`] | [`algorithm`] | [`publishing`] |
//! |---|---|---|---|
//! | network | DNS and the sources | none | the result store |
//! | secrets | the order, with the sources' credentials; settings of sources | none | the result store's |
//! | result store, if a claim | read, if the order needs it | none | write |
//! | API token | no | no | no |
//! | inputs, outputs | write, none | read, write | none, read |
//! | claims with datasets ([`roots`]) | read, those of the job's publishers | the same | none |

pub mod algorithm;
pub mod configuration;
pub mod container;
mod frame;
mod layout;
#[cfg(test)]
mod network_tests;
pub mod publishing;
pub mod roots;
mod settings;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod volume;

pub use frame::{ATTEMPT, COMPONENT, JOB, Owner, STEP, pinned};
pub use layout::CONFIG_FILE;
pub use roots::{DatasetRoot, Root};
pub use settings::{InterpreterImage, PodSettings, ResultStoreAccess, StepResources, Storage};

use cloister_model::JobId;

/// The steps that have a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PodStep {
    /// Fetches the inputs.
    Configuration,
    /// Runs the algorithm.
    Algorithm,
    /// Checks the outputs, and stores what may leave.
    Publishing,
}

impl PodStep {
    /// Every step that has a pod, in the order of a job's life.
    pub const ALL: [Self; 3] = [Self::Configuration, Self::Algorithm, Self::Publishing];

    /// Its name: the value of the label [`STEP`], which network policies select by.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Algorithm => "algorithm",
            Self::Publishing => "publishing",
        }
    }

    /// The name of its pod. There is one name for each step of a job, so that the API server itself refuses a second pod.
    #[must_use]
    pub fn pod_name(self, job: JobId) -> String {
        let letter = match self {
            Self::Configuration => 'c',
            Self::Algorithm => 'a',
            Self::Publishing => 'p',
        };
        format!("{job}-{letter}")
    }
}
