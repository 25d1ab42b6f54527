use super::{
    Job, JobError, Observer, Phase, RuntimeChoice, Stdin,
    execute::{execute, start_worker},
    inputs::{AuthorsFile, Opened, STDIN, given_parameters},
    outputs::open_outputs,
    report::Draft,
    walls::require_walls,
};
use crate::{
    cache::{Artifact, Cache},
    compiler::{Compiled, Role, compile},
    engine::{EngineSettings, Target, WASMTIME_VERSION},
    hash::sha256,
    home::{Home, HomeError},
    host_file::open_regular,
    runtime::{Bundle, BundleError, Offered, Runtime},
    unpack::is_archive,
    worker::spec::{Placed, Spec, Start},
};
use anyhow::Result;
use cloister_model::{
    Admission, AlgorithmReport, EngineReport, Limits, ModuleKind, Outcome, Refusal, Report, Rule, StandardInput,
    algorithm_variables, check_arguments, fill_arguments,
};
use std::{fs::File, io, os::unix::fs::FileExt as _};

/// Where the interpreter, if there is one, and machine code come from.
enum Origin {
    Home(Home),
    Bundle(Bundle),
}

/// How the machine code is had.
enum Code {
    /// Compiled, unless it is in this cache.
    Cache(Cache),
    /// Ready in a bundle, compiled for that target.
    Ready(Artifact, Target),
}

/// Runs one algorithm and reports on it. A guest that fails is a report, not an error. `home` is called only if something may
/// have to be compiled: not for an interpreter in a bundle.
///
/// # Errors
/// [`JobError`] (in the chain) if the job itself is wrong; any other error is a failure of this host.
pub fn run(home: impl FnOnce() -> Result<Home, HomeError>, job: &Job, observer: &mut dyn Observer) -> Result<Report> {
    observer.phase(Phase::Reading);
    job.limits.check(machine_memory_bytes()).map_err(JobError::from)?;
    job.contract.check().map_err(JobError::from)?;
    check_arguments(&job.arguments).map_err(JobError::from)?;
    if job.require_isolation {
        require_walls()?;
    }
    // It starts while what it is to run is read and digested.
    let worker = start_worker()?;
    let (mut runtime, origin) = match &job.runtime {
        None => (None, Origin::Home(home()?)),
        Some(RuntimeChoice::Installed(name) | RuntimeChoice::Kept { name, .. }) => {
            let home = home()?;
            (Some(Runtime::find(&home, name).map_err(JobError::from)?), Origin::Home(home))
        }
        Some(RuntimeChoice::Bundle { directory, trusted }) => {
            let bundle = Bundle::open(directory, *trusted).map_err(JobError::from)?;
            (Some(bundle.runtime().map_err(JobError::from)?), Origin::Bundle(bundle))
        }
    };
    let algorithm =
        open_regular(&job.algorithm).map_err(|error| JobError::Algorithm { path: job.algorithm.clone(), error })?;
    if runtime.is_some() && is_webassembly(&algorithm) {
        let error = io::Error::new(
            io::ErrorKind::InvalidInput,
            "a WebAssembly program, not a script: run it without a runtime",
        );
        return Err(JobError::Algorithm { path: job.algorithm.clone(), error }.into());
    }
    let folder_entries =
        runtime.as_ref().filter(|_| is_archive(&algorithm)).map(Runtime::folder_entries).unwrap_or_default();
    let author = AuthorsFile { file: &algorithm, is_script: runtime.is_some(), folder_entries };
    let mut opened = Opened::open(&job.inputs, job.params.as_deref(), &job.ddos, author).map_err(JobError::from)?;
    let (arguments, stdin) = if job.fill_arguments {
        let parameters = given_parameters(&job.inputs, job.params.as_deref()).map_err(JobError::from)?;
        let stdin = match &job.stdin {
            Some(Stdin::Given(given)) => Some(Stdin::Given(given.filled(&parameters).map_err(JobError::from)?)),
            other => other.clone(),
        };
        (fill_arguments(&job.arguments, &parameters).map_err(JobError::from)?, stdin)
    } else {
        (job.arguments.clone(), job.stdin.clone())
    };
    let stdin = stdin.map(|stdin| place(&mut opened, stdin)).transpose()?;
    let outputs = open_outputs(&job.outputs, &job.inputs)?;
    let (algorithm_sha256, algorithm_bytes) =
        sha256(&algorithm).map_err(|error| JobError::Algorithm { path: job.algorithm.clone(), error })?;

    let limits = match &runtime {
        None => job.limits.clone(),
        Some(runtime) => runtime.needs().raise(&job.limits),
    };
    let settings = EngineSettings { profile: job.profile, exceptions: runtime.is_some(), fuel: limits.fuel.is_some() };
    let code = match origin {
        Origin::Home(home) => {
            let cache = Cache::open(&home)?;
            match kept(job, &cache, runtime.as_mut(), settings, &limits)? {
                Some(artifact) => Code::Ready(artifact, settings.target()),
                None => Code::Cache(cache),
            }
        }
        Origin::Bundle(bundle) => {
            let (artifact, target) = bundle.code(settings).map_err(|error| match error {
                // Not a mistake in the request: another machine could run it.
                BundleError::Machine(_) => anyhow::Error::from(error),
                other => JobError::from(other).into(),
            })?;
            Code::Ready(artifact, target)
        }
    };
    let target = match &code {
        Code::Cache(_) => settings.target(),
        Code::Ready(_, target) => target.clone(),
    };
    // Another machine could run it: not a mistake in the request.
    target.check().map_err(anyhow::Error::msg)?;
    let draft = Draft {
        algorithm: AlgorithmReport {
            sha256: algorithm_sha256,
            bytes: algorithm_bytes,
            kind: None,
            runtime: runtime.as_ref().map(Runtime::report),
        },
        engine: EngineReport {
            name: "wasmtime".to_owned(),
            version: WASMTIME_VERSION.to_owned(),
            config_sha256: settings.digest_for(&target),
        },
        profile: job.profile,
        limits,
        contract: job.contract.clone(),
        datasets: opened.dids.clone(),
        compile_ms: None,
    };

    // The limits of a run that compiles are compared when its module is checked.
    if let Code::Ready(Artifact { admission, .. }, _) = &code
        && let Some(refusal) = refused_for_memory(runtime.as_ref(), Some(admission), &draft.limits)
    {
        let outcome = Outcome::Refused { refusals: vec![refusal] };
        return Ok(draft.compiled(admission.kind, None).not_started(outcome));
    }
    let (digest, role) = match &runtime {
        None => (algorithm_sha256, Role::Algorithm),
        Some(runtime) => (runtime.module_sha256(), runtime.role()),
    };
    let module = || match &runtime {
        None => Ok(algorithm.try_clone()?),
        Some(runtime) => Ok(runtime.open_module().map_err(JobError::from)?),
    };
    let compiled = match code {
        Code::Cache(cache) => compile(&cache, module, digest, &role, settings, &draft.limits, observer)?,
        Code::Ready(artifact, _) => Compiled::Ready { artifact, elapsed: None },
    };
    match compiled {
        Compiled::Not { admission, outcome, elapsed } => {
            let outcome = match refused_for_memory(runtime.as_ref(), admission.as_ref(), &draft.limits) {
                Some(refusal) => with_refusal(outcome, refusal),
                None => outcome,
            };
            let kind = admission.and_then(|admission| admission.kind);
            Ok(draft.compiled(kind, Some(elapsed)).not_started(outcome))
        }
        Compiled::Ready { artifact: Artifact { admission, code, .. }, elapsed } => {
            let draft = draft.compiled(admission.kind, elapsed);
            let spec = spec(job, (arguments, stdin), &draft, &opened, runtime.as_ref(), settings)?;
            let execution = execute((worker, spec), opened, code, runtime.as_ref(), &outputs, &draft, observer)?;
            Ok(draft.executed(execution))
        }
    }
}

/// Why an interpreter does not begin with this much memory, for the author of its script; none if it would begin, or none was chosen.
fn refused_for_memory(runtime: Option<&Runtime>, admission: Option<&Admission>, limits: &Limits) -> Option<Refusal> {
    runtime?.refused_for_memory(admission?, limits)
}

/// The outcome with this refusal in the place of what admission says of the same rule: that is for who builds the module.
fn with_refusal(outcome: Outcome, refusal: Refusal) -> Outcome {
    match outcome {
        Outcome::Refused { mut refusals } => {
            refusals.retain(|other| other.rule != Rule::Memory);
            refusals.push(refusal);
            Outcome::Refused { refusals }
        }
        other => other,
    }
}

/// Sees to it that the guest has what it is to read as its standard input. Returns where.
fn place(opened: &mut Opened, stdin: Stdin) -> Result<String> {
    match stdin {
        Stdin::Host(path) => opened.place_stdin(&path).map_err(JobError::from)?,
        Stdin::Given(given) => {
            given.check().map_err(JobError::Stdin)?;
            match given {
                StandardInput::File(path) => return Ok(path),
                StandardInput::Text(text) => opened.place_stdin_text(&text)?,
            }
        }
    }
    Ok(STDIN.to_owned())
}

/// The interpreter's machine code from the memory of its keeper, if the job names one that offers it. Otherwise the run takes the longer
/// way: a keeper that has ended, or keeps what was installed before, fails no job.
fn kept(
    job: &Job,
    cache: &Cache,
    runtime: Option<&mut Runtime>,
    settings: EngineSettings,
    limits: &Limits,
) -> Result<Option<Artifact>> {
    let (Some(RuntimeChoice::Kept { label, .. }), Some(runtime)) = (&job.runtime, runtime) else { return Ok(None) };
    match Offered::open(label) {
        Ok(offered) => offered.accept(cache, runtime, settings, limits),
        Err(error) => {
            tracing::info!(%error, "no interpreter is kept in memory there; it is loaded from the home");
            Ok(None)
        }
    }
}

/// The instructions for the worker.
fn spec(
    job: &Job,
    (of_job, stdin): (Vec<String>, Option<String>),
    draft: &Draft,
    opened: &Opened,
    runtime: Option<&Runtime>,
    engine: EngineSettings,
) -> Result<Spec> {
    let is_component = draft.algorithm.kind == Some(ModuleKind::Component);
    let start = match runtime {
        None if is_component => Start::Component,
        None => Start::Module { exports: vec!["_start".to_owned()], trap: vec![] },
        Some(runtime) => runtime.start(),
    };
    let variables = algorithm_variables(&opened.dids, job.did.as_ref(), &draft.algorithm.sha256);
    let mut environment: Vec<(String, String)> =
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut tree: Vec<Placed> = Vec::new();
    let mut arguments = vec!["algorithm".to_owned()];
    if let Some(runtime) = runtime {
        environment.extend(runtime.environment());
        arguments = runtime.arguments();
        tree.extend(runtime.placed());
    }
    arguments.extend(of_job);
    tree.extend(opened.placed.iter().cloned());
    Ok(Spec {
        engine,
        limits: draft.limits.clone(),
        contract: draft.contract.clone(),
        algorithm: draft.algorithm.sha256,
        start,
        arguments,
        stdin,
        environment,
        tree,
        keeps_state: false,
        require_isolation: job.require_isolation,
    })
}

/// Whether a file begins with the magic number of WebAssembly.
fn is_webassembly(file: &File) -> bool {
    let mut magic = [0; 4];
    file.read_exact_at(&mut magic, 0).is_ok() && magic == *b"\0asm"
}

/// The machine's memory: the upper bound of a guest's memory limit.
#[must_use]
pub fn machine_memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    #[expect(clippy::useless_conversion, reason = "the width of the kernel's fields differs between architectures")]
    u64::from(info.totalram).saturating_mul(u64::from(info.mem_unit))
}
