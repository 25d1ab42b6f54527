#!/bin/sh
# Builds one fuzz target with coverage and runs it: fuzz/run.sh TARGET SECONDS [libFuzzer options]
#
# Needs neither cargo-fuzz nor a nightly compiler, only a C++ compiler for libFuzzer. With cargo-fuzz and nightly,
# `cargo fuzz run TARGET` does the same and adds AddressSanitizer.
set -eu
cd "$(dirname "$0")"

if [ $# -lt 2 ]; then
    echo "usage: $0 TARGET SECONDS [libFuzzer options]" >&2
    echo "targets: $(cd fuzz_targets && ls -- *.rs | sed 's/\.rs$//' | tr '\n' ' ')" >&2
    exit 2
fi
target=$1 seconds=$2
shift 2
if [ ! -f "fuzz_targets/$target.rs" ]; then
    echo "no such target: fuzz_targets/$target.rs" >&2
    exit 2
fi
if ! command -v "${CXX:-c++}" >/dev/null 2>&1; then
    if command -v g++ >/dev/null 2>&1; then
        export CXX=g++
    elif command -v clang++ >/dev/null 2>&1; then
        export CXX=clang++
    else
        echo "libFuzzer is built from C++: install g++ or clang++, or set CXX" >&2
        exit 1
    fi
fi

host=$(rustc -vV | sed -n 's/^host: //p')
# With --target, the flags below reach the target and its libraries, but no build script and no macro.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --release --target "$host" --bin "$target"
if [ -d "seeds/$target" ]; then
    # Another target directory: built without coverage, it must not replace what was just built.
    RUSTFLAGS='' cargo run --quiet --release --target-dir target/seed --bin seed -- "seeds/$target" "corpus/$target"
fi
mkdir -p "corpus/$target" "artifacts/$target"
exec "${CARGO_TARGET_DIR:-target}/$host/release/$target" -max_total_time="$seconds" \
    -artifact_prefix="artifacts/$target/" -timeout=60 "$@" "corpus/$target"
