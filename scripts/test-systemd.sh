#!/bin/sh
# Boots systemd with the unit of deploy/systemd, and looks at what docs/operators.md promises of it, and of the package for Debian:
#
#     scripts/test-systemd.sh
#
# systemd is process 1 of namespaces of its own, over this machine's file system: what it and the service write is in memory, and gone
# afterwards. Nothing of this machine is changed, and its own systemd, if it has one, is not asked for anything. The programs are those
# in target/release; `make build` builds them. Takes a minute.
#
# Needs root, systemd 247 or newer, util-linux, overlayfs and cgroup v2. Exits with 77 if this machine does not have that: then nothing
# was tested. Without dpkg, the package is not tested, which is said.
set -eu
exec </dev/null
cd -- "$(dirname -- "$0")/.."

say() { printf 'test-systemd: %s\n' "$*"; }
cannot() {
    say "NOT RUN: $*"
    exit 77
}
systemd=
for place in /lib/systemd/systemd /usr/lib/systemd/systemd; do [ ! -x "$place" ] || systemd=$place; done
[ -n "$systemd" ] || cannot 'systemd is not installed'
[ "$(id -u)" -eq 0 ] || cannot 'only root can make the namespaces'
for tool in unshare pivot_root systemd-sysusers runuser; do
    command -v "$tool" >/dev/null || cannot "$tool is not installed"
done
programs=$PWD/target/release
for program in cloister sandbox; do
    [ -x "$programs/$program" ] || {
        say "$program is not built: run make build" >&2
        exit 1
    }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/root" "$work/out"
namespaces='--pid --fork --kill-child --mount --uts --ipc --cgroup'
export work systemd programs repository="$PWD"
# shellcheck disable=SC2086
unshare $namespaces sh -eu tests/systemd/root.sh true >"$work/tried" 2>&1 || cannot "namespaces: $(tail -n 1 "$work/tried")"

if command -v dpkg >/dev/null && command -v ar >/dev/null; then
    scripts/dist.sh --no-build --into "$work/dist" >"$work/packed" 2>&1 || {
        cat "$work/packed" >&2
        exit 1
    }
    mv "$work"/dist/*.deb "$work/package.deb"
    rm -rf "$work/dist"
else
    say 'the package is NOT TESTED: dpkg or ar is not installed'
fi

# shellcheck disable=SC2086
timeout --kill-after=10 300 unshare $namespaces sh -eu tests/systemd/root.sh boot >"$work/console" 2>&1 || :
cat "$work/out/said" 2>/dev/null || :
if [ "$(cat "$work/out/result" 2>/dev/null)" != passed ]; then
    say 'FAILED'
    tail -n 40 "$work/console"
    exit 1
fi
say 'passed'
