use crate::escape;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a WebAssembly program is and asks for, and whether it may run. Read from its bytes alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Admission {
    /// What the program is; none if the bytes are no WebAssembly program at all.
    pub kind: Option<ModuleKind>,
    /// Size in bytes.
    pub bytes: u64,
    /// What it imports, sorted by module and name.
    pub imports: Vec<Import>,
    /// What it exports, sorted. Names are the author's: escape them before showing.
    pub exports: Vec<String>,
    /// The linear memories it declares, over all core modules inside.
    pub memories: Vec<MemoryType>,
    /// Elements that its tables have at the start, over all of them.
    pub table_elements: u64,
    /// Functions it defines.
    pub functions: u64,
    /// Bytes of code.
    pub code_bytes: u64,
    /// What built it, as it says itself (the `producers` section).
    pub toolchain: Vec<Toolchain>,
    /// May it run?
    pub verdict: Verdict,
}

/// What a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ModuleKind {
    /// A core module with `_start`, for WASI preview 1.
    Preview1Command,
    /// A core module without `_start`, such as a library or an interpreter that a runtime's manifest starts.
    Preview1Reactor,
    /// A component.
    Component,
}

impl ModuleKind {
    /// A name for people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Preview1Command => "WASI preview 1 command",
            Self::Preview1Reactor => "WASI preview 1 reactor",
            Self::Component => "WASI 0.2 component",
        }
    }
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Import {
    /// The module, such as `wasi_snapshot_preview1`, or the interface, such as `wasi:cli/environment@0.2.3`. The
    /// author's text: escape it before showing.
    pub module: String,
    /// The item; empty for a component's interface.
    pub name: String,
    /// What it lets the program do.
    pub allows: Capability,
}

/// What an import lets a program do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Read files and directories it was given.
    ReadsFiles,
    /// Write the files it was given.
    WritesFiles,
    /// Read and write files: the interface does not separate the two (0.2's `wasi:filesystem/types`).
    ReadsAndWritesFiles,
    /// Read and write streams it already has.
    Streams,
    /// Read its arguments and environment.
    ReadsEnvironment,
    /// Read the clock, or sleep.
    ReadsClock,
    /// Draw random numbers.
    Random,
    /// End itself.
    Exits,
    /// Yield, or wait for something of the above.
    Schedules,
    /// Reach the network.
    Network,
    /// Signal processes.
    Signals,
    /// Something this host does not know.
    Unknown,
}

impl Capability {
    /// A phrase for people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::ReadsFiles => "reads files",
            Self::WritesFiles => "writes files",
            Self::ReadsAndWritesFiles => "reads and writes files",
            Self::Streams => "uses streams it was given",
            Self::ReadsEnvironment => "reads arguments and environment",
            Self::ReadsClock => "reads the clock",
            Self::Random => "draws random numbers",
            Self::Exits => "exits",
            Self::Schedules => "waits or yields",
            Self::Network => "network",
            Self::Signals => "signals",
            Self::Unknown => "unknown to this host",
        }
    }
}

/// One linear memory, in pages of 64 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MemoryType {
    /// Pages at the start.
    pub initial_pages: u64,
    /// The most it may grow to; none: as far as the host lets it.
    pub maximum_pages: Option<u64>,
}

/// One line of the `producers` section. The author's text: escape it before showing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Toolchain {
    /// `language`, `processed-by` or `sdk`.
    pub field: String,
    /// Such as `rustc`.
    pub name: String,
    /// Such as `1.85.1`.
    pub version: String,
}

/// May it run?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// Yes.
    Admitted,
    /// No, for at least one reason.
    Refused {
        /// Why, at most 20 reasons.
        refusals: Vec<Refusal>,
    },
}

/// One reason not to run a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The rule that was broken.
    pub rule: Rule,
    /// What broke it, in one line: may quote the program, escaped and at most 200 characters.
    pub subject: String,
    /// What to do about it.
    pub advice: String,
}

impl Refusal {
    /// A refusal; `subject` is escaped and cut here.
    #[must_use]
    pub fn new(rule: Rule, subject: &str, advice: impl Into<String>) -> Self {
        Self { rule, subject: escape(subject.as_bytes(), 200).to_string(), advice: advice.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}. {}", self.rule.as_str(), self.subject, self.advice)
    }
}

/// The rules of admission: everything not allowed is refused, under one of these names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The bytes are no WebAssembly: text, a native program, an archive.
    NotWebAssembly,
    /// Machine code compiled elsewhere. It can do anything; it is never loaded.
    Precompiled,
    /// Not valid, or of a proposal that is switched off.
    Invalid,
    /// More bytes, functions, tables, memories or nesting than are taken.
    TooLarge,
    /// An import that this host knows and does not give, or does not know.
    Import,
    /// Sockets or HTTP.
    Network,
    /// WASI 0.3, or an unsupported 0.2 interface version.
    WasiVersion,
    /// No `_start`, `memory` or `wasi:cli/run`, or of the wrong type.
    EntryPoint,
    /// A memory that starts above the limit.
    Memory,
    /// A folder of files that cannot be unpacked, or that has no entry.
    Archive,
    /// The file that standard input is to come from does not exist.
    StandardInput,
}

impl Rule {
    /// The name used in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotWebAssembly => "not-web-assembly",
            Self::Precompiled => "precompiled",
            Self::Invalid => "invalid",
            Self::TooLarge => "too-large",
            Self::Import => "import",
            Self::Network => "network",
            Self::WasiVersion => "wasi-version",
            Self::EntryPoint => "entry-point",
            Self::Memory => "memory",
            Self::Archive => "archive",
            Self::StandardInput => "standard-input",
        }
    }
}
