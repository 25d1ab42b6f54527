//! Datasets and algorithms: the same for both, but for where they are found.

mod check;
mod files;
mod manifest;
mod permissions;
mod publish;
mod read;
mod view;

pub(super) use check::{__path_check, __path_seen, check, seen};
pub(super) use files::{__path_algorithm_file, __path_dataset_file, algorithm_file, dataset_file};
pub(super) use permissions::{
    __path_allow, __path_disallow, __path_permissions, __path_set_permissions, allow, disallow, permissions,
    set_permissions,
};
pub(super) use publish::{
    __path_publish_algorithm, __path_publish_dataset, __path_withdraw_algorithm, __path_withdraw_dataset,
    publish_algorithm, publish_dataset, withdraw_algorithm, withdraw_dataset,
};
pub(super) use read::{
    __path_algorithm, __path_algorithms, __path_dataset, __path_datasets, algorithm, algorithms, dataset, datasets,
};
