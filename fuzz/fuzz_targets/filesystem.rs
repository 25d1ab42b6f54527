//! Sequences of file operations: the file layer does what a simple model of it says, and what is on the disk is what is
//! charged. The comparison itself is a test of the sandbox's; here it runs for longer, and is led by coverage.

#![no_main]

// The two modules by themselves: the whole sandbox would bring a compiler along, to be compiled with coverage.
#[allow(dead_code, reason = "the rest of the sandbox uses the rest")]
#[path = "../../crates/sandbox/src/account.rs"]
mod account;
#[path = "../../crates/sandbox/tests/file_operations/driver.rs"]
mod driver;
#[allow(dead_code, reason = "as above")]
#[path = "../../crates/sandbox/src/fs/mod.rs"]
mod fs;
#[path = "../../crates/sandbox/tests/file_operations/model.rs"]
mod model;

mod sandbox {
    pub(crate) use crate::{account, fs};
}

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| driver::run(bytes));
