#!/bin/sh
# What the sandbox does, in a few minutes: builds it, runs a sample in Rust and one in Python, prints what came out, and
# lets a hostile algorithm try to get the data out. Changes nothing outside target/, needs no root, can be run again.
set -eu
exec </dev/null
cd -- "$(dirname -- "$0")/.."

# Make's own variables would reach cargo's make-like parts.
unset MAKEFLAGS MFLAGS MAKELEVEL
began=$(date +%s)
sandbox=${CARGO_TARGET_DIR:-target}/release/sandbox
guests=target/guests
out=target/demo
# The demo does not touch what the user keeps in ~/.local/share/cloister.
CLOISTER_HOME=$PWD/target/demo-home
export CLOISTER_HOME

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# waiting MESSAGE COMMAND...: runs it, and says every 15 seconds that it still does.
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

# shown COMMAND...: prints it as one would type it, then runs it.
shown() {
    printf '$ %s\n' "$(printf '%s ' "$@" | sed "s|^[^ ]*/release/sandbox|sandbox|; s| \$||")"
    "$@"
}

step 'Tools'
command -v cargo >/dev/null 2>&1 || fail 'cargo is missing: install Rust 1.95 with rustup'
command -v cc >/dev/null 2>&1 || fail 'a C compiler (cc) is missing: install gcc or clang'
python3 -m pip --version >/dev/null 2>&1 || fail "Python's pip is missing (python3 -m pip): it fetches the Python runtime"
cargo --version

step 'The sandbox (the first build compiles wasmtime: about 4 minutes on 2 cores)'
# As `make build`: with the features that `make test` needs too, or that would compile wasmtime again.
if [ -t 2 ]; then
    cargo build --release --workspace --bins --examples --locked
else
    waiting building cargo build --quiet --release --workspace --bins --examples --locked
fi
"$sandbox" --version

step 'Two Rust algorithms, compiled to WebAssembly: statistics of a table, and a hostile one'
scripts/guests.sh --require rust column-stats exfiltrate

step 'Isolation that this kernel offers'
"$sandbox" probe | tail -n 1

rm -rf "$out"
mkdir -p "$out"
echo '{ "groupBy": "species" }' >"$out/params.json"

step 'Rust: statistics of data/penguins.csv, by species'
shown "$sandbox" run "$guests/column-stats.p1.wasm" --dataset penguins=data/penguins.csv \
    --params "$out/params.json" --outputs "$out/statistics"
echo
awk -F , '
    NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; printf "  %-10s %-18s %6s %9s %8s %9s\n", "species", "", "count", "mean", "sd", "median" }
    NR > 1 && $column["column"] != "year" {
        printf "  %-10s %-18s %6d %9.1f %8.1f %9.1f\n", $column["group"], $column["column"], $column["count"],
            $column["mean"], $column["sd"], $column["median"]
    }' "$out/statistics/statistics.csv"

step 'Python: the runtime (CPython with pandas and scikit-learn; 98 MB, once)'
"$sandbox" runtime add python
echo '   compiled once per machine: 1 to 4 minutes; afterwards it starts at once'
if [ -t 2 ]; then "$sandbox" compile --runtime python; else waiting compiling "$sandbox" compile --runtime python; fi

step 'Python: the same table with pandas, and two scikit-learn models that tell the species apart'
shown "$sandbox" run algorithms/python-summary/algorithm.py --runtime python \
    --dataset penguins=data/penguins.csv --outputs "$out/summary"
echo
awk -F '[:,"]+' '
    $2 == "mostFrequent" { printf "  always the most frequent species   right in %5.1f %%\n", 100 * $3 }
    $2 == "logisticRegression" { printf "  logistic regression               right in %5.1f %%\n", 100 * $3 }
    $2 == "decisionTree" { printf "  decision tree                     right in %5.1f %%\n", 100 * $3 }
    ' "$out/summary/result.json"

step 'Hostile, as a WASI 0.2 component: it asks for sockets, so it is refused before it runs'
code=0
shown "$sandbox" run "$guests/exfiltrate.p2.wasm" --dataset penguins=data/penguins.csv --outputs "$out/refused" || code=$?
[ "$code" -eq 4 ] || fail "expected exit code 4 (refused), got $code"

step 'Hostile, as a preview 1 command: it may run, reads the data, and gets nowhere with it'
shown "$sandbox" run "$guests/exfiltrate.p1.wasm" --dataset penguins=data/penguins.csv --outputs "$out/hostile" \
    --require-isolation

step "Done in $(($(date +%s) - began)) seconds"
echo "   results: $out/statistics and $out/summary"
echo '   your own algorithm: docs/writing-algorithms.md'
