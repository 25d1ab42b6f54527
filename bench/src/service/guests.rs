//! Programs that jobs run, as WAT.

use anyhow::{Context as _, Result};

/// Writes sixteen bytes to one output and ends.
const SMALL: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\20\00\00\00\10\00\00\00")
  (data (i32.const 32) "sixteen letters\n")
  (data (i32.const 64) "data/outputs/result.txt")
  (func $done (param $errno i32) (if (local.get $errno) (then unreachable)))
  (func (export "_start")
    (call $done (call $open
      (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 23) (i32.const 1)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16)))
    (call $done (call $write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 20)))))"#;

/// Does nothing for an hour. In the standard profile; in the deterministic one an hour passes at once.
const SLEEP: &str = r#"(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 272) "\01\00\00\00")
  (data (i32.const 280) "\00\a0\b8\30\46\03\00\00")
  (func (export "_start") (drop (call $poll (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 8)))))"#;

pub(crate) fn small() -> Result<Vec<u8>> {
    wat::parse_str(SMALL).context("a guest")
}

pub(crate) fn sleep() -> Result<Vec<u8>> {
    wat::parse_str(SLEEP).context("a guest")
}

/// Writes so many MiB to one output.
pub(crate) fn write(mib: u64) -> Result<Vec<u8>> {
    let text = format!(
        r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 17)
  (data (i32.const 0) "\00\00\01\00\00\00\10\00")
  (data (i32.const 64) "data/outputs/large")
  (func $done (param $errno i32) (if (local.get $errno) (then unreachable)))
  (func (export "_start")
    (local $left i32) (local $at i32) (local $state i64)
    (call $done (call $open
      (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 18) (i32.const 1)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16)))
    (local.set $state (i64.const 88172645463325252))
    (local.set $at (i32.const 65536))
    (loop $fill
      (local.set $state (i64.xor (local.get $state) (i64.shl (local.get $state) (i64.const 13))))
      (local.set $state (i64.xor (local.get $state) (i64.shr_u (local.get $state) (i64.const 7))))
      (local.set $state (i64.xor (local.get $state) (i64.shl (local.get $state) (i64.const 17))))
      (i64.store (local.get $at) (local.get $state))
      (br_if $fill (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 1114112))))
    (local.set $left (i32.const {mib}))
    (loop $again
      (call $done (call $write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 20)))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))))"#
    );
    wat::parse_str(text).context("a guest")
}
