//! The volume that the three pods of a job share.

use super::{Owner, PodSettings, Storage};
use cloister_model::JobId;
use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};
use std::collections::BTreeMap;

/// The name of its claim.
#[must_use]
pub fn name(job: JobId) -> String {
    format!("{job}-data")
}

/// The claim for the volume of a job.
#[must_use]
pub fn build(settings: &PodSettings, owner: &Owner) -> PersistentVolumeClaim {
    let Storage { class, bytes } = &settings.storage;
    PersistentVolumeClaim {
        metadata: owner.metadata(settings, name(owner.job), BTreeMap::new()),
        spec: Some(PersistentVolumeClaimSpec {
            // Not for one pod at a time: a pod that ends and its successor on the same node both have it for a moment.
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: class.clone(),
            volume_mode: Some("Filesystem".to_owned()),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(bytes.to_string()))])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
