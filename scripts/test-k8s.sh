#!/usr/bin/env bash
# Runs the tests that need Kubernetes:
#
#     scripts/test-k8s.sh [--control-plane | --nodes] [-- ARGUMENTS OF THE TEST PROGRAMS]
#
#   control_plane   crates/k8s-engine/tests/control_plane: a real API server without nodes. The tests play scheduler and
#                   kubelet, and run the programs of pods on this machine, so they run only against a control plane that
#                   this script starts.
#   k8s             tests/tests/k8s: a whole cluster. The one in $KUBECONFIG, if that is set; otherwise this script starts
#                   one, runs the tests with NetworkPolicies in force at once (strict), those of the module killed alone, and those
#                   in modules named network again with policies that are late (open:500ms). CLOISTERDEV_KILLS=50 kills the kubelet and
#                   containerd as often as that, instead of for two minutes. CLOISTERDEV_STARTS=100 starts as many containers that try
#                   to make a connection, instead of six. CLOISTERDEV_JOBS=200 carries as many jobs of all kinds through five places,
#                   instead of 30. The module lost adds a second node, and takes it away.
#                   On a cluster in $KUBECONFIG that is not one of tests/cluster (CLOISTERDEV_CLUSTER_DIR names one), tests that
#                   need its nodes, its storage classes, its images or folders of this machine are left out, and named as not run.
#
# Without arguments, both. Clusters are started with tests/cluster/up, in target/test-cluster, and stopped at the end.
# CLOISTERDEV_KEEP_CLUSTER=1 leaves the one with nodes running, and prints its kubeconfig.
#
# Exit codes: 0 all passed; 1 a test failed, or a cluster that should start did not; 77 nothing failed, but something was not
# run, because this machine cannot start a cluster (no root, no namespaces, no cgroups, not Debian), or because the cluster in
# $KUBECONFIG is another one. The last lines say what.
set -euo pipefail
exec </dev/null
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
unset MAKEFLAGS MFLAGS MAKELEVEL

want_control_plane=1 want_nodes=1
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
    --control-plane) want_nodes= ;;
    --nodes) want_control_plane= ;;
    --)
        shift
        arguments=("$@")
        break
        ;;
    *)
        sed -n '2,/^set -eu/s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done

folder=$PWD/target/test-cluster
# cargo_test --test TARGET [ARGUMENTS OF THE TEST PROGRAM]
cargo_test() { cargo test --release --workspace --locked "$1" "$2" -- --ignored "${@:3}" "${arguments[@]}"; }
passed=() missing=() failed=()
say() { printf '\n== %s\n' "$*"; }

# Why this machine cannot start a cluster of tests/cluster; nothing if it can.
obstacle() {
    [ "$(uname -s) $(uname -m)" = 'Linux x86_64' ] || { echo 'a cluster starts only on Linux on x86-64'; return; }
    [ "$(id -u)" = 0 ] || { echo 'a cluster needs root'; return; }
    command -v apt-get >/dev/null || { echo 'a cluster needs apt-get, for its Debian packages'; return; }
    unshare --fork --pid --mount --net --uts --ipc --mount-proc true 2>/dev/null ||
        { echo 'this machine does not let root make namespaces'; return; }
    local group
    for group in /sys/fs/cgroup/memory /sys/fs/cgroup; do
        [ -d "$group" ] && mkdir "$group/cloister-try" 2>/dev/null && rmdir "$group/cloister-try" && return
    done
    echo 'this machine does not let root make control groups'
}

# start FOLDER ARGUMENTS...: starts or repairs a cluster; KUBECONFIG names it.
start() {
    local at=$1
    shift
    local log=$at.log
    mkdir -p "$at"
    if ! tests/cluster/up --dir "$at" "$@" 2>&1 | tee "$log"; then
        return 1
    fi
    KUBECONFIG=$(tail -n 1 "$log")
    export KUBECONFIG
}
# shellcheck disable=SC2329 # called by the trap
stop() {
    [ ! -e "$folder/control-plane" ] || tests/cluster/down --dir "$folder/control-plane" --wipe
    if [ "${CLOISTERDEV_KEEP_CLUSTER:-}" = 1 ] && [ -e "$folder/nodes/kubeconfig" ]; then
        echo "the cluster goes on: export KUBECONFIG=$folder/nodes/kubeconfig; tests/cluster/down --dir $folder/nodes --wipe"
    else
        [ ! -e "$folder/nodes" ] || tests/cluster/down --dir "$folder/nodes" --wipe
    fi
}

control_plane_tests() {
    say 'Tests against an API server without nodes'
    [ -e crates/k8s-engine/tests/control_plane ] || [ -e crates/k8s-engine/tests/control_plane.rs ] || return 0
    if [ -n "$obstacle" ]; then
        missing+=("tests against an API server: $obstacle")
        return
    fi
    # A port of its own: the cluster with nodes may run at the same time.
    export CLOISTERDEV_CLUSTER_API_PORT=16443
    # Nothing reports for the nodes that these tests play. Their pods are not to be evicted for that after two minutes.
    local controllers="${CLOISTERDEV_CLUSTER_CONTROLLER_MANAGER_ARGS:-} --controllers=-taint-eviction-controller"
    # The tests run the programs of the pods. They wait for most of their time, so more run at once than there are processors.
    if cargo build --release --workspace --bins --examples --locked &&
        CLOISTERDEV_CLUSTER_CONTROLLER_MANAGER_ARGS=$controllers start "$folder/control-plane" --control-plane &&
        RUST_TEST_THREADS=${RUST_TEST_THREADS:-8} cargo_test --test control_plane; then
        passed+=('tests against an API server')
    else
        failed+=('tests against an API server')
    fi
    tests/cluster/down --dir "$folder/control-plane" --wipe
    unset CLOISTERDEV_CLUSTER_API_PORT
}

# Makes the images, with Python and JavaScript in the home that all tests share: installing Python takes minutes the first time. A
# Provider of Ocean's is played with the tools of the other tests.
images() {
    scripts/test-tools.sh
    local home=$PWD/target/test-home interpreter
    cargo build --release --workspace --bins --examples --locked
    for interpreter in python javascript; do
        CLOISTER_SANDBOX_HOME=$home target/release/sandbox runtime add "$interpreter"
        set -- "$@" --interpreter "$interpreter"
    done
    CLOISTER_SANDBOX_HOME=$home deploy/images/build.sh "$@" --profile deterministic
}

node_tests() { # WHAT FILTER...
    local what=$1
    shift
    if cargo_test --test k8s "$@"; then passed+=("$what"); else failed+=("$what"); fi
}

# Runs the tests on a cluster of tests/cluster.
own_cluster_tests() { # WHAT
    # The test that loses a node waits for most of its time.
    RUST_TEST_THREADS=${RUST_TEST_THREADS:-3} node_tests "$1" --skip killed::
    # While the kubelet, containerd or the API server is away, everything else on the cluster waits.
    if [ ${#arguments[@]} = 0 ] || [[ ${arguments[*]} == *killed* ]]; then
        local wanted=("${arguments[@]}")
        arguments=(killed::)
        node_tests 'tests that kill the kubelet, containerd and the API server'
        arguments=("${wanted[@]}")
    fi
}

# The tests that another cluster cannot run: how their names begin, and what they need.
own_cluster_only=(
    'killed:: a node and an API server that can be killed'
    'mixed:: an image that tests/cluster/debian-image loads'
    'pulls:: a node in whose network this machine can listen, and an image that tests/cluster/debian-image loads'
    'lost:: a second node that can be cut off'
    'containers:: an image that tests/cluster/debian-image loads, and the storage classes of tests/cluster'
    'network:: an image that tests/cluster/debian-image loads'
    'starts:: an image that tests/cluster/debian-image loads'
    'stores:: an image that tests/cluster/debian-image loads, and Services that this machine reaches'
    'roots:: a hostPath of this machine'
    'deployed::an_installation_ a hostPath of this machine, and an image that tests/cluster/debian-image loads'
)

# Runs the tests on a cluster that is not one of tests/cluster, and names those that it cannot run.
other_cluster_tests() {
    local listed entry begin needs names name left_out=()
    if ! listed=$(cargo_test --test k8s --list); then
        failed+=('listing the tests on a whole cluster')
        return
    fi
    for entry in "${own_cluster_only[@]}"; do
        begin=${entry%% *} needs=${entry#* }
        left_out+=(--skip "$begin")
        names=$(sed -n "s/^\($begin.*\): test\$/\1/p" <<<"$listed")
        if [ -n "$names" ]; then
            while read -r name; do missing+=("$name: needs $needs"); done <<<"$names"
        elif [ ${#arguments[@]} = 0 ]; then
            failed+=("no test is named $begin... any more: correct own_cluster_only in $0")
        fi
    done
    node_tests 'tests on the cluster in KUBECONFIG' "${left_out[@]}"
}

given=${KUBECONFIG:-}
obstacle=$(obstacle)
trap stop EXIT
trap 'exit 130' HUP INT TERM

[ -z "$want_control_plane" ] || control_plane_tests

if [ -n "$want_nodes" ]; then
    say 'Tests on a whole cluster'
    if [ -n "$given" ]; then
        echo "the cluster in KUBECONFIG: $given"
        export KUBECONFIG=$given
        if [ -n "${CLOISTERDEV_CLUSTER_DIR:-}" ]; then
            images --load
            own_cluster_tests 'tests on the cluster in KUBECONFIG'
        else
            images
            other_cluster_tests
        fi
    elif [ -n "$obstacle" ]; then
        missing+=("tests on a whole cluster: $obstacle. Set KUBECONFIG to use another one")
    elif start "$folder/nodes" --netpol strict; then
        export CLOISTERDEV_CLUSTER_DIR=$folder/nodes
        images --load
        own_cluster_tests 'tests on a whole cluster, NetworkPolicies in force at once'
        # A run of no test would count as passed. The list is whole before it is looked at: one that is cut off fails.
        if ! listed=$(cargo_test --test k8s --list); then
            failed+=('listing the tests of the network')
        elif ! grep -q '\(^\|::\)network::' <<<"$listed"; then
            echo 'no test is in a module named network, so none is run with late NetworkPolicies'
        elif start "$folder/nodes" --netpol open:500ms; then
            arguments=(network:: "${arguments[@]}")
            node_tests 'tests of the network, NetworkPolicies late' --skip killed::
        else
            failed+=('restarting with late NetworkPolicies')
        fi
    else
        failed+=('starting a cluster')
    fi
fi

say 'Kubernetes'
[ ${#passed[@]} = 0 ] || printf '  passed   %s\n' "${passed[@]}"
[ ${#missing[@]} = 0 ] || printf '  NOT RUN  %s\n' "${missing[@]}"
[ ${#failed[@]} = 0 ] || printf '  FAILED   %s\n' "${failed[@]}"
[ ${#failed[@]} = 0 ] || exit 1
[ ${#missing[@]} = 0 ] || exit 77
