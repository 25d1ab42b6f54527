use super::{Common, files};
use crate::{context::Context, exit::Usage, serve};
use anyhow::Context as _;
use cloister_files::Watch;
use cloister_model::{
    ByteRange, ConfigureOrder, JobId, MountedFiles, ResultFile, Sha256, StepMessage, StepName, StepReport, StepResult,
    StoredResults, StoredResultsError, StoredResultsFuture,
};
use cloister_results::ResultStore;
use cloister_sources::{Cache, Fetcher, MountedRoot};
use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// Fetch the inputs of a job and lay them out as the guest sees them
///
/// Uses the settings `home` (for cache and uploads), `cache.bytes`, `sources.*` and `results.*` (for sources that are results
/// of jobs, and for uploads that are not in the home folder).
#[derive(Debug, clap::Args)]
pub(crate) struct Configure {
    #[command(flatten)]
    common: Common,
    /// Where the inputs are laid out; what the guest sees as /data
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    /// Lay out the check programs in this folder, by their digests. Without it, they are not laid out
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Create this file when everything is laid out: from then on the inputs may be in use. If it exists already, an earlier
    /// attempt has laid them out: this one does not touch them, and repeats the report of that attempt
    #[arg(long, value_name = "FILE")]
    ready: Option<PathBuf>,
    /// A folder that is mounted both here and where the algorithm runs: files of this dataset whose paths begin with PATH are in DIR,
    /// and are not copied. Can be repeated
    #[arg(long = "root", value_names = ["DID=PATH", "DIR"], num_args = 2)]
    roots: Vec<String>,
    /// Write the list of files that were not copied to this file, for `sandbox run --mounted`
    #[arg(long, value_name = "FILE", requires = "roots")]
    mounted: Option<PathBuf>,
}

impl Configure {
    pub(super) async fn execute(self, context: &Context, watch: &Watch) -> anyhow::Result<()> {
        let Self { common, into, programs, ready, roots, mounted } = self;
        let roots = mounted_roots(&roots)?;
        let order: ConfigureOrder = common.order()?;
        if let Some(said) = ready.as_deref().and_then(files::message).filter(|said| said.job == order.job) {
            return common.repeat(&said);
        }
        let settings = common.settings(context)?;
        let config = serve::results(&settings)?;
        // A pod whose order needs nothing of the store does not see it, though its settings may name it.
        let results: Arc<dyn StoredResults> = if order.reads_store() {
            Arc::new(ResultStore::open(&config).map_err(|error| Usage::error(error.to_string()))?)
        } else {
            Arc::new(NotOpened)
        };
        let cache = Cache::open(&settings.home.join("cache"), settings.cache_bytes.0).context("the cache")?;
        let mut policy = serve::sources(&settings)?;
        policy.closed.extend(serve::own_folders(&settings, &config)?);
        let fetcher = Fetcher::new(policy, Arc::new(cache), settings.home.join("uploads"), results)
            .map_err(|error| Usage::error(error.to_string()))?;
        let last = Arc::new(Mutex::new(None));
        let seen = last.clone();
        let progress = Arc::new(move |progress| {
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        });
        let watch = Watch { cancel: watch.cancel.clone(), progress };
        let mut configured = fetcher.configure_beside(&order, &into, &roots, &watch).await;
        if let (Ok(_), Some(programs)) = (&configured, programs.filter(|_| !order.checks.is_empty())) {
            let laid_out = fetcher.lay_out_uploads("a program that must agree", &order.checks, &programs, &watch).await;
            configured = laid_out.and(configured);
        }
        if let (Ok(configured), Some(path)) = (&configured, &mounted) {
            let said = MountedFiles { files: configured.mounted.clone() };
            files::write_text(path, &serde_json::to_vec(&said).context("what stays where it is")?)?;
        }
        let is_wasm = configured.is_ok() && starts_as_wasm(&into.join("transformations").join("algorithm"))?;
        if configured.is_ok() {
            // Another pod reads them, also after a crash of this node.
            rustix::fs::syncfs(File::open(&into)?).context("writing the inputs to the disk")?;
        }
        let result = configured.map_or_else(StepResult::from, StepResult::from);
        let progress = last.lock().unwrap_or_else(PoisonError::into_inner).take();
        let report = StepReport { progress, ..StepReport::new(order.job, StepName::Configure, result) };
        let message = StepMessage::of(&report, None, is_wasm);
        if let (Some(path), StepResult::Configured { .. }) = (&ready, &report.result) {
            files::write_text(path, &message.write())?;
        }
        common.finish_with(&report, &message)
    }
}

/// The values of `--root`, two by two.
fn mounted_roots(values: &[String]) -> anyhow::Result<Vec<MountedRoot>> {
    let root = |pair: &[String]| {
        let [named, folder] = pair else { return None };
        let (did, path) = named.split_once('=')?;
        Some(MountedRoot { did: did.parse().ok()?, path: path.into(), folder: folder.into() })
    };
    let roots: Option<Vec<_>> = values.chunks(2).map(root).collect();
    roots.ok_or_else(|| Usage::error("--root: expected DID=PATH and a directory"))
}

/// The store of results of an order that reads nothing of it.
#[derive(Debug)]
struct NotOpened;

impl StoredResults for NotOpened {
    fn describe(&self, job: JobId, _: u32) -> StoredResultsFuture<'_, ResultFile> {
        Box::pin(std::future::ready(Err(StoredResultsError::Missing(job))))
    }

    fn read_part(&self, job: JobId, _: u32, _: ByteRange) -> StoredResultsFuture<'_, Vec<u8>> {
        Box::pin(std::future::ready(Err(StoredResultsError::Missing(job))))
    }

    fn upload_size(&self, _: Sha256) -> StoredResultsFuture<'_, Option<u64>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn upload_part(&self, sha256: Sha256, _: ByteRange) -> StoredResultsFuture<'_, Vec<u8>> {
        Box::pin(std::future::ready(Err(StoredResultsError::NoUpload(sha256))))
    }
}

/// Whether a file starts as a WebAssembly module does.
fn starts_as_wasm(path: &Path) -> io::Result<bool> {
    let mut magic = [0; 4];
    Ok(File::open(path)?.read_exact(&mut magic).is_ok() && magic == *b"\0asm")
}
