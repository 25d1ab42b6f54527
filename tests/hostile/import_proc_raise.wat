;; Imports signals.
(module
  (import "wasi_snapshot_preview1" "proc_raise" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")))
