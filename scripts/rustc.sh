#!/bin/sh
# cargo calls this in place of rustc for the crates of this workspace (.cargo/config.toml). It changes two things.
#
# The programs that ship, `sandbox`, `cloister` and `entry`, are linked statically, so that they run from an empty image
# (docs/decisions/0014-static-programs.md). The flag matters only when a program is linked, so libraries, among them wasmtime, are
# compiled once for static programs, tests and procedural macros. Where the C library has no static form, the programs are linked
# dynamically. Programs for other systems (scripts/clients.sh) are linked as is usual there.
#
# The code of tests is not optimised (docs/decisions/0017-tests-are-not-optimised.md). What they test is, because it is
# in libraries and programs; only what a test program holds itself, its unit tests and the unit under them, is not. `cloister-dynamic`
# is a program for tests, too.
set -eu
program= test= target=
previous=
for argument; do
    [ "$previous" != --crate-name ] || program=$argument
    [ "$argument" != --test ] || test=1
    [ "$previous" != --target ] || target=$argument
    previous=$argument
done
if [ -n "$test" ] || [ "$program" = cloister_dynamic ]; then
    # The last of several levels counts.
    exec "$@" -C opt-level=0
fi
case $target in
'' | *-linux-gnu) ;;
*) exec "$@" ;;
esac
case $program in
sandbox | cloister | entry)
    compiler=${CC:-cc}
    # For another architecture (scripts/servers.sh): the C library of its compiler.
    [ -z "$target" ] || eval "compiler=\${CC_$(printf %s "$target" | tr - _):-$compiler}"
    archive=$($compiler -print-file-name=libc.a 2>/dev/null) || archive=
    if [ "$(uname -s)" = Linux ] && [ -e "$archive" ]; then
        # Without the second one, starting a process copies this one: see the decision.
        exec "$@" -C target-feature=+crt-static -C link-arg=-Wl,--undefined=posix_spawn_file_actions_addchdir_np
    fi
    ;;
esac
exec "$@"
