;; Writes one output, 64 KiB at a time, until it is refused; then exits with 0.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "\00\00\01\00\00\00\01\00")
  (data (i32.const 64) "data/outputs/flood")
  (func (export "_start")
    (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 18) (i32.const 1)
          (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 32))
      (then unreachable))
    (loop $again
      (br_if $again
        (i32.eqz (call $fd_write (i32.load (i32.const 32)) (i32.const 0) (i32.const 1) (i32.const 16)))))))
