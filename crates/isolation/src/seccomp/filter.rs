//! Compiles a table to a BPF program and installs it.
//!
//! The program checks the platform, then finds the number of the call by binary search. When a filter is installed, the
//! kernel compiles it to machine code, which takes time in proportion to its length, and runs it once for each of its few
//! hundred system calls, to cache those that are always permitted. General filter compilers emit one comparison after the
//! other. Such a program was four times as long and cost every process 0.2 ms; this one costs 0.05 ms.

#![expect(unsafe_code, reason = "asks the kernel which actions it supports")]

use super::table::{Argument, Call, Rule};
use rustix::io::Errno;
use seccompiler::{BpfProgram, sock_filter};
use std::collections::BTreeMap;

/// `AUDIT_ARCH_*`: the machine, 64-bit, little-endian.
#[cfg(target_arch = "x86_64")]
const PLATFORM: u32 = 62 | 0xc000_0000;
#[cfg(target_arch = "aarch64")]
const PLATFORM: u32 = 183 | 0xc000_0000;

/// The numbers of the calls of the x32 way begin here.
const X32: u32 = 0x4000_0000;

/// Offsets in `struct seccomp_data`, in bytes.
const NUMBER: u32 = 0;
const PLATFORM_OF_CALL: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Why a filter could not be built or installed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilterError {
    /// A jump reaches at most 255 instructions, and a table has grown beyond that.
    #[error("seccomp: the program of the table has more than 255 instructions")]
    TooLong,
    /// The kernel refused the filter.
    #[error("seccomp: {0}")]
    Install(#[from] seccompiler::Error),
}

/// What happens to a call that is not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// It kills the process.
    Kill,
    /// It is permitted. Calls by way of another platform still kill the process.
    Permit,
}

/// Compiles a table.
pub(super) fn compile(calls: impl Iterator<Item = Call>, otherwise: Otherwise) -> Result<BpfProgram, FilterError> {
    let mut program = Backwards::default();
    let kill = program.answer(libc::SECCOMP_RET_KILL_PROCESS)?;
    let unlisted = match otherwise {
        Otherwise::Kill => kill,
        Otherwise::Permit => program.answer(libc::SECCOMP_RET_ALLOW)?,
    };

    // Each number at which the action changes, with the action from there on.
    // The x32 way has numbers of its own, and no program needs it.
    let mut answers = BTreeMap::from([(0, unlisted), (X32, kill)]);
    let mut calls: Vec<_> = calls.collect();
    calls.sort_unstable_by_key(|call| call.number);
    for Call { number, rule, .. } in calls {
        let number = u32::try_from(number).map_err(|_| FilterError::TooLong)?;
        answers.insert(number, program.rule(rule, kill)?);
        answers.insert(number + 1, unlisted);
    }
    let mut changes: Vec<_> = answers.into_iter().collect();
    changes.dedup_by_key(|(_, answer)| *answer);

    // The program is written from its end, so its first instructions are written last.
    program.search(&changes)?;
    program.load(NUMBER);
    program.test(libc::BPF_JEQ, PLATFORM, program.next(), kill)?;
    program.load(PLATFORM_OF_CALL);
    Ok(program.forwards())
}

/// Installs a program for every thread of this process.
pub(super) fn install(program: &BpfProgram) -> Result<(), FilterError> {
    Ok(seccompiler::apply_filter_all_threads(program)?)
}

/// A program that is written from its end. Jumps only go forward, so the target of a jump is known when it is written.
#[derive(Default)]
struct Backwards {
    instructions: BpfProgram,
    answers: BTreeMap<u32, Place>,
}

/// An instruction, identified by the number of instructions after it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place(usize);

impl Backwards {
    /// Writes the instructions for a rule.
    fn rule(&mut self, rule: Rule, kill: Place) -> Result<Place, FilterError> {
        let permit = self.answer(libc::SECCOMP_RET_ALLOW)?;
        match rule {
            Rule::Permit => Ok(permit),
            Rule::PermitIf(argument) => self.argument(argument, permit, kill),
            Rule::Refuse(errno) => self.refuse(errno),
            Rule::RefuseUnless(argument, errno) => {
                let refuse = self.refuse(errno)?;
                self.argument(argument, permit, refuse)
            }
        }
    }

    /// Loads the low half of an argument. The calls in these tables use no more.
    fn argument(&mut self, argument: Argument, yes: Place, no: Place) -> Result<Place, FilterError> {
        let index = match argument {
            Argument::OneOf(index, values) => {
                for (n, &value) in values.iter().rev().enumerate() {
                    let otherwise = if n == 0 { no } else { self.next() };
                    self.test(libc::BPF_JEQ, value, yes, otherwise)?;
                }
                index
            }
            Argument::Masked(index, mask, value) => {
                self.test(libc::BPF_JEQ, value, yes, no)?;
                self.put(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, mask);
                index
            }
            Argument::OwnProcess(index) => {
                self.test(libc::BPF_JEQ, std::process::id(), yes, no)?;
                index
            }
        };
        Ok(self.load(ARGUMENTS + 8 * u32::from(index)))
    }

    /// Writes the binary search: the action for a number is that of the last change at or below it.
    fn search(&mut self, changes: &[(u32, Place)]) -> Result<Place, FilterError> {
        match changes {
            [] => Ok(self.next()),
            [(_, answer)] => Ok(*answer),
            _ => {
                let (below, above) = changes.split_at(changes.len() / 2);
                let from = above[0].0;
                let above = self.search(above)?;
                let below = self.search(below)?;
                self.test(libc::BPF_JGE, from, above, below)
            }
        }
    }

    fn refuse(&mut self, errno: i32) -> Result<Place, FilterError> {
        self.answer(libc::SECCOMP_RET_ERRNO | (errno.cast_unsigned() & libc::SECCOMP_RET_DATA))
    }

    /// The single instruction that returns this action.
    fn answer(&mut self, answer: u32) -> Result<Place, FilterError> {
        if let Some(place) = self.answers.get(&answer) {
            return Ok(*place);
        }
        let place = self.put(libc::BPF_RET | libc::BPF_K, 0, 0, answer);
        self.answers.insert(answer, place);
        Ok(place)
    }

    fn load(&mut self, offset: u32) -> Place {
        self.put(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
    }

    /// Compares the loaded value and jumps to one of two instructions.
    fn test(&mut self, how: u32, value: u32, yes: Place, no: Place) -> Result<Place, FilterError> {
        let (yes, no) = (self.distance(yes)?, self.distance(no)?);
        Ok(self.put(libc::BPF_JMP | how | libc::BPF_K, yes, no, value))
    }

    fn put(&mut self, code: u32, jt: u8, jf: u8, k: u32) -> Place {
        let place = Place(self.instructions.len());
        // All codes are below 256.
        let code = u16::try_from(code).unwrap_or(u16::MAX);
        self.instructions.push(sock_filter { code, jt, jf, k });
        place
    }

    /// The instruction that was written last.
    fn next(&self) -> Place {
        Place(self.instructions.len().saturating_sub(1))
    }

    /// The number of instructions between the next one to write and a target.
    fn distance(&self, to: Place) -> Result<u8, FilterError> {
        u8::try_from(self.next().0.saturating_sub(to.0)).map_err(|_| FilterError::TooLong)
    }

    fn forwards(mut self) -> BpfProgram {
        self.instructions.reverse();
        self.instructions
    }
}

/// Whether the kernel has seccomp filters and can kill a whole process instead of one thread (Linux 4.14).
pub(super) fn can_kill_process() -> Result<(), Errno> {
    let action = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: the call reads one integer through a valid pointer.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0_u32, &raw const action) };
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOSYS)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Role, container, table};
    use super::*;
    use libc::{SECCOMP_RET_ALLOW as PERMIT, SECCOMP_RET_ERRNO as REFUSE, SECCOMP_RET_KILL_PROCESS as KILL};

    const ROLES: [Role; 2] = [Role::Compiler, Role::Worker];

    #[cfg(target_arch = "x86_64")]
    const THIS_PLATFORM: u32 = 0xc000_003e;
    #[cfg(target_arch = "aarch64")]
    const THIS_PLATFORM: u32 = 0xc000_00b7;

    /// Evaluates a program as the kernel does, as far as these programs need it.
    fn answer(program: &BpfProgram, platform: u32, number: u32, arguments: [u32; 3]) -> u32 {
        let mut seen = [0; 16];
        (seen[0], seen[1]) = (number, platform);
        (seen[4], seen[6], seen[8]) = (arguments[0], arguments[1], arguments[2]);
        let (mut at, mut register) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = &program[at];
            at += 1;
            let mut branch = |taken: bool| at += usize::from(if taken { *jt } else { *jf });
            match code {
                0x20 => register = seen[usize::try_from(*k).unwrap() / 4],
                0x54 => register &= k,
                0x05 => at += usize::try_from(*k).unwrap(),
                0x15 => branch(register == *k),
                0x25 => branch(register > *k),
                0x35 => branch(register >= *k),
                0x06 => return *k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn the_program_does_what_the_table_says() {
        for role in ROLES {
            let program = compile(table::rules(role), Otherwise::Kill).unwrap();
            for number in 0..1000 {
                let rule = table::rules(role).find(|call| call.number == i64::from(number)).map(|call| call.rule);
                let expected = match rule {
                    None => KILL,
                    Some(Rule::Permit) => PERMIT,
                    Some(Rule::Refuse(errno) | Rule::RefuseUnless(_, errno)) => REFUSE | errno.cast_unsigned(),
                    Some(Rule::PermitIf(Argument::Masked(_, _, 0))) => PERMIT,
                    // A zero argument meets no condition.
                    Some(Rule::PermitIf(_)) => KILL,
                };
                assert_eq!(answer(&program, THIS_PLATFORM, number, [0; 3]), expected, "{role:?}, call {number}");
            }
        }
    }

    #[test]
    fn arguments_are_checked() {
        let worker = compile(table::rules(Role::Worker), Otherwise::Kill).unwrap();
        let compiler = compile(table::rules(Role::Compiler), Otherwise::Kill).unwrap();
        let ask = |program, call: libc::c_long, arguments| {
            answer(program, THIS_PLATFORM, u32::try_from(call).unwrap(), arguments)
        };
        let flag = |bits: i32| bits.cast_unsigned();

        let (code, data) = (flag(libc::PROT_READ | libc::PROT_EXEC), flag(libc::PROT_READ | libc::PROT_WRITE));
        assert_eq!(ask(&worker, libc::SYS_mmap, [0, 0, code]), KILL);
        assert_eq!(ask(&worker, libc::SYS_mmap, [0, 0, data]), PERMIT);
        assert_eq!(ask(&compiler, libc::SYS_mprotect, [0, 0, code]), KILL);

        assert_eq!(ask(&worker, libc::SYS_fcntl, [0, flag(libc::F_GETFL), 0]), PERMIT);
        assert_eq!(ask(&worker, libc::SYS_fcntl, [0, flag(libc::F_DUPFD), 0]), KILL);
        assert_eq!(ask(&worker, libc::SYS_fcntl, [0, flag(libc::F_SETOWN), 0]), KILL);

        assert_eq!(ask(&worker, libc::SYS_tgkill, [std::process::id(), 1, 9]), PERMIT);
        assert_eq!(ask(&worker, libc::SYS_tgkill, [1, 1, 9]), KILL);

        let thread = 0x003d_0f00;
        assert_eq!(ask(&compiler, libc::SYS_clone, [thread, 0, 0]), PERMIT);
        assert_eq!(ask(&compiler, libc::SYS_clone, [thread | flag(libc::CLONE_DETACHED), 0, 0]), PERMIT);
        assert_eq!(ask(&compiler, libc::SYS_clone, [thread | flag(libc::CLONE_NEWUSER), 0, 0]), KILL);
        assert_eq!(ask(&compiler, libc::SYS_clone, [flag(libc::SIGCHLD), 0, 0]), KILL);
        assert_eq!(ask(&compiler, libc::SYS_clone3, [thread, 0, 0]), REFUSE | flag(libc::ENOSYS));

        assert_eq!(ask(&compiler, libc::SYS_prctl, [flag(libc::PR_SET_NAME), 0, 0]), PERMIT);
        assert_eq!(ask(&compiler, libc::SYS_prctl, [flag(libc::PR_SET_DUMPABLE), 0, 0]), REFUSE | flag(libc::EINVAL));
    }

    #[test]
    fn a_container_finds_no_way_out_and_keeps_everything_else() {
        let program = compile(container::rules(), Otherwise::Permit).unwrap();
        let ask =
            |call: libc::c_long, arguments| answer(&program, THIS_PLATFORM, u32::try_from(call).unwrap(), arguments);
        let flag = |bits: i32| bits.cast_unsigned();
        let refused = |errno: i32| REFUSE | flag(errno);
        for family in 0..64 {
            let expected = if family == libc::AF_UNIX { PERMIT } else { refused(libc::EACCES) };
            for call in [libc::SYS_socket, libc::SYS_socketpair] {
                assert_eq!(ask(call, [flag(family), flag(libc::SOCK_STREAM), 0]), expected, "{call} {family}");
            }
        }
        assert_eq!(ask(libc::SYS_io_uring_setup, [8, 0, 0]), refused(libc::EPERM));
        assert_eq!(ask(libc::SYS_clone3, [0; 3]), refused(libc::ENOSYS));
        assert_eq!(ask(libc::SYS_clone, [flag(libc::SIGCHLD), 0, 0]), PERMIT);
        for space in [libc::CLONE_NEWUSER, libc::CLONE_NEWNET, libc::CLONE_NEWNS, libc::CLONE_NEWPID] {
            assert_eq!(ask(libc::SYS_clone, [flag(libc::SIGCHLD | space), 0, 0]), refused(libc::EPERM));
        }
        for call in [
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_ptrace,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_getfd,
            libc::SYS_bpf,
            libc::SYS_mount,
            libc::SYS_keyctl,
        ] {
            assert_eq!(ask(call, [0; 3]), refused(libc::EPERM), "{call}");
        }
        for call in [libc::SYS_read, libc::SYS_execve, libc::SYS_mmap, libc::SYS_openat, libc::SYS_kill] {
            assert_eq!(ask(call, [0; 3]), PERMIT, "{call}");
        }
        // A kernel of tomorrow has calls that this table does not know; calls of the other platform are not known at all.
        assert_eq!(answer(&program, THIS_PLATFORM, 900, [0; 3]), PERMIT);
        assert_eq!(answer(&program, 0x4000_0003, 359, [2, 1, 0]), KILL);
        assert_eq!(answer(&program, THIS_PLATFORM, X32 | 41, [2, 1, 0]), KILL);
    }

    #[test]
    fn other_platforms_and_the_x32_way_are_not_known() {
        const I386: u32 = 0x4000_0003;
        for program in ROLES.map(|role| compile(table::rules(role), Otherwise::Kill).unwrap()) {
            for number in 0..1000 {
                assert_eq!(answer(&program, THIS_PLATFORM, number | X32, [0; 3]), KILL);
                assert_eq!(answer(&program, I386, number, [0; 3]), KILL);
            }
        }
    }
}
