//! The folder in which one job works, from the start of its configuration to its end.

use crate::{
    engine::core::blocking,
    home::{Home, remove_tree},
    store::DbError,
};
use cloister_model::JobId;
use cloister_runner::{LOG, RunnerError};
use std::{fs, io, path::Path, time::Duration};

/// Where programs that check outputs run, in a work folder: one folder for each.
pub(crate) const CHECKS: &str = "checks";

/// How often to try to remove a folder in which a cancelled thread may still write its last file.
const TRIES: u32 = 20;

/// Ends every process that runs in a work folder: the algorithm, and the programs that check its outputs.
pub(crate) async fn stop(folder: &Path) -> Result<(), RunnerError> {
    cloister_runner::stop(folder).await?;
    let checks = match fs::read_dir(folder.join(CHECKS)) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        checks => checks?,
    };
    for check in checks {
        cloister_runner::stop(&check?.path()).await?;
    }
    Ok(())
}

/// Ends every process that runs in a work folder, and removes it.
pub(crate) async fn clear(folder: &Path) -> Result<(), DbError> {
    let failed = |error: String| DbError::Disk(format!("a work folder cannot be removed: {error}"));
    match fs::symlink_metadata(folder) {
        Ok(metadata) if !metadata.is_dir() => {
            return fs::remove_file(folder).map_err(|error| failed(error.to_string()));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error.to_string())),
    }
    stop(folder).await.map_err(|error| failed(error.to_string()))?;
    let mut tries = 0;
    loop {
        let path = folder.to_owned();
        match blocking(move || remove_tree(&path)).await {
            Ok(()) => return Ok(()),
            Err(error) if tries >= TRIES => return Err(error),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Moves the log of a job out of its work folder, where it stays readable.
pub(crate) async fn keep_log(home: &Home, job: JobId) -> Result<(), DbError> {
    let (from, to) = (home.job(job).join(LOG), home.log(job));
    blocking(move || match fs::rename(from, to) {
        // There was none, or it was moved before.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
    .await
}

/// Deletes the log of a job that may not be read.
pub(crate) async fn discard_log(home: &Home, job: JobId) -> Result<(), DbError> {
    let log = home.log(job);
    blocking(move || match fs::remove_file(log) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
    .await
}
