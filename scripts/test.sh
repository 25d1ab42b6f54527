#!/bin/sh
# Runs all tests: installs what they need, builds, tests, fuzzes each target briefly, prints a summary.
#
# Without root, and without CI=true, a missing C++ compiler only skips the fuzzing, and the summary says so. Without root, the
# tests that change the root directory are not run, and the summary says so. Everything else is required. FUZZ_SECONDS (10) is
# the time for each fuzz target. Tests that need Kubernetes are in scripts/test-k8s.sh.
set -eu
exec </dev/null
cd -- "$(dirname -- "$0")/.."
unset MAKEFLAGS MFLAGS MAKELEVEL

began=$(date +%s)
target=${CARGO_TARGET_DIR:-target}
log=target/test.log
mkdir -p target
: >"$log"
summary=
failed=0

# stage NAME COMMAND...: runs it, and notes its result and its duration.
stage() {
    name=$1
    shift
    printf '\n== %s\n' "$name"
    started=$(date +%s)
    code=0
    "$@" || code=$?
    verdict=ok
    [ "$code" -eq 0 ] || { verdict=FAILED failed=1; }
    note "$verdict" "$name" "$(($(date +%s) - started))"
    return "$code"
}
note() { summary="$summary$(printf '  %-8s %-52s %5s s' "$1" "$2" "$3")
"; }

finish() {
    printf '\n== Summary\n%s' "$summary"
    awk '/^test result:/ { passed += $4; bad += $6; ignored += $8 }
        END { printf "  %d tests passed, %d failed, %d ignored\n", passed, bad, ignored }' "$log"
    printf '  %d seconds in all\n' "$(($(date +%s) - began))"
    [ "$failed" -eq 0 ] || { echo '  FAILED'; exit 1; }
    echo '  everything passed'
}

# logged COMMAND...: shows its output, keeps it for the summary, and returns its exit code.
logged() {
    { "$@" 2>&1 && echo 0 >target/test.code || echo $? >target/test.code; } | tee -a "$log"
    return "$(cat target/test.code)"
}

python_runtime() {
    # The sandbox home that all tests share, and demos and benchmarks, too: each runtime is compiled once, in 1 to 4 minutes. The
    # second one has the files of the first.
    for runtime in python python-plain; do
        "$target/release/sandbox" --home target/test-home runtime add "$runtime" || return
        "$target/release/sandbox" --home target/test-home compile --runtime "$runtime" || return
    done
}

components() {
    # Compiled here, while nothing else runs.
    scripts/components.sh || return 1
    for component in target/guests/componentize-*.wasm; do
        "$target/release/sandbox" --home target/test-home compile "$component" --limits compile-wall=10m || return 1
    done
}

samples() { (cd algorithms && exec cargo test --release --workspace --locked --target-dir ../target/algorithms); }

fuzzed() {
    for source in fuzz/fuzz_targets/*.rs; do
        fuzz_target=$(basename "$source" .rs)
        echo "fuzzing $fuzz_target for ${FUZZ_SECONDS:-10} s"
        # libFuzzer prints hundreds of lines: show the last ones, or all after a finding.
        if ! fuzz/run.sh "$fuzz_target" "${FUZZ_SECONDS:-10}" >target/fuzz.log 2>&1; then
            cat target/fuzz.log
            return 1
        fi
        tail -n 2 target/fuzz.log
    done
}

# Everything else needs these.
stage 'Guests in Rust, C and Go' scripts/guests.sh --require rust,c,go || finish
# Programs, libraries and tests together: `cargo test` then finds everything built with the same features.
stage 'Build' cargo build --release --workspace --all-targets --locked || finish
stage 'Python runtime' python_runtime || finish
stage 'Tools for tests' scripts/test-tools.sh || finish
stage 'Components of other tools' components || finish
stage 'Helm' scripts/helm.sh || finish

stage 'Tests of the workspace' logged cargo test --release --workspace --locked --no-fail-fast || :
stage 'Tests of the sample algorithms, as native programs' logged samples || :
if [ "$(id -u)" -eq 0 ]; then
    stage 'Programs in an empty root file system' \
        logged cargo test --release --workspace --locked --test empty_root -- --ignored || :
else
    note 'NOT RUN' 'Programs in an empty root file system: needs root' 0
fi
if cxx=$(scripts/cxx.sh 2>&1); then
    stage 'Fuzzing, a moment for each target' fuzzed || :
elif [ "${CI:-}" = true ]; then
    note FAILED "Fuzzing: $cxx" 0
    failed=1
else
    note SKIPPED 'Fuzzing: install g++ or clang++' 0
fi
finish
