#!/bin/sh
# Builds the guests, i.e. the programs below algorithms/, into target/guests/*.wasm.
#
#     scripts/guests.sh [--require rust,c,go] [NAME...]
#
# NAME is a folder of algorithms/; without one, all are built. The folders decide what is built:
#   a Rust crate   every binary of it, for the targets that its Cargo.toml names:
#                      [package.metadata.cloister]
#                      targets = ["wasm32-wasip1", "wasm32-wasip2"]
#                  Without that: wasm32-wasip1. With []: none (a native tool). A binary with one target becomes
#                  NAME.wasm, with both NAME.p1.wasm and NAME.p2.wasm.
#   NAME-c/        main.c, with the compiler that c-wasi.sh finds, becomes NAME-c.wasm
#   NAME-go/       main.go, with the Go that go.sh finds, becomes NAME-go.wasm
#
# Prints one line per guest: built, up to date, or could NOT be built and why. A guest that fails to compile, or a
# missing Rust toolchain, is exit 1. A missing C or Go toolchain is a warning, unless --require names the language or
# CI=true. Safe to run twice, at the same time, and to interrupt: a guest appears under its name only when complete.
#
# Compiles in target/guests-build. The paths of this machine are kept out of the guests, so that the same
# compiler gives the same bytes on every machine.
set -eu
exec </dev/null

script_dir=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
repo=$(dirname -- "$script_dir")
algorithms=$repo/algorithms
out=$repo/target/guests
build=$repo/target/guests-build

required=
names=
while [ $# -gt 0 ]; do
    case $1 in
    --require)
        [ $# -gt 1 ] || { echo 'guests: --require needs a list such as rust,c,go' >&2; exit 2; }
        required=$required,$2
        shift
        ;;
    --require=*) required=$required,${1#--require=} ;;
    -h | --help)
        sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    -*)
        echo "guests: unknown option $1; see --help" >&2
        exit 2
        ;;
    *) names="$names $1" ;;
    esac
    shift
done
[ "${CI:-}" != true ] || required=rust,c,go
for language in $(echo "$required" | tr , ' '); do
    case $language in
    rust | c | go) ;;
    *)
        echo "guests: --require knows rust, c and go, not '$language'" >&2
        exit 2
        ;;
    esac
done

failed=0
work=
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM
mkdir -p "$out" "$build"
work=$(mktemp -d "$build/run.XXXXXX")

wanted() {
    [ -n "$names" ] || return 0
    case " $names " in *" $1 "*) return 0 ;; esac
    return 1
}

report() { printf '%-28s %s\n' "$1" "$2"; }

could_not() {
    report "$1" "could NOT be built: $2" >&2
    failed=1
}

# missing LANGUAGE GUEST: no toolchain for it on this machine.
missing() {
    case ",$required," in
    *",$1,"*) could_not "$2" "no toolchain for $1 (see above)" ;;
    *) report "$2" "WARNING: could NOT be built: no toolchain for $1 (see above); tests that need it will fail" >&2 ;;
    esac
}

# The targets of a crate, as the comment at the top says.
targets_of() {
    awk '
        /^\[/ { here = ($0 ~ /^\[package\.metadata\.cloister\]/) }
        here && /^targets *=/ { found = 1; gsub(/^targets *= *\[|[",\]]/, " "); print }
        END { if (!found) print "wasm32-wasip1" }
    ' "$1/Cargo.toml"
}

# Copies a finished file to its place in one step, and says whether that changed anything.
place() {
    if cmp -s "$1" "$out/$2"; then
        report "$2" 'up to date'
    else
        cp "$1" "$work/placed"
        mv "$work/placed" "$out/$2"
        report "$2" "built, $(wc -c <"$out/$2" | tr -d ' ') bytes"
    fi
}

# A TOML string. cargo joins these flags with those of algorithms/.cargo/config.toml, which RUSTFLAGS would replace.
toml() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"; }

# build_rust TARGET CRATE
build_rust() {
    target=$1
    crate=$2
    cargo_home=${CARGO_HOME:-$HOME/.cargo}
    flags="target.$target.rustflags=[$(toml "--remap-path-prefix=$algorithms=/algorithms"), \
$(toml "--remap-path-prefix=$cargo_home=/cargo"), $(toml "--remap-path-prefix=$sysroot=/rust")]"
    # In CI the lock file must already be right; at a desk, a crate that was just added may enter it.
    locked=
    [ "${CI:-}" != true ] || locked=--locked
    (
        cd "$algorithms"
        unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_BUILD_TARGET \
            CARGO_MAKEFLAGS MAKEFLAGS CARGO_BUILD_RUSTFLAGS
        # shellcheck disable=SC2086 # one word or none
        CARGO_TARGET_DIR=$build exec cargo build --quiet $locked --release --target "$target" --package "$crate" \
            --config "$flags" --message-format=json-render-diagnostics
    ) >"$work/messages" || {
        could_not "$crate ($target)" 'cargo failed (see above)'
        return
    }
    # cargo names every program that it made or found fresh, one JSON object per line.
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' "$work/messages" >"$work/programs"
    while IFS= read -r wasm; do
        name=$(basename "$wasm" .wasm)
        case " $(targets_of "$algorithms/$crate") " in
        *wasip1*wasip2* | *wasip2*wasip1*) place "$wasm" "$name.p${target#wasm32-wasip}.wasm" ;;
        *) place "$wasm" "$name.wasm" ;;
        esac
    done <"$work/programs"
}

# Rust: one cargo call per crate and target. One call for all would be a little faster, but crates that are built
# together share the features of their libraries: the bytes of a guest would depend on what was built beside it.
rust=
folders=" "
for manifest in "$algorithms"/*/Cargo.toml; do
    [ -e "$manifest" ] || continue
    crate=$(basename "$(dirname "$manifest")")
    folders="$folders$crate "
    wanted "$crate" || continue
    # Libraries are compiled with the programs that use them.
    [ -e "$algorithms/$crate/src/main.rs" ] || [ -d "$algorithms/$crate/src/bin" ] ||
        grep -q '^\[\[bin\]\]' "$manifest" || continue
    for target in $(targets_of "$algorithms/$crate"); do rust="$rust $crate:$target"; done
done
if [ -n "$rust" ]; then
    if environment=$("$script_dir/rust-wasi.sh"); then
        eval "$environment"
        sysroot=$("${RUSTC:-rustc}" --print sysroot)
        for each in $rust; do build_rust "${each#*:}" "${each%:*}"; done
    else
        for each in $rust; do could_not "${each%:*} (${each#*:})" 'no toolchain for rust (see above)'; done
    fi
fi

# stale GUEST FOLDER: missing, or older than a source of it or than the scripts that say how it is compiled.
stale() {
    [ ! -e "$out/$1" ] || [ -n "$(find "$2" "$script_dir/guests.sh" -newer "$out/$1" -type f | head -n 1)" ]
}

# compiled GUEST FOLDER COMMAND...: the command writes $work/GUEST.
compiled() {
    guest=$1
    shift
    if "$@"; then
        mv "$work/$guest" "$out/$guest"
        report "$guest" "built, $(wc -c <"$out/$guest" | tr -d ' ') bytes"
    else
        could_not "$guest" 'it does not compile (see above)'
    fi
}

for source in "$algorithms"/*-c/main.c; do
    [ -e "$source" ] || continue
    folder=$(dirname "$source")
    name=$(basename "$folder")
    folders="$folders$name "
    wanted "$name" || continue
    if ! stale "$name.wasm" "$folder"; then
        report "$name.wasm" 'up to date'
    elif cc=$("$script_dir/c-wasi.sh"); then
        # 64 KiB of stack is wasm-ld's default, and running over it silently overwrites data: 1 MiB here.
        eval "set -- $cc"
        compiled "$name.wasm" "$@" -std=c11 -O2 -Wall -Wextra -Werror -Wl,-z,stack-size=1048576 -Wl,--strip-all \
            -o "$work/$name.wasm" "$folder"/*.c
    else
        missing c "$name.wasm"
    fi
done

# shellcheck disable=SC2329 # called through `compiled`
build_go() { # GO FOLDER OUTPUT
    (
        cd "$2"
        unset GOFLAGS
        GOTOOLCHAIN=local GOOS=wasip1 GOARCH=wasm exec "$1" build -trimpath -ldflags='-s -w' -o "$3" .
    )
}

for source in "$algorithms"/*-go/main.go; do
    [ -e "$source" ] || continue
    folder=$(dirname "$source")
    name=$(basename "$folder")
    folders="$folders$name "
    wanted "$name" || continue
    if ! stale "$name.wasm" "$folder"; then
        report "$name.wasm" 'up to date'
    elif go=$("$script_dir/go.sh"); then
        compiled "$name.wasm" build_go "$go" "$folder" "$work/$name.wasm"
    else
        missing go "$name.wasm"
    fi
done

for name in $names; do
    case $folders in
    *" $name "*) ;;
    *) could_not "$name" "no such guest; there are:$folders" ;;
    esac
done
exit "$failed"
