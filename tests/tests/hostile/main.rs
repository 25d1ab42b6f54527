//! Hostile guests: for every promise of the sandbox, a program that tries to break it. The built `sandbox` runs it as users
//! do. Each test checks the report, the exit code and the files on the disk afterwards.
//!
//! Programs with one purpose are `tests/hostile/*.wat`, each with a test of the same name (see `fixtures`). `script` builds
//! programs that consist of a long list of calls.

#![expect(clippy::panic, reason = "tests fail by panicking")]

mod archives;
mod cache;
mod compile;
mod component;
mod dataset;
mod descriptors;
mod ends;
mod environment;
mod fixtures;
mod flags;
mod imports;
mod inputs;
mod javascript;
mod log;
mod memory;
mod modules;
mod names;
mod outputs;
mod packages;
mod pointers;
mod preview1;
mod process;
mod quota;
mod runs;
mod script;
mod stdin;
mod streams;
mod tables;
mod time;
mod toolchains;
mod traversal;
mod zstandard;
