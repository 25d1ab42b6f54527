use super::{Usage, complain, print, progress::Progress, run::digest, show};
use clap::Subcommand;
use cloister_model::{ByteSize, Profile, Sha256};
use cloister_sandbox::{
    home::{Home, HomeError},
    runtime::{add, add_bundle, bundle, keep, list, remove},
};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Runtime {
    /// Install an interpreter: `python`, `python-plain`, `javascript`, or one with a manifest. Files that an installed one has are not
    /// downloaded again
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
        /// The digest of the bundle, as `sandbox runtime bundle` printed it [default: that of the bundle of this release]
        #[arg(long, value_name = "sha256:HEX", requires = "bundle", value_parser = digest)]
        trust_artifact: Option<Sha256>,
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
    /// Keep an installed interpreter and its compiled code in memory until standard input ends, for `sandbox run --kept`. Prints the
    /// path for that option, and then how many bytes of memory it takes. `cloister serve` does so for the interpreters that it uses
    Keep {
        /// The name of the interpreter. It must have been compiled
        name: String,
        /// The profile of the later runs
        #[arg(long, default_value_t)]
        profile: Profile,
        /// End if it takes more bytes of memory than this
        #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = size)]
        most_bytes: u64,
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
            Self::Add { bundle: Some(directory), trust_artifact, .. } => {
                let trusted = trust_artifact.map_or_else(of_this_release, Ok)?;
                print(&format!("installed {}", add_bundle(&home, &directory, trusted)?));
            }
            Self::Add { runtime, wheel, .. } => {
                let runtime = runtime.unwrap_or_default();
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
                        "no runtimes installed; `sandbox runtime add python` installs CPython with pandas and scikit-learn, \
                         `sandbox runtime add python-plain` the same for runs with little memory, \
                         `sandbox runtime add javascript` QuickJS with modules of Node.js",
                    );
                } else {
                    for installed in &installed {
                        print(&format!("{:<12} {}", installed.manifest.name, installed.manifest.description));
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
            Self::Keep { name, profile, most_bytes } => {
                let kept = keep(&home, &name, profile, most_bytes)?;
                print(&format!("{}\n{}", kept.path().display(), kept.bytes()));
                // The process that started this one holds the other end: when that ends, this one does.
                std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
            }
            Self::Remove { name } => {
                remove(&home, &name)?;
                print(&format!("removed {name}"));
            }
        }
        Ok(0)
    }
}

/// The digest of Python's bundle that was made with this release, which `scripts/dist.sh` builds into the program.
fn of_this_release() -> anyhow::Result<Sha256> {
    let pinned = option_env!("CLOISTERDEV_PYTHON_BUNDLE").filter(|text| !text.is_empty());
    let none =
        || Usage("this program was built without the digest of a bundle: give --trust-artifact sha256:HEX".to_owned());
    digest(pinned.ok_or_else(none)?).map_err(anyhow::Error::msg)
}

fn size(text: &str) -> Result<u64, String> {
    let size = text.parse::<ByteSize>();
    size.map(|ByteSize(bytes)| bytes).map_err(|_| "expected a size, such as 512MiB or 2GiB".to_owned())
}
