;; Has nothing to start with.
(module (memory (export "memory") 1))
