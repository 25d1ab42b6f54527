#!/bin/sh
# Packs what a release consists of, into target/dist:
#
#     scripts/dist.sh [--no-build | --python] [--arch ARCH]... [--clients] [--into DIR]
#
#   cloister-VERSION-ARCH-linux.tar.gz   both programs, man pages, completions, the unit of systemd, LICENSE
#   cloister_VERSION_amd64.deb, cloister_VERSION_arm64.deb   the same for Debian and its relatives
#   cloister-python-VERSION-ARCH-linux.tar.gz   with --python: Python with its compiled code, for this machine's architecture: 58 MB, and
#       106 MB for each profile. `sandbox runtime add --bundle cloister-python` installs it in seconds, on any machine of this kind, and
#       its digest is a part of `sandbox`. Takes minutes
#   cloister-client-VERSION-SYSTEM.*   with --clients: `cloister` without the service, for people who use one elsewhere, on Linux, Windows
#       and macOS: scripts/dist-clients.sh, which can be run alone
#   SHA256SUMS
#
# ARCH is x86_64, aarch64, or `here`: that of this machine. Without --arch, both are built and packed; scripts/servers.sh builds the
# other one, and says what it needs. With --no-build, programs are packed as they are, without --arch those for this machine.
# The programs are static, so one package serves every distribution: others are refused, and so are programs of another architecture than
# the package says. Programs for another architecture are not run; manual pages and completions are written by those for this machine.
# The same programs give the same bytes: times are $SOURCE_DATE_EPOCH, or that of the commit. Needs tar, gzip and binutils; not root,
# unless scripts/servers.sh has to install a compiler.
set -eu
exec </dev/null
cd -- "$(dirname -- "$0")/.."
unset MAKEFLAGS MFLAGS MAKELEVEL
export LC_ALL=C
umask 022

here=$(uname -m)
case $here in
x86_64 | aarch64) ;;
*)
    echo "dist: nothing is known of $here" >&2
    exit 1
    ;;
esac
usage() {
    sed -n '2,/^set -eu/{/^set -eu/!s/^# \{0,1\}//p}' "$0" >&2
    exit 2
}

build=1 python='' clients='' architectures='' dist=target/dist
while [ $# -gt 0 ]; do
    case $1 in
    --no-build) build= ;;
    --python) python=1 ;;
    --clients) clients=1 ;;
    --arch)
        case ${2:-} in
        here) arch=$here ;;
        x86_64 | aarch64) arch=$2 ;;
        *) usage ;;
        esac
        case " $architectures " in
        *" $arch "*) ;;
        *) architectures="$architectures $arch" ;;
        esac
        shift
        ;;
    --into)
        dist=${2:?}
        shift
        ;;
    *) usage ;;
    esac
    shift
done
if [ -z "$architectures" ]; then
    if [ -n "$build" ]; then architectures='x86_64 aarch64'; else architectures=$here; fi
fi

if [ -n "$python" ] && [ -z "$build" ]; then
    echo 'dist: --python builds the programs, with the digest of what it makes: leave out --no-build' >&2
    exit 2
fi
case "$python: $architectures " in
:* | *" $here "*) ;;
*)
    echo 'dist: --python makes a bundle for the programs of this machine: add --arch here' >&2
    exit 2
    ;;
esac
for tool in ar readelf; do
    command -v "$tool" >/dev/null || {
        echo "dist: $tool is missing: install binutils" >&2
        exit 1
    }
done
# Before anything is built.
for arch in $architectures; do
    if [ -z "$build" ] || [ "$arch" = "$here" ]; then continue; fi
    scripts/servers.sh --check "$arch" || {
        echo 'dist: or make packages for this machine only: make dist ARGS="--arch here"' >&2
        exit 1
    }
done
programs=${CARGO_TARGET_DIR:-target}/release
export CLOISTERDEV_COMMIT="${CLOISTERDEV_COMMIT-$(git rev-parse --short=12 HEAD 2>/dev/null || :)}"
# With the features that tests have, as every build here.
[ -z "$build" ] || cargo build --release --workspace --bins --examples --locked
. scripts/release.sh

mkdir -p "$dist"
work=$(mktemp -d "$dist/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
rm -f "$dist"/cloister*.tar.gz "$dist"/cloister*.zip "$dist"/*.deb "$dist/SHA256SUMS"

# Compiled once for the release: a machine that installs it compiles nothing. Its digest is built into `sandbox`, so that the program
# takes this bundle and no other unless it is told. What the program compiles does not depend on it, so building once more is enough.
if [ -n "$python" ]; then
    "$programs/sandbox" --home "$work/home" runtime add python
    digest=$("$programs/sandbox" --home "$work/home" runtime bundle python --output "$work/cloister-python")
    rm -rf "$work/home"
    CLOISTERDEV_PYTHON_BUNDLE=$digest cargo build --release --workspace --bins --examples --locked
    "$programs/sandbox" --home "$work/home" runtime add --bundle "$work/cloister-python"
    rm -rf "$work/home"
    packed "$work" cloister-python | gzip -n >"$dist/cloister-python-$version-$here-linux.tar.gz"
fi

# checked PROGRAM ARCH: ends with an error unless it is a static program for that architecture.
checked() {
    case $2 in
    x86_64) machine='Advanced Micro Devices X86-64' ;;
    aarch64) machine=AArch64 ;;
    esac
    [ -f "$1" ] || {
        echo "dist: $1 was not built: leave out --no-build" >&2
        exit 1
    }
    readelf -hW "$1" 2>&1 | grep -q "^ *Machine: *$machine\$" || {
        echo "dist: $1 is not a program for $2" >&2
        exit 1
    }
    if readelf -lW "$1" | grep -q INTERP || readelf -dW "$1" | grep -q '(NEEDED)'; then
        echo "dist: $1 is not static: it was built where the C library has no static form (libc6-dev has it)" >&2
        exit 1
    fi
}

# packages ARCH BUILT: both packages, of the programs in the folder BUILT.
packages() (
    arch=$1 built=$2
    case $arch in
    x86_64) debian=amd64 ;;
    aarch64) debian=arm64 ;;
    esac
    for program in cloister sandbox; do checked "$built/$program" "$arch"; done
    name=cloister-$version-$arch-linux
    work=$work/$arch
    mkdir "$work"

    # What both packages hold, below TREE.
    tree=$work/$name
    mkdir -p "$tree/bin" "$tree/man" "$tree/systemd"
    for program in cloister sandbox; do
        install -m 755 "$built/$program" "$tree/bin/"
        "$programs/$program" man --into "$tree/man"
        completions "$programs/$program" "$tree"
    done
    install -m 644 deploy/systemd/cloister.service deploy/systemd/cloister.sysusers "$tree/systemd/"
    install -m 644 LICENSE README.md CHANGELOG.md docs/operators.md "$tree/"

    packed "$work" "$name" | gzip -n >"$dist/$name.tar.gz"

    # The Debian package: https://manpages.debian.org/deb.5.
    root=$work/deb
    install -d "$root/usr/bin" "$root/usr/lib/systemd/system" "$root/usr/lib/sysusers.d" "$root/usr/share/man/man1" \
        "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" \
        "$root/usr/share/fish/vendor_completions.d" "$root/usr/share/doc/cloister" "$work/control"
    install -m 755 "$tree/bin/"* "$root/usr/bin/"
    install -m 644 "$tree/systemd/cloister.service" "$root/usr/lib/systemd/system/"
    install -m 644 "$tree/systemd/cloister.sysusers" "$root/usr/lib/sysusers.d/cloister.conf"
    for page in "$tree/man/"*.1; do gzip -nc "$page" >"$root/usr/share/man/man1/$(basename "$page").gz"; done
    for program in cloister sandbox; do
        install -m 644 "$tree/completions/$program.bash" "$root/usr/share/bash-completion/completions/$program"
        install -m 644 "$tree/completions/_$program" "$root/usr/share/zsh/vendor-completions/"
        install -m 644 "$tree/completions/$program.fish" "$root/usr/share/fish/vendor_completions.d/"
    done
    install -m 644 LICENSE "$root/usr/share/doc/cloister/copyright"
    install -m 644 docs/operators.md README.md "$root/usr/share/doc/cloister/"
    cat >"$work/control/control" <<CONTROL
Package: cloister
Version: $version
Architecture: $debian
Maintainer: Cloister <cloister@localhost>
Installed-Size: $(find "$root" -type f -printf '%s\n' | awk '{ sum += $1 } END { print int((sum + 1023) / 1024) }')
Recommends: ca-certificates
Section: science
Priority: optional
Description: send algorithms to data, and let out only what was agreed
 Runs algorithms of others on data that must not leave: WebAssembly programs and
 Python scripts in a sandbox without a network. The package holds the service,
 its command line, and the sandbox.
CONTROL
    # The service is not started: an operator decides when, and under which settings.
    cat >"$work/control/postinst" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    if command -v systemd-sysusers >/dev/null; then systemd-sysusers cloister.conf; fi
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        # Running algorithms continue: see KillMode in the unit.
        systemctl try-restart cloister.service
    fi
fi
SCRIPT
    cat >"$work/control/prerm" <<'SCRIPT'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    # With the algorithms, which would go on without a service: see KillMode in the unit.
    if systemctl is-active --quiet cloister.service; then systemctl kill --kill-whom=all cloister.service || :; fi
    systemctl disable --now cloister.service
fi
SCRIPT
    # The folder was made by an operator, not by the package, and nothing can make again what is in it. Its files belong to the user.
    cat >"$work/control/postrm" <<'SCRIPT'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
if [ "$1" = purge ] && [ -d /var/lib/cloister ]; then
    echo 'cloister: /var/lib/cloister and the user cloister stay: delete them yourself if nobody needs the data, keys and results'
fi
SCRIPT
    chmod 755 "$work/control/postinst" "$work/control/prerm" "$work/control/postrm"
    (cd "$root" && find . -type f -printf '%P\n' | sort | xargs md5sum) >"$work/control/md5sums"
    mkdir "$work/parts"
    packed "$work/control" . | gzip -n >"$work/parts/control.tar.gz"
    packed "$root" . | gzip -n >"$work/parts/data.tar.gz"
    echo 2.0 >"$work/parts/debian-binary"
    package=cloister_${version}_$debian.deb
    (cd "$work/parts" && ar rcD package.deb debian-binary control.tar.gz data.tar.gz)
    mv "$work/parts/package.deb" "$dist/$package"
)

for arch in $architectures; do
    if [ "$arch" = "$here" ]; then
        built=$programs
    elif [ -n "$build" ]; then
        built=$(scripts/servers.sh "$arch")
    else
        built=${CARGO_TARGET_DIR:-target}/servers/$arch-unknown-linux-gnu/release
    fi
    packages "$arch" "$built"
done

if [ -n "$clients" ]; then
    scripts/dist-clients.sh --into "$dist"
else
    sums
fi
