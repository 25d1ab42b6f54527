;; Never gets as far as `_start`: its start section does not return.
(module
  (memory (export "memory") 1)
  (func $begin (loop $again (br $again)))
  (start $begin)
  (func (export "_start")))
