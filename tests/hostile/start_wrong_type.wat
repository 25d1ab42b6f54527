;; Has a `_start` that wants something.
(module (memory (export "memory") 1) (func (export "_start") (param i32)))
