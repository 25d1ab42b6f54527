#!/usr/bin/env bash
# Measures an installation on a cluster of tests/cluster (bench/k8s.py says what), in about six minutes. Needs root and what
# `make test-k8s` needs. CLOISTERDEV_BENCH_ROUNDS (7) and CLOISTERDEV_BENCH_IDLE_SECONDS (120) shorten it.
set -euo pipefail
exec </dev/null
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
unset MAKEFLAGS MFLAGS MAKELEVEL

cargo build --release --workspace --bins --examples --locked
helm=$(scripts/helm.sh)
CLOISTERDEV_CLUSTER_DIR=$PWD/target/bench-cluster
export CLOISTERDEV_CLUSTER_DIR
mkdir -p "$CLOISTERDEV_CLUSTER_DIR"
trap 'tests/cluster/down --wipe' EXIT
trap 'exit 130' HUP INT TERM
KUBECONFIG=$(tests/cluster/up --netpol strict | tail -n 1)
export KUBECONFIG
deploy/images/build.sh --load
python3 bench/k8s.py "$helm" "${CARGO_TARGET_DIR:-target}/release/cloister"
