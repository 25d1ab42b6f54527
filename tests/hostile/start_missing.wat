;; Has no start function.
(module (memory (export "memory") 1))
