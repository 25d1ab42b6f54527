#!/bin/sh
# Prints the environment in which cargo builds the guests for wasm32-wasip1 and wasm32-wasip2. Use it so:
#
#     eval "$(scripts/rust-wasi.sh)" && cd algorithms && cargo build --release --target wasm32-wasip1
#
# Uses the first of these that works:
#   1. the Rust that is installed already has both targets: nothing to install;
#   2. rustup adds them to its active toolchain;
#   3. on x86_64 Debian (or any system with apt-get, a Debian mirror and Debian's archive keyring): Debian trixie's
#      rustc 1.85 with its WebAssembly libraries, verified by apt, unpacked into target/toolchains/rust-wasi
#      (200 MB to fetch, 800 MB on disk). Nothing is installed, no root is needed. cargo and the linkers stay
#      those of the installed Rust.
# Otherwise it says what to do and exits with 1. Messages go to stderr; stdout is only for eval.
#
# CLOISTERDEV_RUST_WASI=rustup|debian   take only way 1 and 2, or only way 3
# CLOISTERDEV_DEBIAN_MIRROR=<address>   the Debian mirror for way 3, where apt's own sources name none
set -eu
exec </dev/null

script_dir=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
repo=$(dirname -- "$script_dir")
toolchains=$repo/target/toolchains
unpacked=$toolchains/rust-wasi
suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
targets='wasm32-wasip1 wasm32-wasip2'
way=${CLOISTERDEV_RUST_WASI:-any}

say() { printf 'rust-wasi: %s\n' "$*" >&2; }

# Quotes a path for `eval`.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# The installed compiler, not the one that an earlier `eval` of this script may have put into RUSTC. Asked from inside
# the repository, because a toolchain file there decides which one rustup starts.
installed_rustc() { (cd "$repo" && unset RUSTC RUSTFLAGS && exec rustc "$@"); }

has_targets() {
    for target in $targets; do
        lib=$(installed_rustc --print target-libdir --target "$target" 2>/dev/null) || return 1
        ls "$lib"/libstd-*.rlib >/dev/null 2>&1 || return 1
    done
}

print_installed() {
    # Undoes what way 3 may have set in this shell before.
    echo 'unset RUSTC CARGO_TARGET_WASM32_WASIP1_LINKER CARGO_TARGET_WASM32_WASIP2_LINKER;'
}

add_with_rustup() {
    command -v rustup >/dev/null 2>&1 || return 1
    # shellcheck disable=SC2086 # a list of targets
    log=$(cd "$repo" && timeout 300 rustup target add $targets 2>&1) && has_targets && return 0
    say "rustup could not add $targets: $(printf '%s\n' "$log" | grep -v '^ *$' | tail -n 1)"
    return 1
}

# What the unpacked rustc does not bring: the linkers that come with the installed Rust.
find_linkers() {
    for tool in rustc cargo; do
        command -v "$tool" >/dev/null 2>&1 || {
            say "no $tool on PATH; the Debian way needs the installed Rust's cargo and linkers (install rustup)"
            return 1
        }
    done
    host=$(installed_rustc -vV | sed -n 's/^host: //p')
    linkers=$(installed_rustc --print sysroot)/lib/rustlib/$host/bin
    for tool in rust-lld wasm-component-ld gcc-ld/wasm-ld; do
        [ -x "$linkers/$tool" ] || {
            say "the installed Rust has no $tool (looked in $linkers); a Rust installed by rustup has"
            return 1
        }
    done
}

print_debian() {
    echo "export RUSTC=$(quoted "$unpacked/rustc");"
    echo "export CARGO_TARGET_WASM32_WASIP1_LINKER=$(quoted "$linkers/rust-lld");"
    echo "export CARGO_TARGET_WASM32_WASIP2_LINKER=$(quoted "$linkers/wasm-component-ld");"
    # wasm-component-ld starts `wasm-ld` from PATH.
    case ":$PATH:" in
    *":$linkers/gcc-ld:"*) ;;
    *) echo "export PATH=$(quoted "$linkers/gcc-ld"):\"\$PATH\";" ;;
    esac
}

# Mirrors that may carry the suite: the one asked for, else every repository that apt knows as Debian's. Where apt has
# no lists yet (fresh containers), the origin is unknown and any source of a Debian machine is tried: what is fetched
# is checked against Debian's keyring in any case.
debian_mirrors() {
    if [ -n "${CLOISTERDEV_DEBIAN_MIRROR:-}" ]; then
        echo "$CLOISTERDEV_DEBIAN_MIRROR"
        return
    fi
    # shellcheck disable=SC2016 # apt fills these in, not the shell
    known=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null || true)
    mirrors=$(printf '%s\n' "$known" | sed -n 's/^Debian //p')
    if [ -z "$mirrors" ] && grep -qs '^ID=debian' /etc/os-release; then
        mirrors=$(printf '%s\n' "$known" | sed 's/^.* //' | grep -v -e '-security/*$')
    fi
    printf '%s\n' "$mirrors" | awk 'NF && !seen[$0]++'
}

unpack_debian() {
    for tool in apt-get apt-cache dpkg-deb; do
        command -v "$tool" >/dev/null 2>&1 || {
            say "no $tool here, so Debian's packages cannot be fetched"
            return 1
        }
    done
    [ "$(uname -s) $(uname -m)" = 'Linux x86_64' ] || {
        say "Debian's rustc is unpacked on x86_64 Linux only, this is $(uname -s) $(uname -m)"
        return 1
    }
    [ -r "$keyring" ] || {
        say "no $keyring to verify Debian's packages with: apt-get install debian-archive-keyring"
        return 1
    }
    mirrors=$(debian_mirrors)
    [ -n "$mirrors" ] || {
        say 'apt has no Debian mirror among its sources: set CLOISTERDEV_DEBIAN_MIRROR to the address of one'
        return 1
    }

    mkdir -p "$toolchains" || return 1
    # Two builds may start at once; the second one waits for the first and finds its work done.
    if command -v flock >/dev/null 2>&1; then
        exec 9>"$toolchains/rust-wasi.lock"
        flock -n 9 || {
            say 'waiting for another build that is unpacking the compiler'
            flock 9
        }
        [ ! -x "$unpacked/rustc" ] || return 0
    fi
    find "$toolchains" -maxdepth 1 -name 'rust-wasi.part.*' -mmin +120 -exec rm -rf {} +
    part=$(mktemp -d "$toolchains/rust-wasi.part.XXXXXX") || return 1
    trap 'rm -rf "$part"' EXIT
    trap 'exit 130' HUP INT TERM

    fetched=
    for mirror in $mirrors; do
        say "fetching Debian $suite's rustc (200 MB, once) into $unpacked"
        if fetch_from "$mirror"; then
            fetched=yes
            break
        fi
        say "could not fetch it from $mirror: $(grep -v '^ *$' "$part/log" | tail -n 1)"
    done
    [ -n "$fetched" ] || return 1

    mkdir "$part/root"
    for deb in "$part"/debs/*.deb; do
        dpkg-deb -x "$deb" "$part/root" || {
            say "could not unpack $(basename "$deb"): is the disk full?"
            return 1
        }
    done
    (cd "$part/debs" && sha256sum -- *.deb) >"$part/SHA256SUMS"
    rm -rf "$part/debs" "$part/apt" "$part/log" "$part/root/usr/share"

    # The unpacked compiler is newer than this system's C library, so it runs on the one it was unpacked with.
    cat >"$part/rustc" <<'WRAPPER'
#!/bin/sh
usr=$(CDPATH='' cd -- "$(dirname -- "$0")/root/usr" && pwd)
lib=$usr/lib/x86_64-linux-gnu
exec "$lib/ld-linux-x86-64.so.2" --library-path "$lib" "$usr/bin/rustc" --sysroot "$usr" "$@"
WRAPPER
    chmod +x "$part/rustc"
    version=$("$part/rustc" -V) || {
        say 'the unpacked rustc does not start'
        return 1
    }
    chmod 755 "$part"
    rm -rf "$unpacked"
    mv -T "$part" "$unpacked" || return 1
    say "unpacked $version"
}

# Fetches everything from one mirror into $part/debs; apt checks the signature of the index and the sums of the files.
# Only the options below are read, not the machine's package lists: those stay as they are.
fetch_from() {
    rm -rf "$part/apt" "$part/debs"
    mkdir -p "$part/apt/lists/partial" "$part/apt/archives/partial" "$part/apt/none" "$part/debs"
    : >"$part/apt/status"
    echo "deb [arch=amd64 signed-by=$keyring] $1 $suite main" >"$part/apt/sources.list"
    (
        cd "$part/debs"
        apt() {
            tool=$1
            shift
            "$tool" -q -q \
                -o Dir::State="$part/apt" -o Dir::State::lists="$part/apt/lists" \
                -o Dir::State::status="$part/apt/status" \
                -o Dir::Cache="$part/apt" -o Dir::Cache::archives="$part/apt/archives" \
                -o Dir::Etc::sourcelist="$part/apt/sources.list" -o Dir::Etc::sourceparts="$part/apt/none" \
                -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts="$part/apt/none" \
                -o APT::Sandbox::User= -o APT::Architecture=amd64 -o Acquire::Languages=none \
                -o Acquire::Retries=3 "$@"
        }
        depends_on() { apt apt-cache depends "$1" | sed -n "s/^ *Depends: \($2[^ :]*\).*/\1/p" | head -n 1; }
        apt apt-get -o APT::Update::Error-Mode=any update || exit 1
        # These names carry a version, which the suite's index knows.
        std=$(depends_on libstd-rust-dev libstd-rust-)
        llvm=$(depends_on "$std" libllvm)
        xml=$(depends_on "$llvm" libxml2)
        apt apt-get download rustc "$std" libstd-rust-dev libstd-rust-dev-wasm32 "$llvm" "$xml" libc6 libgcc-s1 \
            libstdc++6 zlib1g libzstd1 libedit2 libffi8 libz3-4 libtinfo6 libbsd0 libmd0 liblzma5
    ) >"$part/log" 2>&1
}

case $way in
any | rustup | debian) ;;
*)
    say "CLOISTERDEV_RUST_WASI is '$way'; it may be 'rustup' or 'debian'"
    exit 2
    ;;
esac

if [ "$way" != debian ] && has_targets; then
    print_installed
    exit 0
fi
# Unpacked before: no second try of rustup, which may take its time to fail.
if [ "$way" = any ] && [ -x "$unpacked/rustc" ] && find_linkers 2>/dev/null; then
    print_debian
    exit 0
fi
if [ "$way" != debian ] && add_with_rustup; then
    print_installed
    exit 0
fi
if [ "$way" != rustup ] && find_linkers && { [ -x "$unpacked/rustc" ] || unpack_debian; }; then
    print_debian
    exit 0
fi
say "no Rust that builds for WebAssembly. Run:  rustup target add $targets"
exit 1
