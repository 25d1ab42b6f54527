#!/bin/sh
# Checks the dependencies against deny.toml: licences, sources, duplicates, banned crates, advisories.
#
# Uses the cargo-deny on PATH, else builds one into target/tools (3 to 5 minutes on 2 cores, once). The advisory database
# is a git repository; where it cannot be fetched, everything else is checked and the last line says so.
set -eu
exec </dev/null
cd -- "$(dirname -- "$0")/.."

version=0.20.2
tools=$PWD/target/tools
PATH=$tools/bin:$PATH
if ! command -v cargo-deny >/dev/null 2>&1; then
    echo "deny: building cargo-deny $version into target/tools"
    # Unoptimised: it runs for seconds.
    cargo install --quiet --debug --locked --version "$version" --root "$tools" --target-dir "$tools/build" cargo-deny
    rm -rf "$tools/build"
fi

cargo deny --version
cargo deny --locked check --allow license-exception-not-encountered bans licenses sources
# Guests and fuzz targets are workspaces of their own, and in nothing that is shipped: their licences and sources only.
for workspace in algorithms fuzz; do
    echo "$workspace:"
    cargo deny --locked --manifest-path "$workspace/Cargo.toml" --config deny.toml \
        check --allow license-not-encountered --allow license-exception-not-encountered licenses sources
done
if log=$(timeout 120 cargo deny fetch db 2>&1); then
    cargo deny --locked check advisories
else
    printf '%s\n' "$log" | tail -n 2 >&2
    echo 'deny: advisories NOT checked: the advisory database cannot be fetched from here'
fi
