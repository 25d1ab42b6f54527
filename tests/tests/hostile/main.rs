//! Hostile guests: for every promise of the sandbox a program that tries to break it, run by the built program as its
//! users run it. What must happen is stated three times: in the report, by the exit code, and by what is on the disk
//! afterwards.
//!
//! Single-purpose programs are `tests/hostile/*.wat`, each with a test of the same name (see `fixtures`). Programs that
//! are one long list of calls are put together by `script`.

#![expect(clippy::panic, reason = "tests fail by panicking")]

mod cache;
mod compile;
mod component;
mod dataset;
mod descriptors;
mod ends;
mod environment;
mod fixtures;
mod imports;
mod inputs;
mod log;
mod memory;
mod modules;
mod names;
mod outputs;
mod pointers;
mod preview1;
mod process;
mod quota;
mod runs;
mod script;
mod streams;
mod time;
mod traversal;
