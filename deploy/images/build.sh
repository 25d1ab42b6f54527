#!/bin/sh
# Makes the images without Docker, of the programs in target/release:
#
#     deploy/images/build.sh [--load] [--tag TAG] [--interpreter NAME]... [--profile PROFILE]...
#
#   target/images/NAME.rootfs   the root file system, the same as that of NAME.Dockerfile
#   target/images/NAME          an OCI layout: `skopeo copy oci:target/images/NAME docker://...`
#   target/images/NAME.tar      an archive for `ctr images import`, `docker load`, `kind load image-archive`, `k3d image import`
#   target/images/NAME.digest   the digest of the manifest
#
# NAME is sandbox or cloister; the image is called NAME:TAG (default: test). --load imports them into the cluster of
# tests/cluster that CLOISTERDEV_CLUSTER_DIR names (default: as for tests/cluster/up).
#
# --interpreter adds the image sandbox-NAME, for pods that run scripts: the sandbox, and in /interpreter an interpreter that is
# compiled for this kind of processor. It has to be installed: `sandbox runtime add python`. The digest that an Environment names
# for it is in target/images/sandbox-NAME.bundle. Profiles: as for `sandbox runtime bundle`; without any, all.
#
# Programs that are missing are built. Programs that are not static are refused, since they could not run in these images.
set -eu
exec </dev/null
cd -- "$(dirname -- "$0")/../.."
unset MAKEFLAGS MFLAGS MAKELEVEL

load= tag=test interpreters= profiles=
while [ $# -gt 0 ]; do
    case $1 in
    --load) load=1 ;;
    --tag)
        tag=$2
        shift
        ;;
    --interpreter)
        interpreters="$interpreters $2"
        shift
        ;;
    --profile)
        profiles="$profiles --profile $2"
        shift
        ;;
    *)
        sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done

programs=${CARGO_TARGET_DIR:-target}/release
images=target/images
authorities=/etc/ssl/certs/ca-certificates.crt
[ -x "$programs/sandbox" ] && [ -x "$programs/cloister" ] && [ -x "$programs/entry" ] || cargo build --release --workspace --bins --examples --locked
[ -e "$authorities" ] || {
    echo "images: $authorities is missing: install the certificate authorities (Debian: ca-certificates)" >&2
    exit 1
}

mkdir -p "$images"
# put IMAGE SOURCE PATH MODE: a file of the image's root file system.
put() {
    mkdir -p "$images/$1.rootfs$(dirname "$3")"
    cp "$2" "$images/$1.rootfs$3"
    chmod "$4" "$images/$1.rootfs$3"
}
for image in sandbox cloister; do
    rm -rf "$images/$image.rootfs" "$images/$image"
    put "$image" "$programs/$image" "/$image" 755
done
put sandbox "$programs/entry" /entry 755
# For checks of outputs.
put cloister "$programs/sandbox" /sandbox 755
put cloister "$authorities" "$authorities" 644
names='sandbox cloister'
for interpreter in $interpreters; do
    image=sandbox-$interpreter
    rm -rf "$images/$image.rootfs" "$images/$image"
    put "$image" "$programs/sandbox" /sandbox 755
    # shellcheck disable=SC2086 # words
    "$programs/sandbox" runtime bundle "$interpreter" --output "$images/$image.rootfs/interpreter" $profiles >"$images/$image.bundle"
    names="$names $image"
done
find "$images"/*.rootfs -type d -exec chmod 755 {} +

for image in $names; do
    python3 - "$image" "$tag" "$images" <<'PYTHON'
import os
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, 'deploy/images')
import oci

name, tag, images = sys.argv[1:]


def needs_a_loader(path):
    """Whether an ELF program names a dynamic loader (PT_INTERP)."""
    with open(path, 'rb') as f:
        head = f.read(64)
        if head[:5] != b'\x7fELF\x02':
            sys.exit(f'images: {path} is not a 64-bit ELF program')
        offset, = struct.unpack_from('<Q', head, 32)
        size, count = struct.unpack_from('<HH', head, 54)
        f.seek(offset)
        table = f.read(size * count)
    return any(struct.unpack_from('<I', table, n * size)[0] == 3 for n in range(count))


rootfs = f'{images}/{name}.rootfs'
for program in filter(os.path.exists, (f'{rootfs}/{program}' for program in ('sandbox', 'cloister', 'entry'))):
    if needs_a_loader(program):
        sys.exit(f'images: {program} is not static (see scripts/rustc.sh): install the static C library (Debian: libc6-dev)')
program = name.split('-')[0]
settings = {'User': '65532:65532', 'Entrypoint': [f'/{program}'], 'WorkingDir': '/', 'Labels': {
    'org.opencontainers.image.title': f'cloister {name}' if name != 'cloister' else name,
    'org.opencontainers.image.licenses': 'Apache-2.0'}}
ref, digest = oci.build(f'{name}:{tag}', rootfs, f'{images}/{name}.tar', settings, owner=(0, 0), layout=f'{images}/{name}')
with open(f'{images}/{name}.digest', 'w') as f:
    f.write(digest + '\n')
print(f'images: {name}:{tag} {digest}')
if os.path.exists(f'{images}/{name}.bundle'):
    with open(f'{images}/{name}.bundle') as f:
        print(f'images: {name}:{tag} holds the bundle {f.read().strip()}')
PYTHON
    [ -z "$load" ] || tests/cluster/image --archive "$images/$image.tar"
done
