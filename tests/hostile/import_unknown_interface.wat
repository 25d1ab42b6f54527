;; A component that imports an unknown interface.
(component
  (import "host:exec/process@1.0.0" (instance
    (export "spawn" (func (param "command" string)))))
  (core module $m (func (export "run") (result i32) (i32.const 0)))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))
