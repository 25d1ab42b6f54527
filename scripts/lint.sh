#!/bin/sh
# Formatting, clippy, documentation and repository hygiene. Changes nothing outside target/ and fuzz/target/.
set -eu
exec </dev/null
cd -- "$(dirname -- "$0")/.."
unset MAKEFLAGS MFLAGS MAKELEVEL

step() { printf '\n== %s\n' "$*"; }

step 'Repository hygiene'
scripts/hygiene.sh

step 'The threat model names tests that exist'
scripts/threat-model.sh

step 'Formatting'
for workspace in . algorithms fuzz; do
    (cd "$workspace" && cargo fmt --all --check)
done

step 'Clippy'
cargo clippy --quiet --release --workspace --all-targets --locked -- -D warnings
# As native programs: the same sources, and nothing to install.
(cd algorithms && cargo clippy --quiet --release --workspace --all-targets --locked \
    --target-dir ../target/algorithms -- -D warnings)

step 'Documentation'
# Libraries: a program's comments are its --help, where `<did>` is no HTML. --examples: with the features that clippy has
# just checked everything with.
RUSTDOCFLAGS='-D warnings' cargo doc --quiet --release --workspace --no-deps --locked --lib --examples

printf '\nlint: formatting, clippy and documentation are clean\n'
