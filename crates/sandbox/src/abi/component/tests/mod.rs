//! Components that try what 0.2 offers.

mod files;
mod programs;

use crate::abi::test_host::{CALL_BYTES, HANDLES, Host, INPUT, OUTPUT_BYTES};
