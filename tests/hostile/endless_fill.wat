;; Fills all of its memory, 512 MiB at once, again and again, with one instruction each time.
(module
  (memory (export "memory") 8192)
  (func (export "_start")
    (loop $again
      (memory.fill (i32.const 0) (i32.const 0x55) (i32.const 0x20000000))
      (br $again))))
