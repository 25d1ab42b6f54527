use super::Ended;
use crate::{account::Denial, worker::message::End};
use cloister_isolation::Cause;
use cloister_model::{Limit, Limits, Outcome, Refusal, Rule};
use std::time::Duration;

/// Everything that is known about how a run ended.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) ended: Ended,
    pub(super) cause: Cause,
    pub(super) cpu: Duration,
    pub(super) wall: Duration,
    pub(super) end: Option<End>,
    pub(super) denial: Option<Denial>,
    pub(super) host_error: Option<i32>,
    pub(super) limits: &'a Limits,
}

const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;
const SIGSYS: i32 = 31;

/// Decides how a run ended. What the host recorded takes precedence over how the guest ended, because a guest that
/// exceeds a limit usually ends with a panic of its own.
pub(super) fn outcome(evidence: Evidence<'_>) -> Outcome {
    let Evidence { ended, cause, cpu, wall, end, denial, host_error, limits } = evidence;
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fault = |message: String| Outcome::HostFault { message };
    let denied = |Denial { limit, allowed, asked }| Outcome::LimitExceeded { limit, allowed, used: asked };
    let allowed_cpu = limits.cpu_seconds.saturating_mul(1000);
    if ended == Ended::Deadline {
        return Outcome::LimitExceeded { limit: Limit::WallTime, allowed: limits.wall_ms, used: millis(wall) };
    }
    if cause == Cause::Signaled(SIGXCPU) || (cause == Cause::Signaled(SIGKILL) && millis(cpu) >= allowed_cpu) {
        return Outcome::LimitExceeded { limit: Limit::CpuTime, allowed: allowed_cpu, used: millis(cpu) };
    }
    if let Some(errno) = host_error {
        let error = std::io::Error::from_raw_os_error(errno);
        return fault(format!("the host's storage failed during the run: {error}. Free some space and run again"));
    }
    match (cause, end) {
        (Cause::Signaled(SIGSYS), _) => fault(
            "the guest's process made a forbidden system call and was killed. Treat the algorithm as hostile and report it"
                .to_owned(),
        ),
        (Cause::Signaled(signal), _) => fault(format!(
            "the guest's process was killed by signal {signal}, which this host did not send. If memory ran out, lower the memory limit or use a larger machine"
        )),
        (Cause::Exited(_), Some(End::Fault(message))) => fault(message),
        (Cause::Exited(0), Some(End::BadArchive(problem))) => {
            let advice = "Send a zip archive, or a tar archive compressed with gzip, of plain files and folders";
            Outcome::Refused { refusals: vec![Refusal::new(Rule::Archive, &problem, advice)] }
        }
        (Cause::Exited(0), Some(End::BadImports(problem))) => {
            let advice = "Build it with a toolchain for WASI 0.2, whose interfaces these are";
            Outcome::Refused { refusals: vec![Refusal::new(Rule::Import, &problem, advice)] }
        }
        (Cause::Exited(0), Some(End::NoStdin(problem))) => {
            let advice = "Name a file of a dataset of this job, such as `< $DATASET/0`, or `< $INPUTS/algoCustomData.json`";
            Outcome::Refused { refusals: vec![Refusal::new(Rule::StandardInput, &problem, advice)] }
        }
        (Cause::Exited(0), Some(end)) => match (end, denial) {
            (_, Some(denial)) if denial.spoils_results() => denied(denial),
            (End::Returned, _) => Outcome::Succeeded,
            (_, Some(denial)) => denied(denial),
            (End::Exited(exit_code), None) => Outcome::AlgorithmFailed { exit_code },
            (End::Trapped(trap), None) => Outcome::Crashed { trap },
            (End::OutOfFuel, None) => {
                let allowed = limits.fuel.unwrap_or_default();
                Outcome::LimitExceeded { limit: Limit::Fuel, allowed, used: allowed }
            }
            (End::DoesNotFit | End::Fault(_) | End::BadArchive(_) | End::BadImports(_) | End::NoStdin(_), None) => fault("the guest could not be started".to_owned()),
        },
        (Cause::Exited(code), _) => {
            fault(format!("the guest's process ended with code {code} and without a result. This is a bug in the host"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::TrapKind;

    fn evidence(limits: &Limits) -> Evidence<'_> {
        Evidence {
            ended: Ended::ByItself,
            cause: Cause::Exited(0),
            cpu: Duration::from_secs(1),
            wall: Duration::from_secs(2),
            end: Some(End::Returned),
            denial: None,
            host_error: None,
            limits,
        }
    }

    fn denial(limit: Limit) -> Option<Denial> {
        Some(Denial { limit, allowed: 10, asked: 11 })
    }

    #[test]
    fn what_the_host_recorded_takes_precedence_over_how_the_guest_ended() {
        let limits = Limits::default();
        let exceeded = |limit| Outcome::LimitExceeded { limit, allowed: 10, used: 11 };
        let trapped = Some(End::Trapped(TrapKind::Unreachable));
        for (case, expected) in [
            (evidence(&limits), Outcome::Succeeded),
            (Evidence { end: Some(End::Exited(7)), ..evidence(&limits) }, Outcome::AlgorithmFailed { exit_code: 7 }),
            (Evidence { end: trapped.clone(), ..evidence(&limits) }, Outcome::Crashed { trap: TrapKind::Unreachable }),
            (
                Evidence { end: trapped.clone(), denial: denial(Limit::Memory), ..evidence(&limits) },
                exceeded(Limit::Memory),
            ),
            // A program may try to allocate memory and manage with less. Its results are complete.
            (Evidence { denial: denial(Limit::Memory), ..evidence(&limits) }, Outcome::Succeeded),
            // A refused write makes the results incomplete, even if the program returns success.
            (Evidence { denial: denial(Limit::OutputBytes), ..evidence(&limits) }, exceeded(Limit::OutputBytes)),
            (
                Evidence {
                    end: Some(End::OutOfFuel),
                    limits: &Limits { fuel: Some(5), ..limits.clone() },
                    ..evidence(&limits)
                },
                Outcome::LimitExceeded { limit: Limit::Fuel, allowed: 5, used: 5 },
            ),
            (
                Evidence { ended: Ended::Deadline, cause: Cause::Signaled(SIGKILL), end: None, ..evidence(&limits) },
                Outcome::LimitExceeded { limit: Limit::WallTime, allowed: limits.wall_ms, used: 2000 },
            ),
            (
                Evidence { cause: Cause::Signaled(SIGXCPU), end: None, ..evidence(&limits) },
                Outcome::LimitExceeded { limit: Limit::CpuTime, allowed: 600_000, used: 1000 },
            ),
        ] {
            let text = format!("{case:?}");
            assert_eq!(outcome(case), expected, "{text}");
        }
    }

    #[test]
    fn a_fault_of_the_host_is_never_blamed_on_the_algorithm() {
        let limits = Limits::default();
        for case in [
            Evidence { cause: Cause::Signaled(SIGKILL), end: None, ..evidence(&limits) },
            Evidence { cause: Cause::Signaled(SIGSYS), ..evidence(&limits) },
            Evidence { cause: Cause::Signaled(11), end: None, ..evidence(&limits) },
            Evidence { cause: Cause::Exited(101), end: None, ..evidence(&limits) },
            Evidence { end: None, ..evidence(&limits) },
            Evidence { host_error: Some(28), denial: denial(Limit::OutputBytes), ..evidence(&limits) },
        ] {
            let text = format!("{case:?}");
            assert!(matches!(outcome(case), Outcome::HostFault { .. }), "{text}");
        }
    }
}
