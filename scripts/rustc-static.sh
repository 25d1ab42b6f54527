#!/bin/sh
# cargo calls this in place of rustc for the crates of this workspace (.cargo/config.toml): it links the programs that ship,
# `sandbox`, `cloister` and `entry`, statically, so that they run from an empty image. Everything else is compiled as always.
#
# The flag matters only when a program is linked, so libraries, among them wasmtime, are compiled once for static programs,
# tests and procedural macros. Where the C library has no static form, the programs are linked dynamically.
set -eu
program= test=
previous=
for argument; do
    [ "$previous" != --crate-name ] || program=$argument
    [ "$argument" != --test ] || test=1
    previous=$argument
done
case $program in
sandbox | cloister | entry)
    archive=$(${CC:-cc} -print-file-name=libc.a 2>/dev/null) || archive=
    if [ -z "$test" ] && [ "$(uname -s)" = Linux ] && [ -e "$archive" ]; then
        exec "$@" -C target-feature=+crt-static
    fi
    ;;
esac
exec "$@"
