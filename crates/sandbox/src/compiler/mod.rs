//! Checking and compiling a module. Its bytes are untrusted, so a separate process with its own limits does this.

mod child;
mod request;

pub(crate) use child::main;
pub(crate) use request::{Descriptor, Request, Response};

use crate::{
    cache::{Artifact, AuthenticatedCode, Cache},
    engine::{Effort, EngineSettings},
    hash::sha256_bytes,
    supervisor::{Ended, Observer, Phase, Watched, watch},
};
use anyhow::{Context as _, Result};
use cloister_isolation::{Cause, Program, Rlimits, create_memfd, seal_memfd};
use cloister_model::{Admission, Limit, Limits, Outcome, Sha256, Verdict};
use std::{
    fs::File,
    io::Write as _,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

pub use request::Role;

/// The most bytes that the supervisor reads from a compiler process.
const MAX_RESPONSE_BYTES: u64 = 64 * 1024 * 1024;

/// The result of compiling a module.
#[derive(Debug)]
pub enum Compiled {
    /// It may run.
    Ready {
        /// The machine code and the admission report.
        artifact: Artifact,
        /// How long compiling took; none if the artifact was cached.
        elapsed: Option<Duration>,
    },
    /// It may not run: admission refused it, or compiling exceeded a limit.
    Not {
        /// The admission report, if there is one.
        admission: Option<Admission>,
        /// Why.
        outcome: Outcome,
        /// How long it took.
        elapsed: Duration,
    },
}

/// Finds the artifact of a module in the cache, or compiles it. Calls `module` only in the second case.
///
/// # Errors
/// If a process or file of the host fails; never because of the module's content.
pub fn compile(
    cache: &Cache,
    module: impl FnOnce() -> Result<File>,
    digest: Sha256,
    role: &Role,
    engine: EngineSettings,
    limits: &Limits,
    observer: &mut dyn Observer,
) -> Result<Compiled> {
    let name = artifact_name(digest, engine, role)?;
    if let Some(artifact) = cache.find(name)
        && fits(&artifact.admission, limits)
    {
        return Ok(Compiled::Ready { artifact, elapsed: None });
    }
    observer.phase(Phase::Compiling);
    #[expect(clippy::disallowed_methods, reason = "measures compiling for the report")]
    let started = Instant::now();
    let draft = cache.draft().context("cannot write to the artifact cache")?;
    let request = Request { limits: limits.clone(), role: role.clone(), engine: Some(engine), effort: Effort::Most };
    let answer = module().and_then(|module| ask(&request, &module, Some(draft.1.try_clone()?), observer));
    let compiled = match answer {
        Ok(Answer::Admitted(admission)) => {
            let artifact = cache.keep(name, admission, draft).context("cannot write to the artifact cache")?;
            return Ok(Compiled::Ready { artifact, elapsed: Some(started.elapsed()) });
        }
        Ok(Answer::Not { admission, outcome }) => Ok(Compiled::Not { admission, outcome, elapsed: started.elapsed() }),
        Err(error) => Err(error),
    };
    Cache::discard(draft).context("cannot remove a draft from the artifact cache")?;
    compiled
}

/// The name that the cache keeps the artifact of a module under.
pub(crate) fn artifact_name(digest: Sha256, engine: EngineSettings, role: &Role) -> Result<Sha256> {
    Ok(sha256_bytes(&serde_json::to_vec(&(digest, engine.digest(), role))?))
}

/// Compiles a module that runs once: quickly, and into code that no cache keeps. The outcome says why it may not run.
///
/// # Errors
/// As [`compile`].
pub(crate) fn compile_once(
    cache: &Cache,
    module: &File,
    role: &Role,
    engine: EngineSettings,
    limits: &Limits,
    observer: &mut dyn Observer,
) -> Result<Result<AuthenticatedCode, Outcome>> {
    observer.phase(Phase::Compiling);
    let draft = cache.draft().context("cannot write to the artifact cache")?;
    let request = Request { limits: limits.clone(), role: role.clone(), engine: Some(engine), effort: Effort::Least };
    let answer = ask(&request, module, Some(draft.1.try_clone()?), observer);
    let code = Cache::use_once(draft).context("cannot remove a draft from the artifact cache")?;
    Ok(match answer? {
        Answer::Admitted(_) => Ok(code),
        Answer::Not { outcome, .. } => Err(outcome),
    })
}

/// Checks a module without compiling it.
///
/// # Errors
/// As [`compile`].
pub fn inspect(
    module: &File,
    role: &Role,
    limits: &Limits,
    observer: &mut dyn Observer,
) -> Result<(Option<Admission>, Option<Outcome>)> {
    let request = Request { limits: limits.clone(), role: role.clone(), engine: None, effort: Effort::Most };
    Ok(match ask(&request, module, None, observer)? {
        Answer::Admitted(admission) => (Some(admission), None),
        Answer::Not { admission, outcome } => (admission, Some(outcome)),
    })
}

/// Whether a cached module is still admitted under these limits. The cache key does not include limits.
pub(crate) fn fits(admission: &Admission, limits: &Limits) -> bool {
    admission.bytes <= limits.module_bytes
        && admission.table_elements <= limits.table_elements
        && initial_memory_bytes(admission) <= limits.memory_bytes
}

/// The bytes of memory that a module begins with.
pub(crate) fn initial_memory_bytes(admission: &Admission) -> u64 {
    let pages: u64 = admission.memories.iter().map(|memory| memory.initial_pages).sum();
    pages.saturating_mul(65_536)
}

enum Answer {
    Admitted(Admission),
    Not { admission: Option<Admission>, outcome: Outcome },
}

/// Starts a compiler process and waits for its answer.
fn ask(request: &Request, module: &File, artifact: Option<File>, observer: &mut dyn Observer) -> Result<Answer> {
    let limits = &request.limits.compile;
    let (result, result_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let mut fds: Vec<OwnedFd> = vec![sealed("request", &serde_json::to_vec(request)?)?, reopen(module)?, result_end];
    fds.extend(artifact.map(OwnedFd::from));
    let program = Program {
        fds,
        rlimits: Rlimits {
            cpu_seconds: None,
            file_bytes: Some(limits.artifact_bytes),
            address_space_bytes: Some(limits.memory_bytes),
            open_files: 64,
            ..Rlimits::default()
        },
        ..Program::new([crate::COMPILER_ARGUMENT])
    };
    #[expect(clippy::disallowed_methods, reason = "sets the deadline of the compiler process")]
    let started = Instant::now();
    let child = program.spawn().context("cannot start the compiler process")?;
    let deadline = started + Duration::from_millis(limits.wall_ms);
    let Watched { ended, result, exit, .. } =
        watch(child, deadline, File::from(result), MAX_RESPONSE_BYTES, None, observer)?;
    let limit = |limit, allowed, used| {
        Ok(Answer::Not { admission: None, outcome: Outcome::LimitExceeded { limit, allowed, used } })
    };
    if ended == Ended::Deadline {
        let used = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        return limit(Limit::CompileTime, limits.wall_ms, used);
    }
    match serde_json::from_slice::<Response>(&result) {
        Ok(Response { admission, error: None, .. }) => Ok(match &admission.verdict {
            Verdict::Admitted => Answer::Admitted(admission),
            Verdict::Refused { refusals } => {
                let outcome = Outcome::Refused { refusals: refusals.clone() };
                Answer::Not { admission: Some(admission), outcome }
            }
        }),
        Ok(Response { admission, error: Some(error), artifact_too_large, no_space }) => {
            let outcome = if no_space {
                let message =
                    "no space is left for compiled code in the home directory: free some, or give another --home";
                Outcome::HostFault { message: message.to_owned() }
            } else if artifact_too_large {
                let allowed = limits.artifact_bytes;
                Outcome::LimitExceeded { limit: Limit::ArtifactSize, allowed, used: allowed }
            } else {
                Outcome::HostFault { message: format!("the compiler rejected a module that was admitted: {error}") }
            };
            Ok(Answer::Not { admission: Some(admission), outcome })
        }
        // A failed allocation, here because of the memory limit, aborts the process.
        Err(_) if matches!(exit.cause, Cause::Signaled(6) | Cause::Exited(101)) => {
            limit(Limit::CompileMemory, limits.memory_bytes, exit.peak_resident_bytes)
        }
        Err(_) => anyhow::bail!("the compiler process ended without an answer ({})", describe(exit.cause)),
    }
}

/// Describes how a process ended.
#[must_use]
pub(crate) fn describe(cause: Cause) -> String {
    match cause {
        Cause::Exited(code) => format!("exit code {code}"),
        Cause::Signaled(signal) => format!("signal {signal}"),
    }
}

/// Puts bytes into a sealed file in memory, which no process can change.
///
/// # Errors
/// Those of the kernel.
pub(crate) fn sealed(name: &str, bytes: &[u8]) -> Result<OwnedFd> {
    let mut file = File::from(create_memfd(name)?);
    file.write_all(bytes)?;
    seal_memfd(&file)?;
    std::io::Seek::rewind(&mut file)?;
    Ok(file.into())
}

/// A duplicate of the descriptor, positioned at the beginning of the file.
fn reopen(file: &File) -> Result<OwnedFd> {
    let mut copy = file.try_clone()?;
    std::io::Seek::rewind(&mut copy)?;
    Ok(copy.into())
}
