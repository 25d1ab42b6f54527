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
# The client alone, which is built for other systems, too: with nothing that only the service uses.
cargo clippy --quiet --release -p cloister-cli --bin cloister --no-default-features --locked -- -D warnings
# As native programs: the same sources, without a WebAssembly toolchain.
(cd algorithms && cargo clippy --quiet --release --workspace --all-targets --locked \
    --target-dir ../target/algorithms -- -D warnings)

step 'Documentation'
# Libraries only: the comments of a program are its --help, where `<did>` is not HTML. --examples selects the features that
# clippy has just used.
RUSTDOCFLAGS='-D warnings' cargo doc --quiet --release --workspace --no-deps --locked --lib --examples

printf '\nlint: formatting, clippy and documentation are clean\n'
