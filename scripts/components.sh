#!/bin/sh
# Builds WASI 0.2 components with the tools of other languages, which the tests run:
#
#     scripts/components.sh
#
#   tests/components/python      becomes target/guests/componentize-py.wasm (21 MB), with componentize-py
#   tests/components/javascript  becomes target/guests/componentize-js.wasm (12 MB), with componentize-js
#
# The tools are installed with pip and npm into target/component-tools (260 MB): tests/components/python-tools.txt and
# tests/components/javascript/package-lock.json pin them and what they need by version and digest. npm runs no scripts of theirs.
# If there is no npm with Node.js 20 or newer, tests/components/node.txt is installed, too (200 MB).
#
# Does nothing if everything is up to date. Needs Python 3.10 or newer with venv.
set -eu
exec </dev/null
cd -- "$(dirname -- "$0")/.."

say() { printf '%-28s %s\n' "$1" "$2"; }

here=$PWD
sources=tests/components
tools=$PWD/target/component-tools
guests=$PWD/target/guests
mkdir -p target "$guests"

# Two runs at once would overwrite each other's files.
if [ "${CLOISTERDEV_COMPONENTS_LOCKED:-}" != 1 ] && command -v flock >/dev/null 2>&1; then
    CLOISTERDEV_COMPONENTS_LOCKED=1 exec flock target/component-tools.lock sh "scripts/$(basename -- "$0")"
fi

# new_enough NODE: at least version 20.
new_enough() {
    version=$("$1" --version 2>/dev/null) || return 1
    version=${version#v}
    [ "${version%%.*}" -ge 20 ]
}

pinned() { cat "$sources/python-tools.txt" "$sources/node.txt" "$sources/javascript/package.json" "$sources/javascript/package-lock.json"; }
pip() { "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement "$1"; }

# Whether what was installed still runs: its Python and its Node.js may be those of this machine, which may be gone.
runs() { "$tools/bin/python" -c '' >/dev/null 2>&1 && (PATH="$tools/bin:$PATH" && new_enough node); }

if pinned | cmp -s - "$tools/installed.txt" && runs; then
    say 'tools for components' 'up to date'
else
    say 'tools for components' 'installing into target/component-tools'
    rm -rf "$tools"
    python3 -c 'import ensurepip, venv' 2>/dev/null || {
        echo 'components: needs Python 3 with venv: on Debian, apt-get install python3-venv' >&2
        exit 1
    }
    python3 -m venv "$tools"
    pip "$sources/python-tools.txt"
    if ! { command -v npm >/dev/null 2>&1 && new_enough node; }; then
        pip "$sources/node.txt"
    fi
    cp "$sources/javascript/package.json" "$sources/javascript/package-lock.json" "$tools/"
    (cd "$tools" && PATH="$tools/bin:$PATH" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
    # Written last: it marks a complete installation.
    pinned >"$tools/installed.txt"
fi

# stale GUEST FOLDER: missing, or older than a source of it, than this script, or than the tools.
stale() { [ ! -e "$guests/$1" ] || [ -n "$(find "$2" "scripts/components.sh" "$tools/installed.txt" -newer "$guests/$1" -type f | head -n 1)" ]; }

work=$(mktemp -d target/components.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM

# place GUEST: it appears under its name only when it is complete.
place() {
    mv "$work/$1" "$guests/$1"
    say "$1" "built, $(wc -c <"$guests/$1" | tr -d ' ') bytes"
}

guest=componentize-py.wasm
if stale "$guest" "$sources/python"; then
    # A copy, because Python writes beside what it imports.
    cp -R "$sources/python" "$work/python"
    # VIRTUAL_ENV keeps out packages of the Python of this machine.
    (cd "$work/python" && VIRTUAL_ENV=$tools "$tools/bin/componentize-py" --quiet -d world.wit -w command componentize app \
        -o "../$guest")
    place "$guest"
else
    say "$guest" 'up to date'
fi

guest=componentize-js.wasm
if stale "$guest" "$sources/javascript"; then
    # Programs have no network: with the features that use it, the component would import wasi:http, which is refused.
    PATH="$tools/bin:$PATH" node "$tools/node_modules/@bytecodealliance/componentize-js/src/cli.js" "$sources/javascript/app.js" \
        --wit "$sources/javascript/world.wit" --world-name command --disable http --disable fetch-event \
        --out "$here/$work/$guest" >/dev/null
    place "$guest"
else
    say "$guest" 'up to date'
fi
