//! The `cloister` program.

#![forbid(unsafe_code)]

fn main() {}
