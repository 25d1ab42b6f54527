//! The termination message: what a supervisor of pods learns of a run without its files.

#![expect(clippy::disallowed_methods, reason = "writes the file that the user names, and reads the report beside it")]

use super::{claim::Claimed, complain};
use cloister_model::{Fault, JobId, Reason, Report, RunSummary, Said, Sha256, StepMessage};
use cloister_sandbox::host_file::{open_regular, read_bounded};
use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
};

/// The most bytes of an earlier run's report.
const MAX_REPORT_BYTES: u64 = 1 << 30;

/// Where the message is written, and about which job. Nowhere, if no file was named.
#[derive(Clone, Debug)]
pub(super) struct Message {
    paths: Vec<PathBuf>,
    job: JobId,
}

impl Message {
    pub(super) fn new(paths: Vec<PathBuf>, job: JobId) -> Self {
        Self { paths, job }
    }

    /// The run has ended with this report, whose file has this content.
    pub(super) fn ran(&self, report: &Report, file: &[u8]) {
        let sha256 = Sha256::of(file);
        self.write(Said::Ran(RunSummary { report: Some(sha256), ..RunSummary::of(report) }));
    }

    /// Nothing was run. If that is because it was run before, the report of that run is repeated, so that a run is not lost
    /// whose supervisor did not see its end.
    pub(super) fn not_run(&self, error: &anyhow::Error, report: Option<&Path>) {
        if error.is::<Claimed>() {
            let file = report.and_then(|path| {
                let mut file = open_regular(path).ok()?;
                read_bounded(&mut file, MAX_REPORT_BYTES).ok()
            });
            if let Some(file) = file
                && let Ok(earlier) = serde_json::from_slice(&file)
            {
                self.ran(&earlier, &file);
            }
            return;
        }
        self.write(Said::NotRun { reason: Reason::new(&format!("{error:#}"), Fault::System) });
    }

    fn write(&self, said: Said) {
        let text = StepMessage::new(self.job, said).write();
        for path in &self.paths {
            let written = OpenOptions::new().write(true).create(true).truncate(true).open(path);
            if let Err(error) = written.and_then(|mut file| file.write_all(&text)) {
                complain(&format!("the termination message `{}` cannot be written: {error}", path.display()));
            }
        }
    }
}
