//! Tests of WASI 0.2.

mod files;
mod programs;

use crate::abi::test_host::{CALL_BYTES, HANDLES, Host, INPUT, OUTPUT_BYTES};
