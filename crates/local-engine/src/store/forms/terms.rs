use cloister_model::{
    AdmittedBy, AdmittedDataset, Did, FilesChecksum, OutputContract, Profile, ReleaseRules, RuntimeKind, Terms,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// [`Terms`]. An unknown field may be a restriction: it is refused.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TermsForm {
    admitted: Vec<AdmittedForm>,
    output_contract: OutputContract,
    release: ReleaseRules,
    runtime: RuntimeKind,
    profile: Profile,
    /// Always false, because no algorithm has a network. Rows of all versions have it, and earlier ones refuse rows without it.
    network: bool,
    runtimes: BTreeSet<RuntimeKind>,
    profiles: BTreeSet<Profile>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AdmittedForm {
    did: Did,
    service: String,
    by: AdmittedBy,
    files_checksums: Option<BTreeSet<FilesChecksum>>,
}

impl From<&Terms> for TermsForm {
    fn from(terms: &Terms) -> Self {
        let Terms { admitted, output_contract, release, runtime, profile, runtimes, profiles } = terms.clone();
        let admitted = admitted.into_iter();
        Self {
            admitted: admitted
                .map(|AdmittedDataset { did, service, by, files_checksums }| AdmittedForm {
                    did,
                    service,
                    by,
                    files_checksums,
                })
                .collect(),
            output_contract,
            release,
            runtime,
            profile,
            network: false,
            runtimes,
            profiles,
        }
    }
}

impl From<TermsForm> for Terms {
    fn from(form: TermsForm) -> Self {
        let TermsForm { admitted, output_contract, release, runtime, profile, network: _, runtimes, profiles } = form;
        let admitted = admitted.into_iter();
        Self {
            admitted: admitted
                .map(|AdmittedForm { did, service, by, files_checksums }| AdmittedDataset {
                    did,
                    service,
                    by,
                    files_checksums,
                })
                .collect(),
            output_contract,
            release,
            runtime,
            profile,
            runtimes,
            profiles,
        }
    }
}
