#!/bin/sh
# What must not be in the repository: built files, paths of one machine, addresses of package registries (which
# differ from one network to the next, and are configured, not written down).
set -eu
cd -- "$(dirname -- "$0")/.."

bad=0
# found WHAT: lists stdin under that heading, if there is anything.
found() {
    listed=$(cat)
    [ -n "$listed" ] || return 0
    printf 'hygiene: %s:\n%s\n' "$1" "$listed" >&2
    bad=1
}

git ls-files | grep -E '\.(wasm|cwasm|so|o|a|dump|whl|deb|rlib|pyc)$' | head -n 20 | found 'built files are tracked'
git ls-files -z | xargs -0 -r du -k -- 2>/dev/null | awk '$1 > 512 { print $2 ", " $1 " KiB" }' | found 'files of more than 512 KiB'
# This file names what it looks for. Lock files name the registry that cargo calls crates.io.
git grep -nIE '(^|[] ="'"'"'`(:,])/(home|root|work|Users)/[A-Za-z0-9_]' -- ':!scripts/hygiene.sh' | cut -c 1-160 | head -n 20 |
    found 'paths of one machine'
git grep -nIE '(deb|security|ftp)\.debian\.org|pypi\.org|pythonhosted\.org|static\.crates\.io|index\.crates\.io|registry\.npmjs\.org|proxy\.golang\.org' \
    -- ':!scripts/hygiene.sh' ':!*.lock' | cut -c 1-160 | head -n 20 | found 'addresses of package registries'
git ls-files -z | xargs -0 -r grep -lI "$(printf '\r')\$" -- 2>/dev/null | found 'files with DOS line ends'
[ "$bad" -eq 0 ] || exit 1
echo 'hygiene: nothing built, no path of one machine, no address of a registry'
