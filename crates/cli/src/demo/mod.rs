//! `cloister demo`: a service, three users, and what they can and cannot do. Shows every command as it would be typed.

mod files;
mod stage;
mod story;

use crate::exit::Usage;
use std::path::PathBuf;

/// Show what Cloister does: publish, refuse, allow, compute, download
///
/// Starts a service in a temporary folder on a loopback address, and ends it afterwards. Run it in a checkout of the
/// repository, after `scripts/guests.sh --require rust column-stats exfiltrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Keep the temporary folder
    #[arg(long)]
    keep: bool,
    /// Use this folder, which must not exist yet, and keep it
    #[arg(long, value_name = "DIR", conflicts_with = "keep")]
    dir: Option<PathBuf>,
    /// Include a Python algorithm. Needs the Python runtime: see --sandbox-home
    #[arg(long, requires = "sandbox_home")]
    python: bool,
    /// Home folder of the sandbox program with the Python runtime: the $CLOISTER_SANDBOX_HOME of
    /// `sandbox runtime add python` and `sandbox compile --runtime python`
    #[arg(long, value_name = "DIR")]
    sandbox_home: Option<PathBuf>,
    /// The checkout of the repository
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
