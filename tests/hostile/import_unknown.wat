;; Imports a function whose name contains terminal escapes.
(module
  (import "env" "\1b[2Jsystem\0a\e2\80\ae" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")))
