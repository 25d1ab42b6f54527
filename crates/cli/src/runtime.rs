//! `cloister runtime`: the interpreters of a service on this machine. The sandbox program keeps them; these commands know where.

use crate::{
    config::{EngineKind, Settings},
    context::Context,
    exit::{Ended, Usage},
    serve::{collect, environment, find_sandbox},
};
use clap::Subcommand;
use std::{
    ffi::OsStr,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Interpreters of the service on this machine, in its folder (--home).
#[derive(Debug, Subcommand)]
pub(crate) enum RuntimeCommand {
    /// Install an interpreter and compile it, so that the first job does not wait for it: `python` takes a minute to download, and 1 to
    /// 4 minutes and 2 GB of memory to compile; `python-plain`, for jobs with little memory, takes as long, and downloads nothing where
    /// `python` is installed; `javascript` takes seconds. A service that runs offers it at once
    Add {
        /// `python`, `python-plain`, `javascript`, or a manifest file
        #[arg(required_unless_present = "bundle")]
        runtime: Option<String>,
        /// Use this wheel instead of downloading it with pip
        #[arg(long, value_name = "FILE", requires = "runtime")]
        wheel: Option<PathBuf>,
        /// Install what is in a bundle, with its compiled code: nothing is downloaded or compiled
        #[arg(long, value_name = "DIR", conflicts_with = "runtime")]
        bundle: Option<PathBuf>,
        /// The digest of the bundle [default: that of the bundle of this release]
        #[arg(long, value_name = "sha256:HEX", requires = "bundle")]
        trust_artifact: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// List the interpreters
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Remove an interpreter
    Remove {
        /// Its name
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Where the service has its sandbox program.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The configuration file of the service [default: $CLOISTER_CONFIG, else cloister.toml in its folder, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl RuntimeCommand {
    pub(crate) fn execute(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::Add { runtime, wheel, bundle, trust_artifact, place } => {
                let sandbox = Sandbox::of(context, place)?;
                let mut arguments: Vec<&OsStr> = ["runtime", "add"].map(OsStr::new).to_vec();
                for (option, value) in [
                    ("--wheel", wheel.as_deref().map(OsStr::new)),
                    ("--bundle", bundle.as_deref().map(OsStr::new)),
                    ("--trust-artifact", trust_artifact.as_deref().map(OsStr::new)),
                ] {
                    arguments.extend(value.into_iter().flat_map(|value| [OsStr::new(option), value]));
                }
                let Some(runtime) = runtime else { return sandbox.run(&arguments, Stdio::inherit()).map(drop) };
                // `--` so that a name is never an option.
                arguments.extend([OsStr::new("--"), OsStr::new(&runtime)]);
                let said = sandbox.run(&arguments, Stdio::piped())?;
                // The name of a manifest file is in what it says: `installed NAME`, or `NAME is already installed`.
                crate::output::print_line(said.trim_end())?;
                let mut words = said.split_whitespace();
                let name = match (words.next(), words.next()) {
                    (Some("installed"), Some(name)) | (Some(name), Some("is")) => name,
                    _ => return Ok(()),
                };
                sandbox.run(&["compile", "--runtime", name].map(OsStr::new), Stdio::inherit()).map(drop)
            }
            Self::List { place } => {
                Sandbox::of(context, place)?.run(&["runtime", "list"].map(OsStr::new), Stdio::inherit()).map(drop)
            }
            Self::Remove { name, place } => {
                let arguments = ["runtime", "remove", "--", name.as_str()].map(OsStr::new);
                Sandbox::of(context, place)?.run(&arguments, Stdio::inherit()).map(drop)
            }
        }
    }
}

/// The sandbox program of a service, with its home.
struct Sandbox {
    program: PathBuf,
    home: PathBuf,
}

impl Sandbox {
    fn of(context: &Context, place: Place) -> anyhow::Result<Self> {
        let given = context.connection.home.as_deref();
        let home_flag = given.map(|home| home.to_string_lossy().into_owned());
        let flags = [("--home", "home", &home_flag)];
        let layers =
            collect(place.config.as_deref(), given, |name| std::env::var_os(name), environment()?, &flags, &[])?;
        let settings = Settings::resolve(&layers)?;
        if settings.engine_kind != EngineKind::Local {
            let text = "`engine.kind` is k8s: interpreters of a cluster are images, which its Environments name";
            return Err(Usage::error(text));
        }
        let home = settings.sandbox_home.clone().unwrap_or_else(|| settings.home.join("sandbox"));
        Ok(Self { program: find_sandbox(settings.sandbox.as_deref())?, home })
    }

    /// Runs it to its end. Returns what it printed, if that was asked for.
    fn run(&self, arguments: &[&OsStr], stdout: Stdio) -> anyhow::Result<String> {
        let child = Command::new(&self.program)
            .arg("--home")
            .arg(&self.home)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(stdout)
            .spawn();
        let output = child.and_then(std::process::Child::wait_with_output);
        let output = output.map_err(|error| Usage::error(format!("`{}`: {error}", self.program.display())))?;
        if !output.status.success() {
            // It has said why.
            let code = output.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(crate::exit::FAILED);
            return Err(Ended::error(code, format!("the sandbox program ended with {}", output.status)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
