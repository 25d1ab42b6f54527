;; Grows two tables alternately.
(module
  (memory (export "memory") 1)
  (table $a 1 funcref)
  (table $b 1 funcref)
  (func (export "_start")
    (loop $again
      (if (i32.eq (table.grow $a (ref.null func) (i32.const 4096)) (i32.const -1)) (then unreachable))
      (if (i32.eq (table.grow $b (ref.null func) (i32.const 4096)) (i32.const -1)) (then unreachable))
      (br $again))))
