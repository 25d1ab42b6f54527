;; Prints characters that affect terminals: clear the screen, set the title, C1 controls, an overlong escape, direction
;; overrides, a bell, a carriage return, bytes that are not UTF-8.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\40\00\00\00\80\00\00\00")
  (data (i32.const 64)
    "\1b[2J\1b]0;pwned\07"
    "\c2\9b31m\c2\9d0;x\c2\9c"
    "\c1\9b"
    "\e2\80\ae\e2\80\8f\e2\81\a6"
    "\rspoof\08\7f\00\0b\0c\0e"
    "\ff\fe\80"
    "\1bPq\1b\\\n")
  (func (export "_start")
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
    (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 16)))))
