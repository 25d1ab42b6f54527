//! Starting the worker, waiting for it, and gathering what the run left.

use super::{
    JobError, Observer, Phase,
    collect::{Collected, collect},
    inputs::Opened,
    outcome::{Evidence, outcome},
    report::{Draft, Execution, millis},
    walls::not_isolated,
    watch::{Watched, watch},
};
use crate::{
    account::{Account, Counters},
    cache::AuthenticatedCode,
    compiler::sealed,
    runtime::Runtime,
    worker::{
        message::{Last, parse},
        spec::Spec,
        wall_state,
    },
};
use anyhow::{Context as _, Result};
use cap_std::fs::Dir;
use cloister_isolation::{Rlimits, WaitingProgram};
use cloister_model::{Limits, LogReport, Outcome, Usage, Wall};
use rustix::fs::{Mode, OFlags};
use std::{
    fs::File,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant},
};

/// The most bytes that the supervisor reads from a worker's result pipe.
const MAX_RESULT_BYTES: u64 = 256 * 1024;
/// Descriptors that a worker needs in addition to its inputs and the guest's handles.
const OWN_DESCRIPTORS: u64 = 48;
/// Stack for the host's own calls, in addition to the guest's.
const HOST_STACK_BYTES: u64 = 4 * 1024 * 1024;

/// Starts the worker, which waits for its guest.
///
/// # Errors
/// If the process cannot be started.
pub(super) fn start_worker() -> Result<WaitingProgram> {
    let stack_bytes = Limits::MOST_STACK_BYTES + HOST_STACK_BYTES;
    WaitingProgram::start([crate::WORKER_ARGUMENT], stack_bytes).context("cannot start the guest's process")
}

/// Runs the guest in the worker to its end. Digests the inputs in parallel, and the outputs afterwards.
pub(super) fn execute(
    (worker, spec): (WaitingProgram, Spec),
    opened: Opened,
    code: AuthenticatedCode,
    runtime: Option<&Runtime>,
    outputs: &Dir,
    draft: &Draft,
    observer: &mut dyn Observer,
) -> Result<Execution> {
    let Draft { limits, contract, .. } = draft;
    let (counters, counters_end) = Counters::create()?;
    let account = Account::new(Arc::new(counters), limits.memory_bytes);
    let (log, log_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let (result, result_end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // `O_PATH`: with a descriptor that can list, the worker could read names that it must not see.
    #[expect(clippy::disallowed_methods, reason = "`.` of a directory that is already open")]
    let outputs_end =
        rustix::fs::openat(outputs, ".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut fds: Vec<OwnedFd> = vec![
        sealed("spec", &serde_json::to_vec(&spec)?)?,
        code.into_fd(),
        counters_end,
        log_end,
        result_end,
        outputs_end,
    ];
    if let Some(runtime) = runtime {
        fds.extend(runtime.open_placed().map_err(JobError::from)?);
    }
    let Opened { fds: input_fds, .. } = &opened;
    for fd in input_fds {
        fds.push(fd.try_clone()?);
    }
    if let Some(state) = &opened.state {
        fds.push(state.try_clone()?);
    }
    let rlimits = Rlimits {
        cpu_seconds: Some(limits.cpu_seconds),
        open_files: OWN_DESCRIPTORS + fds.len() as u64 + u64::from(limits.handles),
        stack_bytes: Some(limits.stack_bytes + HOST_STACK_BYTES),
        ..Rlimits::default()
    };
    observer.phase(Phase::Running);
    #[expect(clippy::disallowed_methods, reason = "measures the run for its deadline and its report")]
    let started = Instant::now();
    let child = worker.begin(rlimits, &fds).context("the guest's process does not take its descriptors")?;
    drop(fds);
    let deadline = started + Duration::from_millis(limits.wall_ms);
    let (watched, inputs) = std::thread::scope(|scope| {
        let digests = scope.spawn(|| opened.digest());
        let log = Some((File::from(log), contract.max_log_bytes));
        let watched = watch(child, deadline, File::from(result), MAX_RESULT_BYTES, log, observer);
        let wall = started.elapsed();
        (watched.map(|watched| (watched, wall)), digests.join())
    });
    let (Watched { ended, exit, result, log_dropped, log_kept }, wall) = watched?;
    let (isolation, last) = parse(&result);
    let ending = match last {
        Some(Last::NotIsolated) => return Err(not_isolated(isolation.as_ref()).into()),
        Some(Last::Ending(ending)) => Some(ending),
        None => None,
    };
    let inputs = inputs.map_err(|_| anyhow::anyhow!("digesting the inputs failed"))?.map_err(JobError::from)?;
    let isolation = isolation.map(|mut walls| {
        walls.0.insert(Wall::Rlimits, wall_state(rlimits.status()));
        walls
    });
    let dropped = log_dropped.saturating_add(account.log_dropped());
    if dropped > 0 {
        observer.log(format!("\n[log cut after {log_kept} bytes; {dropped} more were dropped]\n").as_bytes());
    }
    let cpu = exit.user_cpu + exit.system_cpu;
    let usage = Usage {
        compile_ms: None,
        wall_ms: millis(wall),
        guest_us: ending.as_ref().map(|ending| ending.guest_us),
        cpu_ms: millis(cpu),
        peak_memory_bytes: account.peak_memory(),
        peak_resident_bytes: ending
            .as_ref()
            .and_then(|ending| ending.peak_resident_bytes)
            .unwrap_or(exit.peak_resident_bytes),
        fuel: ending.as_ref().and_then(|ending| ending.fuel),
        bytes_read: account.bytes_read(),
        bytes_written: account.bytes_written(),
    };
    let ended = outcome(Evidence {
        ended,
        cause: exit.cause,
        cpu,
        wall,
        end: ending.map(|ending| ending.end),
        denial: account.denial(),
        host_error: account.host_error(),
        limits,
    });
    observer.phase(Phase::Collecting);
    let (outcome, outputs) = match collect(outputs, contract) {
        Ok(collected) => (ended, collected),
        Err(error) => {
            let message = format!("{error}. Do not release these outputs");
            (Outcome::HostFault { message }, Collected::default())
        }
    };
    let log = LogReport { kept_bytes: log_kept, dropped_bytes: dropped };
    Ok(Execution { outcome, usage, isolation, inputs, outputs, log })
}
