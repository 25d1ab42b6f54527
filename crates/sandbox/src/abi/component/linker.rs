//! Every interface a component can reach, by name. Nothing is linked anywhere else.

use crate::guest::{AbiViolation, Exit, Guest};
use wasmtime::{
    Error, Result, Store, ThrownException, Trap,
    component::{HasSelf, Linker, ResourceType},
};
use wasmtime_wasi::p2::bindings::{
    cli, clocks, filesystem, random,
    sync::{self, CommandPre},
};
use wasmtime_wasi_io::bindings::wasi::io::error;

/// Links interfaces whose host is the guest's state itself.
macro_rules! link {
    ($linker:ident, $($interface:path;)*) => {{
        $({
            use $interface as interface;
            interface::add_to_linker::<Guest, HasSelf<Guest>>($linker, |guest| guest)?;
        })*
    }};
}

/// Gives a linker the whole of WASI 0.2's command world but `wasi:sockets`: of that, the types of sockets and no function on them.
pub(crate) fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    link! { linker,
        error;
        sync::io::poll;
        sync::io::streams;
        cli::environment;
        cli::exit;
        cli::stdin;
        cli::stdout;
        cli::stderr;
        cli::terminal_input;
        cli::terminal_output;
        cli::terminal_stdin;
        cli::terminal_stdout;
        cli::terminal_stderr;
        clocks::wall_clock;
        clocks::monotonic_clock;
        random::random;
        random::insecure;
        random::insecure_seed;
        filesystem::preopens;
        sync::filesystem::types;
    }
    for interface in ["wasi:sockets/tcp@0.2.12", "wasi:sockets/udp@0.2.12"] {
        let mut instance = linker.instance(interface)?;
        for name in cloister_admission::INERT_TYPES {
            instance.resource(name, ResourceType::host::<NoSocket>(), |_, _| Ok(()))?;
        }
    }
    Ok(())
}

/// What a socket is here: a type without values. Some C libraries name it, only to be able to drop what they never get.
enum NoSocket {}

/// Runs a component to its end: what its `run` returned, or, outside, the trap or [`Exit`] that ended it.
pub(crate) fn run(store: &mut Store<Guest>, command: &CommandPre<Guest>) -> Result<std::result::Result<(), ()>> {
    let command = command.instantiate(&mut *store)?;
    command.wasi_cli_run().call_run(&mut *store).map_err(blame)
}

/// The component model's own refusals (a handle that was never given, a list longer than a call may carry) are plain
/// text. Once the guest runs nothing else is, so they are told apart from faults of this host here.
fn blame(error: Error) -> Error {
    let is_known =
        error.is::<Trap>() || error.is::<Exit>() || error.is::<AbiViolation>() || error.is::<ThrownException>();
    if is_known { error } else { error.context(AbiViolation("a call that breaks the rules of the component model")) }
}
