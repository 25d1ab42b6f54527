#!/usr/bin/env bash
# Measures an installation on clusters of tests/cluster. Needs root and what `make test-k8s` needs.
#
#     scripts/bench-k8s.sh [--nodes | --ended-jobs | --many-jobs [--quick]]
#
#   nodes        bench/k8s.py: latency, writes, memory of the programs, in about six minutes. CLOISTERDEV_BENCH_ROUNDS (7) and
#                CLOISTERDEV_BENCH_IDLE_SECONDS (120) shorten it.
#   ended jobs   bench/ended_jobs.py: what ended jobs cost the API server, on a control plane without nodes, in about half an hour.
#                CLOISTERDEV_BENCH_ENDED_JOBS ('1000 20000') says how many there are when it measures.
#   many jobs    bench/src/suite/cluster.rs: what a status costs among 10,000 jobs beside one machine, and how soon one step follows
#                another while 200 jobs run, on a control plane without nodes, in about fifteen minutes. --quick: 500 and 20.
#
# Without arguments, all of them.
set -euo pipefail
exec </dev/null
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
unset MAKEFLAGS MFLAGS MAKELEVEL

want_nodes=1 want_ended_jobs=1 want_many_jobs=1 quick=()
case $* in
'') ;;
--nodes) want_ended_jobs= want_many_jobs= ;;
--ended-jobs) want_nodes= want_many_jobs= ;;
--many-jobs) want_nodes= want_ended_jobs= ;;
'--many-jobs --quick') want_nodes= want_ended_jobs= quick=(--quick) ;;
*)
    sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
built=${CARGO_TARGET_DIR:-target}/release

cargo build --release --workspace --bins --examples --locked
CLOISTERDEV_CLUSTER_DIR=$PWD/target/bench-cluster
export CLOISTERDEV_CLUSTER_DIR
mkdir -p "$CLOISTERDEV_CLUSTER_DIR"
trap 'tests/cluster/down --wipe' EXIT
trap 'exit 130' HUP INT TERM

if [ -n "$want_nodes" ]; then
    helm=$(scripts/helm.sh)
    KUBECONFIG=$(tests/cluster/up --netpol strict | tail -n 1)
    export KUBECONFIG
    deploy/images/build.sh --load
    python3 bench/k8s.py "$helm" "$built/cloister"
    tests/cluster/down --wipe
fi
if [ -n "$want_ended_jobs" ]; then
    read -ra numbers <<<"${CLOISTERDEV_BENCH_ENDED_JOBS:-1000 20000}"
    KUBECONFIG=$(tests/cluster/up --control-plane | tail -n 1)
    export KUBECONFIG
    python3 bench/ended_jobs.py "$built/examples/ended_jobs" "$CLOISTERDEV_CLUSTER_DIR/bin/kubectl" "${numbers[@]}"
    tests/cluster/down --wipe
fi
if [ -n "$want_many_jobs" ]; then
    CLOISTERDEV_BENCH_KUBECONFIG=$(tests/cluster/up --control-plane | tail -n 1)
    export CLOISTERDEV_BENCH_KUBECONFIG
    "$built/cloister-bench" --only cluster "${quick[@]}"
fi
