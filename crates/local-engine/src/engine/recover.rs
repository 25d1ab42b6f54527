//! The start: every job continues where it is, and files that are no longer needed are removed.

use super::core::{Core, blocking};
use crate::{
    OpenError,
    clock::now,
    store::{DbError, jobs, uploads},
    work_folder::clear,
};
use cloister_lifecycle::{Deadlines, Waiting};
use cloister_model::{JobId, JobStatus, Sha256};
use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

/// Continues every job that has not ended, and removes the folders of all others.
pub(super) async fn recover(core: &Arc<Core>) -> Result<(), OpenError> {
    let unusable = |error: DbError| OpenError::Stage { what: "jobs", problem: error.to_string() };
    let unended = core.store.read(jobs::unended).map_err(unusable)?;
    let live: HashSet<JobId> = unended.iter().map(|(job, _)| *job).collect();
    let stale = stale_folders(&core.home.jobs(), &live).map_err(|error| home_error(core, error))?;
    for folder in stale {
        // A sandbox may still run there, if the service was killed between the end of the job and the end of its process.
        let failed =
            |error: DbError| OpenError::Home { path: folder.clone(), error: io::Error::other(error.to_string()) };
        clear(&folder).await.map_err(failed)?;
    }
    tidy_uploads(core).await.map_err(unusable)?;
    for (job, status) in &unended {
        match status {
            Some(status) => take_up(core, status).map_err(unusable)?,
            None => not_continued(core, *job),
        }
    }
    if !unended.is_empty() {
        tracing::info!(jobs = unended.len(), "unfinished jobs continue where they are");
    }
    Ok(())
}

/// Removes uploads that were interrupted.
async fn tidy_uploads(core: &Arc<Core>) -> Result<(), DbError> {
    let core = Arc::clone(core);
    // A file stays if the database cannot say whether it is needed.
    let known = move |core: &Core, sha256: &Sha256| core.store.read(|db| uploads::exists(db, sha256)).unwrap_or(true);
    blocking(move || core.incoming.tidy(|sha256| known(&core, sha256))).await
}

fn take_up(core: &Core, status: &JobStatus) -> Result<(), DbError> {
    let spec = match core.store.read(|db| jobs::spec_without_documents(db, status.id)) {
        Ok(Some(spec)) => spec,
        // One damaged job does not keep all others from going on.
        Ok(None) | Err(DbError::Damaged(_)) => {
            not_continued(core, status.id);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let deadlines = Deadlines::of(status, &spec.times, now(), Instant::now());
    core.active_jobs().recover(status, Waiting::of(&spec), spec.times, deadlines);
    Ok(())
}

fn not_continued(core: &Core, job: JobId) {
    core.shared.damaged(job);
    tracing::error!(%job, "a job cannot be read and is not continued; restore the database from a backup");
}

/// Everything in the folder of jobs that does not belong to an unfinished job.
fn stale_folders(jobs: &Path, live: &HashSet<JobId>) -> io::Result<Vec<PathBuf>> {
    let mut stale = Vec::new();
    for entry in fs::read_dir(jobs)? {
        let entry = entry?;
        let job = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if !job.is_some_and(|job| live.contains(&job)) {
            stale.push(entry.path());
        }
    }
    Ok(stale)
}

fn home_error(core: &Core, error: io::Error) -> OpenError {
    OpenError::Home { path: core.home.jobs(), error }
}
