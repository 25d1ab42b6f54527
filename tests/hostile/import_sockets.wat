;; A component that mentions `wasi:sockets` and uses all that it gets of it: a network that leads nowhere. Creating sockets and
;; looking up names must fail with `not-supported`, otherwise it traps.
(component
  (import "wasi:sockets/network@0.2.0" (instance $network
    (export "network" (type (sub resource)))
    (type $code (enum "unknown" "access-denied" "not-supported" "invalid-argument"))
    (export "error-code" (type (eq $code)))
    (type $family (enum "ipv4" "ipv6"))
    (export "ip-address-family" (type (eq $family)))))
  (alias export $network "network" (type $net))
  (alias export $network "error-code" (type $error))
  (alias export $network "ip-address-family" (type $family))
  (import "wasi:sockets/instance-network@0.2.0" (instance $instance
    (export "network" (type $n (eq $net)))
    (export "instance-network" (func (result (own $n))))))
  (import "wasi:sockets/tcp@0.2.0" (instance $tcp (export "tcp-socket" (type (sub resource)))))
  (alias export $tcp "tcp-socket" (type $socket))
  (import "wasi:sockets/tcp-create-socket@0.2.0" (instance $create
    (export "tcp-socket" (type $s (eq $socket)))
    (export "error-code" (type $e (eq $error)))
    (export "ip-address-family" (type $f (eq $family)))
    (export "create-tcp-socket" (func (param "address-family" $f) (result (result (own $s) (error $e)))))))
  (core module $libc
    (memory (export "memory") 1))
  (core instance $libc (instantiate $libc))
  (core func $instance (canon lower (func $instance "instance-network")))
  (core func $create (canon lower (func $create "create-tcp-socket") (memory $libc "memory")))
  (core func $drop (canon resource.drop $net))
  (core module $m
    (import "" "memory" (memory 1))
    (import "" "instance" (func $instance (result i32)))
    (import "" "create" (func $create (param i32 i32)))
    (import "" "drop" (func $drop (param i32)))
    (func (export "run") (result i32) (local $left i32)
      (local.set $left (i32.const 100))
      (loop $again
        (call $drop (call $instance))
        ;; result: 1 is an error, then the number of its name
        (call $create (i32.const 0) (i32.const 16))
        (if (i32.ne (i32.load8_u (i32.const 16)) (i32.const 1)) (then unreachable))
        (if (i32.ne (i32.load8_u (i32.const 20)) (i32.const 2)) (then unreachable))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $again (local.get $left)))
      (i32.const 0)))
  (core instance $i (instantiate $m (with "" (instance
    (export "memory" (memory $libc "memory"))
    (export "instance" (func $instance))
    (export "create" (func $create))
    (export "drop" (func $drop))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))
