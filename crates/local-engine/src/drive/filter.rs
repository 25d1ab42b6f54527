use super::{Drive, Unrecorded};
use crate::{
    engine::core::{Core, blocking},
    home::subdirectory,
    store::DbError,
    work_folder::{self, CHECKS},
};
use cloister_model::{Check, CommandLine, FilterOrder, Report, StepReport};
use cloister_release::{CheckRun, OutputFile, lay_out_check};
use cloister_runner::{DATA, LOG, OUTPUTS, Run, RunnerError};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::runtime::Handle;

/// How often a check is started again whose folder another process looks at in that instant.
const TRIES: u32 = 20;

impl Drive<'_> {
    /// Checks what the algorithm left, from the start.
    pub(super) async fn filter(&self, order: FilterOrder) -> Result<StepReport, Unrecorded> {
        let folder = self.core.home.job(order.job);
        clear_checks(&folder.join(CHECKS)).await?;
        let (core, runtime) = (Arc::clone(self.core), Handle::current());
        // If this future is dropped, the thread that filters must end, too.
        let cancel = self.lease.cancel.child_token();
        let _ended = cancel.clone().drop_guard();
        let filter = move || {
            let checks = folder.join(CHECKS);
            let mut run_check = |number: usize, check: &Check, how: &CheckRun, files: &[OutputFile]| {
                let run = run_check(&core, checks.join(number.to_string()), check, how, files);
                let done = runtime.block_on(cancel.run_until_cancelled(run));
                done.unwrap_or_else(|| Err("the check was cancelled".to_owned()))
            };
            Ok(cloister_release::filter(&order, &folder.join(OUTPUTS), &folder.join(LOG), &mut run_check))
        };
        Ok(blocking(filter).await?)
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

/// Runs one program over the outputs, or says why there is no report of it.
async fn run_check(
    core: &Core,
    folder: PathBuf,
    check: &Check,
    how: &CheckRun,
    files: &[OutputFile],
) -> Result<Report, String> {
    work_folder::clear(&folder).await.map_err(|error| error.to_string())?;
    let data = folder.join(DATA);
    // In the folder of the job, and not with it: this thread may be late, and the job may have ended meanwhile.
    let made = folder.parent().map_or(Ok(()), subdirectory).and_then(|()| subdirectory(&folder));
    let laid_out = made.and_then(|()| lay_out_check(&data, check, files));
    laid_out.map_err(|error| format!("its inputs cannot be laid out: {error}"))?;
    let CheckRun { datasets, contract, limits, profile } = how.clone();
    let run = Run {
        folder: folder.clone(),
        algorithm: core.home.upload(&check.sha256),
        did: None,
        datasets,
        contract,
        limits,
        profile,
        interpreter: None,
        command_line: CommandLine::default(),
    };
    let mut tries = 0;
    let running = loop {
        match core.sandbox.start(&run) {
            Ok(running) => break running,
            Err(RunnerError::InUse) if tries < TRIES => tries += 1,
            Err(error) => return Err(error.to_string()),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let exit = running.wait().await.map_err(|error| error.to_string())?;
    let trace = cloister_runner::look(&folder).map_err(|error| error.to_string())?;
    match trace.report {
        Some(report) => Ok(*report),
        None => Err(format!("could not be run ({}): {}", exit.0, trace.last_words)),
    }
}
