use crate::{Did, Sha256};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a run is given to read, as files of the host. Where they appear to the guest follows from their role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "layout", deny_unknown_fields)]
pub enum Inputs {
    /// A directory that already looks like `/data`: `inputs/<did>/<n>`, `inputs/algoCustomData.json`, `ddos/<did>`,
    /// `transformations/algorithm`. What pods are given.
    Tree {
        /// The directory.
        root: PathBuf,
        /// The datasets in it, in the order of `DIDS`.
        dids: Vec<Did>,
        /// Files of these datasets that are not in it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mounted: Vec<MountedFile>,
    },
    /// Single files from anywhere. What `sandbox run --dataset` is given.
    Files {
        /// Every file, and the path below `/data` at which the guest finds it.
        files: Vec<InputFile>,
        /// The datasets, in the order of `DIDS`.
        dids: Vec<Did>,
    },
}

/// A file of a dataset that stays where it is: in a folder that is mounted where the run is. Configuration has not copied it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MountedFile {
    /// The dataset.
    pub did: Did,
    /// Its place in the dataset: the guest finds it at `/data/inputs/<did>/<n>`.
    pub number: u32,
    /// The folder.
    pub root: PathBuf,
    /// The file below the folder. No link on this path is followed.
    pub path: PathBuf,
    /// The digest that its bytes must have, if the publisher has said it. It is compared after the run, which reads the file anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
}

/// What `cloister step configure` tells `sandbox run` of files that it has not copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MountedFiles {
    /// The files.
    pub files: Vec<MountedFile>,
}

impl MountedFile {
    /// The path below `/data` at which the guest finds it.
    #[must_use]
    pub fn guest(&self) -> String {
        format!("inputs/{}/{}", self.did.id(), self.number)
    }
}

/// One file of the host that the guest may read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InputFile {
    /// The path below `/data`, such as `inputs/penguins/0`.
    pub guest: String,
    /// The file.
    pub host: PathBuf,
}
