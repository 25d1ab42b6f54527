//! The `sandbox` program: runs one WebAssembly algorithm on one dataset, sealed.

#![forbid(unsafe_code)]

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    // The two child processes are this program again. Their first argument is not a word of the command line's.
    let outcome = match std::env::args_os().nth(1) {
        Some(role) if role == cloister_sandbox::WORKER_ARGUMENT => cloister_sandbox::worker::main(),
        Some(role) if role == cloister_sandbox::COMPILER_ARGUMENT => cloister_sandbox::compiler::main(),
        _ => return cli::main(),
    };
    // Nobody reads a child's stderr; that it failed is all there is to say.
    if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(cli::HOST_FAULT) }
}
