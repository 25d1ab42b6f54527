use crate::{
    LocalEngine,
    engine::core::{Core, blocking},
    store::{DbError, jobs, receipts},
};
use cloister_files::read_part;
use cloister_lifecycle::log_bytes;
use cloister_model::{
    Account, ByteRange, EngineError, EngineFuture, JobId, LogPart, LogScope, Outputs, Phase, Report, ResultFile,
    ResultKind, ResultSet, StoredReceipt, Unavailability,
};
use cloister_results::PublishError;
use cloister_runner::{LOG, OUTPUTS};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

impl Outputs for LocalEngine {
    fn log(&self, job: JobId, scope: LogScope, range: ByteRange) -> EngineFuture<'_, LogPart> {
        Box::pin(log(&self.core, job, scope, range))
    }

    fn report(&self, job: JobId) -> EngineFuture<'_, Option<Report>> {
        Box::pin(async move {
            let report = self.core.store.read_long(move |db| jobs::report(db, job)).await?;
            report.ok_or(EngineError::NoSuchJob(job))
        })
    }

    fn results(&self, job: JobId, set: ResultSet) -> EngineFuture<'_, Vec<ResultFile>> {
        Box::pin(list(&self.core, job, set))
    }

    fn read_result(&self, job: JobId, set: ResultSet, index: u32, range: ByteRange) -> EngineFuture<'_, Vec<u8>> {
        Box::pin(async move {
            match set {
                ResultSet::Released => read_released(&self.core, job, index, range).await,
                ResultSet::UnderReview => read_under_review(&self.core, job, index, range).await,
            }
        })
    }

    fn result_bytes(&self, owner: Account) -> EngineFuture<'_, u64> {
        Box::pin(async move { Ok(self.core.store.read(|db| jobs::result_bytes(db, &owner))?) })
    }

    fn receipt(&self, job: JobId) -> EngineFuture<'_, Option<StoredReceipt>> {
        Box::pin(async move {
            if let Some(receipt) = self.core.store.read_long(move |db| receipts::get(db, job)).await? {
                return Ok(Some(receipt));
            }
            self.core.status(job).map(|_| None)
        })
    }
}

/// A part of the log, as far as the scope shows it.
async fn log(core: &Core, job: JobId, scope: LogScope, range: ByteRange) -> Result<LogPart, EngineError> {
    // In this order: when the status says that the run has ended, its log is complete.
    let status = core.status(job)?;
    let card = core.store.read(|db| jobs::card(db, job))?.ok_or(EngineError::NoSuchJob(job))?;
    let most = log_bytes(&card.terms, &status, scope);
    if most == 0 {
        return Ok(LogPart { bytes: Vec::new(), total: 0, ended: status.phase.has_ended() });
    }
    let ended = status.phase.has_ended() || status.phase > Phase::Running;
    // At the end of the job, its log is moved from the first place to the second.
    let places = [core.home.job(job).join(LOG), core.home.log(job)];
    let read = blocking(move || {
        let Some(file) = first_there(&places)? else { return Ok((Vec::new(), 0)) };
        let total = file.metadata()?.len().min(most);
        Ok((read_part(&file, ByteRange { at_most: range.length_in(total), ..range })?, total))
    });
    let (bytes, total) = read.await?;
    Ok(LogPart { bytes, total, ended })
}

fn first_there(places: &[PathBuf]) -> io::Result<Option<File>> {
    for place in places {
        match File::open(place) {
            Ok(file) => return Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

async fn list(core: &Core, job: JobId, set: ResultSet) -> Result<Vec<ResultFile>, EngineError> {
    match set {
        ResultSet::Released => {
            core.store.read_long(move |db| jobs::results(db, job)).await?.ok_or(EngineError::NoSuchJob(job))
        }
        ResultSet::UnderReview => {
            if core.status(job)?.phase != Phase::InReview {
                return Ok(Vec::new());
            }
            let held = core.store.read_long(move |db| jobs::outgoing(db, job)).await?;
            Ok(held.ok_or(EngineError::NoSuchJob(job))?.unwrap_or_default())
        }
    }
}

/// A part of a released file. The result store knows the files of a job; the phase says whether they were released.
async fn read_released(core: &Core, job: JobId, index: u32, range: ByteRange) -> Result<Vec<u8>, EngineError> {
    let missing = EngineError::NoSuchResult { job, index };
    if core.status(job)?.phase != Phase::Finished {
        return Err(missing);
    }
    core.results.read(job, index, range).await.map_err(|error| match error {
        PublishError::Missing(_) => missing,
        other => EngineError::unavailable(Unavailability::Store, other.to_string()),
    })
}

/// A part of a file that waits for a reviewer: it lies in the job's folder.
async fn read_under_review(core: &Core, job: JobId, index: u32, range: ByteRange) -> Result<Vec<u8>, EngineError> {
    let files = list(core, job, ResultSet::UnderReview).await?;
    let file = usize::try_from(index).ok().and_then(|index| files.get(index));
    let file = file.ok_or(EngineError::NoSuchResult { job, index })?;
    let (root, name) = match file.kind {
        ResultKind::Output => (core.home.job(job).join(OUTPUTS), PathBuf::from(&file.name)),
        _ => (core.home.job(job), PathBuf::from(LOG)),
    };
    let read = blocking(move || read_part(&below(&root, &name)?, range)).await;
    read.map_err(|error| match error {
        DbError::Disk(text) => {
            EngineError::unavailable(Unavailability::Disk, format!("a file under review cannot be read: {text}"))
        }
        other => other.into(),
    })
}

/// Opens a regular file below a folder. The guest chose its name, so no link is followed and `..` is refused.
fn below(root: &Path, name: &Path) -> io::Result<File> {
    let root = rustix::fs::openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file =
        File::from(openat2(root, name, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}
