use super::StepVersion;
use crate::{
    AdmittedDataset, Denial, Did, FilesChecksum, JobAlgorithm, JobId, JobInput, JobSource, JobSpec, Secret, Sha256,
    check_files_checksum,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// Fetch these files and lay them out as the guest sees them.
///
/// It holds credentials of sources: keep it where only this step can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigureOrder {
    /// Which form this is.
    pub version: StepVersion,
    /// Which job.
    pub job: JobId,
    /// What runs.
    pub algorithm: OrderedAlgorithm,
    /// The datasets, in the order of `DIDS`.
    pub inputs: Vec<JobInput>,
    /// What becomes `algoCustomData.json`; none: `{}`.
    pub parameters: Option<Secret<Value>>,
    /// The datasets that trust the algorithm with certain files only, and which these are.
    pub trusted: Vec<AdmittedDataset>,
    /// Programs that must agree before outputs leave, each an upload. The algorithm does not see them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Sha256>,
}

/// The algorithm of a [`ConfigureOrder`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderedAlgorithm {
    /// Which; none for a raw one.
    pub did: Option<Did>,
    /// What is found at `/data/ddos/<did>`, if anything.
    pub ddo: Option<Value>,
    /// Where its files are.
    pub source: JobSource,
}

impl ConfigureOrder {
    /// The order for a job.
    #[must_use]
    pub fn of(job: &JobSpec) -> Self {
        let JobAlgorithm { did, ddo, container: _, interpreter: _, source } = &job.algorithm;
        Self {
            version: StepVersion::V1,
            job: job.id,
            algorithm: OrderedAlgorithm { did: did.clone(), ddo: ddo.clone(), source: source.clone() },
            inputs: job.inputs.clone(),
            parameters: job.parameters.clone(),
            trusted: job.terms.admitted.iter().filter(|dataset| dataset.files_checksums.is_some()).cloned().collect(),
            checks: job
                .terms
                .release
                .checks
                .iter()
                .map(|check| check.sha256)
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
        }
    }

    /// Whether some of the files may be in the store of results: uploads, and results of other jobs.
    #[must_use]
    pub fn reads_store(&self) -> bool {
        let checks = !self.checks.is_empty();
        checks || self.algorithm.source.reads_store() || self.inputs.iter().any(|input| input.source.reads_store())
    }

    /// Whether some of the datasets' files are in folders that the operator has given to accounts.
    #[must_use]
    pub fn reads_local(&self) -> bool {
        self.inputs.iter().any(|input| input.source.reads_local())
    }

    /// Checks the algorithm's files, by the step that holds the bytes that are about to run.
    ///
    /// # Errors
    /// Every dataset that trusts the algorithm with other files only.
    pub fn check_files(&self, files: &FilesChecksum) -> Result<(), Vec<Denial>> {
        check_files_checksum(&self.trusted, files)
    }
}
