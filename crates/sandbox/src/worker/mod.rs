//! The process that runs the guest. It takes the descriptors that it was given, gives up all other rights, then starts
//! the guest.

mod end;
pub(crate) mod message;
pub(crate) mod spec;
mod state;

pub(crate) use state::{State, Value};

use crate::{
    abi::{component, preview1},
    account::{Account, Counters},
    artifact::Program,
    cache::AuthenticatedCode,
    clock::Clock,
    engine::Purpose,
    fs::{Build, Errno, FileSystem},
    guest::{Guest, TrappedImport},
    host_file::read_bounded,
    limiter::Limiter,
    log::Log,
    random::Random,
    unpack::{UnpackError, unpack},
};
use anyhow::{Context as _, Result};
use cap_std::fs::Dir;
use cloister_isolation::{self as isolation, Handed, PeakMemory, Status};
use cloister_model::{Isolation, Wall, WallState, escape};
use end::classify;
use message::{End, Message};
use spec::{Archive, Descriptor, FIRST_PLACED, Placed, Spec, Start};
use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Instant,
};
use wasmtime::{Engine, ExternType, Instance, Linker, Store};
use wasmtime_wasi::p2::bindings::sync::CommandPre;

/// The most bytes of a spec, which lists every input.
const MAX_SPEC_BYTES: u64 = 16 * 1024 * 1024;

/// The handles that a component may hold for each resource of ours: others are references to them for the length of a call. Our own
/// limit on resources comes first, and it is one that the report can name.
const COMPONENT_HANDLES_PER_RESOURCE: usize = 2;

/// Waits for the descriptors that the supervisor hands to this process, and runs one guest from them.
///
/// # Errors
/// Only if there were none, or the result could not be written.
pub(crate) fn main() -> Result<()> {
    let mut handed = Handed::receive().context("this process was given nothing to run")?;
    let mut result = File::from(take(&mut handed, Descriptor::Result)?);
    if let Err(error) = run(handed, &mut result) {
        let end = End::Fault(format!("{error:#}"));
        send(&mut result, &Message::End { end, guest_us: 0, peak_resident_bytes: None, fuel: None })?;
    }
    Ok(())
}

fn take(handed: &mut Handed, descriptor: Descriptor) -> Result<OwnedFd> {
    take_number(handed, descriptor as usize)
}

fn take_number(handed: &mut Handed, number: usize) -> Result<OwnedFd> {
    handed.take(number).with_context(|| format!("descriptor {number} was not given"))
}

fn send(result: &mut File, message: &Message) -> Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    result.write_all(&line).context("the supervisor does not read the result")
}

/// Builds the guest and gives up rights step by step, in an order in which each step still has what it needs.
fn run(mut handed: Handed, result: &mut File) -> Result<()> {
    let mut spec_file = File::from(take(&mut handed, Descriptor::Spec)?);
    anyhow::ensure!(isolation::is_sealed(&spec_file), "the spec is not sealed");
    let Spec {
        engine,
        limits,
        contract,
        algorithm,
        start,
        arguments,
        stdin,
        environment,
        tree,
        keeps_state,
        require_isolation,
    } = serde_json::from_slice(&read_bounded(&mut spec_file, MAX_SPEC_BYTES)?)?;
    let code = AuthenticatedCode::handed(&mut handed).context("the artifact was not given")?;
    let counters = Arc::new(Counters::from_fd(take(&mut handed, Descriptor::Counters)?)?);
    let log_pipe = File::from(take(&mut handed, Descriptor::Log)?);
    let outputs = take(&mut handed, Descriptor::Outputs)?;
    let (tree, next) = take_tree(&mut handed, tree)?;
    let state = keeps_state.then(|| take_number(&mut handed, next)).transpose()?.map(File::from);
    drop(handed);
    let peak = PeakMemory::open().ok();
    isolation::ignore_file_size_signal();

    let mut walls = vec![
        (Wall::Process, Status::Enforced("a process of its own".to_owned())),
        (Wall::Rlimits, Status::Enforced("set before this process was given anything".to_owned())),
        (Wall::Inheritance, isolation::close_rest()),
        // Root has them, and some containers: the guest needs none.
        (Wall::NoNewPrivs, isolation::no_new_privs().and(isolation::drop_capabilities())),
        (Wall::Openat2, isolation::openat2_works(outputs.as_fd())),
    ];
    isolation::undumpable().context("cannot switch off core dumps")?;
    let mounts: Vec<BorrowedFd<'_>> = tree
        .iter()
        .filter_map(|(placed, fd)| matches!(placed, Placed::Mount(_)).then_some(fd.as_ref()?.as_fd()))
        .collect();
    let paths = isolation::Paths { read: &mounts, write: Some(outputs.as_fd()) };
    walls.push((Wall::Landlock, isolation::restrict_files(paths)));

    // From here on, only files of the datasets and the outputs can be opened.
    let account = Account::new(counters, limits.memory_bytes);
    let random = Random::for_devices(engine.profile, algorithm);
    let mut files = Build::new(account.clone(), limits.handles).random(Box::new(random));
    let mut archives = Vec::new();
    for (placed, fd) in tree {
        files = match (placed, fd) {
            (Placed::Archive(archive), fd) => {
                let placed =
                    if archive.through { files.through(&archive.path) } else { files.directory(&archive.path) };
                archives.push((archive, File::from(fd.context("an archive was not given")?)));
                placed?
            }
            (Placed::File(path), Some(fd)) => files.file(&path, File::from(fd))?,
            (Placed::Mount(path), Some(fd)) => files.mount(&path, Dir::from_std_file(File::from(fd)))?,
            (Placed::Empty(path), _) | (Placed::File(path) | Placed::Mount(path), None) => files.directory(&path)?,
        };
    }
    let mut files: FileSystem = files.outputs(Dir::from_std_file(File::from(outputs)), contract.clone())?.finish();

    let stack_bytes = usize::try_from(limits.stack_bytes)?;
    let runner = engine.engine(Purpose::Run { stack_bytes })?;
    let is_component = matches!(start, Start::Component);
    let program = Program::load(&runner, code, is_component)?;
    let ready = match prepare(&runner, &program, start) {
        Ok(ready) => ready,
        // Admission knows the names of what a component imports. What it says of their types is its own, and is compared here.
        Err(error) if is_component => {
            let end = End::BadImports(escape(format!("{error:#}").as_bytes(), 500).to_string());
            return send(result, &Message::End { end, guest_us: 0, peak_resident_bytes: None, fuel: None });
        }
        Err(error) => return Err(error),
    };
    let guest = Guest {
        descriptors: preview1::Descriptors::new(&mut files).map_err(|errno| anyhow::anyhow!("no root: {errno:?}"))?,
        resources: component::Resources::default(),
        files,
        clock: Clock::new(engine.profile),
        random: Random::new(engine.profile, algorithm),
        log: Log::new(log_pipe, contract.max_log_bytes, account.clone()),
        arguments,
        environment,
        call_bytes: limits.call_bytes,
        handles: limits.handles,
        limiter: Limiter::new(account.clone(), limits.table_elements, limits.instances),
        account: account.clone(),
    };
    let mut store = Store::new(&runner, guest);
    store.limiter(|guest| &mut guest.limiter);
    let resources = usize::try_from(component::most_resources(limits.handles))?;
    store.set_max_component_handles(resources.saturating_mul(COMPONENT_HANDLES_PER_RESOURCE).saturating_add(1024));
    store.set_hostcall_fuel(usize::try_from(limits.call_bytes)?);
    if let Some(fuel) = limits.fuel {
        store.set_fuel(fuel)?;
    }

    // The engine has written its memory images, so only outputs are written from here on.
    let most = rustix::process::Rlimit { current: Some(contract.max_bytes), maximum: Some(contract.max_bytes) };
    rustix::process::setrlimit(rustix::process::Resource::Fsize, most).context("cannot limit the size of files")?;
    // After this, no code can be mapped and no program started. The guest's code runs next.
    isolation::deny_new_code();
    walls.push((Wall::Seccomp, isolation::restrict_syscalls(isolation::Role::Worker)));
    let walls = Isolation(walls.into_iter().map(|(wall, status)| (wall, wall_state(status))).collect());
    let missing = walls.missing().count() > 0;
    let openat2_missing = walls.0.get(&Wall::Openat2).is_none_or(|state| !matches!(state, WallState::Enforced { .. }));
    send(result, &Message::Walls(walls))?;
    if missing && require_isolation {
        return send(result, &Message::NotIsolated);
    }
    // Without openat2, cap-std would resolve paths in this process. That fallback had a sandbox escape
    // (GHSA-vqjp-4c8c-hfgg), and openat2 is the one wall that depends on no optional kernel feature.
    anyhow::ensure!(!openat2_missing, "this kernel has no openat2 (Linux 5.6), or something forbids it");

    // An author's archive is a stranger's input, too: it is read as late as the guest begins.
    for (Archive { path, entries, .. }, file) in archives {
        let files = &mut store.data_mut().files;
        let end = match unpack(&file, path.trim_start_matches('/'), &entries, files, &account) {
            Ok(()) => continue,
            Err(UnpackError::Memory) => End::DoesNotFit,
            Err(UnpackError::Bad(problem)) if !entries.is_empty() => End::BadArchive(problem),
            Err(UnpackError::Bad(problem)) => End::Fault(format!("the archive for `{path}`: {problem}")),
        };
        return send(result, &Message::End { end, guest_us: 0, peak_resident_bytes: None, fuel: None });
    }
    if let Some(path) = stdin
        && let Err(errno) = store.data_mut().give_stdin(&path)
    {
        let problem =
            format!("standard input is to be `{}`, which {}", escape(path.as_bytes(), 200), unreadable(errno));
        let end = End::NoStdin(problem);
        return send(result, &Message::End { end, guest_us: 0, peak_resident_bytes: None, fuel: None });
    }
    account.start_guest();
    #[expect(clippy::disallowed_methods, reason = "measures the guest for the report, outside of it")]
    let started = Instant::now();
    let (instance, ended) = ready.start(&mut store);
    let guest_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let mut end = classify(ended, &account, limits.instances);
    if let (Some(mut file), Some(instance), End::Returned) = (state, instance, &end)
        && let Err(error) = state::write(&mut store, instance, &mut file)
    {
        end = End::Fault(format!("{error:#}"));
    }
    let fuel = limits.fuel.and_then(|given| Some(given - store.get_fuel().ok()?));
    let peak_resident_bytes = peak.and_then(|peak| peak.bytes());
    send(result, &Message::End { end, guest_us, peak_resident_bytes, fuel })?;
    // The process ends here. Freeing the guest's memory first would only cost time.
    std::mem::forget(store);
    Ok(())
}

/// A place in the tree, and its descriptor.
type Taken = Vec<(Placed, Option<OwnedFd>)>;

/// Takes the descriptors of the files and mounts in the tree. Returns also the number after the last one.
fn take_tree(handed: &mut Handed, tree: Vec<Placed>) -> Result<(Taken, usize)> {
    let mut number = FIRST_PLACED;
    let taken: Result<_> = tree
        .into_iter()
        .map(|placed| {
            let fd = match &placed {
                Placed::Empty(_) => None,
                Placed::File(_) | Placed::Mount(_) | Placed::Archive(_) => {
                    number += 1;
                    Some(take_number(handed, number - 1)?)
                }
            };
            Ok((placed, fd))
        })
        .collect();
    Ok((taken?, number))
}

/// Why a file cannot be standard input.
fn unreadable(errno: Errno) -> String {
    match errno {
        Errno::NoEntry | Errno::NotDirectory => "is not there".to_owned(),
        Errno::IsDirectory => "is a directory".to_owned(),
        other => format!("cannot be read ({other:?})"),
    }
}

/// Converts a wall's status to the form in the report.
pub(crate) fn wall_state(status: Status) -> WallState {
    match status {
        Status::Enforced(detail) => WallState::Enforced { detail },
        Status::Partial(detail) => WallState::Partial { detail },
        Status::Absent(detail) => WallState::Absent { detail },
    }
}

/// A guest whose imports are resolved and whose code has not run yet.
enum Ready {
    Module { instance: wasmtime::InstancePre<Guest>, exports: Vec<String> },
    Component(CommandPre<Guest>),
}

fn prepare(engine: &Engine, program: &Program, start: Start) -> Result<Ready> {
    match (program, start) {
        (Program::Module(module), Start::Module { exports, trap }) => {
            let mut linker = Linker::new(engine);
            preview1::add_to_linker(&mut linker)?;
            for import in module.imports() {
                let is_named = trap.iter().any(|(module, name)| module == import.module() && name == import.name());
                if let (true, ExternType::Func(ty)) = (is_named, import.ty()) {
                    linker.func_new(import.module(), import.name(), ty, |_, _, _| Err(TrappedImport.into()))?;
                }
            }
            Ok(Ready::Module { instance: linker.instantiate_pre(module)?, exports })
        }
        (Program::Component(program), Start::Component) => {
            let mut linker = wasmtime::component::Linker::new(engine);
            component::add_to_linker(&mut linker)?;
            component::answer_sockets(&mut linker, program, engine)?;
            Ok(Ready::Component(CommandPre::new(linker.instantiate_pre(program)?)?))
        }
        _ => anyhow::bail!("the artifact is not of the kind that admission found"),
    }
}

impl Ready {
    /// Runs the guest to its end. A module's instance is returned with it.
    fn start(&self, store: &mut Store<Guest>) -> (Option<Instance>, wasmtime::Result<u32>) {
        match self {
            Self::Component(command) => (None, component::run(store, command).map(|ended| u32::from(ended.is_err()))),
            Self::Module { instance, exports } => match instance.instantiate(&mut *store) {
                Ok(instance) => (Some(instance), call(store, instance, exports)),
                Err(error) => (None, Err(error)),
            },
        }
    }
}

/// Calls exports in order, until one returns another exit code than 0.
fn call(store: &mut Store<Guest>, instance: Instance, exports: &[String]) -> wasmtime::Result<u32> {
    for export in exports {
        let function = instance
            .get_func(&mut *store, export)
            .ok_or_else(|| wasmtime::Error::msg(format!("no export `{export}`")))?;
        let code = if let Ok(function) = function.typed::<(), ()>(&*store) {
            function.call(&mut *store, ())?;
            0
        } else if let Ok(main) = function.typed::<(u32, u32), i32>(&*store) {
            let arguments = place_arguments(store, instance)?;
            main.call(&mut *store, arguments)?.cast_unsigned()
        } else {
            function.typed::<(), i32>(&*store)?.call(&mut *store, ())?.cast_unsigned()
        };
        if code != 0 {
            return Ok(code);
        }
    }
    Ok(0)
}

/// Writes the arguments into memory that the interpreter gives, as `main` in C finds them. Returns their number, and the address of the
/// list of their addresses, which ends with 0.
fn place_arguments(store: &mut Store<Guest>, instance: Instance) -> wasmtime::Result<(u32, u32)> {
    let arguments = store.data().arguments.clone();
    let count = u32::try_from(arguments.len())?;
    let list_bytes = (count + 1) * 4;
    let bytes = arguments.iter().map(|argument| argument.len() + 1).sum::<usize>();
    let malloc = instance.get_typed_func::<u32, u32>(&mut *store, "malloc")?;
    let list = malloc.call(&mut *store, list_bytes + u32::try_from(bytes)?)?;
    let memory = instance.get_memory(&mut *store, "memory").ok_or_else(|| wasmtime::Error::msg("no memory"))?;
    let (mut addresses, mut texts) = (Vec::new(), Vec::new());
    for argument in &arguments {
        let address = u64::from(list) + u64::from(list_bytes) + texts.len() as u64;
        addresses.extend_from_slice(&u32::try_from(address)?.to_le_bytes());
        texts.extend_from_slice(argument.as_bytes());
        texts.push(0);
    }
    addresses.extend_from_slice(&0_u32.to_le_bytes());
    addresses.append(&mut texts);
    // Refused if the interpreter gave an address that is not in its memory.
    memory.write(&mut *store, list as usize, &addresses)?;
    Ok((count, list))
}
