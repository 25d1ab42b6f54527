//! The `cloister` program: the service, and the commands of its users.
//!
//! Without the feature `service` it is the commands of users alone, which build for other systems, too.

#![forbid(unsafe_code)]

use std::process::ExitCode;

mod arguments;
mod asset;
mod audit;
#[cfg(feature = "service")]
mod backup;
mod client;
#[cfg(feature = "service")]
mod cluster;
mod config;
mod context;
mod contexts;
#[cfg(feature = "service")]
mod demo;
#[cfg(feature = "service")]
mod engine;
mod environment;
mod examples;
mod exit;
mod failure;
mod folder;
mod input;
mod javascript;
mod job;
mod key;
mod login;
mod notebook;
mod output;
mod private_file;
mod requirements;
#[cfg(feature = "service")]
mod runtime;
#[cfg(feature = "service")]
mod serve;
#[cfg(feature = "service")]
mod service_commands;
mod sign_in;
#[cfg(feature = "service")]
mod signals;
#[cfg(feature = "service")]
mod step;
mod upload;

fn main() -> ExitCode {
    arguments::main()
}
