//! Starting a process before it is known what it is to work on.
//!
//! A process takes a while from its exec until it can do anything: about a millisecond for a program of this size. One that is started first
//! and given its descriptors later does that beside what its supervisor has to find out. It gets them over a connection that nobody else
//! has (`SCM_RIGHTS`, unix(7)).

use super::{Child, Program, Rlimits, rlimits::lowered};
use crate::inherited::{FIRST, take_fd};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Descriptors in one message. The kernel takes up to 253 (unix(7)). It compares how many are under way from all processes of the user with
/// the soft limit on open files of the one that sends.
const IN_ONE_MESSAGE: usize = 64;

/// More descriptors follow, once this message was answered.
const MORE: u8 = 1;
/// All descriptors were handed over.
const LAST: u8 = 0;

/// How long to wait until other processes of the same user have taken what is under way to them.
const PAUSE: Duration = Duration::from_millis(1);
/// For how long. What others have sent may never be taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process of the running program that waits for its descriptors.
///
/// Until it has them, it has what every process has that was started with [`Program::spawn`], and a connection to this one as its only
/// descriptor. Dropping this value kills it.
#[derive(Debug)]
pub struct WaitingProgram {
    child: Child,
    connection: OwnedFd,
}

impl WaitingProgram {
    /// Starts the process. `stack_bytes` is the largest stack that it may be given.
    ///
    /// # Errors
    ///
    /// As for [`Program::spawn`].
    pub fn start(args: impl IntoIterator<Item = impl Into<OsString>>, stack_bytes: u64) -> io::Result<Self> {
        let (connection, its_end) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // The size of the stack decides where the kernel maps everything else, at exec. Without a limit, it would map it from the bottom
        // upwards, at addresses that are easier to guess.
        let rlimits = Rlimits { open_files: u64::MAX, stack_bytes: Some(stack_bytes), ..Rlimits::default() };
        let child = Program { rlimits, fds: vec![its_end], ..Program::new(args) }.spawn()?;
        Ok(Self { child, connection })
    }

    /// Limits the process, then hands the descriptors to it, which begins its work. It takes them with [`Handed::receive`].
    ///
    /// # Errors
    ///
    /// If the process has ended, or the kernel refuses a limit. `ETOOMANYREFS` if processes of the same user have more descriptors under
    /// way than this one may have open, and have not taken them within ten seconds.
    pub fn begin(self, rlimits: Rlimits, fds: &[OwnedFd]) -> io::Result<Child> {
        for (resource, limit) in (Rlimits { stack_bytes: None, ..rlimits }).to_set() {
            rustix::process::prlimit(Some(self.child.process()), resource, limit)?;
        }
        // At the end of an exec, the kernel sets the limit on the stack to what it was at its beginning (finalize_exec, fs/exec.c). The process
        // may be in its exec now, so it sets this limit itself, before it takes anything.
        let stack_bytes = rlimits.stack_bytes.unwrap_or(u64::MAX).to_le_bytes();
        let (message, mut none) = ([IoSlice::new(&stack_bytes)], SendAncillaryBuffer::default());
        retry_on_intr(|| sendmsg(&self.connection, &message, &mut none, SendFlags::NOSIGNAL))?;
        let mut parts = fds.chunks(IN_ONE_MESSAGE).peekable();
        if parts.peek().is_none() {
            self.send(LAST, &[])?;
        }
        while let Some(part) = parts.next() {
            let part: Vec<BorrowedFd<'_>> = part.iter().map(AsFd::as_fd).collect();
            if parts.peek().is_none() {
                self.send(LAST, &part)?;
            } else {
                self.send(MORE, &part)?;
                self.answered()?;
            }
        }
        Ok(self.child)
    }

    fn send(&self, kind: u8, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut refused = None;
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(IN_ONE_MESSAGE))];
            let mut rights = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() && !rights.push(SendAncillaryMessage::ScmRights(fds)) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            match sendmsg(&self.connection, &[IoSlice::new(&[kind])], &mut rights, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::TOOMANYREFS) => {
                    let since = *refused.get_or_insert_with(|| {
                        raise_open_files();
                        Instant::now()
                    });
                    if since.elapsed() > PATIENCE {
                        return Err(Errno::TOOMANYREFS.into());
                    }
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until the process has taken what was sent to it.
    fn answered(&self) -> io::Result<()> {
        match receive(&self.connection)? {
            (MORE, fds) if fds.is_empty() => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Raises the soft limit on open files of this process to its hard one. If the kernel refuses, the present one stays.
fn raise_open_files() {
    let most = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
}

/// The descriptors that this process was handed by the one that started it.
#[derive(Debug)]
pub struct Handed(Vec<Option<OwnedFd>>);

impl Handed {
    /// Waits for them. The connection that they come over is the descriptor 3 that this process inherited, and is closed afterwards.
    ///
    /// # Errors
    ///
    /// If this process was not started with [`WaitingProgram::start`], if the one that started it has ended, or if the limit on open files
    /// is too small for them.
    pub fn receive() -> io::Result<Self> {
        let connection = take_fd(FIRST)?;
        limit_stack(&connection)?;
        let mut handed = Vec::new();
        loop {
            let (kind, fds) = receive(&connection)?;
            handed.extend(fds.into_iter().map(Some));
            if kind == LAST {
                return Ok(Self(handed));
            }
            sendmsg(&connection, &[IoSlice::new(&[MORE])], &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?;
        }
    }

    /// Takes the descriptor with this number, from 0 in the order in which they were handed over.
    ///
    /// # Errors
    ///
    /// `EBADF` if there is none with this number, or if it was taken before.
    pub fn take(&mut self, number: usize) -> io::Result<OwnedFd> {
        let fd = self.0.get_mut(number).and_then(Option::take);
        fd.ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
    }
}

/// Sets the limit on the stack of this process to what the first message says; [`u64::MAX`]: it stays as it is.
fn limit_stack(connection: &OwnedFd) -> io::Result<()> {
    let mut stack_bytes = [0; 8];
    let received = retry_on_intr(|| {
        let (mut message, mut none) = ([IoSliceMut::new(&mut stack_bytes)], RecvAncillaryBuffer::default());
        recvmsg(connection, &mut message, &mut none, RecvFlags::CMSG_CLOEXEC)
    })?;
    if received.bytes != stack_bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match u64::from_le_bytes(stack_bytes) {
        u64::MAX => Ok(()),
        bytes => Ok(setrlimit(Resource::Stack, lowered(getrlimit(Resource::Stack), (bytes, bytes)))?),
    }
}

/// Receives one message.
fn receive(connection: impl AsFd) -> io::Result<(u8, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(IN_ONE_MESSAGE))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let mut kind = [0];
    let received = loop {
        match recvmsg(&connection, &mut [IoSliceMut::new(&mut kind)], &mut rights, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => break received,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    // Some of them were closed by the kernel, because this process may not have as many.
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::from_raw_os_error(libc::EMFILE));
    }
    let mut fds = Vec::new();
    for message in rights.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    Ok((kind[0], fds))
}
