;; Grows a table until it gets no more.
(module
  (memory (export "memory") 1)
  (table $t 1 funcref)
  (func (export "_start")
    (loop $again
      (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 4096)) (i32.const -1))))
    unreachable))
