//! `cloister backup` and `cloister restore`: the folder of a service on this machine, copied while the service works.

use crate::{
    client::KEY_FILE,
    config::{EngineKind, Settings},
    context::Context,
    exit::{CONFLICT, Ended, FAILED, Usage},
    output::{Format, note, print_document, write_time},
    serve::{CONFIG_FILE, RECEIPT_KEY, SERVICE_SECRET, collect, environment},
};
use cloister_local_engine::{BackupError, Restored, Saved, ToSave, back_up, restore};
use serde_json::json;
use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

/// Back up the folder of a service on this machine, while it works
///
/// The backup is a new folder that only you can read: the database as it is at one moment, keys and secrets, cloister.toml, uploads,
/// logs, outputs that wait for a reviewer, and results, unless they are kept in an S3-compatible store. It contains keys and
/// credentials in the clear: encrypt it before it leaves this machine.
///
/// Not in it: cached inputs, installed interpreters and compiled programs, which can be made again; certificates and other files
/// outside the service's folder.
///
/// `cloister restore` checks and puts it back. `sha256sum --check SHA256SUMS` checks it without this program.
#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    /// The folder of the backup, which must not exist or be empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The configuration file of the service [default: $CLOISTER_CONFIG, else cloister.toml in its folder, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Check a backup, and restore it into a folder that no service uses yet
///
/// The folder (--home) must not exist or be empty. Every file is compared with its digest first; a damaged backup changes nothing.
///
/// Then start the service, and install interpreters again: `cloister --home HOME runtime add python`. Algorithms that ran at
/// the moment of the backup end as failed by the system. Jobs that were queued then are started.
#[derive(Debug, clap::Args)]
pub(crate) struct Restore {
    /// The folder of the backup
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
}

impl Backup {
    pub(crate) fn execute(self, context: &Context) -> anyhow::Result<()> {
        let Self { to, config } = self;
        let home_flag = context.connection.home.as_ref().map(|home| home.to_string_lossy().into_owned());
        let variable = |name: &str| std::env::var_os(name);
        let home_given = context.connection.home.as_deref();
        let flags = [("--home", "home", &home_flag)];
        let layers = collect(config.as_deref(), home_given, variable, environment()?, &flags, &[])?;
        let settings = Settings::resolve(&layers)?;
        if settings.engine_kind != EngineKind::Local {
            return Err(Usage::error(
                "`engine.kind` is k8s: such a service keeps nothing in its folder; back up the cluster and the store of results",
            ));
        }
        let home = settings.home.clone();
        let config = config.or_else(|| variable("CLOISTER_CONFIG").map(PathBuf::from));
        let mut files: Vec<_> =
            [SERVICE_SECRET, RECEIPT_KEY, KEY_FILE].map(|name| (home.join(name), name.to_owned())).into();
        files.push((config.unwrap_or_else(|| home.join(CONFIG_FILE)), CONFIG_FILE.to_owned()));
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let what = ToSave {
            home,
            files,
            results: settings.results_url.is_none(),
            created: write_time(since.as_secs()),
            program: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let Saved { files, bytes } = back_up(&what, &to).map_err(failed)?;
        if context.format != Format::Table {
            let made = json!({"to": to, "files": files, "bytes": bytes, "results": what.results});
            return Ok(print_document(context.format, &made)?);
        }
        note(&format!("the backup is in {}: {files} files, {bytes} bytes", to.display()));
        if !what.results {
            note("results are not in it: `results.url` names where they are kept");
        }
        Ok(())
    }
}

impl Restore {
    pub(crate) fn execute(self, context: &Context) -> anyhow::Result<()> {
        let home = context.home();
        let Restored { files, created, results } = restore(&self.from, &home).map_err(failed)?;
        if context.format != Format::Table {
            let done = json!({"home": home, "files": files, "created": created, "results": results});
            return Ok(print_document(context.format, &done)?);
        }
        note(&format!("{files} files of {created} are in {}", home.display()));
        if !results {
            note("results were not in the backup: they are where `results.url` says");
        }
        note(&format!(
            "if there were interpreters, install them again: cloister --home {} runtime add python",
            home.display()
        ));
        Ok(())
    }
}

fn failed(error: BackupError) -> anyhow::Error {
    match error {
        BackupError::NotEmpty(_) => Ended::error(CONFLICT, error.to_string()),
        BackupError::Damaged { .. } | BackupError::Incomplete(_) | BackupError::Version { .. } => {
            Ended::error(FAILED, error.to_string())
        }
        BackupError::NoService(_) | BackupError::Inside(_) | BackupError::OtherUser { .. } => {
            Usage::error(error.to_string())
        }
        BackupError::File { .. } | BackupError::Database(_) => error.into(),
    }
}
