//! The `cloister` program: a service, and everything that one does with it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

mod arguments;
mod asset;
mod audit;
mod client;
mod config;
mod demo;
mod environment;
mod exit;
mod input;
mod job;
mod key;
mod output;
mod serve;
mod step;

fn main() -> ExitCode {
    arguments::main()
}
