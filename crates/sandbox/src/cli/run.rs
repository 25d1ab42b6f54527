use super::{
    Usage,
    claim::claim,
    code_for, complain,
    limits::{HELP, LimitsArgument},
    message::Message,
    print,
    progress::Progress,
    read_json,
    reserve::Reserved,
    show,
    wait::wait_until_there,
};
use clap::Args;
use cloister_model::{
    ALGORITHM_FILE, Did, InputFile, Inputs, JobId, MountedFiles, Outcome, OutputContract, Profile, Report, Sha256,
    StandardInput,
};
use cloister_sandbox::{
    home::{Home, HomeError},
    supervisor::{Job, RuntimeChoice, Stdin, datasets_in, run},
};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// Run an algorithm on datasets
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The algorithm: a WebAssembly module or component, or a script if --runtime is given
    algorithm: PathBuf,
    /// The DID of the algorithm, for TRANSFORMATION_DID [default: its sha256]
    #[arg(long, value_name = "DID")]
    did: Option<Did>,
    /// A dataset: its DID and its files, in order. Can be repeated
    #[arg(long = "dataset", value_name = "DID=PATH[,PATH...]")]
    datasets: Vec<String>,
    /// A directory with the layout of /data: inputs/<did>/<n>, ddos/, transformations/
    #[arg(long, value_name = "DIR", conflicts_with_all = ["datasets", "params", "ddos"])]
    data: Option<PathBuf>,
    /// The order of the datasets of --data in DIDS [default: sorted]
    #[arg(long, value_name = "DID[,DID...]", value_delimiter = ',', requires = "data")]
    dids: Vec<Did>,
    /// Files of datasets that are not in --data, as `cloister step configure --mounted` wrote them
    #[arg(long, value_name = "FILE", requires = "data")]
    mounted: Option<PathBuf>,
    /// The directory for results: empty, or not existing yet
    #[arg(long, value_name = "DIR")]
    outputs: PathBuf,
    /// The consumer's parameters, a JSON file; the algorithm reads it as /data/inputs/algoCustomData.json
    #[arg(long, value_name = "FILE")]
    params: Option<PathBuf>,
    /// The DDO of an asset; the algorithm reads it as /data/ddos/<did>. Can be repeated
    #[arg(long = "ddo", value_name = "DID=FILE")]
    ddos: Vec<String>,
    /// The output contract, a JSON file or object: how much the algorithm may write, and under which names
    #[arg(long, value_name = "FILE")]
    contract: Option<PathBuf>,
    #[arg(long, value_name = "FILE | NAME=VALUE[,...]", help = HELP)]
    limits: Vec<LimitsArgument>,
    /// deterministic (the same inputs give the same outputs) or standard (real clock and randomness)
    #[arg(long, default_value_t)]
    profile: Profile,
    /// The installed interpreter that runs the script
    #[arg(long, value_name = "NAME")]
    runtime: Option<String>,
    /// Load the interpreter from memory: the path that `sandbox runtime keep` printed. If it is not there any more, the run loads the
    /// interpreter from the home directory
    #[arg(long, value_name = "PATH", requires = "runtime")]
    kept: Option<PathBuf>,
    /// The interpreter that runs the script: a bundle that `sandbox runtime bundle` made. Nothing is compiled
    #[arg(long, value_name = "DIR", conflicts_with = "runtime", requires = "trust_artifact")]
    runtime_bundle: Option<PathBuf>,
    /// The digest of the bundle, as `sandbox runtime bundle` printed it. Its machine code runs with the rights of this
    /// program
    #[arg(long, value_name = "sha256:HEX", requires = "runtime_bundle", value_parser = digest)]
    trust_artifact: Option<Sha256>,
    /// Write the report to this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the algorithm's log to this file, unescaped
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Print the report as JSON instead of a summary
    #[arg(long)]
    json: bool,
    /// Print nothing but errors of the sandbox itself: neither a summary nor the log
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    /// Print the log to standard output while the algorithm runs, unescaped, and no more of it than so many bytes
    #[arg(long, value_name = "BYTES", requires = "quiet", default_value_t = 0, hide_default_value = true)]
    live_log_bytes: u64,
    /// Write a short account of the end to this file, as a pod's termination message. Can be repeated
    #[arg(long, value_name = "FILE", requires_all = ["job", "report"])]
    termination_message: Vec<PathBuf>,
    /// The job that the termination message is about
    #[arg(long, value_name = "ID", requires = "termination_message")]
    job: Option<JobId>,
    /// Do not start the algorithm if a wall is missing
    #[arg(long)]
    require_isolation: bool,
    /// Create this file with this process's id before the run; if it exists, do not run
    #[arg(long, value_name = "FILE")]
    claim: Option<PathBuf>,
    /// Do not begin before this file exists: another program makes it when everything is in place
    #[arg(long, value_name = "FILE")]
    wait_for: Option<PathBuf>,
    /// What the algorithm reads as its standard input: a file of this machine [default: nothing]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["stdin_data", "stdin_text"])]
    stdin: Option<PathBuf>,
    /// The same: a file that the algorithm sees, such as /data/inputs/<did>/0
    #[arg(long, value_name = "PATH", conflicts_with = "stdin_text")]
    stdin_data: Option<String>,
    /// The same: a text of at most 1 MiB
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    stdin_text: Option<String>,
    /// Put parameters in the place of ${NAME} in the arguments and in --stdin-data and --stdin-text, and $ in the place of $$
    #[arg(long)]
    fill_arguments: bool,
    /// The arguments of the algorithm, after `--`
    #[arg(last = true, value_name = "ARG")]
    arguments: Vec<String>,
}

impl Run {
    pub(super) fn execute(self, home: impl FnOnce() -> Result<Home, HomeError>) -> anyhow::Result<u8> {
        let message = self.job.map(|job| Message::new(self.termination_message.clone(), job));
        let report = self.report.clone();
        let ended = self.run(home, message.as_ref());
        if let (Err(error), Some(message)) = (&ended, message) {
            message.not_run(error, report.as_deref());
        }
        ended
    }

    fn run(self, home: impl FnOnce() -> Result<Home, HomeError>, message: Option<&Message>) -> anyhow::Result<u8> {
        let Self {
            algorithm,
            did,
            datasets,
            data,
            dids,
            mounted,
            outputs,
            params,
            ddos,
            contract,
            limits,
            profile,
            runtime,
            kept,
            runtime_bundle,
            trust_artifact,
            report,
            log,
            live_log_bytes,
            json,
            quiet,
            termination_message: _,
            job: _,
            require_isolation,
            claim: claim_file,
            wait_for,
            stdin,
            stdin_data,
            stdin_text,
            fill_arguments,
            arguments,
        } = self;
        if let Some(file) = wait_for {
            wait_until_there(&file)?;
        }
        claim_file.as_deref().map(claim).transpose()?;
        let contract = contract.as_deref().map(read_contract).transpose()?.unwrap_or_default();
        let job = Job {
            algorithm,
            arguments,
            stdin: stdin.map(Stdin::Host).or_else(|| {
                let given = stdin_data.map(StandardInput::File).or(stdin_text.map(StandardInput::Text));
                given.map(Stdin::Given)
            }),
            fill_arguments,
            did,
            runtime: runtime.map(|name| installed(name, kept)).or(runtime_bundle
                .zip(trust_artifact)
                .map(|(directory, trusted)| RuntimeChoice::Bundle { directory, trusted })),
            inputs: inputs(&datasets, data, mounted.as_deref(), dids)?,
            params,
            ddos: ddos
                .iter()
                .map(|text| pair(text, "--ddo").map(|(did, path)| (did, path.into())))
                .collect::<Result<_, _>>()?,
            outputs,
            contract,
            limits: LimitsArgument::resolve(&limits)?,
            profile,
            require_isolation,
        };
        let report_file = report.as_deref().map(|path| Reserved::new("report", path, &job)).transpose()?;
        let log_file = match log.as_deref().map(|path| Reserved::new("log", path, &job)).transpose() {
            Ok(log_file) => log_file,
            Err(error) => {
                report_file.into_iter().for_each(Reserved::give_up);
                return Err(error);
            }
        };
        let handle = log_file.as_ref().map(Reserved::handle).transpose()?;
        let mut progress = Progress::new(!json && !quiet, handle).printing(live_log_bytes);
        let done = run(home, &job, &mut progress);
        progress.finish();
        let done = match done {
            Ok(done) => done,
            Err(error) => {
                report_file.into_iter().chain(log_file).for_each(Reserved::give_up);
                return Err(error);
            }
        };
        if let (None, Some(log_file)) = (&done.isolation, &log_file) {
            // Nothing ran, so an existing log belongs to an earlier run.
            log_file.clear()?;
        }
        let text = show::json(&done)?;
        if let Some(file) = report_file {
            let content = format!("{text}\n");
            file.fill(&content)?;
            // Last: who reads the message may rely on the report.
            if let Some(message) = message {
                message.ran(&done, content.as_bytes());
            }
        }
        if !quiet {
            print(&if json { text } else { summary(&job, &done) });
        }
        Ok(code_for(&done.outcome))
    }
}

fn installed(name: String, kept: Option<PathBuf>) -> RuntimeChoice {
    match kept {
        Some(label) => RuntimeChoice::Kept { name, label },
        None => RuntimeChoice::Installed(name),
    }
}

/// Reads `sha256:` and 64 hexadecimal digits.
pub(super) fn digest(text: &str) -> Result<Sha256, String> {
    let digits = text.strip_prefix("sha256:").ok_or("expected sha256: and 64 hexadecimal digits")?;
    digits.parse().map_err(|error| format!("{error}"))
}

/// Fields of a publisher's contract that only the service understands.
const RELEASE_RULES: [&str; 5] = ["mediaTypes", "csv", "json", "checks", "review"];

/// Reads an output contract: a publisher's whole contract, whose release rules are left to the service. The caller is told so.
fn read_contract(path: &Path) -> anyhow::Result<OutputContract> {
    let mut fields: serde_json::Map<String, serde_json::Value> = read_json("contract", path)?;
    let rules: Vec<&str> = RELEASE_RULES.into_iter().filter(|rule| fields.remove(*rule).is_some()).collect();
    if !rules.is_empty() {
        complain(&format!(
            "contract: {} not checked here: the service checks release rules after a run",
            rules.join(", ")
        ));
    }
    serde_json::from_value(fields.into()).map_err(|error| Usage::file("contract", path, error))
}

/// Splits `DID=REST`.
fn pair<'a>(text: &'a str, option: &str) -> anyhow::Result<(Did, &'a str)> {
    let (did, rest) =
        text.split_once('=').ok_or_else(|| Usage(format!("{option} `{}`: expected DID=PATH", show::name(text))))?;
    let did = did.parse().map_err(|error| Usage(format!("{option} `{}`: {error}", show::name(did))))?;
    Ok((did, rest))
}

fn inputs(
    datasets: &[String],
    data: Option<PathBuf>,
    mounted: Option<&Path>,
    order: Vec<Did>,
) -> anyhow::Result<Inputs> {
    if let Some(root) = data {
        let dids = datasets_in(&root)?;
        let mounted: Option<MountedFiles> = mounted.map(|path| read_json("mounted files", path)).transpose()?;
        let mounted = mounted.unwrap_or_default().files;
        return Ok(Inputs::Tree { root, dids: ordered(dids, order)?, mounted });
    }
    let (mut files, mut dids) = (Vec::new(), Vec::new());
    for text in datasets {
        let (did, paths) = pair(text, "--dataset")?;
        if dids.contains(&did) {
            return Err(Usage(format!("--dataset {did} is given twice; list its files together: DID=PATH,PATH")).into());
        }
        for (number, path) in paths.split(',').enumerate() {
            if path.is_empty() {
                return Err(Usage(format!("--dataset `{}`: an empty path", show::name(text))).into());
            }
            files.push(InputFile { guest: format!("inputs/{}/{number}", did.id()), host: PathBuf::from(path) });
        }
        dids.push(did);
    }
    Ok(Inputs::Files { files, dids })
}

/// The datasets found, in the requested order, if there is one. The order must name each dataset once.
fn ordered(found: Vec<Did>, order: Vec<Did>) -> anyhow::Result<Vec<Did>> {
    let mut sorted = order.clone();
    sorted.sort();
    if order.is_empty() || sorted == found {
        return Ok(if order.is_empty() { found } else { order });
    }
    let found: Vec<&str> = found.iter().map(Did::id).collect();
    Err(Usage(format!("--dids: expected each dataset in --data once: {}", found.join(","))).into())
}

/// The summary of a run.
fn summary(job: &Job, report: &Report) -> String {
    let mut text = String::new();
    let Report { outcome, algorithm, usage, limits, output_contract: contract, outputs, inputs, log, .. } = report;
    let mut line = |name: &str, value: String| {
        let _ = write!(text, "\n  {name:<10} {value}");
    };
    let digest = algorithm.sha256.to_string();
    let kind = algorithm.kind.map_or("not WebAssembly", cloister_model::ModuleKind::describe);
    let runtime =
        algorithm.runtime.as_ref().map(|runtime| format!("script for {}, a ", runtime.name)).unwrap_or_default();
    let file = job.algorithm.file_name().unwrap_or_default();
    let file = show::name(&file.to_string_lossy());
    line("algorithm", format!("{file}  sha256 {}…  {runtime}{kind}", &digest[..16]));
    if let Outcome::Refused { refusals } = outcome {
        for refusal in refusals {
            line("refused", refusal.to_string());
        }
    }
    let compiled = match usage.compile_ms {
        Some(spent) => format!("compiled in {}", show::millis(spent)),
        None => "compiled earlier".to_owned(),
    };
    let guest = usage.guest_us.map(|spent| format!(", {} of it inside the algorithm", show::micros(spent)));
    let ran = report.isolation.is_some();
    if ran {
        line("time", format!("{} running{} ({compiled})", show::millis(usage.wall_ms), guest.unwrap_or_default()));
        line("memory", format!("{} of {}", show::bytes(usage.peak_memory_bytes), show::bytes(limits.memory_bytes)));
        line(
            "read",
            format!("{} from {}", show::bytes(usage.bytes_read), show::count(inputs.len() as u64, "input file")),
        );
        let total = outputs.iter().map(|file| file.bytes).sum();
        let budget = show::bytes(contract.max_bytes);
        let files = show::count(outputs.len() as u64, "file");
        line(
            "wrote",
            match outputs.len() {
                0 if outcome.is_success() => "nothing: results are the files in /data/outputs".to_owned(),
                _ => format!("{files}, {} of {budget} allowed", show::bytes(total)),
            },
        );
        for file in outputs.iter().take(20) {
            line(
                "",
                format!(
                    "{}  {}  sha256 {}…",
                    show::name(&file.path),
                    show::bytes(file.bytes),
                    &file.sha256.to_string()[..16]
                ),
            );
        }
        if outputs.len() > 20 {
            line("", format!("and {} more; see the report", outputs.len() - 20));
        }
        if log.dropped_bytes > 0 {
            line(
                "log",
                format!("cut after {}; {} more dropped", show::bytes(log.kept_bytes), show::bytes(log.dropped_bytes)),
            );
        }
        // The script has one name inside, whatever it is called here: what a program can read is an input, and the report has no name.
        if algorithm.runtime.is_some() && matches!(outcome, Outcome::AlgorithmFailed { .. } | Outcome::Crashed { .. }) {
            line("script", format!("in its log, {ALGORITHM_FILE} is {file}"));
        }
    }
    if let Some(isolation) = &report.isolation {
        line("isolation", show::isolation(isolation));
    }
    let headline = match outcome {
        // Each reason has its own line above.
        Outcome::Refused { refusals } => {
            let mut rules: Vec<&str> = refusals.iter().map(|refusal| refusal.rule.as_str()).collect();
            rules.dedup();
            format!("refused: {}", rules.join(", "))
        }
        other => other.to_string(),
    };
    format!("{}{text}", show::headline(&headline))
}
