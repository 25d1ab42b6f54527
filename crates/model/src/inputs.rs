use crate::Did;
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
    },
    /// Single files from anywhere. What `sandbox run --dataset` is given.
    Files {
        /// Every file, and the path below `/data` at which the guest finds it.
        files: Vec<InputFile>,
        /// The datasets, in the order of `DIDS`.
        dids: Vec<Did>,
    },
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
