;; Creates output directories until it is refused; then exits with 0.
(module
  (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "data/outputs/aaaa")
  (func (export "_start") (local $number i32) (local $digit i32)
    (loop $again
      (local.set $digit (i32.const 0))
      (loop $digits
        (i32.store8 (i32.add (i32.const 77) (local.get $digit))
          (i32.add (i32.const 97)
            (i32.and (i32.const 15)
              (i32.shr_u (local.get $number) (i32.mul (i32.const 4) (local.get $digit))))))
        (local.set $digit (i32.add (local.get $digit) (i32.const 1)))
        (br_if $digits (i32.lt_u (local.get $digit) (i32.const 4))))
      (local.set $number (i32.add (local.get $number) (i32.const 1)))
      (if (i32.eqz (call $mkdir (i32.const 3) (i32.const 64) (i32.const 17)))
        (then (nop) (br $again))))))
