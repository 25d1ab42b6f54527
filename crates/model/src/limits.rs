use serde::{Deserialize, Serialize};

/// What one run may use. Every field has a unit in its name and a default that is safe on a laptop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Limits {
    /// Linear memory of the guest, over all its memories together, plus `/tmp` and what the host keeps on its behalf
    /// (listings, open files), in bytes. Counts what is committed, not what is reserved.
    pub memory_bytes: u64,
    /// Elements over all tables together.
    pub table_elements: u64,
    /// Core instances, memories and tables, each.
    pub instances: u32,
    /// The guest's stack inside the engine, in bytes. (A guest's own shadow stack lies in its linear memory.)
    pub stack_bytes: u64,
    /// Open files, directories and streams. Far below the process's own limit, so that the guest meets ours first.
    pub handles: u32,
    /// Bytes that one call may make the host allocate for the guest.
    pub call_bytes: u64,
    /// Wall-clock time of the run in milliseconds, from the start of the worker to the guest's end.
    pub wall_ms: u64,
    /// Processor time of the worker in seconds, enforced by the kernel.
    pub cpu_seconds: u64,
    /// Instructions, in wasmtime's units of fuel. None: not metered, which is faster.
    pub fuel: Option<u64>,
    /// Size of the module in bytes.
    pub module_bytes: u64,
    /// For the process that checks and compiles the module.
    pub compile: CompileLimits,
}

/// What checking and compiling one module may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct CompileLimits {
    /// Wall-clock time in milliseconds.
    pub wall_ms: u64,
    /// Address space of the process, in bytes (`RLIMIT_AS`).
    pub memory_bytes: u64,
    /// Size of the compiled artifact in bytes.
    pub artifact_bytes: u64,
}

const MIB: u64 = 1024 * 1024;

impl Default for CompileLimits {
    /// A 9 MB module of half a million functions was measured at 22 s and 2.8 GB; honest programs stay far below.
    fn default() -> Self {
        Self { wall_ms: 60_000, memory_bytes: 4096 * MIB, artifact_bytes: 512 * MIB }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 1024 * MIB,
            table_elements: 1_000_000,
            instances: 64,
            stack_bytes: MIB,
            handles: 128,
            call_bytes: MIB,
            wall_ms: 300_000,
            cpu_seconds: 600,
            fuel: None,
            module_bytes: 64 * MIB,
            compile: CompileLimits::default(),
        }
    }
}

/// A limit that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limit `{name}` is {value}; it must be {least} to {most}")]
pub struct LimitsError {
    /// The field, as written in JSON.
    pub name: &'static str,
    /// What was asked for.
    pub value: u64,
    /// The least that makes sense.
    pub least: u64,
    /// The most that this host can keep.
    pub most: u64,
}

impl Limits {
    /// The largest stack that a guest may have, in bytes.
    pub const MOST_STACK_BYTES: u64 = 64 * MIB;

    /// Checks every field against what makes sense and what the machine has.
    ///
    /// # Errors
    /// The first field that is zero, too small to run anything, or beyond `machine_memory_bytes`.
    pub fn check(&self, machine_memory_bytes: u64) -> Result<(), LimitsError> {
        let Self {
            memory_bytes,
            table_elements,
            instances,
            stack_bytes,
            handles,
            call_bytes,
            wall_ms,
            cpu_seconds,
            fuel,
            module_bytes,
            compile,
        } = self;
        let CompileLimits { wall_ms: compile_wall_ms, memory_bytes: compile_memory, artifact_bytes } = compile;
        let day_seconds = 24 * 60 * 60;
        let day_ms = day_seconds * 1000;
        for (name, value, least, most) in [
            ("memoryBytes", *memory_bytes, 64 * 1024, machine_memory_bytes),
            ("tableElements", *table_elements, 1, 100_000_000),
            ("instances", u64::from(*instances), 1, 10_000),
            ("stackBytes", *stack_bytes, 16 * 1024, Self::MOST_STACK_BYTES),
            ("handles", u64::from(*handles), 8, 4096),
            ("callBytes", *call_bytes, 4096, 128 * MIB),
            ("wallMs", *wall_ms, 1, 365 * day_ms),
            ("cpuSeconds", *cpu_seconds, 1, 365 * day_seconds),
            ("fuel", fuel.unwrap_or(1), 1, u64::MAX),
            ("moduleBytes", *module_bytes, 8, 1024 * MIB),
            ("compile.wallMs", *compile_wall_ms, 1, day_ms),
            ("compile.memoryBytes", *compile_memory, 128 * MIB, u64::MAX),
            ("compile.artifactBytes", *artifact_bytes, 4096, 8192 * MIB),
        ] {
            if !(least..=most).contains(&value) {
                return Err(LimitsError { name, value, least, most });
            }
        }
        Ok(())
    }
}

/// The limits that a run can meet: one name everywhere, in reports, errors and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// [`Limits::memory_bytes`].
    Memory,
    /// [`Limits::table_elements`].
    TableElements,
    /// [`Limits::instances`].
    Instances,
    /// [`Limits::handles`].
    Handles,
    /// [`Limits::wall_ms`], in milliseconds.
    WallTime,
    /// [`Limits::cpu_seconds`], in milliseconds.
    CpuTime,
    /// [`Limits::fuel`].
    Fuel,
    /// [`Limits::module_bytes`].
    ModuleSize,
    /// [`CompileLimits::wall_ms`], in milliseconds.
    CompileTime,
    /// [`CompileLimits::memory_bytes`].
    CompileMemory,
    /// [`CompileLimits::artifact_bytes`].
    ArtifactSize,
    /// [`crate::OutputContract::max_bytes`].
    OutputBytes,
    /// [`crate::OutputContract::max_files`].
    OutputFiles,
    /// [`crate::OutputContract::max_directories`].
    OutputDirectories,
}

impl Limit {
    /// The name used in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::TableElements => "table-elements",
            Self::Instances => "instances",
            Self::Handles => "handles",
            Self::WallTime => "wall-time",
            Self::CpuTime => "cpu-time",
            Self::Fuel => "fuel",
            Self::ModuleSize => "module-size",
            Self::CompileTime => "compile-time",
            Self::CompileMemory => "compile-memory",
            Self::ArtifactSize => "artifact-size",
            Self::OutputBytes => "output-bytes",
            Self::OutputFiles => "output-files",
            Self::OutputDirectories => "output-directories",
        }
    }

    /// What the numbers beside this limit count.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Memory | Self::ModuleSize | Self::CompileMemory | Self::ArtifactSize | Self::OutputBytes => "bytes",
            Self::WallTime | Self::CpuTime | Self::CompileTime => "ms",
            Self::Fuel => "units",
            Self::TableElements => "elements",
            Self::Instances => "instances",
            Self::Handles => "handles",
            Self::OutputFiles => "files",
            Self::OutputDirectories => "directories",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_usable_and_zero_is_not() {
        let machine = 16 * 1024 * MIB;
        assert_eq!(Limits::default().check(machine), Ok(()));
        let zero = Limits { memory_bytes: 0, ..Limits::default() };
        assert_eq!(zero.check(machine).expect_err("zero").name, "memoryBytes");
        let beyond = Limits { memory_bytes: machine + 1, ..Limits::default() };
        assert_eq!(beyond.check(machine).expect_err("beyond the machine").most, machine);
        let no_fuel = Limits { fuel: Some(0), ..Limits::default() };
        assert_eq!(no_fuel.check(machine).expect_err("no fuel").name, "fuel");
    }

    /// Both are a year: milliseconds on the wall, seconds of the processor.
    #[test]
    fn no_run_takes_longer_than_a_year() {
        let most = |limits: Limits| limits.check(u64::MAX).expect_err("too long");
        let wall = most(Limits { wall_ms: u64::MAX, ..Limits::default() });
        assert_eq!((wall.name, wall.most), ("wallMs", 31_536_000_000));
        let cpu = most(Limits { cpu_seconds: 31_536_001, ..Limits::default() });
        assert_eq!((cpu.name, cpu.most), ("cpuSeconds", 31_536_000));
        assert_eq!(Limits { cpu_seconds: 31_536_000, ..Limits::default() }.check(u64::MAX), Ok(()));
    }

    #[test]
    fn names_are_what_serde_writes() {
        for limit in [Limit::Memory, Limit::CpuTime, Limit::OutputDirectories, Limit::CompileMemory] {
            assert_eq!(serde_json::to_value(limit).expect("a name"), limit.as_str());
        }
    }
}
