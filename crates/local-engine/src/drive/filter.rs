use super::{Drive, Unrecorded};
use crate::{
    engine::core::blocking,
    home::directory,
    store::{DbError, jobs},
    work_folder::{self, CHECKS},
};
use cloister_lifecycle::{FilterResult, LOG_NAME, check_contract, check_limits, check_verdict};
use cloister_model::{Check, Did, Fault, Profile, ResultFile, ResultKind, Sha256};
use cloister_runner::{DATA, LOG, OUTPUTS, Run, RunnerError};
use cloister_stages::{OutputFile, check_outputs};
use serde_json::json;
use sha2::Digest as _;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// The name of the outputs as a dataset of the programs that check them.
const DATASET: &str = "outputs";

impl Drive<'_> {
    /// Checks what the algorithm left, from the start.
    pub(super) async fn filter(&self) -> Result<FilterResult, Unrecorded> {
        let (job, terms) = (self.job(), &self.spec.terms);
        let Some(report) = self.core.store.read(|db| jobs::report(db, job))?.ok_or(Unrecorded::Gone)? else {
            return Err(DbError::Damaged(format!("job {job} has no report")).into());
        };
        let folder = self.core.home.job(job);
        clear_checks(&folder.join(CHECKS)).await?;
        let (outputs, contract, rules) = (folder.join(OUTPUTS), terms.output_contract.clone(), terms.release.clone());
        let files = match blocking(move || Ok(check_outputs(&outputs, &report, &contract, &rules))).await? {
            Ok(files) => files,
            Err(refusal) => {
                return Ok(FilterResult::Refused {
                    rule: refusal.rule.to_owned(),
                    text: refusal.to_string(),
                    text_without_guest: refusal.without_words_of_the_guest().to_string(),
                });
            }
        };
        for (number, check) in terms.release.checks.iter().enumerate() {
            if let Err((text, fault)) = self.check(number, check, &files).await? {
                return Ok(FilterResult::CheckRefused { check: check.name.clone(), text, fault });
            }
        }
        let most = terms.output_contract.max_log_bytes;
        let (bytes, sha256) = blocking(move || truncate_log(&folder.join(LOG), most)).await?;
        let log = ResultFile { name: LOG_NAME.to_owned(), kind: ResultKind::AlgorithmLog, bytes, sha256 };
        let outputs = files.into_iter().map(|OutputFile { name, path: _, bytes, sha256 }| ResultFile {
            name,
            kind: ResultKind::Output,
            bytes,
            sha256,
        });
        Ok(FilterResult::Passed(outputs.chain([log]).collect()))
    }

    /// Runs one program over the outputs. The inner error: why it does not agree, or could not be asked.
    async fn check(
        &self,
        number: usize,
        check: &Check,
        files: &[OutputFile],
    ) -> Result<Result<(), (String, Fault)>, Unrecorded> {
        let folder = self.core.home.job(self.job()).join(CHECKS).join(number.to_string());
        work_folder::clear(&folder).await?;
        let (data, list, name) = (folder.join(DATA), files.to_vec(), check.name.clone());
        blocking(move || lay_out(&data, &name, &list)).await?;
        let Ok(dataset) = DATASET.parse::<Did>() else {
            return Err(DbError::Other("the name of the outputs is not a DID; this is a bug".to_owned()).into());
        };
        let run = Run {
            folder: folder.clone(),
            algorithm: self.core.home.upload(&check.sha256),
            did: None,
            datasets: vec![dataset],
            contract: check_contract(),
            limits: check_limits(&self.spec.limits),
            profile: Profile::Deterministic,
            interpreter: None,
        };
        let exit = match self.core.sandbox.start(&run) {
            Ok(running) => running.wait().await.map_err(super::unusable)?,
            Err(error @ RunnerError::InUse) => return Err(super::unusable(error).into()),
            Err(error) => return Ok(Err((error.to_string(), Fault::System))),
        };
        let trace = blocking(move || Ok(cloister_runner::look(&folder))).await?.map_err(super::unusable)?;
        Ok(match &trace.report {
            Some(report) => check_verdict(check, report),
            None => Err((format!("could not be run ({}): {}", exit.0, trace.last_words), Fault::System)),
        })
    }
}

/// Removes what another process left of its checks. A check may still run. Its inputs are hard links to the outputs, and the
/// output walk refuses a file with more than one link.
async fn clear_checks(checks: &Path) -> Result<(), DbError> {
    let entries = match fs::read_dir(checks) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>),
    };
    for check in entries.map_err(|error| DbError::Disk(error.to_string()))? {
        work_folder::clear(&check.path()).await?;
    }
    Ok(())
}

/// Truncates the log to what may leave of it, and returns its size and its digest.
fn truncate_log(path: &Path, most: u64) -> io::Result<(u64, Sha256)> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    if file.metadata()?.len() > most {
        file.set_len(most)?;
    }
    digest(&mut file)
}

/// The size and the digest of a file.
pub(super) fn digest(file: &mut File) -> io::Result<(u64, Sha256)> {
    let (mut hash, mut buffer, mut bytes) = (sha2::Sha256::new(), vec![0; 64 * 1024], 0);
    loop {
        let read = file.read(&mut buffer)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        hash.update(part);
        bytes += part.len() as u64;
    }
    Ok((bytes, Sha256::from_bytes(hash.finalize().into())))
}

/// Lays outputs out as a dataset: files in order, and their names in the parameters.
fn lay_out(data: &Path, check: &str, files: &[OutputFile]) -> io::Result<()> {
    let dataset: PathBuf = data.join("inputs").join(DATASET);
    directory(&dataset)?;
    for (number, file) in files.iter().enumerate() {
        fs::hard_link(&file.path, dataset.join(number.to_string()))?;
    }
    let names: Vec<_> = files
        .iter()
        .map(|OutputFile { name, path: _, bytes, sha256 }| json!({"name": name, "bytes": bytes, "sha256": sha256}))
        .collect();
    let parameters = json!({ "check": check, "files": names });
    fs::write(data.join("inputs").join("algoCustomData.json"), parameters.to_string())
}
