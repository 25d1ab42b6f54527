;; Never returns and makes no host calls.
(module
  (memory (export "memory") 1)
  (func (export "_start") (loop $again (br $again))))
