#!/bin/sh
# Finds or installs a C compiler for wasm32-wasi, and prints its command, quoted for the shell:
#
#     eval "$(scripts/c-wasi.sh) -O2 -o hello.wasm hello.c"
#
# Uses the first of these that compiles and links a small program:
#   1. the WASI SDK that WASI_SDK_PATH names, or an installed clang with a WASI C library;
#   2. with apt-get, as root or with sudo that needs no password: installs the distribution's packages of clang, lld
#      and wasi-libc (10 to 45 MB);
#   3. the compiler of the Python package `ziglang`, in a virtual environment target/toolchains/zig (410 MB). Nothing
#      is installed.
# Otherwise it says what to do and exits with 1. Messages go to stderr.
#
# CLOISTERDEV_C_WASI=installed|apt|zig   take only that way
set -eu
exec </dev/null

script_dir=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
toolchains=$(dirname -- "$script_dir")/target/toolchains
zig=$toolchains/zig
zig_version=0.17.1
way=${CLOISTERDEV_C_WASI:-any}

say() { printf 'c-wasi: %s\n' "$*" >&2; }

quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

case $way in
any | installed | apt | zig) ;;
*)
    say "CLOISTERDEV_C_WASI is '$way'; it may be 'installed', 'apt' or 'zig'"
    exit 2
    ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM
# Needs the headers, the C library and the compiler's own library: 128-bit division is a call into the last.
cat >"$work/try.c" <<'PROGRAM'
#include <stdio.h>
int main(int argc, char **argv) {
    (void)argv;
    return printf("%d\n", (int)((__int128)1000 / argc)) < 0;
}
PROGRAM

# works COMMAND...
works() { "$@" -O2 -o "$work/try.wasm" "$work/try.c" >"$work/log" 2>&1; }

find_installed() {
    if [ -n "${WASI_SDK_PATH:-}" ] && works "$WASI_SDK_PATH/bin/clang" --target=wasm32-wasi; then
        command="$(quoted "$WASI_SDK_PATH/bin/clang") --target=wasm32-wasi"
        return 0
    fi
    for clang in clang clang-22 clang-21 clang-20 clang-19 clang-18 clang-17 clang-16 clang-15 clang-14; do
        command -v "$clang" >/dev/null 2>&1 || continue
        if works "$clang" --target=wasm32-wasi; then
            command="$clang --target=wasm32-wasi"
            return 0
        fi
    done
    return 1
}

install_with_apt() {
    command -v apt-get >/dev/null 2>&1 || return 1
    if [ "$(id -u)" = 0 ]; then
        root=
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        root='sudo -n'
    else
        return 1
    fi
    # shellcheck disable=SC2086 # one word or two
    as_root() { $root env DEBIAN_FRONTEND=noninteractive "$@" >"$work/log" 2>&1; }
    if ! apt-cache show wasi-libc >/dev/null 2>&1; then
        as_root apt-get -q update || true
    fi
    # The distribution's own version of clang, because its libraries for WebAssembly carry the same number.
    version=$(apt-cache depends clang 2>/dev/null | sed -n 's/^ *Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
    [ -n "$version" ] || return 1
    say "installing clang-$version, lld-$version and wasi-libc with apt-get"
    as_root apt-get -q install -y --no-install-recommends \
        "clang-$version" "lld-$version" wasi-libc "libclang-rt-$version-dev-wasm32" || {
        say "apt-get failed: $(grep -v '^ *$' "$work/log" | tail -n 1)"
        return 1
    }
    find_installed || {
        say "the installed clang does not compile for wasm32-wasi: $(head -n 1 "$work/log")"
        return 1
    }
}

zig_command() {
    works "$zig/bin/python" -m ziglang cc -target wasm32-wasi || return 1
    command="$(quoted "$zig/bin/python") -m ziglang cc -target wasm32-wasi"
}

install_zig() {
    [ ! -x "$zig/bin/python" ] || ! zig_command || return 0
    python=$(command -v python3) || return 1
    mkdir -p "$toolchains" || return 1
    if command -v flock >/dev/null 2>&1; then
        exec 9>"$toolchains/zig.lock"
        flock 9
        [ ! -x "$zig/bin/python" ] || ! zig_command || return 0
    fi
    say "installing the Python package ziglang $zig_version (100 MB to fetch) into $zig"
    # A virtual environment holds its own path, so it cannot be built elsewhere and moved. It counts once it compiles.
    rm -rf "$zig"
    { "$python" -m venv "$zig" && "$zig/bin/python" -m pip install --quiet "ziglang==$zig_version"; } >"$work/log" 2>&1 || {
        say "that failed: $(grep -v '^ *$' "$work/log" | tail -n 1)"
        rm -rf "$zig"
        return 1
    }
    zig_command || {
        say "zig does not compile for wasm32-wasi: $(head -n 1 "$work/log")"
        return 1
    }
}

command=
case $way in
any) find_installed || { [ -x "$zig/bin/python" ] && zig_command; } || install_with_apt || install_zig || true ;;
installed) find_installed || true ;;
apt) install_with_apt || true ;;
zig) install_zig || true ;;
esac
[ -n "$command" ] || {
    say 'no C compiler for wasm32-wasi. Install clang, lld, wasi-libc and libclang-rt-dev-wasm32, or set WASI_SDK_PATH'
    exit 1
}
printf '%s\n' "$command"
