//! `cloister demo`: a service, three people, and what they can and cannot do, every command as one would type it.

mod files;
mod stage;
mod story;

use crate::exit::Usage;
use std::path::PathBuf;

/// See it work: publish, refuse, allow, compute, fetch
///
/// Starts a service of its own in a temporary folder, on this machine's loopback, and ends it again. Run it in a checkout of
/// the repository, after `scripts/guests.sh --require rust column-stats exfiltrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Leave the temporary folder
    #[arg(long)]
    keep: bool,
    /// Use this folder, which must not be there yet, and leave it
    #[arg(long, value_name = "DIR", conflicts_with = "keep")]
    dir: Option<PathBuf>,
    /// A Python algorithm, too. Needs the runtime: see --sandbox-home
    #[arg(long, requires = "sandbox_home")]
    python: bool,
    /// A folder in which `sandbox runtime add python` and `sandbox compile --runtime python` were run ($CLOISTER_HOME
    /// there)
    #[arg(long, value_name = "DIR")]
    sandbox_home: Option<PathBuf>,
    /// The repository
    #[arg(long, value_name = "DIR", default_value = ".")]
    repository: PathBuf,
}

impl Demo {
    pub(crate) fn execute(self) -> anyhow::Result<()> {
        let Self { keep, dir, python, sandbox_home, repository } = self;
        let sources = files::Sources::find(&repository, python)?;
        let sandbox_home = sandbox_home.map(|home| home.canonicalize().map_err(|error| (home, error))).transpose();
        let sandbox_home = sandbox_home
            .map_err(|(home, error)| Usage::error(format!("--sandbox-home `{}`: {error}", home.display())))?;
        let folder = dir.map_or_else(|| files::Folder::temporary(keep), |dir| files::Folder::at(&dir))?;
        sources.copy_into(folder.path())?;
        story::tell(folder.path(), sandbox_home.as_deref(), python)?;
        folder.finish();
        Ok(())
    }
}
