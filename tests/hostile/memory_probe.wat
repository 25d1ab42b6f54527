;; Asks for far too much memory, is refused, and continues with what it has.
(module
  (memory (export "memory") 1)
  (func (export "_start")
    (if (i32.ne (memory.grow (i32.const 65535)) (i32.const -1)) (then unreachable))
    (i32.store (i32.const 65532) (i32.const 7))))
