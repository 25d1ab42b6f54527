;; Prints 64 MiB on stdout and stderr alternately, far more than a log may hold, and returns.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "\00\00\01\00\00\00\01\00")
  (func (export "_start") (local $round i32)
    (memory.fill (i32.const 65536) (i32.const 0x41) (i32.const 65536))
    (loop $again
      (if (call $fd_write
            (i32.add (i32.const 1) (i32.and (local.get $round) (i32.const 1)))
            (i32.const 0) (i32.const 1) (i32.const 16))
        (then unreachable))
      ;; All of it was taken, or so it seems.
      (if (i32.ne (i32.load (i32.const 16)) (i32.const 65536)) (then unreachable))
      (local.set $round (i32.add (local.get $round) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $round) (i32.const 1024))))))
