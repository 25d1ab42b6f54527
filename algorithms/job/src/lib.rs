//! The environment of an algorithm: its datasets, its parameters, and the folder for its results.
//!
//! The folders are those of the environment variables `INPUTS` and `OUTPUTS`, or `/data/inputs` and `/data/outputs`
//! where they are not set. The same program therefore runs in the sandbox, in a container and on a laptop.

use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

/// An error is one sentence for the author of the job, and appears in the algorithm log.
pub type Result<T> = std::result::Result<T, String>;

/// One run of the algorithm.
#[derive(Debug)]
pub struct Job {
    inputs: PathBuf,
    outputs: PathBuf,
    /// The value of `DIDS`.
    dids: Option<String>,
}

/// One file of a dataset.
#[derive(Debug, Clone)]
pub struct InputFile {
    /// The dataset's DID, without `did:op:`.
    pub dataset: String,
    /// The file's name, which is its number within the dataset.
    pub name: String,
    pub path: PathBuf,
}

impl InputFile {
    /// The name of this file in messages.
    pub fn label(&self) -> String {
        format!("{}/{}", self.dataset, self.name)
    }

    pub fn open(&self) -> Result<fs::File> {
        fs::File::open(&self.path).map_err(|e| format!("cannot open {}: {e}", self.label()))
    }
}

impl Job {
    pub fn from_environment() -> Self {
        let folder = |name, default: &str| env::var_os(name).map_or_else(|| default.into(), PathBuf::from);
        Self {
            inputs: folder("INPUTS", "/data/inputs"),
            outputs: folder("OUTPUTS", "/data/outputs"),
            dids: env::var("DIDS").ok(),
        }
    }

    /// The DIDs of the job's datasets, without `did:op:`.
    pub fn datasets(&self) -> Result<Vec<String>> {
        let dids = self.dids.as_deref().ok_or("DIDS is not set: it must list the datasets of this job")?;
        serde_json::from_str(dids).map_err(|e| format!("DIDS must be a JSON list such as [\"0a1b\"], not {dids}: {e}"))
    }

    pub fn inputs(&self) -> &Path {
        &self.inputs
    }

    pub fn outputs(&self) -> &Path {
        &self.outputs
    }

    /// The consumer's parameters. A job without parameters has `{}`.
    pub fn parameters<T: DeserializeOwned>(&self) -> Result<T> {
        let text = match fs::read_to_string(self.inputs.join("algoCustomData.json")) {
            Ok(text) if !text.trim().is_empty() => text,
            Ok(_) => "{}".to_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => "{}".to_owned(),
            Err(e) => return Err(format!("cannot read the parameters (algoCustomData.json): {e}")),
        };
        serde_json::from_str(&text).map_err(|e| format!("the parameters (algoCustomData.json) are not usable: {e}"))
    }

    /// Every file of every dataset: the datasets in the order of `DIDS`, the files by their number.
    pub fn files(&self) -> Result<Vec<InputFile>> {
        let mut files = Vec::new();
        for did in self.datasets()? {
            let folder = self.inputs.join(&did);
            let entries = fs::read_dir(&folder).map_err(|e| format!("cannot list dataset {did}: {e}"))?;
            let mut names = Vec::new();
            for entry in entries {
                let entry = entry.map_err(|e| format!("cannot list dataset {did}: {e}"))?;
                if entry.path().is_file() {
                    names.push(entry.file_name().to_string_lossy().into_owned());
                }
            }
            names.sort_by_key(|name| (name.parse::<u64>().unwrap_or(u64::MAX), name.clone()));
            files.extend(names.into_iter().map(|name| InputFile {
                dataset: did.clone(),
                path: folder.join(&name),
                name,
            }));
        }
        if files.is_empty() {
            return Err("no dataset file to read".to_owned());
        }
        Ok(files)
    }

    /// Writes one result.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        fs::write(self.outputs.join(name), content).map_err(|e| format!("cannot write the result {name}: {e}"))
    }
}

/// Whether a cell has no value: it is empty or has one of the usual markers.
pub fn is_missing(cell: &[u8]) -> bool {
    matches!(
        cell.trim_ascii(),
        b"" | b"NA" | b"N/A" | b"n/a" | b"NaN" | b"nan" | b"null" | b"NULL" | b"None" | b"<NA>" | b"#N/A"
    )
}

/// The finite number in a cell.
pub fn number(cell: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(cell.trim_ascii()).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}

/// Ends `main`: prints an error to stderr, and returns the exit code that shows that the algorithm failed.
pub fn exit(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells() {
        assert!(is_missing(b" NA "));
        assert!(!is_missing(b"0"));
        assert_eq!(number(b" -1.5e3 "), Some(-1500.0));
        assert_eq!(number(b"inf"), None, "a mean over infinity says nothing");
        assert_eq!(number(b"12 kg"), None);
    }
}
