;; Declares 2 GiB of memory in four parts.
(module
  (memory (export "memory") 8192)
  (memory 8192)
  (memory 8192)
  (memory 8192)
  (func (export "_start")))
