//! From a table to a program for the kernel's packet filter machine, and into the kernel.

#![expect(unsafe_code, reason = "asking the kernel which actions it knows")]

use super::table::{Argument, Call, Rule};
use rustix::io::Errno;
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule, TargetArch};
use std::collections::BTreeMap;

#[cfg(target_arch = "x86_64")]
const PLATFORM: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const PLATFORM: TargetArch = TargetArch::aarch64;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The program for a table.
///
/// A program of seccompiler's knows two answers: one for what matches, one for all else. So there is one for each error
/// to refuse with, and a last one that permits or kills. They are joined end to end: each but the last is cut before its
/// final instruction, which is the answer for "all else", and so falls through to the next.
pub(super) fn compile(calls: impl Iterator<Item = Call>) -> Result<BpfProgram, seccompiler::Error> {
    let mut refused = BTreeMap::<u32, Rules>::new();
    let mut permitted = Rules::new();
    for Call { number, rule, .. } in calls {
        match rule {
            Rule::Permit => drop(permitted.insert(number, vec![])),
            Rule::PermitIf(argument) => drop(permitted.insert(number, when(argument)?)),
            Rule::RefuseUnless(index, values, errno) => {
                drop(refused.entry(errno.cast_unsigned()).or_default().insert(number, unless(index, values)?));
            }
            Rule::Refuse(errno) => drop(refused.entry(errno.cast_unsigned()).or_default().insert(number, vec![])),
        }
    }

    let mut program = BpfProgram::new();
    for (errno, rules) in refused {
        // A call that is listed here and does not match is one whose argument is as required.
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), PLATFORM)?;
        program.append(&mut filter.try_into()?);
        program.pop();
    }
    let filter = SeccompFilter::new(permitted, SeccompAction::KillProcess, SeccompAction::Allow, PLATFORM)?;
    program.append(&mut filter.try_into()?);
    Ok(program)
}

/// Matches when the argument is as required: when any of the rules does.
fn when(argument: Argument) -> Result<Vec<SeccompRule>, BackendError> {
    let alternatives = match argument {
        Argument::OneOf(index, values) => {
            values.iter().map(|&value| SeccompCondition::new(index, Dword, Eq, value.into())).collect()
        }
        Argument::Masked(index, mask, value) => {
            vec![SeccompCondition::new(index, Dword, MaskedEq(mask.into()), value.into())]
        }
        Argument::OwnProcess(index) => vec![SeccompCondition::new(index, Dword, Eq, std::process::id().into())],
    };
    alternatives.into_iter().map(|condition| SeccompRule::new(vec![condition?])).collect()
}

/// Matches when the argument is none of these: when all conditions of the one rule hold.
fn unless(index: u8, values: &[u32]) -> Result<Vec<SeccompRule>, BackendError> {
    let differs = values.iter().map(|&value| SeccompCondition::new(index, Dword, Ne, value.into()));
    Ok(vec![SeccompRule::new(differs.collect::<Result<_, _>>()?)?])
}

/// Binds every thread of this process.
pub(super) fn install(program: &BpfProgram) -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter_all_threads(program)
}

/// Whether the kernel has seccomp filters, and can kill a whole process rather than one thread (Linux 4.14).
pub(super) fn can_kill_process() -> Result<(), Errno> {
    let action = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: the call reads the one integer that it is given a pointer to.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0_u32, &raw const action) };
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOSYS)),
    }
}
