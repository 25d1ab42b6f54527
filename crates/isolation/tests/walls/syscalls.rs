//! Which system calls can be made.

#![expect(unsafe_code, reason = "makes system calls that must be refused")]

use crate::Case;
use crate::attempt::{Walls, attempt};
use crate::behind::{Deed, Scene, open_beneath};
use crate::files::errno;
use libc::{EACCES, ENOTTY, EPERM, SIGABRT, SIGSYS};
use rustix::fs::OFlags;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::FileExt;
use std::ptr::null_mut;

/// Attempts that kill the process, in both roles.
const DEADLY: &[&str] = &[
    "socket",
    "socketpair",
    "exec",
    "fork",
    "vfork",
    "clone a process",
    "ptrace",
    "io_uring",
    "bpf",
    "userfaultfd",
    "keyctl",
    "unshare",
    "chroot",
    "kill the supervisor",
    "tgkill the supervisor",
    "read the supervisor's memory",
    "executable memory",
    "memory made executable",
    "raise a limit",
    "set an owner for signals",
    "x32",
];

pub(crate) const CASES: &[Case] = &[
    ("forbidden_calls_kill", || {
        for walls in [Walls::Worker, Walls::Compiler] {
            for what in DEADLY {
                eprintln!("{walls:?}: {what}");
                attempt(walls, what).killed(SIGSYS);
            }
        }
    }),
    // The counter-check of the case above: without the filter, the same calls do not kill.
    ("forbidden_calls_do_not_kill_without_a_filter", || {
        for what in DEADLY.iter().filter(|what| !["fork", "vfork", "clone a process", "exec"].contains(what)) {
            eprintln!("{what}");
            assert!(attempt(Walls::None, what).answer.is_some(), "{what}");
        }
    }),
    #[cfg(target_arch = "x86_64")]
    ("the_32_bit_way_in_kills", || {
        for walls in [Walls::Worker, Walls::Compiler] {
            let outcome = attempt(walls, "int 0x80");
            // A kernel without support for 32-bit programs raises a fault for the instruction itself.
            let faults = attempt(Walls::None, "int 0x80").answer.is_none();
            outcome.killed(if faults { libc::SIGSEGV } else { SIGSYS });
        }
    }),
    ("a_worker_starts_no_thread", || attempt(Walls::Worker, "start a thread").killed(SIGSYS)),
    ("a_worker_opens_files_in_one_way_only", || attempt(Walls::Worker, "open the usual way").refused(EPERM)),
    ("an_ordinary_program_runs_as_a_worker", || {
        assert_eq!(attempt(Walls::Worker, "ordinary things").text(), "done");
    }),
    ("asking_about_terminals_is_harmless", || {
        for walls in [Walls::Worker, Walls::Compiler] {
            attempt(walls, "terminal").refused(ENOTTY);
        }
    }),
    ("a_worker_that_aborts_dies_of_that", || {
        for walls in [Walls::Worker, Walls::Compiler] {
            attempt(walls, "abort").killed(SIGABRT);
            attempt(walls, "overflow the stack").killed(SIGABRT);
        }
    }),
    ("a_compiler_starts_threads", || assert_eq!(attempt(Walls::Compiler, "use four threads").text(), "10")),
    ("a_compiler_writes_what_it_was_given", || {
        let mut scene = crate::attempt::Scene::new();
        let artifact = cloister_isolation::create_memfd("artifact").unwrap();
        scene.more.push(artifact.try_clone().unwrap());
        scene.attempt(Walls::Compiler, "write the artifact").text();
        cloister_isolation::seal_memfd(&artifact).unwrap();
        let mut content = [0; 9];
        File::from(artifact).read_exact_at(&mut content, 0).unwrap();
        assert_eq!(&content, b"compiled!");
    }),
    ("a_compiler_opens_nothing", || {
        for what in ["open the usual way", "read passwd", "read dataset", "list dataset", "create in dataset"] {
            attempt(Walls::Compiler, what).refused(EACCES);
        }
    }),
];

pub(crate) const DEEDS: &[Deed] = &[
    ("socket", |_| call(libc::SYS_socket, [libc::AF_INET.into(), libc::SOCK_STREAM.into(), 0, 0])),
    ("socketpair", |_| std::os::unix::net::UnixStream::pair().map(|_| String::new())),
    ("exec", |_| {
        let (path, none) = (c"/proc/self/exe", [null_mut::<u8>()]);
        call(libc::SYS_execve, [address(path.as_ptr()), address(none.as_ptr()), address(none.as_ptr()), 0])
    }),
    ("fork", |_| call(libc::SYS_clone, [libc::SIGCHLD.into(), 0, 0, 0])),
    ("vfork", |_| call(libc::SYS_clone, [i64::from(libc::CLONE_VFORK | libc::SIGCHLD), 0, 0, 0])),
    // A thread's flags and one more.
    ("clone a process", |_| call(libc::SYS_clone, [0x003d_0f00 | i64::from(libc::CLONE_NEWUSER), 0, 0, 0])),
    ("ptrace", |_| call(libc::SYS_ptrace, [libc::PTRACE_TRACEME.into(), 0, 0, 0])),
    ("io_uring", |_| call(libc::SYS_io_uring_setup, [1, 0, 0, 0])),
    ("bpf", |_| call(libc::SYS_bpf, [0, 0, 0, 0])),
    ("userfaultfd", |_| call(libc::SYS_userfaultfd, [0, 0, 0, 0])),
    ("keyctl", |_| call(libc::SYS_keyctl, [0, 0, 0, 0])),
    ("unshare", |_| call(libc::SYS_unshare, [libc::CLONE_FS.into(), 0, 0, 0])),
    ("chroot", |_| call(libc::SYS_chroot, [address(c"/".as_ptr()), 0, 0, 0])),
    ("kill the supervisor", |scene| call(libc::SYS_kill, [scene.supervisor.into(), 0, 0, 0])),
    ("tgkill the supervisor", |scene| call(libc::SYS_tgkill, [scene.supervisor.into(), scene.supervisor.into(), 0, 0])),
    ("read the supervisor's memory", |scene| call(libc::SYS_process_vm_readv, [scene.supervisor.into(), 0, 0, 0])),
    ("executable memory", |_| map(libc::PROT_READ | libc::PROT_EXEC).map(|_| String::new())),
    ("memory made executable", |_| {
        let page = map(libc::PROT_READ | libc::PROT_WRITE)?;
        // SAFETY: a page of our own that nothing runs in.
        errno(unsafe { libc::mprotect(page, 4096, libc::PROT_READ | libc::PROT_EXEC) })
    }),
    ("raise a limit", |_| call(libc::SYS_prlimit64, [0, 7, 0, 0])),
    ("set an owner for signals", |scene| call(libc::SYS_fcntl, [0, libc::F_SETOWN.into(), scene.supervisor.into(), 0])),
    ("x32", |_| call(libc::SYS_getpid | 0x4000_0000, [0; 4])),
    #[cfg(target_arch = "x86_64")]
    ("int 0x80", |_| {
        let mut result: i64 = 20;
        // SAFETY: `getpid`, by its number in the 32-bit table; it touches no memory.
        unsafe {
            std::arch::asm!("int 0x80", inlateout("rax") result, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
        };
        Ok(result.to_string())
    }),
    ("start a thread", |_| std::thread::Builder::new().spawn(|| ()).map(|_| String::new())),
    ("open the usual way", |_| File::open("/etc/passwd").map(|_| String::new())),
    ("ordinary things", ordinary),
    // SAFETY: asks about a descriptor.
    ("terminal", |_| errno(unsafe { libc::isatty(0) } - 1)),
    ("abort", |_| std::process::abort()),
    ("overflow the stack", |_| Ok(endless(1).to_string())),
    ("use four threads", |_| {
        let wanted = std::thread::available_parallelism()?.get().max(4);
        let sums = std::thread::scope(|scope| {
            let threads = (1..=wanted).map(|n| {
                let named = std::thread::Builder::new().name(format!("worker {n}"));
                named.spawn_scoped(scope, move || if n <= 4 { n } else { 0 })
            });
            let threads = threads.collect::<io::Result<Vec<_>>>()?;
            Ok::<_, io::Error>(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>())
        })?;
        Ok(sums.to_string())
    }),
    ("write the artifact", |_| {
        let mut artifact = File::from(cloister_isolation::take_fd(crate::behind::MORE)?);
        artifact.write_all(b"compiled!").map(|()| String::new())
    }),
];

/// What a worker and its libraries do in a normal run.
fn ordinary(scene: &Scene) -> io::Result<String> {
    let numbers: HashMap<_, _> = (0..10_000).map(|n| (n, vec![0_u8; 100])).collect();
    assert_eq!(numbers.len(), 10_000);
    drop(vec![1_u8; 100 << 20]);
    std::thread::sleep(std::time::Duration::from_millis(1));
    std::thread::yield_now();
    assert!(std::time::SystemTime::now() > std::time::UNIX_EPOCH);
    println!("lost");
    eprintln!("lost");
    assert!(!io::stdout().is_terminal());
    assert!(std::panic::catch_unwind(|| panic!("caught")).is_err());

    let mut file = File::from(open_beneath(&scene.dataset, "file", OFlags::RDONLY)?);
    let mut copy = File::from(open_beneath(&scene.outputs, "copy", OFlags::WRONLY | OFlags::CREATE)?);
    assert_eq!(file.metadata()?.len(), 12);
    assert_eq!(io::copy(&mut file, &mut copy)?, 12);
    let mut again = file.try_clone()?;
    assert_eq!(again.read(&mut [0; 8])?, 0);
    rustix::fs::fcntl_setfl(&file, rustix::fs::fcntl_getfl(&file)?)?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential)?;
    assert_eq!(
        rustix::fs::statx(&scene.dataset, "file", rustix::fs::AtFlags::empty(), rustix::fs::StatxFlags::ALL)?.stx_size,
        12
    );
    assert_eq!(
        rustix::fs::readlinkat(&scene.dataset, "link", Vec::new())?.to_bytes(),
        scene.path("outside").as_os_str().as_encoded_bytes()
    );
    rustix::event::poll(&mut [rustix::event::PollFd::new(&file, rustix::event::PollFlags::IN)], None)?;
    // SAFETY: ignoring a signal installs no handler.
    unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
    // SAFETY: a signal to this process, which ignores it.
    errno(unsafe { libc::raise(libc::SIGUSR1) })?;
    Ok("done".to_owned())
}

/// Prevents the optimiser from turning the recursion into a loop.
fn endless(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    if room[0] == 0 { 0 } else { endless(depth + 1) + std::hint::black_box(room)[1] }
}

fn call(number: libc::c_long, [a, b, c, d]: [i64; 4]) -> io::Result<String> {
    // SAFETY: either refused before it does anything, or harmless: the arguments are integers, or C strings and lists
    // that outlive the call. If a new process is created, it ends in the next line.
    let result = unsafe { libc::syscall(number, a, b, c, d) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result.to_string()) }
}

fn address<T>(pointer: *const T) -> i64 {
    i64::try_from(pointer.addr()).unwrap()
}

fn map(access: i32) -> io::Result<*mut libc::c_void> {
    // SAFETY: a new page at an address that the kernel chooses.
    let page = unsafe { libc::mmap(null_mut(), 4096, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
    if page == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(page) }
}
