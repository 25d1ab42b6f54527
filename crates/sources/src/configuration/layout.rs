//! The tree that the guest sees as `/data`.

use super::{ConfigurationError, Fetcher, MountedRoot, mounted};
use crate::{
    FetchError,
    cache::Held,
    fetch::{Failure, Meter},
};
use cloister_files::{Watch, digest_of};
use cloister_model::{
    ConfigureOrder, Did, Fault, FileDigest, FilesChecksum, GuestFile, JobInput, JobSource, MountedFile, Source,
    StepResult,
};
use futures_util::future::try_join_all;
use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tokio_util::sync::CancellationToken;

/// What a guest will see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// The datasets, in the order of `DIDS`.
    pub datasets: Vec<Did>,
    /// Every file, by its path below `/data`, sorted.
    pub files: Vec<(String, FileDigest)>,
    /// The algorithm's files.
    pub algorithm: FilesChecksum,
    /// Files that are not laid out, because they stay where they are.
    pub mounted: Vec<MountedFile>,
}

impl From<Configured> for StepResult {
    fn from(configured: Configured) -> Self {
        // What was not copied was not read: the run's report says what it is.
        let Configured { datasets, files, algorithm, mounted: _ } = configured;
        let files = files.into_iter().map(|(path, file)| GuestFile { path, file }).collect();
        Self::Configured { datasets, files, algorithm }
    }
}

/// The algorithm's checksum, its files, and those of every dataset.
type Gathered = (FilesChecksum, Vec<Content>, Vec<Vec<Content>>);

/// The files that are laid out, and those that are not.
type LaidOut = (Vec<(String, FileDigest)>, Vec<MountedFile>);

/// The tree as far as it is laid out.
struct Tree<'a> {
    root: &'a Path,
    files: Vec<(String, FileDigest)>,
    mounted: Vec<MountedFile>,
}

/// What the tree is made of.
enum Content {
    /// A file of the cache.
    Shared(Held),
    /// This text.
    Written(Vec<u8>),
    /// A file that stays where it is.
    Mounted(MountedFile),
}

impl Fetcher {
    /// Lays out `into` as a job's `/data`: `inputs/<did>/<n>`, `inputs/algoCustomData.json` (`{}` without parameters), `ddos/<did>` and
    /// `transformations/algorithm` (more files of an algorithm are `transformations/1`, `2`, ...), all read-only. The
    /// algorithm comes first: what may not run needs no data. What an earlier, broken attempt left there is removed.
    ///
    /// # Errors
    /// The first thing that could not be provided. What was laid out by then is left for the caller to remove.
    pub async fn configure(
        &self,
        order: &ConfigureOrder,
        into: &Path,
        watch: &Watch,
    ) -> Result<Configured, ConfigurationError> {
        self.configure_beside(order, into, &[], watch).await
    }

    /// The same. Files of datasets that are in one of these folders stay there, and are not below `into`.
    ///
    /// # Errors
    /// As [`Fetcher::configure`].
    pub async fn configure_beside(
        &self,
        order: &ConfigureOrder,
        into: &Path,
        roots: &[MountedRoot],
        watch: &Watch,
    ) -> Result<Configured, ConfigurationError> {
        let (checksum, algorithm, data) = tokio::select! {
            biased;
            () = watch.cancel.cancelled() => return Err(ConfigurationError::Cancelled),
            gathered = self.gather_job(order, roots, watch) => gathered?,
        };
        let failed = |error: io::Error| {
            ConfigurationError::System(format!("the inputs of the job cannot be laid out ({})", error.kind()))
        };
        // Not on that thread: where this future is dropped, it may begin when the job has ended, and would make the folder once more.
        fs::create_dir_all(into).map_err(failed)?;
        // From here on a thread writes below `into`. Wait for it even when cancelled: the caller removes the folder next.
        let (root, cancel) = (into.to_owned(), watch.cancel.clone());
        let plan = plan(order, algorithm, data);
        let folders: Vec<PathBuf> = order.inputs.iter().map(|input| Path::new("inputs").join(input.did.id())).collect();
        let laid_out = tokio::task::spawn_blocking(move || build(&root, &folders, plan, &cancel)).await;
        let laid_out = laid_out.unwrap_or_else(|_| Err(io::Error::other("a step of configuration broke")));
        if watch.cancel.is_cancelled() {
            return Err(ConfigurationError::Cancelled);
        }
        let (mut files, mounted) = laid_out.map_err(failed)?;
        files.sort();
        let datasets = order.inputs.iter().map(|input| input.did.clone()).collect();
        Ok(Configured { datasets, files, algorithm: checksum, mounted })
    }

    /// All files of a job: the algorithm's checksum, its files, and those of every dataset.
    async fn gather_job(
        &self,
        order: &ConfigureOrder,
        roots: &[MountedRoot],
        watch: &Watch,
    ) -> Result<Gathered, ConfigurationError> {
        let meter = Meter::new(watch, &self.policy);
        let algorithm = self.files(&order.algorithm.source, &meter).await;
        let algorithm =
            algorithm.map_err(|error| ConfigurationError::algorithm(order.algorithm.did.as_ref(), &error))?;
        let digests = algorithm.iter().filter_map(|content| Some(content.digest()?.sha256)).collect();
        let wrong = |reason: String| {
            let did = order.algorithm.did.clone();
            ConfigurationError::Algorithm { did, reason, detail: None, fault: Fault::Algorithm }
        };
        let checksum = FilesChecksum::of(digests).map_err(|error| wrong(error.to_string()))?;
        order.check_files(&checksum).map_err(|denials| {
            let rules: Vec<String> = denials.iter().map(ToString::to_string).collect();
            wrong(format!("the files to run have the checksum {}; {}", short(&checksum), rules.join("; ")))
        })?;
        let mut fetches = Vec::new();
        for input in &order.inputs {
            let files = self.data(input, roots, &meter);
            fetches.push(async move { files.await.map_err(|error| ConfigurationError::data(&input.did, &error)) });
        }
        let data = try_join_all(fetches).await?;
        meter.report();
        Ok((checksum, algorithm, data))
    }

    /// The files of a dataset. Those in one of its folders stay there.
    async fn data(&self, input: &JobInput, roots: &[MountedRoot], meter: &Meter) -> Result<Vec<Content>, FetchError> {
        let JobSource::Files(files) = &input.source else { return self.files(&input.source, meter).await };
        let (did, sources, roots) = (input.did.clone(), files.files().to_vec(), roots.to_vec());
        let look = move || {
            let find = |(number, source): (usize, &Source)| {
                let found = mounted::find(&roots, &did, number, source);
                found.map_err(|failure| failure.of(number, source.location().describe()))
            };
            sources.iter().enumerate().map(find).collect::<Result<Vec<_>, _>>()
        };
        let mounted = tokio::task::spawn_blocking(look).await;
        let mounted = mounted.map_err(|_| FetchError::System("a step of configuration broke".to_owned()))??;
        let others = files.files().iter().enumerate().zip(&mounted).filter(|(_, mounted)| mounted.is_none());
        let fetched = self.gather_some(others.map(|(source, _)| source).collect(), meter).await?;
        let mut fetched = fetched.into_iter().map(Content::Shared);
        Ok(mounted.into_iter().filter_map(|file| file.map(Content::Mounted).or_else(|| fetched.next())).collect())
    }

    async fn files(&self, source: &JobSource, meter: &Meter) -> Result<Vec<Content>, FetchError> {
        match source {
            JobSource::Files(files) => {
                Ok(self.gather(files.files(), meter).await?.into_iter().map(Content::Shared).collect())
            }
            JobSource::Unsupported(files) => Err(FetchError::Unsupported(files.problem().to_string())),
            JobSource::Rawcode(code) => {
                let code = code.expose().clone().into_bytes();
                let bytes = u64::try_from(code.len()).unwrap_or(u64::MAX);
                meter.expect([Some(bytes)]);
                meter.charge(bytes).map_err(|failure: Failure| failure.of(0, "code in the job".to_owned()))?;
                Ok(vec![Content::Written(code)])
            }
        }
    }
}

/// What goes where, below `/data`.
fn plan(order: &ConfigureOrder, algorithm: Vec<Content>, data: Vec<Vec<Content>>) -> Vec<(PathBuf, Content)> {
    let mut plan: Vec<(PathBuf, Content)> = Vec::new();
    for (number, content) in algorithm.into_iter().enumerate() {
        let name = if number == 0 { "algorithm".to_owned() } else { number.to_string() };
        plan.push((Path::new("transformations").join(name), content));
    }
    for (input, files) in order.inputs.iter().zip(data) {
        let folder = Path::new("inputs").join(input.did.id());
        plan.extend(files.into_iter().enumerate().map(|(number, content)| (folder.join(number.to_string()), content)));
    }
    let described = order.inputs.iter().map(|input| (Some(&input.did), input.ddo.as_ref()));
    let described = described.chain([(order.algorithm.did.as_ref(), order.algorithm.ddo.as_ref())]);
    for (did, ddo) in described {
        if let (Some(did), Some(ddo)) = (did, ddo) {
            let path = Path::new("ddos").join(did.id());
            // An algorithm may be one of the datasets, too.
            if !plan.iter().any(|(other, _)| *other == path) {
                plan.push((path, Content::Written(ddo.to_string().into_bytes())));
            }
        }
    }
    // Always there, as the sandbox program gives it: algorithms read it without asking whether it exists.
    let parameters = order.parameters.as_ref().map_or_else(|| "{}".to_owned(), |given| given.expose().to_string());
    plan.push((Path::new("inputs").join("algoCustomData.json"), Content::Written(parameters.into_bytes())));
    plan
}

/// A checksum of many files is long.
fn short(checksum: &FilesChecksum) -> String {
    match checksum.files() {
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first}... ({} files)", rest.len() + 1),
        [] => String::new(),
    }
}

/// Makes the tree in a folder that is there. Blocking.
fn build(
    root: &Path,
    folders: &[PathBuf],
    plan: Vec<(PathBuf, Content)>,
    cancel: &CancellationToken,
) -> io::Result<LaidOut> {
    for part in ["inputs", "ddos", "transformations"] {
        match fs::remove_dir_all(root.join(part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(root.join(part))?,
        }
    }
    for folder in folders {
        fs::create_dir(root.join(folder))?;
    }
    let mut tree = Tree { root, files: Vec::new(), mounted: Vec::new() };
    for (path, content) in plan {
        if cancel.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        tree.add(&path, content, cancel)?;
    }
    Ok((tree.files, tree.mounted))
}

impl Tree<'_> {
    fn add(&mut self, path: &Path, content: Content, cancel: &CancellationToken) -> io::Result<()> {
        let digest = content.digest();
        let to = self.root.join(path);
        match content {
            Content::Shared(held) => held.link(&to, cancel)?,
            Content::Mounted(file) => self.mounted.push(file),
            Content::Written(text) => {
                File::options().write(true).create_new(true).mode(0o600).open(&to)?.write_all(&text)?;
                fs::set_permissions(&to, Permissions::from_mode(0o444))?;
            }
        }
        if let Some(digest) = digest {
            let name = path.to_str().ok_or(io::ErrorKind::InvalidData)?;
            self.files.push((name.to_owned(), digest));
        }
        Ok(())
    }
}

impl Content {
    /// None for what was not read.
    fn digest(&self) -> Option<FileDigest> {
        match self {
            Self::Shared(held) => Some(held.file()),
            Self::Written(text) => Some(digest_of(text)),
            Self::Mounted(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The thread that lays out is late, and the job has ended meanwhile.
    #[test]
    fn nothing_is_laid_out_in_a_folder_that_is_gone() {
        let home = tempfile::tempdir().expect("a folder");
        let gone = home.path().join("gone");
        let laid_out = build(&gone.join("data"), &[], Vec::new(), &CancellationToken::new());
        assert!(laid_out.is_err() && !gone.exists());
    }
}
