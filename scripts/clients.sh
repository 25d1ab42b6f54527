#!/bin/sh
# Builds `cloister` without the service, for people who use a service elsewhere, and prints where each program is:
#
#     scripts/clients.sh                               # for all systems
#     scripts/clients.sh aarch64-unknown-linux-musl    # for one; `host` is this machine's
#
# Each is in target/clients/TARGET/release. For other systems than this one, C compiler and linker are Zig's, called by cargo-zigbuild:
# the Python packages `ziglang` and `cargo-zigbuild`, and `lief`, which looks at the programs, in a virtual environment
# target/toolchains/clients (430 MB). Nothing is installed, except for the standard library of Rust for a target, with
# `rustup target add`, if it is missing.
set -eu
exec </dev/null
cd -- "$(dirname -- "$0")/.."
unset MAKEFLAGS MFLAGS MAKELEVEL

host=$(rustc -vV | sed -n 's/^host: //p')
targets="$host x86_64-pc-windows-gnu aarch64-apple-darwin x86_64-apple-darwin"
# A machine with Linux on aarch64 makes that one for itself.
[ "$(uname -m)" = aarch64 ] || targets="$targets aarch64-unknown-linux-musl"
zig=0.17.1 zigbuild=0.24.0 lief=1.0.0
toolchains=$PWD/target/toolchains
venv=$toolchains/clients
into=target/clients

say() { printf 'clients: %s\n' "$*" >&2; }

for target in "$@"; do
    case " host $targets " in
    *" $target "*) ;;
    *)
        say "nothing is known of \`$target\`; choose from: $targets"
        exit 2
        ;;
    esac
done
[ $# -gt 0 ] || eval "set -- $targets"

works() {
    "$venv/bin/python" -m ziglang version && "$venv/bin/cargo-zigbuild" --version && "$venv/bin/python" -c 'import lief'
}

# Zig, once it is needed.
toolchain() {
    mkdir -p "$toolchains"
    exec 9>"$toolchains/clients.lock"
    if command -v flock >/dev/null; then flock 9; fi
    works >/dev/null 2>&1 || {
        say "fetching the Python packages ziglang $zig, cargo-zigbuild $zigbuild and lief $lief (110 MB) into $venv"
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet "ziglang==$zig" "cargo-zigbuild==$zigbuild" "lief==$lief"
        works >/dev/null || {
            say 'Zig does not start'
            exit 1
        }
    }
}

build() { "$@" --release -p cloister-cli --bin cloister --no-default-features --locked --target "$target" --target-dir "$into" >&2; }

have=$(rustup target list --installed 2>/dev/null || :)
export CLOISTERDEV_COMMIT="${CLOISTERDEV_COMMIT-$(git rev-parse --short=12 HEAD 2>/dev/null || :)}"
for target; do
    case $target in
    host | "$host")
        target=$host
        build cargo build
        printf '%s\n' "$into/$target/release/cloister"
        continue
        ;;
    esac
    toolchain
    if ! printf '%s\n' "$have" | grep -qx "$target"; then
        say "adding the standard library of Rust for $target"
        rustup target add "$target" >&2
    fi
    program=$into/$target/release/cloister
    (
        export PATH="$venv/bin:$PATH"
        case $target in
        *-windows-*)
            program=$program.exe
            # aws-lc-sys has assembly for NASM, and brings the objects that it makes of it.
            export AWS_LC_SYS_PREBUILT_NASM=1
            build cargo zigbuild
            ;;
        *-darwin)
            # The oldest macOS that Rust supports for both, and not the one of the day that Zig was built.
            export MACOSX_DEPLOYMENT_TARGET=11.0
            # Zig has what a linker has to know of the system's libraries, and not of its frameworks.
            "$venv/bin/python" scripts/apple-frameworks.py "$target" "$toolchains/frameworks" >&2
            build cargo zigbuild --config "target.$target.rustflags=['-Clink-arg=-F$toolchains/frameworks']"
            ;;
        *)
            build cargo zigbuild
            ;;
        esac
        "$venv/bin/python" scripts/needed-libraries.py "$target" "$program" >&2
        printf '%s\n' "$program"
    )
done
