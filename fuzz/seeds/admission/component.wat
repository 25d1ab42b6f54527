;; A 0.2 command with an import, a nested component, and types of several sorts.
(component
  (import "wasi:io/streams@0.2.0" (instance $streams
    (export "output-stream" (type $o (sub resource)))
    (export "write" (func (param "to" (borrow $o)) (param "bytes" (list u8)) (result (result))))))
  (type $record (record (field "a" u32) (field "b" (tuple string (option f64)))))
  (type (variant (case "x") (case "y" $record)))
  (type (flags "p" "q"))
  (type (enum "r" "s"))
  (component $inner (core module) (type (component (import "x" (instance)))))
  (instance (instantiate $inner))
  (alias export $streams "write" (func $write))
  (core module $m
    (memory (export "m") 1)
    (func (export "run") (result i32) i32.const 0)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
  (core instance $i (instantiate $m))
  (core func (canon lower (func $write) (memory (core memory $i "m")) (realloc (core func $i "realloc"))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $r (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $r)))
