#!/bin/sh
# Makes the folder of a service as programs of a version leave it, with what its users had noted: see README.md.
#
#   make.sh PROGRAMS ARCHIVE
#
# PROGRAMS is the folder with `cloister` and `sandbox`.
set -eu
exec </dev/null
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
repository=$(dirname -- "$(dirname -- "$here")")
programs=$(CDPATH='' cd -- "$1" && pwd)
archive=$(CDPATH='' cd -- "$(dirname -- "$2")" && pwd)/$(basename -- "$2")
guest=$repository/target/guests/column-stats.p1.wasm
[ -e "$guest" ] || {
    echo "make: $guest is not built: scripts/guests.sh column-stats" >&2
    exit 1
}

work=$(mktemp -d)
pid=
stop() {
    if [ -n "$pid" ]; then
        kill "$pid" && wait "$pid" || :
        pid=
    fi
}
trap 'stop; rm -rf "$work"' EXIT
mkdir -m 700 "$work/kept" "$work/kept/home"
cd "$work/kept"
export PATH="$programs:$PATH" CLOISTER_HOME_DIR="$PWD/home" XDG_CONFIG_HOME="$work/none"
cloister --version | head -n 1 >program
# Nothing in it expires while this repository lives.
cat >home/cloister.toml <<'SETTINGS'
listen = "127.0.0.1:0"

[times]
keep = "36500d"
queue = "36500d"
review = "36500d"
total = "36500d"
SETTINGS

serve() {
    rm -f "$work/ready"
    cloister serve --ready-file "$work/ready" "$@" 2>>"$work/log" &
    pid=$!
    for _ in $(seq 300); do
        if [ -e "$work/ready" ]; then return; fi
        sleep 0.1
    done
    cat "$work/log" >&2
    return 1
}
alice() { cloister --key alice.key "$@"; }
carol() { cloister --key carol.key "$@"; }

serve
cloister key create --account alice --role publisher --file alice.key
cloister key create --account carol --role consumer --file carol.key
cp "$repository/data/penguins.csv" "$guest" "$work/"
cat >"$work/assets.yaml" <<'ASSETS'
{apiVersion: cloister.dev/v1alpha1, kind: Dataset, metadata: {name: penguins},
 spec: {title: Palmer penguins, files: [{type: file, path: penguins.csv}], compute: {}}}
---
{apiVersion: cloister.dev/v1alpha1, kind: Dataset, metadata: {name: reviewed},
 spec: {files: [{type: inline, content: "a,b\n1,2\n3,4\n"}], compute: {allowRawAlgorithm: true, outputContract: {review: true}}}}
---
{apiVersion: cloister.dev/v1alpha1, kind: Algorithm, metadata: {name: column-stats},
 spec: {files: [{type: file, path: column-stats.p1.wasm}]}}
ASSETS
alice apply -f "$work/assets.yaml"
checksum=$(alice algorithm show column-stats | awk '$1 == "filesChecksum" { print $2 }')
alice dataset allow penguins column-stats --checksum "$checksum"
carol job submit --dataset alice/penguins --algorithm alice/column-stats --param groupBy=species --wait >finished
carol job submit --dataset alice/penguins --algorithm alice/column-stats --param groupBy=none --wait >failed || :
carol job submit --dataset alice/reviewed --file "$guest" >in-review
for _ in $(seq 300); do
    if carol job show "$(cat in-review)" | grep -q 'phase *InReview'; then break; fi
    sleep 0.1
done
carol job show "$(cat in-review)" | grep 'phase *InReview'
carol job results "$(cat finished)" --dir results
carol job receipt "$(cat finished)" >receipt.json
stop
serve --set engine.max_jobs=0
carol job submit --dataset alice/penguins --algorithm alice/column-stats --param groupBy=sex >queued
cloister audit verify -o json | sed -n 's/.*"head": *"\([0-9a-f]*\)".*/\1/p' >head
[ -s head ]
stop

rm -rf home/cache home/sandbox home/service.url
# Nobody else reads keys, wherever it is unpacked.
tar --create --format=gnu --sort=name --owner=0 --group=0 --numeric-owner . | gzip -9n >"$archive"
ls -l "$archive"
