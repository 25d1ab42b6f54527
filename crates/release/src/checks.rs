//! Programs that must agree before outputs leave: what each is given, and what its end means.

use crate::OutputFile;
use cloister_model::{Check, Did, Fault, FilterOrder, Limits, Outcome, OutputContract, Profile, Reason, Report};
use serde_json::json;
use std::{fs, io, path::Path};

/// What outputs are called where a program checks them: its only dataset.
const DATASET: &str = "outputs";

/// How one check runs. It answers yes or no, and nothing else leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRun {
    /// Its only dataset: the outputs.
    pub datasets: Vec<Did>,
    /// No output, no log.
    pub contract: OutputContract,
    /// What it may use.
    pub limits: Limits,
    /// The same outputs give the same answer.
    pub profile: Profile,
}

impl CheckRun {
    /// How the checks of an order run.
    #[must_use]
    pub fn of(order: &FilterOrder) -> Self {
        let contract = OutputContract {
            max_bytes: 0,
            max_files: 0,
            max_directories: 0,
            names: Vec::new(),
            max_log_bytes: 0,
            ..OutputContract::default()
        };
        let datasets = DATASET.parse().into_iter().collect();
        Self { datasets, contract, limits: order.check_limits.clone(), profile: Profile::Deterministic }
    }
}

/// Lays outputs out as the dataset of a check below `data`, which must not exist, in a folder that does: files in order, and their
/// names in the parameters. They are hard links, so nothing is copied; remove them before the outputs are checked again, because an
/// output may have one name only. On another file system they are copies. Blocking.
///
/// # Errors
/// If the folder cannot be written.
pub fn lay_out_check(data: &Path, check: &Check, files: &[OutputFile]) -> io::Result<()> {
    let inputs = data.join("inputs");
    let dataset = inputs.join(DATASET);
    for folder in [data, &inputs, &dataset] {
        fs::create_dir(folder)?;
    }
    for (number, file) in files.iter().enumerate() {
        let to = dataset.join(number.to_string());
        match fs::hard_link(&file.path, &to) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => fs::copy(&file.path, &to).map(drop)?,
            linked => linked?,
        }
    }
    let names: Vec<_> = files
        .iter()
        .map(|OutputFile { name, path: _, bytes, sha256 }| json!({"name": name, "bytes": bytes, "sha256": sha256}))
        .collect();
    let parameters = json!({ "check": check.name, "files": names });
    fs::write(inputs.join("algoCustomData.json"), parameters.to_string())
}

/// Whether a check agrees.
///
/// # Errors
/// Why the outputs may not leave.
pub fn judge(check: &Check, report: &Report) -> Result<(), Reason> {
    if report.algorithm.sha256 != check.sha256 {
        return Err(check_failed(check, "the program is not the one that was asked for", Fault::System));
    }
    match &report.outcome {
        Outcome::Succeeded => Ok(()),
        outcome @ Outcome::HostFault { .. } => Err(check_failed(check, &outcome.to_string(), Fault::System)),
        outcome => Err(check_failed(check, &outcome.to_string(), Fault::Algorithm)),
    }
}

/// Why outputs may not leave that a check does not agree with.
#[must_use]
pub fn check_failed(check: &Check, text: &str, fault: Fault) -> Reason {
    Reason::new(&format!("the outputs may not leave: check `{}`: {text}", check.name), fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::Sha256;

    /// The thread that lays out is late, and the job has ended meanwhile.
    #[test]
    fn nothing_is_laid_out_in_a_folder_that_is_gone() {
        let home = tempfile::tempdir().expect("a folder");
        let gone = home.path().join("gone");
        let check = Check { name: "groups".to_owned(), sha256: Sha256::from_bytes([9; 32]) };
        lay_out_check(&gone.join("data"), &check, &[]).expect_err("it is gone");
        assert!(!gone.exists());
        fs::create_dir(&gone).expect("made");
        lay_out_check(&gone.join("data"), &check, &[]).expect("laid out");
    }
}
