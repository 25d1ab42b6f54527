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
    /// Which clock and randomness it had.
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

impl Report {
    /// What may be told of a run whose outputs and log may not leave. Its numbers are the algorithm's to choose, and could carry
    /// data out: a kind of end, and powers of two for time and memory, stay. That is at most 20 bits: 5 for the end, 5 for each
    /// of two times (of up to a month in milliseconds), 5 for memory (of up to a terabyte, in steps from a kibibyte).
    #[must_use]
    pub fn coarse(self) -> Self {
        let Usage { compile_ms, wall_ms, cpu_ms, peak_memory_bytes, .. } = self.usage;
        let usage = Usage {
            compile_ms,
            wall_ms: class(wall_ms, 1, 1 << 31),
            guest_us: None,
            cpu_ms: class(cpu_ms, 1, 1 << 31),
            peak_memory_bytes: class(peak_memory_bytes, 1 << 10, 1 << 40),
            peak_resident_bytes: 0,
            fuel: None,
            bytes_read: 0,
            bytes_written: 0,
        };
        Self {
            outcome: self.outcome.coarse(),
            usage,
            outputs: Vec::new(),
            output_directories: 0,
            log: LogReport::default(),
            ..self
        }
    }
}

/// The least power of two that is not less, from `least` to `most`.
fn class(number: u64, least: u64, most: u64) -> u64 {
    number.clamp(least, most).next_power_of_two().min(most)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limit, TrapKind};
    use std::collections::BTreeSet;

    /// Every report that differs only in what an algorithm chooses, told coarsely, is one of so few that 20 bits name it.
    #[test]
    fn a_coarse_report_tells_twenty_bits_at_most() {
        let numbers =
            || (0..64).flat_map(|bits| [1_u64 << bits, (1_u64 << bits) - 1, (1_u64 << bits) + 12_345, u64::MAX]);
        let classes = |least, most| numbers().map(|number| class(number, least, most)).collect::<BTreeSet<_>>().len();
        let (times, memory) = (classes(1, 1 << 31), classes(1 << 10, 1 << 40));
        assert!(times <= 32 && memory <= 32, "{times} {memory}");
        let ends: BTreeSet<String> = (0..=256)
            .map(|exit_code| Outcome::AlgorithmFailed { exit_code })
            .chain(
                [TrapKind::Unreachable, TrapKind::StackOverflow, TrapKind::Other].map(|trap| Outcome::Crashed { trap }),
            )
            .chain((0..1000).map(|used| Outcome::LimitExceeded { limit: Limit::Memory, allowed: 10, used }))
            .map(|outcome| format!("{:?}", outcome.coarse()))
            .collect();
        assert_eq!(ends.len(), 3, "{ends:?}");
    }
}
