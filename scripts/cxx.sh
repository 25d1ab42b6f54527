#!/bin/sh
# Makes sure that there is a C++ compiler, which libFuzzer is built with. As root on Debian it installs g++; otherwise it
# says what is missing and exits with 1.
set -eu
exec </dev/null
for compiler in "${CXX:-c++}" g++ clang++; do
    command -v "$compiler" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo 'cxx: installing g++'
    apt-get update -qq >/dev/null && apt-get install -qq -y --no-install-recommends g++ >/dev/null && exit 0
fi
echo 'cxx: no C++ compiler, which fuzzing needs: install g++ or clang++' >&2
exit 1
