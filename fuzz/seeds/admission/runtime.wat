;; An interpreter: a reactor with exceptions and an import that is trapped.
(module
  (import "host" "call" (func (param i32 f64) (result i64)))
  (import "wasi_snapshot_preview1" "path_open"
    (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (tag $e)
  (memory (export "memory") 1)
  (func (export "_initialize") (block $h (try_table (catch $e $h) (throw $e))))
  (func (export "run") (result i32) i32.const 0))
