use super::{
    AlgorithmOrigin, Denial, DenialRule, Environment, OutputPolicy, Permissions, PublishedAlgorithm,
    RequestedAlgorithm, RequestedDataset, RuntimeKind, Trusted, TrustedAlgorithm,
};
use crate::{
    Account, Command, Container, Did, FilesChecksum, OutputContract, PinnedImage, Profile, ReleaseRules, Sha256,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Whether a job may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may, in this way.
    Allowed(Box<Terms>),
    /// It may not: every reason, sorted, at least one.
    Denied(Vec<Denial>),
}

/// What a job was allowed: recorded on the job, and kept by every step after the decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terms {
    /// Why, for every dataset, sorted by DID.
    pub admitted: Vec<AdmittedDataset>,
    /// What may leave: what all compute services agree to.
    pub output_contract: OutputContract,
    /// What it must be to leave: likewise.
    pub release: ReleaseRules,
    /// What it runs in.
    pub runtime: RuntimeKind,
    /// What it may learn of time and chance.
    pub profile: Profile,
    /// What all compute services would let it run in.
    pub runtimes: BTreeSet<RuntimeKind>,
    /// What all compute services would let it learn.
    pub profiles: BTreeSet<Profile>,
}

impl Terms {
    /// Whether the log of a run may leave without anyone looking at it first.
    #[must_use]
    pub fn lets_log_out(&self) -> bool {
        self.output_contract.max_log_bytes > 0 && !self.release.holds_log()
    }
}

/// Why one dataset may be used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdmittedDataset {
    /// Which.
    pub did: Did,
    /// Through which service.
    pub service: String,
    /// By which rule.
    pub by: AdmittedBy,
    /// What the algorithm's files must be when they run: one of these. None: whatever they are.
    pub files_checksums: Option<BTreeSet<FilesChecksum>>,
}

/// The rules that can admit an algorithm to a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AdmittedBy {
    /// The service is `access`: the dataset could be downloaded anyway.
    AccessService,
    /// `allowRawAlgorithm`.
    AllowRawAlgorithm,
    /// `publisherTrustedAlgorithms`.
    TrustedAlgorithm,
    /// `publisherTrustedAlgorithmPublishers`.
    TrustedPublisher,
    /// `allowAlgorithmsPublishedHere`.
    PublishedHere,
}

/// Decides whether a job may run. Pure: the same facts give the same decision, in whatever order datasets are named.
///
/// Every dataset has to admit the algorithm, and the environment has to offer what it needs. Where nothing says that
/// something is allowed, it is not.
#[must_use]
pub fn decide(
    datasets: &[RequestedDataset],
    algorithm: &RequestedAlgorithm,
    consumer: &Account,
    environment: &Environment,
) -> Decision {
    let mut denials = about_the_job(datasets, algorithm, environment);
    if let AlgorithmOrigin::Published(published) = &algorithm.origin {
        let mut deny = |rule| denials.push(Denial { rule, subject: Some(published.did.clone()) });
        if published.private && !published.held_here {
            deny(DenialRule::PrivateAlgorithm);
        }
        published.credentials.refusals(consumer).into_iter().for_each(deny);
    }

    let mut admitted = Vec::new();
    for dataset in datasets {
        let mut deny = |rule| denials.push(Denial { rule, subject: Some(dataset.did.clone()) });
        dataset.credentials.refusals(consumer).into_iter().for_each(&mut deny);
        if let Some(permissions) = dataset.permissions() {
            refuse_by_manner(permissions, algorithm, &mut deny);
        }
        match admit(dataset.permissions(), &algorithm.origin) {
            Ok((by, files_checksums)) => admitted.push(AdmittedDataset {
                did: dataset.did.clone(),
                service: dataset.service.clone(),
                by,
                files_checksums,
            }),
            Err(rule) => deny(rule),
        }
    }

    let permissions: Vec<&Permissions> = datasets.iter().filter_map(RequestedDataset::permissions).collect();
    let policies: Vec<&OutputPolicy> = permissions.iter().map(|rules| &rules.output_contract).collect();
    match OutputPolicy::strictest(&policies) {
        Some(OutputPolicy { budgets, release }) if denials.is_empty() => {
            admitted.sort();
            Decision::Allowed(Box::new(Terms {
                admitted,
                output_contract: budgets,
                release,
                runtime: algorithm.runtime,
                profile: algorithm.profile,
                runtimes: allowed_by_all(permissions.iter().map(|rules| &rules.runtimes)),
                profiles: allowed_by_all(permissions.iter().map(|rules| &rules.profiles)),
            }))
        }
        strictest => {
            if strictest.is_none() && !policies.is_empty() {
                denials.push(Denial { rule: DenialRule::OutputContract, subject: None });
            }
            denials.sort();
            denials.dedup();
            Decision::Denied(denials)
        }
    }
}

impl Terms {
    /// Whether everything that these terms let out, the present ones let out, too. What the algorithm's files must be is not
    /// compared: see [`Terms::pins_files_as`].
    #[must_use]
    pub fn lets_out_no_more_than(&self, present: &Self) -> bool {
        self.output_contract.is_within(&present.output_contract) && self.release.is_within(&present.release)
    }

    /// Whether every file that these terms let the algorithm be, the present ones let it be, too.
    #[must_use]
    pub fn pins_files_as(&self, present: &Self) -> bool {
        present.admitted.iter().all(|present| match &present.files_checksums {
            None => true,
            Some(now) => self.admitted.iter().any(|before| {
                before.did == present.did && before.files_checksums.as_ref().is_some_and(|then| then.is_subset(now))
            }),
        })
    }

    /// Checks the algorithm's files, by the step that holds the bytes that are about to run.
    ///
    /// # Errors
    /// Every dataset that trusts the algorithm with other files only.
    pub fn check_files(&self, files: &FilesChecksum) -> Result<(), Vec<Denial>> {
        check_files_checksum(&self.admitted, files)
    }

    /// Whether the algorithm may run with the files of this [digest](FilesChecksum::digest). None: files that no asset has.
    #[must_use]
    pub fn allows_files(&self, digest: Option<Sha256>) -> bool {
        let allowed =
            |checksums: &BTreeSet<FilesChecksum>| checksums.iter().any(|checksum| Some(checksum.digest()) == digest);
        digest.is_some() && self.admitted.iter().filter_map(|dataset| dataset.files_checksums.as_ref()).all(allowed)
    }
}

/// Whether every one of these datasets trusts the algorithm with these files.
///
/// # Errors
/// Those that trust it with other files only.
pub fn check_files_checksum(admitted: &[AdmittedDataset], files: &FilesChecksum) -> Result<(), Vec<Denial>> {
    let refused = |dataset: &&AdmittedDataset| {
        dataset.files_checksums.as_ref().is_some_and(|checksums| !checksums.contains(files))
    };
    let denials: Vec<Denial> = admitted
        .iter()
        .filter(refused)
        .map(|dataset| Denial { rule: DenialRule::FilesChecksum, subject: Some(dataset.did.clone()) })
        .collect();
    if denials.is_empty() { Ok(()) } else { Err(denials) }
}

/// What keeps a container from running in an environment, beside the rules of datasets: its image and its command. Empty where
/// the environment does not run containers at all, because then nothing about this one matters.
#[must_use]
pub fn container_denials(container: &Container, environment: &Environment) -> Vec<Denial> {
    if !environment.runtimes.contains(&RuntimeKind::Container) && !environment.withholds_containers {
        return Vec::new();
    }
    let image = match PinnedImage::of(container) {
        Err(_) => Some(DenialRule::ContainerImage),
        Ok(image) if environment.registries.iter().any(|prefix| image.is_below(prefix)) => None,
        Ok(_) => Some(DenialRule::EnvironmentRegistry),
    };
    let command = Command::read(&container.entrypoint).is_err().then_some(DenialRule::ContainerCommand);
    image.into_iter().chain(command).map(|rule| Denial { rule, subject: None }).collect()
}

fn about_the_job(
    datasets: &[RequestedDataset],
    algorithm: &RequestedAlgorithm,
    environment: &Environment,
) -> Vec<Denial> {
    let RequestedAlgorithm { origin: _, runtime, profile } = algorithm;
    let mut denials: Vec<Denial> = [
        (datasets.is_empty(), DenialRule::NoDataset),
        (
            !datasets.is_empty() && datasets.iter().all(|dataset| dataset.permissions().is_none()),
            DenialRule::NoComputeService,
        ),
        (!environment.runtimes.contains(runtime), {
            let withheld = *runtime == RuntimeKind::Container && environment.withholds_containers;
            if withheld { DenialRule::EnvironmentIsolation } else { DenialRule::EnvironmentRuntime }
        }),
        (!environment.profiles.contains(profile), DenialRule::EnvironmentProfile),
    ]
    .into_iter()
    .filter_map(|(denied, rule)| denied.then_some(Denial { rule, subject: None }))
    .collect();
    let mut seen = BTreeSet::new();
    for dataset in datasets {
        if !seen.insert(&dataset.did) {
            denials.push(Denial { rule: DenialRule::DatasetTwice, subject: Some(dataset.did.clone()) });
        }
    }
    denials
}

/// The rules about how an algorithm runs, whichever it is.
fn refuse_by_manner(permissions: &Permissions, algorithm: &RequestedAlgorithm, mut deny: impl FnMut(DenialRule)) {
    if !permissions.runtimes.contains(&algorithm.runtime) {
        deny(DenialRule::Runtime);
    }
    if !permissions.profiles.contains(&algorithm.profile) {
        deny(DenialRule::Profile);
    }
}

type Admitted = (AdmittedBy, Option<BTreeSet<FilesChecksum>>);

/// The rule that admits the algorithm, or the one that comes nearest and does not.
fn admit(permissions: Option<&Permissions>, origin: &AlgorithmOrigin) -> Result<Admitted, DenialRule> {
    let Some(permissions) = permissions else {
        return Ok((AdmittedBy::AccessService, None));
    };
    match origin {
        AlgorithmOrigin::Raw if permissions.allow_raw_algorithm => Ok((AdmittedBy::AllowRawAlgorithm, None)),
        AlgorithmOrigin::Raw => Err(DenialRule::RawAlgorithm),
        AlgorithmOrigin::Published(algorithm) => {
            // First the rule that asks for no checksum: a later check must not refuse what this one admits.
            let trusted = |publisher: &Trusted<Account>| match publisher {
                Trusted::Any => true,
                Trusted::Only(account) => algorithm.publishers.contains(account),
            };
            if permissions.publisher_trusted_algorithm_publishers.iter().any(trusted) {
                return Ok((AdmittedBy::TrustedPublisher, None));
            }
            if permissions.allow_algorithms_published_here && algorithm.held_here {
                return Ok((AdmittedBy::PublishedHere, None));
            }
            let checksums = admit_by_algorithm(&permissions.publisher_trusted_algorithms, algorithm)?;
            Ok((AdmittedBy::TrustedAlgorithm, checksums))
        }
    }
}

/// What the algorithm's files must be, by the entries that name it; none: anything.
fn admit_by_algorithm(
    rules: &[TrustedAlgorithm],
    algorithm: &PublishedAlgorithm,
) -> Result<Option<BTreeSet<FilesChecksum>>, DenialRule> {
    let mut nearest = DenialRule::AlgorithmNotTrusted;
    let mut checksums = BTreeSet::new();
    for TrustedAlgorithm { did, files_checksum, container_section_checksum, service_id } in rules {
        let service_meant = service_id.as_ref().is_none_or(|id| id.admits(&algorithm.service));
        if !did.admits(&algorithm.did) || !service_meant {
            continue;
        }
        let container = &algorithm.container_section_checksum;
        if !container_section_checksum.as_ref().is_some_and(|trusted| trusted.admits(container)) {
            if nearest == DenialRule::AlgorithmNotTrusted {
                nearest = DenialRule::ContainerSectionChecksum;
            }
            continue;
        }
        match (files_checksum, &algorithm.files_checksum) {
            (Some(Trusted::Any), _) => return Ok(None),
            (Some(Trusted::Only(trusted)), None) => drop(checksums.insert(trusted.clone())),
            (Some(Trusted::Only(trusted)), Some(files)) if trusted == files => drop(checksums.insert(files.clone())),
            (Some(Trusted::Only(_)) | None, _) => nearest = DenialRule::FilesChecksum,
        }
    }
    if checksums.is_empty() { Err(nearest) } else { Ok(Some(checksums)) }
}

fn allowed_by_all<'a, T: Ord + Copy + 'a>(sets: impl Iterator<Item = &'a BTreeSet<T>>) -> BTreeSet<T> {
    sets.cloned().reduce(|all, set| all.intersection(&set).copied().collect()).unwrap_or_default()
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
