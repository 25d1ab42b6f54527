#!/bin/sh
# What Cloister does, in a few minutes: builds it, starts a service, and shows three users of it. A Rust and a Python
# algorithm are published, denied, allowed and run; a hostile one tries to get the data out. Changes nothing outside
# target/, needs no root, and can be repeated.
set -eu
exec </dev/null
cd -- "$(dirname -- "$0")/.."

# Make's own variables would reach cargo's make-like parts.
unset MAKEFLAGS MFLAGS MAKELEVEL
began=$(date +%s)
programs=${CARGO_TARGET_DIR:-target}/release
# The sandbox home that demos, tests and benchmarks of this checkout share, so that Python is compiled once. Not the user's own.
runtimes=$PWD/target/test-home

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# waiting MESSAGE COMMAND...: runs it, and reports every 15 seconds that it is still running.
waiting() {
    message=$1
    shift
    "$@" &
    pid=$!
    trap 'kill "$pid" 2>/dev/null; exit 130' HUP INT TERM
    waited=0
    while sleep 1 && kill -0 "$pid" 2>/dev/null; do
        waited=$((waited + 1))
        [ $((waited % 15)) -ne 0 ] || printf '   %s: %s s\n' "$message" "$waited"
    done
    trap - HUP INT TERM
    wait "$pid"
}

step 'Tools'
command -v cargo >/dev/null 2>&1 || fail 'cargo is missing: install Rust 1.95 with rustup'
command -v cc >/dev/null 2>&1 || fail 'a C compiler (cc) is missing: install gcc or clang'
python3 -m pip --version >/dev/null 2>&1 || fail "Python's pip is missing (python3 -m pip): it fetches the Python runtime"
cargo --version

step 'The programs (the first build compiles wasmtime and the service: about 10 minutes on 2 cores)'
# As `make build` does: with other features, `make test` would compile wasmtime again.
if [ -t 2 ]; then
    cargo build --release --workspace --bins --examples --locked
else
    waiting building cargo build --quiet --release --workspace --bins --examples --locked
fi
"$programs/sandbox" --version
"$programs/cloister" --version

step 'Two Rust algorithms, compiled to WebAssembly: statistics of a table, and a hostile one'
scripts/guests.sh --require rust column-stats exfiltrate

step 'Isolation that this kernel offers'
"$programs/sandbox" probe | tail -n 1

step 'The Python runtime (CPython with pandas and scikit-learn; 98 MB, once)'
"$programs/sandbox" --home "$runtimes" runtime add python
echo '   compiled once, unless the tests did: 1 to 4 minutes; afterwards it starts at once'
if [ -t 2 ]; then
    "$programs/sandbox" --home "$runtimes" compile --runtime python
else
    waiting compiling "$programs/sandbox" --home "$runtimes" compile --runtime python
fi

rm -rf target/demo
"$programs/cloister" demo --python --sandbox-home "$runtimes" --dir target/demo

step "Done in $(($(date +%s) - began)) seconds"
echo "   a service of your own: $programs/cloister serve"
echo '   your own algorithm: docs/writing-algorithms.md'
