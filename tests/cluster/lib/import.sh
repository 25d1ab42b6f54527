#!/bin/bash
# import.sh CLUSTER_DIR [REF_FILE...]: imports images (default: all that are kept) into every running node that lacks them.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
set_dir "$1"; shift
[ $# -gt 0 ] || set -- "$IMAGES"/*.ref
for node in $(node_names); do
  alive "$node" && alive "$node.containerd" || continue
  ctr() { in_node "$node" "$BIN/ctr" -n k8s.io "$@" 2> "$RUN/ctr.log" || { cat "$RUN/ctr.log" >&2; return 1; }; }
  have=$(ctr images ls | awk 'NR > 1 {print $1" "$3}')
  for file in "$@"; do
    [ -e "$file" ] || continue
    read -r ref digest < "$file"
    grep -qxF "$ref $digest" <<< "$have" && continue
    ctr images import "${file%.ref}.tar" > /dev/null || die "$node: importing $ref failed"
    # By digest, too: the name that a registry would know it by.
    by_digest=${ref%:*}@$digest
    ctr images tag --force "$ref" "$by_digest" > /dev/null
    for name in "$ref" "$by_digest"; do ctr images label "$name" io.cri-containerd.pinned=pinned > /dev/null; done
  done
done
