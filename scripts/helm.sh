#!/bin/sh
# Builds the Helm that tests/helm/go.mod pins, and prints the path of the program:
#
#     "$(scripts/helm.sh)" lint --strict deploy/helm/cloister
#
# It stands in target/tools/helm-HASH, by the hash of what it is built from; the second call takes no time. Needs Go, which
# scripts/go.sh finds or fetches. Messages go to stderr.
set -eu
exec </dev/null
cd -- "$(dirname -- "$0")/.."

say() { printf 'helm: %s\n' "$*" >&2; }

source=tests/helm
version=$(awk '$1 == "helm.sh/helm/v4" { print $2; exit }' "$source/go.mod")
hash=$(cat "$source/go.mod" "$source/go.sum" scripts/helm.sh | sha256sum | cut -c 1-12)
helm=$PWD/target/tools/helm-$hash/helm
if [ ! -x "$helm" ]; then
    go=$(scripts/go.sh "$(awk '$1 == "go" { print $2; exit }' "$source/go.mod")")
    mkdir -p target/tools
    if command -v flock >/dev/null 2>&1; then
        exec 9>target/tools/helm.lock
        flock 9
    fi
fi
if [ ! -x "$helm" ]; then
    began=$(date +%s)
    say "building Helm $version"
    rm -rf target/tools/helm-*
    mkdir -p "$helm.part"
    # The flags and, where go.mod can say so, the versions of tests/cluster, so that what both use is compiled once.
    (
        cd "$source"
        export CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off GOFLAGS='-mod=readonly -trimpath -buildvcs=false'
        "$go" build -tags grpcnotrace '-gcflags=all=-dwarf=false -l' '-gcflags=std=-dwarf=false' \
            -ldflags '-s -w' -o "$helm.part/helm" helm.sh/helm/v4/cmd/helm >&2
    )
    mv "$helm.part/helm" "$helm"
    rmdir "$helm.part"
    say "built in $(($(date +%s) - began)) s"
fi
printf '%s\n' "$helm"
