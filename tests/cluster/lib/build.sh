#!/bin/bash
# Builds the programs into the cache, once for each state of src/; prints their folder as the last line.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
KUBERNETES=$(awk '$1 == "k8s.io/kubernetes" {print $2; exit}' "$HERE/src/go.mod")

# Debian packages, only those that are missing
need() { # command package
  command -v "$1" > /dev/null || missing+=("$2")
}
missing=()
need ip iproute2; need nft nftables; need conntrack conntrack; need busybox busybox-static; need openssl openssl
need curl curl; need nsenter util-linux; need unshare util-linux; need mount mount; need pgrep procps; need sysctl procps; need gcc gcc
need mkfs.ext4 e2fsprogs; need pkg-config pkg-config; need python3 python3; need flock util-linux
for p in libc6-dev:/usr/include/stdio.h libseccomp-dev:/usr/include/seccomp.h; do
  [ -e "${p#*:}" ] || missing+=("${p%%:*}")
done
if busybox=$(command -v busybox); then
  ! readelf -l "$busybox" 2>/dev/null | grep -q INTERP || missing+=(busybox-static)
fi
if [ ${#missing[@]} -gt 0 ]; then
  t=$(now); echo "installing Debian packages: ${missing[*]}"
  log=$(mktemp)
  { apt-get -o DPkg::Lock::Timeout=300 update && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}"; } > "$log" 2>&1 \
    || { tail -20 "$log" >&2; die "apt-get failed"; }
  rm -f "$log"; echo "packages installed in $(since "$t") s"
fi

GO=$(sh "$HERE/../../scripts/go.sh" "$(awk '$1 == "go" {print $2; exit}' "$HERE/src/go.mod")") || die "no Go (see above)"
export GOTOOLCHAIN=local
cd "$HERE/src"
stamp=$({ find . -type f | LC_ALL=C sort | xargs sha256sum; sha256sum < "$HERE/lib/build.sh"; "$GO" version; } | sha256sum | cut -c1-12)
out=$CACHE/programs-$stamp
if [ ! -e "$out/complete" ]; then
  mkdir -p "$CACHE"
  exec 8> "$CACHE/build.lock"
  flock -n 8 || { echo "waiting for another build"; flock 8; }
fi
if [ ! -e "$out/complete" ]; then
  t=$(now)
  rm -rf "$out.part"; mkdir -p "$out.part"
  export GOFLAGS='-mod=readonly -trimpath -buildvcs=false' GOWORK=off
  # No debug information (it is dropped at the link anyway), and no inlining outside the standard library: compiling takes
  # little more than half as long, and the cluster is hardly slower for it.
  gcflags=('-gcflags=all=-dwarf=false -l' '-gcflags=std=-dwarf=false')
  ldflags="-s -w -X k8s.io/component-base/version.gitVersion=$KUBERNETES"
  tags=no_btrfs,no_devmapper,no_zfs,grpcnotrace
  echo "fetching Go modules"
  packages=(./hyperkube ./addons ./cni-netpol ./probe
    github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2,ctr}
    github.com/containernetworking/plugins/plugins/{ipam/host-local,main/loopback,main/ptp,meta/portmap})
  total=$(CGO_ENABLED=0 "$GO" list -tags "$tags" -deps "${packages[@]}" 2> "$out.part/list.log" | wc -l) || { cat "$out.part/list.log" >&2; die "go list failed"; }
  echo "modules are here after $(since "$t") s; building Kubernetes $KUBERNETES, etcd, containerd, CNI plugins, CoreDNS, runc ($total packages, fewer if the Go cache has them)"
  CGO_ENABLED=0 "$GO" build -v -tags "$tags" "${gcflags[@]}" -ldflags "$ldflags" -o "$out.part/" "${packages[@]}" 2> "$out.part/build.log" &
  builder=$!
  while kill -0 $builder 2>/dev/null; do
    for ((i = 0; i < 150; i++)); do sleep .1; kill -0 $builder 2>/dev/null || break; done
    kill -0 $builder 2>/dev/null && echo "  $(since "$t") s: $(wc -l < "$out.part/build.log") of at most $total packages compiled"
  done
  wait $builder || { tail -30 "$out.part/build.log" >&2; die "go build failed"; }
  CGO_ENABLED=1 "$GO" build -tags 'seccomp urfave_cli_no_docs netgo osusergo' "${gcflags[@]}" -ldflags '-s -w' \
    -o "$out.part/runc" github.com/opencontainers/runc 2> "$out.part/runc.log" || { tail -30 "$out.part/runc.log" >&2; die "building runc failed"; }
  gcc -Os -static -s -o "$out.part/pause" pause.c
  mkdir "$out.part/cni"; mv "$out.part"/{host-local,loopback,ptp,portmap,cni-netpol} "$out.part/cni/"
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do ln -s hyperkube "$out.part/$name"; done
  ln -s addons "$out.part/coredns"
  cp "$(command -v busybox)" "$out.part/busybox"
  rm -f "$out.part"/*.log; touch "$out.part/complete"
  rm -rf "$out"; mv "$out.part" "$out"
  echo "built in $(since "$t") s: $(du -sh "$out" | cut -f1)"
  # older builds: keep the newest two
  ls -dt "$CACHE"/programs-*/ | tail -n +3 | while read -r old; do rm -rf "$old"; done
fi
echo "$out"
