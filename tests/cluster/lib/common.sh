# Sourced by every script here. Sets the names of things; starts, finds and stops processes.
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${CLOISTERDEV_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cloister-cluster}
DIR=${CLOISTERDEV_CLUSTER_DIR:-$CACHE/cluster}

API_PORT=${CLOISTERDEV_CLUSTER_API_PORT:-6443}
ETCD_PORT=$((API_PORT + 6000)) ETCD_PEER_PORT=$((API_PORT + 6001))
KCM_PORT=$((API_PORT + 4000)) SCHEDULER_PORT=$((API_PORT + 4001))
BRIDGE=cloister0 HOST_IP=10.88.0.1          # this machine, as the nodes see it
POD_CIDR=10.244.0.0/16 SERVICE_CIDR=10.96.0.0/16 API_SERVICE_IP=10.96.0.1 DNS_IP=10.96.0.10
node_name() { echo "node$1"; }
node_ip() { echo "10.88.0.$((1 + $1))"; }
node_pods() { echo "10.244.$1.0/24"; }
MAX_NODES=3

set_dir() { # everything of one cluster is below this folder
  DIR=$1 BIN=$1/bin RUN=$1/run LOG=$1/logs PKI=$1/pki CONF=$1/conf IMAGES=$1/images NODES=$1/nodes
  KUBECONFIG_FILE=$DIR/kubeconfig
}
set_dir "$DIR"
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { echo "$*"; }
die() { echo "error: $*" >&2; exit 1; }
loudly() { set -Eeuo pipefail; trap 'echo "error: ${BASH_SOURCE[0]##*/} line $LINENO: $BASH_COMMAND" >&2' ERR; } # no failure without a word
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN{printf "%.1f", b-a}'; }
kubectl() { "$BIN/kubectl" --kubeconfig "$KUBECONFIG_FILE" "$@"; }

# A process is known by its pid and its start time, so that a pid used again is never taken for ours.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '{print $20}'; }
alive() { # name
  local pid start
  [ -s "$RUN/$1.pid" ] || return 1
  read -r pid start < "$RUN/$1.pid"
  [ -n "$pid" ] && [ -n "$start" ] && [ "$(started_at "$pid")" = "$start" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null
}
pid_of() { local pid start; read -r pid start < "$RUN/$1.pid"; echo "$pid"; }
record() { echo "$2 $(started_at "$2")" > "$RUN/$1.pid"; }
start() { # name command...
  local name=$1; shift
  alive "$name" && return 0
  setsid "$@" >> "$LOG/$name.log" 2>&1 < /dev/null 9>&- &
  record "$name" $!
}
stop() { # name [seconds it may take]
  local name=$1 seconds=${2:-15} i pid
  if alive "$name"; then
    pid=$(pid_of "$name")
    kill -TERM "$pid" 2>/dev/null || true
    for ((i = 0; i < seconds * 20; i++)); do alive "$name" || break; sleep .05; done
    if alive "$name"; then kill -KILL "$pid" 2>/dev/null || true; fi
    for ((i = 0; i < 100; i++)); do alive "$name" || break; sleep .05; done
  fi
  rm -f "$RUN/$name.pid"
}
wait_for() { # seconds what command...
  local seconds=$1 what=$2 end; shift 2
  end=$((SECONDS + seconds))
  while ! "$@" > /dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "error: gave up waiting for $what after $seconds s; logs are in $LOG" >&2; return 1; }
    sleep .1
  done
}
ensure() { # seconds name check command...: starts it unless it runs, until it is ready; again if it dies meanwhile
  local seconds=$1 name=$2 check=$3 end again=0; shift 3
  end=$((SECONDS + seconds))
  start "$name" "$@"
  until $check > /dev/null 2>&1; do
    [ $SECONDS -lt $end ] || die "gave up waiting for $name after $seconds s; its log is $LOG/$name.log"
    if ! alive "$name"; then # it was about to stop, or it cannot start
      [ $((again += 1)) -le 3 ] || die "$name does not start; its log is $LOG/$name.log"
      start "$name" "$@"
    fi
    sleep .1
  done
}
in_node() { # node command...
  local pid; pid=$(pid_of "$1"); shift
  nsenter -t "$pid" -m -n -p -u -i -- "$@"
}
start_in_node() { # node name command...: like start; the process is called node.name
  local node=$1 name=$1.$2 parent child i; shift 2
  alive "$name" && return 0
  setsid nsenter -t "$(pid_of "$node")" -m -n -p -u -i -- "$@" >> "$LOG/$name.log" 2>&1 < /dev/null 9>&- &
  parent=$!
  for ((i = 0; i < 1500; i++)); do child=$(pgrep -P $parent) && break; sleep .02; done
  [ -n "$child" ] || die "$name did not start; see $LOG/$name.log"
  record "$name" "$child"
}
stop_node() { # name: with everything on it
  local i
  stop "$1.kubelet" 5
  if alive "$1"; then # process 1 of its pid namespace: takes containerd, shims and every container with it
    kill -KILL "$(pid_of "$1")" || true
    for ((i = 0; i < 200; i++)); do alive "$1" || break; sleep .05; done
  fi
  rm -f "$RUN/$1.pid" "$RUN/$1".*
}
# Volumes of the class `sized` are file systems in files, mounted on the machine. The folder of all nodes is a shared mount, so
# that nodes, whose mount namespaces are slaves of the machine's, see a volume that is mounted while they run.
share_volumes() {
  mountpoint -q "$NODES" || mount --bind "$NODES" "$NODES"
  mount --make-shared "$NODES"
}
mount_volumes() { # those of all nodes, after a restart
  local image
  for image in "$NODES"/*/volumes/*.img; do
    [ -e "$image" ] || continue
    mountpoint -q "${image%.img}" || mount -o loop "$image" "${image%.img}"
  done
}
unmount_volumes() { # [node]: of that node, or of all
  local image
  for image in "$NODES"/${1:-*}/volumes/*.img; do
    [ -e "$image" ] || continue
    ! mountpoint -q "${image%.img}" || umount "${image%.img}" 2> /dev/null || umount --lazy "${image%.img}"
  done
}
unshare_volumes() {
  ! mountpoint -q "$NODES" || umount "$NODES" 2> /dev/null || umount --lazy "$NODES"
}
node_names() { # of this folder, running or not
  local d; for d in "$NODES"/*/; do [ -d "$d" ] && basename "$d"; done; true
}
lock() { mkdir -p "$RUN"; exec 9> "$RUN/lock"; flock -w 600 9 || die "another up or down of $DIR is at work"; }
