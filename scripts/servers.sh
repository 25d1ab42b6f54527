#!/bin/sh
# Builds `cloister` and `sandbox` for Linux on another architecture than that of this machine, and prints the folder that they are in:
#
#     scripts/servers.sh aarch64            # on a machine with aarch64: x86_64
#     scripts/servers.sh --check aarch64    # says what is missing for it, and builds nothing
#
# They are built as those for this machine are: static, with the GNU C library (docs/decisions/0014-static-programs.md). C compiler,
# linker and C library are those that Debian has for the other architecture (200 MB): as root on Debian this installs them if they are
# missing, otherwise it says what is missing and exits with 1. The standard library of Rust is added with `rustup target add`.
set -eu
exec </dev/null
cd -- "$(dirname -- "$0")/.."
unset MAKEFLAGS MFLAGS MAKELEVEL
# The digest of a bundle with machine code for another architecture.
unset CLOISTERDEV_PYTHON_BUNDLE

say() { printf 'servers: %s\n' "$*" >&2; }

check=
if [ "${1:-}" = --check ]; then
    check=1
    shift
fi
case "$# ${1:-}" in
'1 aarch64') prefix=aarch64-linux-gnu packages='gcc-aarch64-linux-gnu libc6-dev-arm64-cross' ;;
'1 x86_64') prefix=x86_64-linux-gnu packages='gcc-x86-64-linux-gnu libc6-dev-amd64-cross' ;;
*)
    say 'give one architecture: aarch64 or x86_64'
    exit 2
    ;;
esac
target=$1-unknown-linux-gnu
into=${CARGO_TARGET_DIR:-target}/servers
compiler=$prefix-gcc

# A compiler for it, and the static C library.
works() { command -v "$compiler" && [ -e "$("$compiler" -print-file-name=libc.a)" ]; }

works >/dev/null 2>&1 || {
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing $packages"
        # shellcheck disable=SC2086
        apt-get update -qq >/dev/null && apt-get install -qq -y --no-install-recommends $packages >&2 || :
    fi
    works >/dev/null 2>&1 || {
        say "$compiler, or its static C library, is missing: install $packages"
        exit 1
    }
}
[ -z "$check" ] || exit 0

if command -v rustup >/dev/null && ! rustup target list --installed | grep -qx "$target"; then
    say "adding the standard library of Rust for $target"
    rustup target add "$target" >&2
fi
export CLOISTERDEV_COMMIT="${CLOISTERDEV_COMMIT-$(git rev-parse --short=12 HEAD 2>/dev/null || :)}"
# What scripts/rustc.sh and the build scripts of C libraries ask, and what cargo asks.
name=$(printf %s "$target" | tr - _)
export "CC_$name=$compiler" "AR_$name=$prefix-ar"
export "CARGO_TARGET_$(printf %s "$name" | tr '[:lower:]' '[:upper:]')_LINKER=$compiler"
cargo build --release -p cloister-cli -p cloister-sandbox --bin cloister --bin sandbox --locked \
    --target "$target" --target-dir "$into" >&2
printf '%s\n' "$into/$target/release"
