use cloister_model::{CompileLimits, Limits, Sha256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The file name of the manifest in a runtime's directory.
pub(super) const FILE: &str = "runtime.json";
/// The file name of the module there.
pub(super) const MODULE: &str = "module.wasm";

/// The file name of the module with its state after the initialisation, there.
pub(super) const SNAPSHOT: &str = "snapshot.wasm";

/// The file name of the codes of its files, there.
pub(super) const CODES: &str = "codes.json";

/// The file name of support file `number` there.
pub(super) fn file_name(number: usize) -> String {
    format!("file-{number}")
}

/// Whether a text is a valid name for a runtime. The name is also a directory name and a command-line argument.
pub(super) fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
}

/// How an interpreter is installed and started. Its packager writes it; the operator who adds it trusts it.
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
    /// The files that it reads at run time.
    #[serde(default)]
    pub files: Vec<SupportFile>,
    /// Files that this manifest itself holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<TextFile>,
    /// Empty directories that it expects.
    #[serde(default)]
    pub directories: Vec<String>,
    /// The exports to call, in order. One may return an exit code, and have the two parameters of `main` in C.
    pub start: Vec<String>,
    /// Imports (module, name) that trap when called.
    #[serde(default)]
    pub trap: Vec<(String, String)>,
    /// Its arguments, the program's name first. The author's script is at `/data/transformations/algorithm`.
    pub arguments: Vec<String>,
    /// The environment variables that it adds.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// What it needs beyond the limits of an ordinary algorithm.
    pub needs: Needs,
    /// How it is initialised once, when it is installed. None: at the start of every run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Snapshot>,
    /// The file that a folder must have at its top to be run as a program: `__main__.py` for Python. Without it, the runtime
    /// takes single scripts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder_entry: Option<FolderEntry>,
}

/// What a folder must have at its top to be run as a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FolderEntry {
    /// The file of this name.
    One(String),
    /// One of the files of these names.
    OneOf(Vec<String>),
}

impl FolderEntry {
    /// The names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::OneOf(names) => names,
        }
    }
}

/// An initialisation that happens once, when the interpreter is installed. Runs continue from the state that it led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// The exports to call, in order. They leave the module.
    pub initialize: Vec<String>,
    /// The exports that start a run afterwards, in order, instead of the manifest's `start`.
    pub start: Vec<String>,
    /// A text in the module that is replaced first.
    #[serde(default)]
    pub replace: Option<Replacement>,
    /// Files that are there during the initialisation only, beside the manifest's.
    #[serde(default)]
    pub files: Vec<TextFile>,
    /// The digest of the module that comes of it. One that comes out otherwise is not used.
    pub sha256: Sha256,
}

/// A text in a module that is replaced by a shorter one. Zeros fill the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Replacement {
    /// The text. It must be there exactly once.
    pub old: String,
    /// What replaces it.
    pub new: String,
}

/// A file of text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TextFile {
    /// Its path: absolute, outside `/data` and `/tmp`.
    pub guest: String,
    /// Its lines. A line feed follows each.
    pub lines: Vec<String>,
}

impl TextFile {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text.into_bytes()
    }
}

/// The archive that holds the files of a runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// The PyPI package whose wheel it is.
    pub pypi: String,
    /// Its version.
    pub version: String,
    /// The digest of the wheel.
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
    /// Its path in the zip archive that `archive` is, if it is not that archive itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// Its path in the guest: absolute, outside `/data`, `/dev` and `/tmp`.
    pub guest: String,
    /// Whether it is an archive whose files the guest finds below `guest`. That path may lead through another file of the
    /// runtime: packages look for their data beside their code, which is in an archive.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unpack: bool,
    /// Its digest.
    pub sha256: Sha256,
}

/// What an interpreter needs. Lower limits of a job are raised to these values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Needs {
    /// The size of its module, in bytes.
    pub module_bytes: u64,
    /// The guest's stack, in bytes.
    pub stack_bytes: u64,
    /// The elements of its tables.
    pub table_elements: u64,
    /// The limits for compiling it.
    pub compile: CompileLimits,
}

impl Needs {
    /// The limits of a run in this runtime. Time and memory at run time stay as the job sets them.
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

/// Why a manifest is invalid.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not JSON, or a field is missing, unknown or of the wrong type.
    #[error("not a runtime manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// A field has an invalid value.
    #[error("runtime manifest: `{0}` {1}")]
    Field(&'static str, &'static str),
}

impl Manifest {
    /// The supported version.
    pub const VERSION: &str = "cloister.dev/runtime/v1";

    /// Parses a manifest.
    ///
    /// # Errors
    /// If it is invalid.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestError> {
        let manifest: Self = serde_json::from_slice(text)?;
        let wrong = |field, problem| Err(ManifestError::Field(field, problem));
        if manifest.version != Self::VERSION {
            return wrong("version", "must be cloister.dev/runtime/v1");
        }
        if !is_name(&manifest.name) {
            return wrong("name", "must be 1 to 40 lower-case letters, digits and `-`, and must not begin with `-`");
        }
        if manifest.start.is_empty() {
            return wrong("start", "must name at least one export");
        }
        if manifest.arguments.is_empty() {
            return wrong("arguments", "must begin with the program's name");
        }
        if let Some(Snapshot { initialize, start, .. }) = &manifest.snapshot
            && (initialize.is_empty() || start.is_empty())
        {
            return wrong("snapshot", "must name the exports that initialise it and those that start a run");
        }
        let initial = manifest.snapshot.iter().flat_map(|snapshot| &snapshot.files);
        let texts = manifest.texts.iter().chain(initial).map(|file| &file.guest);
        let paths = manifest.files.iter().map(|file| &file.guest).chain(&manifest.directories).chain(texts);
        for path in paths {
            let plain = path.split('/').skip(1).all(|segment| !matches!(segment, "" | "." | ".."));
            let ours = ["/data", "/dev", "/tmp"].iter().any(|top| path == top || path.starts_with(&format!("{top}/")));
            if !path.starts_with('/') || !plain || ours {
                return wrong("files", "must use absolute paths outside /data, /dev and /tmp");
            }
        }
        if let Some(entry) = manifest.folder_entry.as_ref().map(FolderEntry::names)
            && (entry.is_empty() || entry.iter().any(|name| name.is_empty() || name.contains(['/', '\0'])))
        {
            return wrong("folderEntry", "must be the name of a file, or a list of such names");
        }
        if manifest
            .environment
            .iter()
            .any(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0'))
        {
            return wrong("environment", "has an empty name, a name with `=`, or a NUL byte");
        }
        Ok(manifest)
    }

    /// The names of the manifests that are built into this program.
    pub const KNOWN: [&str; 3] = ["javascript", "python", "python-plain"];

    /// A manifest that is built into this program.
    #[must_use]
    pub fn known(name: &str) -> Option<&'static [u8]> {
        match name {
            "javascript" => Some(include_bytes!("javascript.json")),
            "python" => Some(include_bytes!("python.json")),
            "python-plain" => Some(include_bytes!("python-plain.json")),
            _ => None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "reads files of this crate")]
mod tests {
    use super::*;

    fn known(name: &str) -> Manifest {
        Manifest::parse(Manifest::known(name).expect("known")).expect("a manifest")
    }

    #[test]
    fn the_built_in_manifests_are_valid() {
        for name in Manifest::KNOWN {
            assert_eq!(known(name).name, name);
        }
        assert!(Manifest::known("perl").is_none());
    }

    /// `scripts/runtime-manifest.py` makes it so.
    #[test]
    fn plain_python_is_python_without_its_snapshot() {
        let plain = known("python-plain");
        let Manifest { name, description, .. } = plain.clone();
        assert_eq!(plain, Manifest { name, description, snapshot: None, ..known("python") });
    }

    /// `scripts/runtime-manifest.py` puts them there.
    #[test]
    fn the_programs_of_the_built_in_manifests_are_those_that_are_edited() {
        let edited = |folder: &str| {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/runtime").join(folder);
            let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
            let files = entries.filter(|path| path.is_file());
            let named =
                files.map(|path| (path.file_name().expect("a name").to_owned(), std::fs::read(path).expect("read")));
            named.collect::<std::collections::BTreeMap<_, _>>()
        };
        let held = |files: &[TextFile], below: &str| {
            let files = files.iter().filter_map(|file| Some((file.guest.strip_prefix(below)?.into(), file.bytes())));
            files.collect::<std::collections::BTreeMap<_, _>>()
        };
        let python = known("python").snapshot.expect("a snapshot").files;
        assert!(held(&python, "/usr/local/lib/") == edited("python"), "python");
        let javascript = known("javascript").texts;
        assert!(held(&javascript, "/usr/local/lib/javascript/") == edited("javascript"), "javascript");
        assert_eq!(javascript.len(), edited("javascript").len());
    }

    #[test]
    fn a_manifest_cannot_place_files_below_data_or_tmp() {
        for (name, place) in
            [("python", "/usr/local/lib/python315.zip"), ("javascript", "/usr/local/lib/javascript/start.js")]
        {
            let text = String::from_utf8(Manifest::known(name).expect("known").to_vec()).expect("text");
            assert!(text.contains(place));
            for path in ["/data/inputs/x", "/tmp", "/dev/null", "relative", "/usr/../data/x", "/usr//x"] {
                let text = text.replace(place, path);
                assert!(Manifest::parse(text.as_bytes()).is_err(), "{path}");
            }
        }
    }
}
