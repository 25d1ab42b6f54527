#!/bin/bash
# node-up.sh CLUSTER_DIR NUMBER NODES: starts node NUMBER, or what of it is not running.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
loudly
set_dir "$1"; number=$2 count=$3
node=$(node_name "$number") ip=$(node_ip "$number") pods=$(node_pods "$number") data=$NODES/$(node_name "$number")
t=$(now)
mkdir -p "$data"/{kubelet,cni,pod-logs,container-logs,containerd,opt,flexvolume,volumes} "$CONF/$node/cni" /var/lib/{kubelet,cni} /var/log/{pods,containers}
chmod 711 "$data" "$data/volumes"

fill() { # template file [process that must read it anew]
  sed -e "s|@DATA@|$data|g; s|@BIN@|$BIN|g; s|@CONF@|$CONF|g; s|@PKI@|$PKI|g; s|@NODE@|$node|g; s|@IP@|$ip|g; s|@PODS@|$pods|g" \
    -e "s|@DNS@|$DNS_IP|g; s|@POD_CIDR@|$POD_CIDR|g; s|@HOST_IP@|$HOST_IP|g; s|@API_PORT@|$API_PORT|g" "$HERE/conf/$1" > "$2.new"
  if cmp -s "$2.new" "$2"; then rm "$2.new"; return; fi
  mv "$2.new" "$2"
  if [ $# -gt 2 ] && alive "$node.$3"; then say "$node: $3 has a new configuration"; stop "$node.$3"; fi
}
fill containerd.toml "$CONF/$node/containerd.toml" containerd
fill cni.conflist "$CONF/$node/cni/10-cluster.conflist"
fill kubelet.yaml "$CONF/$node/kubelet.yaml" kubelet
fill kube-proxy.yaml "$CONF/$node/kube-proxy.yaml" kube-proxy
fill guard.nft "$CONF/$node/guard.nft"
echo 'nameserver 127.0.0.1' > "$CONF/resolv.conf"

restarted=; alive "$node.kubelet" || restarted=1
if ! alive "$node"; then
  rm -f "$RUN/$node.ready" "$RUN/$node".*.pid
  bash "$HERE/lib/clean.sh" "$DIR" "$node"
  for controller in /sys/fs/cgroup/*/; do # the node's own branch in every cgroup v1 hierarchy
    case $controller in */unified/) continue ;; esac
    for d in cloister-test "cloister-test/$node"; do
      mkdir -p "$controller$d" 2> /dev/null || continue
      if [ -e "$controller$d/cpuset.cpus" ]; then
        for f in cpuset.cpus cpuset.mems; do [ -n "$(cat "$controller$d/$f")" ] || cat "$controller$d/../$f" > "$controller$d/$f"; done
      fi
    done
  done
  setsid unshare --fork --pid --mount --net --uts --ipc --mount-proc --propagation slave \
    bash "$HERE/lib/node-init.sh" "$DIR" "$node" >> "$LOG/$node.log" 2>&1 < /dev/null 9>&- &
  parent=$!
  wait_for 180 "the namespaces of $node" test -e "$RUN/$node.ready"
  record "$node" "$(pgrep -P $parent)"
fi
if ! ip link show "cloister-n$number" > /dev/null 2>&1; then
  ip link add "cloister-n$number" type veth peer name eth0 netns "$(pid_of "$node")"
  in_node "$node" sh -c "ip addr add $ip/24 dev eth0 && ip link set eth0 up && ip route add $SERVICE_CIDR via $HOST_IP &&
    sysctl -qw net.ipv4.ip_forward=1"
fi
ip link set "cloister-n$number" master $BRIDGE up
in_node "$node" nft -f "$CONF/$node/guard.nft"
for ((other = 1; other <= count; other++)); do
  [ $other = "$number" ] || in_node "$node" ip route replace "$(node_pods $other)" via "$(node_ip $other)"
done
ip route replace "$pods" via "$ip"

containerd_works() { # started again if it has died
  start_in_node "$node" containerd "$BIN/containerd" --config "$CONF/$node/containerd.toml"
  in_node "$node" "$BIN/ctr" version
}
wait_for 180 "containerd on $node" containerd_works
bash "$HERE/lib/import.sh" "$DIR"
IFS=: read -r mode delay action < "$DIR/netpol"
arguments=(-strict="$([ "$mode" = strict ] && echo true || echo false)" -delay="${delay:-0}" -reject="$([ "${action:-drop}" = reject ] && echo true || echo false)")
if alive "$node.netpol" && [ "$(cat "$RUN/$node.netpol.arguments" 2>/dev/null)" != "${arguments[*]}" ]; then stop "$node.netpol" 5; fi
echo "${arguments[*]}" > "$RUN/$node.netpol.arguments"
start_in_node "$node" netpol "$BIN/addons" netpol -kubeconfig "$CONF/netpol.kubeconfig" -node "$node" -pod-range "$pods" \
  -socket /run/netpol.sock "${arguments[@]}"
start_in_node "$node" kube-proxy "$BIN/kube-proxy" --config="$CONF/$node/kube-proxy.yaml"
kubelet_works() { # started again if it has died, as one does that finds no containerd: its node still counts as Ready for a while
  alive "$node.kubelet" || restarted=1
  start_in_node "$node" kubelet "$BIN/kubelet" --config="$CONF/$node/kubelet.yaml" --kubeconfig="$CONF/$node.kubeconfig" \
    --hostname-override="$node" --node-ip="$ip" ${CLOISTERDEV_CLUSTER_KUBELET_ARGS:-}
  in_node "$node" curl -sf --max-time 5 http://127.0.0.1:10248/healthz
}
wait_for 180 "the kubelet of $node" kubelet_works
reported() { # a Ready left from before a restart does not count
  local at; at=$(kubectl get node "$node" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].lastHeartbeatTime}') && [ -n "$at" ] || return 1
  [ "$(date -d "$at" +%s)" -ge "${t%.*}" ]
}
[ -z "$restarted" ] || wait_for 180 "$node to report" reported
wait_for 180 "$node to be Ready" kubectl wait --for=condition=Ready "node/$node" --timeout=1s
wait_for 180 "kube-proxy on $node" in_node "$node" curl -sf http://127.0.0.1:10256/healthz
wait_for 180 "NetworkPolicy on $node" in_node "$node" nft list table ip cloister-netpol
[ -n "$(kubectl get node "$node" -o 'jsonpath={.spec.podCIDR}')" ] \
  || kubectl patch node "$node" -p "{\"spec\":{\"podCIDR\":\"$pods\",\"podCIDRs\":[\"$pods\"]}}" > /dev/null
say "$node Ready after $(since "$t") s"
