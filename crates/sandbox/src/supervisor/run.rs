use super::{
    Job, JobError, Observer, Phase,
    collect::{Collected, collect},
    inputs::Opened,
    outcome::{Evidence, outcome},
    outputs::open_outputs,
    watch::{Watched, watch},
};
use crate::{
    account::{Account, Counters},
    cache::Cache,
    compiler::{Compiled, Role, compile, sealed},
    engine::{EngineSettings, WASMTIME_VERSION},
    hash::sha256,
    home::{Home, open_regular},
    runtime::Runtime,
    worker::{
        spec::{End, Message, Placed, Spec, Start},
        state,
    },
};
use anyhow::{Context as _, Result};
use cap_std::fs::Dir;
use cloister_isolation::{Program, Rlimits, probe};
use cloister_model::{
    Admission, AlgorithmReport, EngineReport, Isolation, LogReport, ModuleKind, Outcome, REPORT_VERSION, Report, Usage,
    Wall,
};
use rustix::fs::{Mode, OFlags};
use std::{
    fs::File,
    io,
    os::{fd::OwnedFd, unix::fs::FileExt as _},
    sync::Arc,
    time::{Duration, Instant},
};

/// The most that a worker may say on its result pipe.
const MAX_RESULT_BYTES: u64 = 256 * 1024;
/// Descriptors a worker needs beside its inputs and the guest's handles.
const OWN_DESCRIPTORS: u64 = 48;
/// Room on the stack for the host's own calls, beside the guest's.
const HOST_STACK_BYTES: u64 = 4 * 1024 * 1024;

/// Runs one algorithm and reports on it. A guest ending badly is a report, not an error.
///
/// # Errors
/// [`JobError`] (in the chain) if the job itself is wrong; anything else is a failure of this host.
pub fn run(home: &Home, job: &Job, observer: &mut dyn Observer) -> Result<Report> {
    observer.phase(Phase::Reading);
    job.limits.check(machine_memory_bytes()).map_err(JobError::from)?;
    job.contract.check().map_err(JobError::from)?;
    if job.require_isolation {
        require_walls()?;
    }
    let runtime =
        job.runtime.as_ref().map(|choice| Runtime::find(home, &choice.0)).transpose().map_err(JobError::from)?;
    let algorithm =
        open_regular(&job.algorithm).map_err(|error| JobError::Algorithm { path: job.algorithm.clone(), error })?;
    if runtime.is_some() && is_webassembly(&algorithm) {
        let error = io::Error::new(
            io::ErrorKind::InvalidInput,
            "a WebAssembly program, not a script: run it without a runtime",
        );
        return Err(JobError::Algorithm { path: job.algorithm.clone(), error }.into());
    }
    let script = runtime.is_some().then_some(&algorithm);
    let opened = Opened::open(&job.inputs, job.params.as_deref(), &job.ddos, script).map_err(JobError::from)?;
    let outputs = open_outputs(&job.outputs, &job.inputs)?;
    let (algorithm_sha256, algorithm_bytes) =
        sha256(&algorithm).map_err(|error| JobError::Algorithm { path: job.algorithm.clone(), error })?;

    let limits = match &runtime {
        None => job.limits.clone(),
        Some(runtime) => runtime.needs().raise(&job.limits),
    };
    let settings = EngineSettings { profile: job.profile, exceptions: runtime.is_some(), fuel: limits.fuel.is_some() };
    let mut report = Report {
        version: REPORT_VERSION.to_owned(),
        outcome: Outcome::HostFault { message: "unfinished".to_owned() },
        algorithm: AlgorithmReport {
            sha256: algorithm_sha256,
            bytes: algorithm_bytes,
            kind: None,
            runtime: runtime.as_ref().map(Runtime::report),
        },
        engine: EngineReport {
            name: "wasmtime".to_owned(),
            version: WASMTIME_VERSION.to_owned(),
            config_sha256: settings.digest(),
        },
        profile: job.profile,
        limits,
        output_contract: job.contract.clone(),
        usage: Usage::default(),
        isolation: None,
        datasets: opened.dids.clone(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        output_directories: 0,
        log: LogReport::default(),
    };

    let cache = Cache::open(home)?;
    let (digest, role) = match &runtime {
        None => (algorithm_sha256, Role::Algorithm),
        Some(runtime) => (runtime.module_sha256(), runtime.role()),
    };
    let module = || match &runtime {
        None => Ok(algorithm.try_clone()?),
        Some(runtime) => Ok(runtime.open_module().map_err(JobError::from)?),
    };
    match compile(&cache, module, digest, &role, settings, &report.limits, observer)? {
        Compiled::Not { admission, outcome, elapsed } => {
            report.algorithm.kind = admission.and_then(|admission| admission.kind);
            report.usage.compile_ms = Some(millis(elapsed));
            report.outcome = outcome;
        }
        Compiled::Ready { artifact, elapsed } => {
            report.algorithm.kind = artifact.admission.kind;
            report.usage.compile_ms = elapsed.map(millis);
            let spec = spec(job, &report, &opened, &artifact.admission, runtime.as_ref(), settings)?;
            execute(spec, opened, artifact.file, runtime.as_ref(), &outputs, &mut report, observer)?;
        }
    }
    Ok(report)
}

/// What the worker is told.
fn spec(
    job: &Job,
    report: &Report,
    opened: &Opened,
    admission: &Admission,
    runtime: Option<&Runtime>,
    engine: EngineSettings,
) -> Result<Spec> {
    let is_component = admission.kind == Some(ModuleKind::Component);
    let start = match runtime {
        None if is_component => Start::Component,
        None => Start::Module { exports: vec!["_start".to_owned()], trap: vec![] },
        Some(runtime) => runtime.start(),
    };
    let algorithm = job.did.as_ref().map_or_else(|| report.algorithm.sha256.to_string(), |did| did.id().to_owned());
    let ids: Vec<&str> = opened.dids.iter().map(cloister_model::Did::id).collect();
    let mut environment: Vec<(String, String)> = [
        ("DIDS", serde_json::to_string(&ids)?),
        ("TRANSFORMATION_DID", algorithm),
        ("INPUTS", "/data/inputs".to_owned()),
        ("OUTPUTS", "/data/outputs".to_owned()),
        ("LOGS", "/data/logs".to_owned()),
        ("VOLUME", "/data".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    let mut tree: Vec<Placed> = Vec::new();
    let mut arguments = vec!["algorithm".to_owned()];
    if let Some(runtime) = runtime {
        environment.extend(runtime.environment());
        arguments = runtime.arguments();
        tree.extend(runtime.placed());
    }
    tree.extend(opened.placed.iter().cloned());
    Ok(Spec {
        engine,
        limits: report.limits.clone(),
        contract: job.contract.clone(),
        algorithm: report.algorithm.sha256,
        start,
        arguments,
        environment,
        tree,
        require_isolation: job.require_isolation,
    })
}

/// Runs the worker to its end, digests inputs beside it and outputs after it, and completes the report.
fn execute(
    spec: Spec,
    opened: Opened,
    artifact: File,
    runtime: Option<&Runtime>,
    outputs: &Dir,
    report: &mut Report,
    observer: &mut dyn Observer,
) -> Result<()> {
    let (counters, counters_end) = Counters::create()?;
    let account = Account::new(Arc::new(counters), report.limits.memory_bytes);
    let (log, log_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let (result, result_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // For paths only: a descriptor that could list would let the worker see what it must not.
    let outputs_end =
        rustix::fs::openat(outputs, ".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut fds: Vec<OwnedFd> = vec![
        sealed("spec", &serde_json::to_vec(&spec)?)?,
        artifact.into(),
        counters_end,
        log_end,
        result_end,
        outputs_end,
    ];
    if let Some(runtime) = runtime {
        fds.extend(runtime.open_files().map_err(JobError::from)?.into_iter().map(OwnedFd::from));
    }
    let Opened { fds: input_fds, .. } = &opened;
    for fd in input_fds {
        fds.push(fd.try_clone()?);
    }
    let limits = &report.limits;
    let program = Program {
        rlimits: Rlimits {
            cpu_seconds: Some(limits.cpu_seconds),
            open_files: OWN_DESCRIPTORS + fds.len() as u64 + u64::from(limits.handles),
            stack_bytes: Some(limits.stack_bytes + HOST_STACK_BYTES),
            ..Rlimits::default()
        },
        fds,
        ..Program::new([crate::WORKER_ARGUMENT])
    };
    let rlimits = program.rlimits.status();
    observer.phase(Phase::Running);
    let started = Instant::now();
    let child = program.spawn().context("cannot start the guest's process")?;
    let deadline = started + Duration::from_millis(limits.wall_ms);
    let (watched, inputs) = std::thread::scope(|scope| {
        let digests = scope.spawn(|| opened.digest());
        let log = Some((File::from(log), report.output_contract.max_log_bytes));
        let watched = watch(child, deadline, File::from(result), MAX_RESULT_BYTES, log, observer);
        let wall = started.elapsed();
        (watched.map(|watched| (watched, wall)), digests.join())
    });
    let (Watched { ended, exit, result, log_dropped, log_kept }, wall) = watched?;
    let (walls, end) = parse(&result);
    if let Some(Said::NotIsolated) = end {
        return Err(JobError::NotIsolated(missing(walls.as_ref())).into());
    }
    report.inputs = inputs.map_err(|_| anyhow::anyhow!("digesting the inputs failed"))?.map_err(JobError::from)?;
    report.isolation = walls.map(|mut walls| {
        walls.0.insert(Wall::Rlimits, state(rlimits));
        walls
    });
    if log_dropped + account.log_dropped() > 0 {
        let dropped = log_dropped + account.log_dropped();
        observer.log(format!("\n[log cut after {log_kept} bytes; {dropped} more were dropped]\n").as_bytes());
    }
    report.log = LogReport { kept_bytes: log_kept, dropped_bytes: log_dropped.saturating_add(account.log_dropped()) };
    let cpu = exit.user_cpu + exit.system_cpu;
    let said = end.and_then(|said| if let Said::End(end) = said { Some(end) } else { None });
    report.usage = Usage {
        compile_ms: report.usage.compile_ms,
        wall_ms: millis(wall),
        guest_us: said.as_ref().map(|said| said.guest_us),
        cpu_ms: millis(cpu),
        peak_memory_bytes: account.peak_memory(),
        peak_resident_bytes: said
            .as_ref()
            .and_then(|said| said.peak_resident_bytes)
            .unwrap_or(exit.peak_resident_bytes),
        fuel: said.as_ref().and_then(|said| said.fuel),
        bytes_read: account.bytes_read(),
        bytes_written: account.bytes_written(),
    };
    report.outcome = outcome(Evidence {
        ended,
        cause: exit.cause,
        cpu,
        wall,
        end: said.map(|said| said.end),
        denial: account.denial(),
        host_error: account.host_error(),
        limits: &report.limits,
    });
    observer.phase(Phase::Collecting);
    match collect(outputs, &report.output_contract) {
        Ok(Collected { files, directories }) => {
            report.outputs = files;
            report.output_directories = directories;
        }
        Err(error) => {
            report.outcome = Outcome::HostFault { message: format!("{error}. Do not release these outputs") };
        }
    }
    Ok(())
}

/// The last thing a worker said of its guest.
enum Said {
    End(Ending),
    NotIsolated,
}

struct Ending {
    end: End,
    guest_us: u64,
    peak_resident_bytes: Option<u64>,
    fuel: Option<u64>,
}

/// Reads what the worker said. After its guest has started it may be lying, and at worst it is believed about how its
/// guest ended.
fn parse(result: &[u8]) -> (Option<Isolation>, Option<Said>) {
    let (mut walls, mut said) = (None, None);
    for line in result.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(Message::Walls(isolation)) if walls.is_none() => walls = Some(isolation),
            Ok(Message::NotIsolated) => said = Some(Said::NotIsolated),
            Ok(Message::End { end, guest_us, peak_resident_bytes, fuel }) => {
                let end = match end {
                    // The worker's words may quote what the engine says of the guest.
                    End::Fault(text) => End::Fault(cloister_model::escape(text.as_bytes(), 500).to_string()),
                    other => other,
                };
                said = Some(Said::End(Ending { end, guest_us, peak_resident_bytes, fuel }));
            }
            Ok(Message::Walls(_)) | Err(_) => {}
        }
    }
    (walls, said)
}

/// Refuses before a stranger's byte is touched: the compiler needs its walls as the guest does.
fn require_walls() -> Result<(), JobError> {
    let found = probe();
    let missing: Vec<String> = found
        .walls()
        .into_iter()
        .filter(|(_, status)| !status.is_enforced())
        .map(|(name, status)| format!("{name}: {}", status.detail()))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(JobError::NotIsolated(format!("kernel {} lacks {}", found.kernel, missing.join("; "))))
    }
}

fn missing(isolation: Option<&Isolation>) -> String {
    let Some(isolation) = isolation else { return "no wall reported".to_owned() };
    isolation.missing().map(|(wall, state)| format!("{wall:?} {state:?}")).collect::<Vec<_>>().join("; ")
}

/// Whether a file begins as WebAssembly does.
fn is_webassembly(file: &File) -> bool {
    let mut magic = [0; 4];
    file.read_exact_at(&mut magic, 0).is_ok() && magic == *b"\0asm"
}

/// The machine's memory: the bound of what a guest may be given.
#[must_use]
pub fn machine_memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    #[expect(clippy::useless_conversion, reason = "the width of the kernel's fields differs between architectures")]
    u64::from(info.totalram).saturating_mul(u64::from(info.mem_unit))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
