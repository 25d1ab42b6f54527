;; Opens one input until it is refused. Exits with 1 if that came without the right answer (EMFILE), else writes the
;; number of opens that succeeded to an output, after giving one back.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\04\00\00\00")
  (data (i32.const 64) "data/inputs/d/0")
  (data (i32.const 96) "data/outputs/observed")
  (func (export "_start") (local $answer i32)
    (loop $again
      (local.set $answer
        (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 15) (i32.const 0)
          (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 32)))
      (if (i32.eqz (local.get $answer))
        (then
          (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
          (br $again))))
    (if (i32.ne (local.get $answer) (i32.const 33)) (then (call $exit (i32.const 1))))
    (drop (call $fd_close (i32.load (i32.const 32))))
    (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 96) (i32.const 21) (i32.const 1)
          (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 32))
      (then (call $exit (i32.const 2))))
    (if (call $fd_write (i32.load (i32.const 32)) (i32.const 0) (i32.const 1) (i32.const 24))
      (then (call $exit (i32.const 3))))))
