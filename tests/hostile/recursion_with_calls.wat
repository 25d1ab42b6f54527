;; Calls itself without end, and at every depth the host: it prints, draws random bytes, opens, and lists.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "\00\00\01\00\10\00\00\00")
  (data (i32.const 64) "data/inputs/d/0")
  (func $deeper (param i64 i64 i64) (result i64)
    ;; Calls are dear; every sixteenth level is enough to be near the end at the end.
    (if (i64.eqz (i64.and (local.get 0) (i64.const 15)))
      (then
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
        (drop (call $random_get (i32.const 65536) (i32.const 4096)))
        (drop (call $fd_readdir (i32.const 3) (i32.const 65536) (i32.const 1000) (i64.const 0) (i32.const 16)))
        (if (i32.eqz (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 15) (i32.const 0)
              (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 32)))
          (then (drop (call $fd_close (i32.load (i32.const 32))))))))
    (i64.add (local.get 0)
      (call $deeper (i64.add (local.get 0) (i64.const 1)) (local.get 2) (local.get 1))))
  (func (export "_start")
    (drop (call $deeper (i64.const 0) (i64.const 2) (i64.const 3)))))
