#!/bin/sh
# Packs `cloister` without the service, for people who use one elsewhere, into target/dist, and prints the digests of all that is there:
#
#     scripts/dist-clients.sh [--into DIR] [TARGET...]
#
#   cloister-client-VERSION-x86_64-linux.tar.gz, -aarch64-linux.tar.gz    static, for every distribution
#   cloister-client-VERSION-x86_64-windows.zip
#   cloister-client-VERSION-aarch64-macos.tar.gz, -x86_64-macos.tar.gz
#   SHA256SUMS
#
# Each holds the program, LICENSE, docs/consumers.md and completions, those for Linux and macOS also manual pages. scripts/clients.sh
# builds the programs, and says what it needs. The same programs give the same bytes.
set -eu
exec </dev/null
cd -- "$(dirname -- "$0")/.."
unset MAKEFLAGS MFLAGS MAKELEVEL
export LC_ALL=C TZ=UTC
umask 022

dist=target/dist
if [ "${1:-}" = --into ]; then
    dist=$2
    shift 2
fi
. scripts/release.sh
mkdir -p "$dist"
work=$(mktemp -d "$dist/work.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Manual pages and completions are written by the client for this machine.
here=$(scripts/clients.sh host)
[ $# -gt 0 ] || rm -f "$dist"/cloister-client-*
scripts/clients.sh "$@" >"$work/programs"
while read -r program; do
    target=${program#target/clients/}
    target=${target%%/*}
    system=${target%%-*}
    case $target in
    *-linux-*) system=$system-linux ;;
    *-windows-*) system=$system-windows ;;
    *-darwin) system=$system-macos ;;
    esac
    name=cloister-client-$version-$system
    tree=$work/$name
    mkdir -p "$tree"
    install -m 755 "$program" "$tree/"
    install -m 644 LICENSE docs/consumers.md "$tree/"
    case $target in
    *-windows-*)
        mkdir "$tree/completions"
        "$here" completions powershell >"$tree/completions/cloister.ps1"
        # The oldest time of a zip archive is that of 1980. Python puts in the files of a folder in the order of their names.
        at=$epoch
        [ "$at" -gt 315532800 ] || at=315532800
        find "$tree" -exec touch -d "@$at" {} +
        into=$PWD/$dist
        [ "$dist" = "${dist#/}" ] || into=$dist
        rm -f "$into/$name.zip"
        (cd "$work" && python3 -m zipfile --create "$into/$name.zip" "$name")
        ;;
    *)
        mkdir "$tree/man"
        "$here" man --into "$tree/man"
        completions "$here" "$tree"
        packed "$work" "$name" | gzip -n >"$dist/$name.tar.gz"
        ;;
    esac
done <"$work/programs"
sums
