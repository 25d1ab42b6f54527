//! Every wall, tried.

fn main() {}
