;; Polls the log, which is always ready, without end: every round is a call to the host.
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store8 (i32.const 8) (i32.const 2))
    (i32.store (i32.const 16) (i32.const 1))
    (loop $again
      (br_if $again (i32.eqz (call $poll (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 512)))))
    unreachable))
