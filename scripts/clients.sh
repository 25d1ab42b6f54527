#!/bin/sh
# Builds `cloister` without the service, for people who use a service elsewhere, and prints where each program is:
#
#     scripts/clients.sh                               # all targets
#     scripts/clients.sh aarch64-unknown-linux-musl    # one
#
# Each is in target/clients/TARGET/release. C compiler and linker are Zig's, called by cargo-zigbuild: the Python packages `ziglang` and
# `cargo-zigbuild`, in a virtual environment target/toolchains/clients (400 MB). Nothing is installed, except for the standard library of
# Rust for a target, with `rustup target add`, if it is missing.
set -eu
exec </dev/null
cd -- "$(dirname -- "$0")/.."
unset MAKEFLAGS MFLAGS MAKELEVEL

targets='aarch64-unknown-linux-musl'
zig_version=0.17.1
zigbuild_version=0.24.0
venv=$PWD/target/toolchains/clients
into=target/clients

say() { printf 'clients: %s\n' "$*" >&2; }

for target in "$@"; do
    case " $targets " in
    *" $target "*) ;;
    *)
        say "nothing is known of \`$target\`; choose from: $targets"
        exit 2
        ;;
    esac
done
[ $# -gt 0 ] || eval "set -- $targets"

works() { "$venv/bin/python" -m ziglang version 2>/dev/null && "$venv/bin/cargo-zigbuild" --version; }

mkdir -p target/toolchains
exec 9>target/toolchains/clients.lock
if command -v flock >/dev/null; then flock 9; fi
works >/dev/null 2>&1 || {
    say "fetching the Python packages ziglang $zig_version and cargo-zigbuild $zigbuild_version (100 MB) into $venv"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet "ziglang==$zig_version" "cargo-zigbuild==$zigbuild_version"
    works >/dev/null || {
        say 'Zig does not start'
        exit 1
    }
}

have=$(rustup target list --installed 2>/dev/null || :)
export PATH="$venv/bin:$PATH"
export CLOISTERDEV_COMMIT="${CLOISTERDEV_COMMIT-$(git rev-parse --short=12 HEAD 2>/dev/null || :)}"
for target; do
    if ! printf '%s\n' "$have" | grep -qx "$target"; then
        say "adding the standard library of Rust for $target"
        rustup target add "$target" >&2
    fi
    cargo zigbuild --release -p cloister-cli --bin cloister --no-default-features --locked \
        --target "$target" --target-dir "$into" >&2
    printf '%s\n' "$into/$target/release/cloister"
done
