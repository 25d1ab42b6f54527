//! The `sandbox` program: runs one WebAssembly algorithm on one dataset in isolation.

#![forbid(unsafe_code)]

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    match cloister_sandbox::child_process() {
        None => cli::main(),
        Some(Ok(())) => ExitCode::SUCCESS,
        // The stderr of a child process goes to /dev/null, so only the exit code can report the failure.
        Some(Err(_)) => ExitCode::from(cli::HOST_FAULT),
    }
}
