use crate::{Did, Isolation, Limits, ModuleKind, Outcome, OutputContract, Profile, Sha256};
use serde::{Deserialize, Serialize};

/// The version of [`Report`] that this code writes. Readers refuse versions they do not know.
pub const REPORT_VERSION: &str = "cloister.dev/report/v1";

/// What happened in one run: written by the supervisor, never by the guest's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub version: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What ran.
    pub algorithm: AlgorithmReport,
    /// What ran it.
    pub engine: EngineReport,
    /// What it could learn of time and chance.
    pub profile: Profile,
    /// What it could use.
    pub limits: Limits,
    /// What it could leave.
    pub output_contract: OutputContract,
    /// What it used.
    pub usage: Usage,
    /// The walls around it. None if the guest's process never started.
    pub isolation: Option<Isolation>,
    /// The datasets it was given, in the order of `DIDS`.
    pub datasets: Vec<Did>,
    /// Every file it could read below `/data`, sorted by path. Empty if it never ran.
    pub inputs: Vec<FileReport>,
    /// Every file it left in `/data/outputs`, sorted by path.
    pub outputs: Vec<FileReport>,
    /// Directories it left in `/data/outputs`.
    pub output_directories: u64,
    /// What it printed.
    pub log: LogReport,
}

/// The program of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AlgorithmReport {
    /// Digest of the author's file: the module, or the script where a runtime ran it.
    pub sha256: Sha256,
    /// Size of that file in bytes.
    pub bytes: u64,
    /// What the module is; none if it was refused before that was known.
    pub kind: Option<ModuleKind>,
    /// The interpreter, if one ran the author's script.
    pub runtime: Option<RuntimeReport>,
}

/// An interpreter that the operator installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuntimeReport {
    /// Its name on this host.
    pub name: String,
    /// Digest of its module.
    pub module_sha256: Sha256,
    /// Digest of its manifest, which names the digests of its support files.
    pub manifest_sha256: Sha256,
    /// Digest of the snapshot that the run continued from: the module after an initialisation without any data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_sha256: Option<Sha256>,
}

/// The engine of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EngineReport {
    /// `wasmtime`.
    pub name: String,
    /// Its exact version.
    pub version: String,
    /// Digest of every setting that can change what a guest computes, the processor's features included.
    pub config_sha256: Sha256,
}

/// What a run used. Zero where the run never came so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Usage {
    /// Wall-clock milliseconds of checking and compiling; none if a cached artifact served.
    pub compile_ms: Option<u64>,
    /// Wall-clock milliseconds from the start of the worker to its end.
    pub wall_ms: u64,
    /// Wall-clock microseconds inside the guest, from its first instruction to its end; none if it was killed.
    pub guest_us: Option<u64>,
    /// Processor milliseconds of the worker, user and system.
    pub cpu_ms: u64,
    /// The most linear memory, `/tmp` and host memory on its behalf that it held at once, in bytes.
    pub peak_memory_bytes: u64,
    /// The most physical memory of the worker's process, the engine included, in bytes.
    pub peak_resident_bytes: u64,
    /// Fuel spent, if metered and not killed.
    pub fuel: Option<u64>,
    /// Bytes read from inputs.
    pub bytes_read: u64,
    /// Bytes written to outputs, overwritten ones included.
    pub bytes_written: u64,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileReport {
    /// Path below `/data` for inputs, below `/data/outputs` for outputs. An output's path is the guest's text: escape
    /// it before showing.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Digest of the content.
    pub sha256: Sha256,
}

/// The algorithm log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogReport {
    /// Bytes of stdout and stderr that were kept.
    pub kept_bytes: u64,
    /// Bytes that were dropped because the log was full.
    pub dropped_bytes: u64,
}
