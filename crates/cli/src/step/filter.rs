use super::{Common, files};
use crate::{
    config::Settings,
    context::Context,
    exit::{Ended, FAILED},
    serve,
};
use anyhow::Context as _;
use cloister_model::{Check, FilterOrder, Report, RunEnd, RunSummary, Sha256};
use cloister_release::{CheckRun, OutputFile, filter, lay_out_check};
use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Decide whether the outputs of a run may leave
///
/// Uses the settings `sandbox` and `sandbox_home` if there are check programs.
#[derive(Debug, clap::Args)]
pub(crate) struct Filter {
    #[command(flatten)]
    common: Common,
    /// What the algorithm wrote
    #[arg(long, value_name = "DIR")]
    outputs: PathBuf,
    /// What the algorithm printed; cut to what may leave of it
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// Leave the log as it is, and write what may leave of it to this file
    #[arg(long, value_name = "FILE")]
    log_copy: Option<PathBuf>,
    /// The report of the run: what the run left is taken from it, and not from the order
    #[arg(long, value_name = "FILE")]
    run_report: Option<PathBuf>,
    /// The digest that the report of the run must have
    #[arg(long, value_name = "SHA256", requires = "run_report")]
    run_report_sha256: Option<Sha256>,
    /// Wait for the account of the run in this file, and take the digest of its report from there
    #[arg(long, value_name = "FILE", requires = "run_report", conflicts_with = "run_report_sha256")]
    after_run: Option<PathBuf>,
    /// Where the check programs are, by their digests [default: `uploads` in the service's folder]
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Exit with 0 even if the outputs may not leave, because another step reads the report
    #[arg(long)]
    refusal_is_done: bool,
    /// A folder for the runs of these programs, on the file system of the outputs; emptied
    #[arg(long, value_name = "DIR")]
    scratch: PathBuf,
}

/// Runs programs that must agree, each in a sandbox of its own.
struct Runner {
    sandbox: PathBuf,
    sandbox_home: PathBuf,
    programs: PathBuf,
    scratch: PathBuf,
}

impl Filter {
    pub(super) async fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Self {
            common,
            outputs,
            log,
            log_copy,
            run_report,
            mut run_report_sha256,
            after_run,
            programs,
            refusal_is_done,
            scratch,
        } = self;
        let mut order: FilterOrder = common.order()?;
        if let Some(path) = after_run {
            let RunSummary { end, report, .. } = files::run_of(&path, order.job).await?;
            // The engine keeps the log of a run that failed.
            if end != RunEnd::Succeeded || report.is_none() {
                return Err(Ended::error(FAILED, "the run did not succeed, so that there is nothing to check"));
            }
            run_report_sha256 = report;
        }
        if let Some(path) = run_report {
            let report: Report = files::report(&path, run_report_sha256)?;
            (order.outputs, order.output_directories) = (report.outputs, report.output_directories);
        }
        let log = match log_copy {
            Some(copy) => {
                copy_log(&log, &copy, order.contract.max_log_bytes).context("the log cannot be copied")?;
                copy
            }
            None => log,
        };
        let settings = common.settings(context)?;
        // What an earlier attempt left are other names of the outputs, which may have one name each.
        empty(&scratch).context("the scratch folder")?;
        let runner =
            if order.release.checks.is_empty() { None } else { Some(Runner::new(&settings, programs, &scratch)?) };
        let report = tokio::task::spawn_blocking(move || {
            filter(&order, &outputs, &log, &mut |number, check, how, files| match &runner {
                Some(runner) => {
                    runner.run(number, check, how, files).map_err(|error| format!("could not be run: {error}"))
                }
                None => Err("could not be run: there is no sandbox".to_owned()),
            })
        });
        let report = report.await.context("filtering broke")?;
        empty(&scratch).context("the scratch folder")?;
        match common.finish(&report) {
            Err(error) if refusal_is_done && error.is::<Ended>() => Ok(()),
            finished => finished,
        }
    }
}

impl Runner {
    fn new(settings: &Settings, programs: Option<PathBuf>, scratch: &Path) -> anyhow::Result<Self> {
        let absolute = |path: &Path| std::path::absolute(path).with_context(|| path.display().to_string());
        let sandbox_home = settings.sandbox_home.clone().unwrap_or_else(|| settings.home.join("sandbox"));
        Ok(Self {
            sandbox: serve::find_sandbox(settings.sandbox.as_deref())?,
            sandbox_home: absolute(&sandbox_home)?,
            programs: absolute(&programs.unwrap_or_else(|| settings.home.join("uploads")))?,
            scratch: absolute(scratch)?,
        })
    }

    fn run(&self, number: usize, check: &Check, how: &CheckRun, files: &[OutputFile]) -> io::Result<Report> {
        let CheckRun { datasets, contract, limits, profile } = how;
        let folder = self.scratch.join(number.to_string());
        fs::create_dir_all(folder.join("outputs"))?;
        lay_out_check(&folder.join("data"), check, files)?;
        fs::write(folder.join("contract.json"), serde_json::to_vec(contract)?)?;
        fs::write(folder.join("limits.json"), serde_json::to_vec(limits)?)?;
        let dids: Vec<&str> = datasets.iter().map(cloister_model::Did::id).collect();
        let exit = Command::new(&self.sandbox)
            .arg("run")
            .arg(self.programs.join(check.sha256.to_string()))
            .args(["--data", "data", "--outputs", "outputs", "--contract", "contract.json", "--limits", "limits.json"])
            .args(["--profile", profile.as_str(), "--report", "report.json", "--log", "log"])
            .args(["--json", "--require-isolation", "--home"])
            .arg(&self.sandbox_home)
            .args(["--dids", &dids.join(",")])
            .current_dir(&folder)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()?;
        match fs::read(folder.join("report.json")) {
            Ok(report) => Ok(serde_json::from_slice(&report)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(io::Error::other(format!("the sandbox ended without a report ({exit})")))
            }
            Err(error) => Err(error),
        }
    }
}

/// Copies what may leave of a log. A log that is missing is left missing, and so is what is none: a container may have put a
/// link or a pipe in its place.
fn copy_log(from: &Path, to: &Path, most_bytes: u64) -> io::Result<()> {
    match fs::symlink_metadata(from) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let from = File::open(from)?;
    io::copy(&mut from.take(most_bytes), &mut File::create(to)?).map(drop)
}

fn empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(folder),
    }
}
