#!/bin/sh
# Checks that every promise in docs/threat-model.md names a test, and that every test it names exists.
#
# A promise is a row of the table under the heading "Promises". A test is written as `path/to/file.rs#test_name`.
set -eu
cd -- "$(dirname -- "$0")/.."

document=docs/threat-model.md
bad=0
promises=$(awk '/^## / { here = ($0 == "## Promises") } here && /^\|/ && !/^\|[- ]*\|[-| ]*$/ { if (rows++) print }' "$document")
[ -n "$promises" ] || { echo "threat-model: no table of promises in $document" >&2; exit 1; }

unnamed=$(printf '%s\n' "$promises" | grep -vE '`[^`]+\.rs#[a-z0-9_]+`' | cut -d '|' -f 2 || :)
if [ -n "$unnamed" ]; then
    printf 'threat-model: promises without a test:\n%s\n' "$unnamed" >&2
    bad=1
fi
named=$(grep -oE '`[^`#]+\.rs#[a-z0-9_]+`' "$document" | tr -d '`' | sort -u)
for test in $named; do
    file=${test%%#*} name=${test#*#}
    if [ ! -f "$file" ]; then
        echo "threat-model: $test: there is no such file" >&2
        bad=1
    elif ! grep -qE "(fn $name[(<]|\"$name\")" "$file"; then
        echo "threat-model: $test: there is no such test in that file" >&2
        bad=1
    fi
done
[ "$bad" -eq 0 ] || exit 1
echo "threat-model: $(printf '%s\n' "$promises" | wc -l) promises, $(printf '%s\n' "$named" | wc -l) tests, all there"
