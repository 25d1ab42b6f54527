;; Declares a table of four thousand million elements.
(module
  (memory (export "memory") 1)
  (table 4000000000 funcref)
  (func (export "_start")))
