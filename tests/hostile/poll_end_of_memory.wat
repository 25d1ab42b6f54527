;; Has all the memory that 32 bits can address, and hands over a subscription that begins 8 bytes before its end.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 65536)
  (func (export "_start")
    (call $exit (call $poll (i32.const 0xfffffff8) (i32.const 256) (i32.const 1) (i32.const 512)))))
