//! The `cloister` program: the service, and the commands of its users.

#![forbid(unsafe_code)]

use std::process::ExitCode;

mod arguments;
mod asset;
mod audit;
mod backup;
mod client;
mod cluster;
mod config;
mod context;
mod contexts;
mod demo;
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
mod runtime;
mod serve;
mod sign_in;
mod signals;
mod step;
mod upload;

fn main() -> ExitCode {
    arguments::main()
}
