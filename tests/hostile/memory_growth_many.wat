;; The same over four memories alternately: no single one of them comes near the limit.
(module
  (memory (export "memory") 1)
  (memory $b 1)
  (memory $c 1)
  (memory $d 1)
  (func (export "_start")
    (loop $again
      (if (i32.eq (memory.grow 0 (i32.const 16)) (i32.const -1)) (then unreachable))
      (if (i32.eq (memory.grow $b (i32.const 16)) (i32.const -1)) (then unreachable))
      (if (i32.eq (memory.grow $c (i32.const 16)) (i32.const -1)) (then unreachable))
      (if (i32.eq (memory.grow $d (i32.const 16)) (i32.const -1)) (then unreachable))
      (br $again))))
