//! Claims with large datasets, which the operator lists: mounted read-only where inputs are laid out and where the algorithm runs,
//! and not copied.

use super::settings::PodSettings;
use cloister_model::{Account, Did, JobSpec};
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Volume, VolumeMount};

/// A claim that the operator has given to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Whose datasets may lie there.
    pub account: Account,
    /// What the paths of sources begin with.
    pub path: String,
    /// The claim, in the namespace of the jobs.
    pub claim: String,
    /// The folder of the claim that stands for the path; none: the whole claim.
    pub sub_path: Option<String>,
}

/// A dataset of a job, and a root of its publisher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetRoot {
    /// The dataset.
    pub did: Did,
    /// The root.
    pub root: Root,
}

/// The roots that the datasets of a job may lie in: each those of its own publisher.
#[must_use]
pub fn of_job(settings: &PodSettings, spec: &JobSpec) -> Vec<DatasetRoot> {
    let datasets = spec.record.datasets.iter();
    let of_dataset = datasets.flat_map(|dataset| {
        let own = settings.roots.iter().filter(|root| root.account.key() == dataset.asset.publisher.key());
        own.map(|root| DatasetRoot { did: dataset.asset.did.clone(), root: root.clone() })
    });
    of_dataset.collect()
}

/// Where the roots are in the pods of a job. Each is mounted once, whichever datasets lie in it.
#[derive(Debug, Default)]
pub(super) struct Mounted<'a> {
    places: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> Mounted<'a> {
    pub(super) fn of(roots: &'a [DatasetRoot]) -> Self {
        let mut places = Vec::new();
        for DatasetRoot { root, .. } in roots {
            let place = (root.claim.as_str(), root.sub_path.as_deref());
            if !places.contains(&place) {
                places.push(place);
            }
        }
        Self { places }
    }

    /// The folder of a root.
    pub(super) fn folder(&self, root: &Root) -> String {
        let place = (root.claim.as_str(), root.sub_path.as_deref());
        let number = self.places.iter().position(|other| *other == place).unwrap_or_default();
        format!("/roots/{number}")
    }

    /// Read-only twice: the volume, and its mount with whatever is mounted below it. A read-only volume keeps its files' owners, too.
    pub(super) fn volumes(&self) -> Vec<(Volume, VolumeMount)> {
        let volume = |(number, (claim, sub_path)): (usize, &(&str, Option<&str>))| {
            let name = format!("root-{number}");
            let claim = PersistentVolumeClaimVolumeSource { claim_name: (*claim).to_owned(), read_only: Some(true) };
            let mount = VolumeMount {
                name: name.clone(),
                mount_path: format!("/roots/{number}"),
                sub_path: sub_path.map(str::to_owned),
                read_only: Some(true),
                recursive_read_only: Some("IfPossible".to_owned()),
                ..VolumeMount::default()
            };
            (Volume { name, persistent_volume_claim: Some(claim), ..Volume::default() }, mount)
        };
        self.places.iter().enumerate().map(volume).collect()
    }
}
