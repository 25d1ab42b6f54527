;; Defines `_start` as a global.
(module (memory (export "memory") 1) (global (export "_start") i32 (i32.const 7)))
