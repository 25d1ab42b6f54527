;; Proposals that are off, and imports from another host.
(module
  (import "env" "memory" (memory 1 1 shared))
  (import "wasi_snapshot_preview1" "sock_open" (func))
  (type $s (struct (field i32)))
  (memory i64 1)
  (func $f (param (ref null $s)) return_call $f))
