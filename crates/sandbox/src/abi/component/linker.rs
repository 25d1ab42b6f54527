//! Every interface that a component can reach, by name. Only `sockets.rs` links something beside it.

use crate::guest::{AbiViolation, Exit, Guest};
use wasmtime::{
    Error, Result, Store, ThrownException, Trap,
    component::{HasSelf, Linker},
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

/// Links WASI 0.2's command world without `wasi:sockets`, which [`answer_sockets`](super::answer_sockets) links for a component
/// that imports it.
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
    Ok(())
}

/// Runs a component to its end. The inner result is what its `run` returned; the outer error is the trap or [`Exit`] that
/// ended it.
pub(crate) fn run(store: &mut Store<Guest>, command: &CommandPre<Guest>) -> Result<std::result::Result<(), ()>> {
    let command = command.instantiate(&mut *store)?;
    command.wasi_cli_run().call_run(&mut *store).map_err(blame)
}

/// Converts errors of the component model itself, such as an unknown handle or a list that is too long. They are plain
/// text, without a type. All other errors at run time have a type, so an untyped one is the guest's fault.
fn blame(error: Error) -> Error {
    let is_known =
        error.is::<Trap>() || error.is::<Exit>() || error.is::<AbiViolation>() || error.is::<ThrownException>();
    if is_known { error } else { error.context(AbiViolation("a call that breaks the rules of the component model")) }
}
