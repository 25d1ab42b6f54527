#!/bin/sh
# An operator's first hour, with what docs/operators.md tells: a service that works, is backed up, lost, restored and upgraded.
#
#   operator.sh
#
# In the folder: penguins.csv and column-stats.wasm. REPOSITORY is a checkout: it has the unit of systemd, and the database
# of the previous release.
set -eu
. "$(dirname -- "$0")/milestones.sh"
# A variable of this name would be taken for a setting.
repository=$REPOSITORY

pid=
stop() {
    if [ -n "$pid" ]; then
        kill "$pid" && wait "$pid" || :
        pid=
    fi
}
trap stop EXIT
# serve HOME OPTION...: starts a service, and waits until it is ready.
serve() {
    home=$1
    shift
    rm -f ready
    cloister serve --home "$home" --ready-file ready "$@" 2>>log &
    pid=$!
    eventually test -e ready
}

cloister serve --print-config >settings
grep 'engine.max_jobs' settings
serve cloister-data
cloister key create --account alice --role publisher --expires 90d --file alice.key
[ "$(stat -c %a alice.key)" = 600 ]
cloister key list
milestone 'started a service, and made a key'

if command -v systemd-analyze >found; then
    # As the package installs it. It prints what it ignores, and ends with 0 nevertheless.
    mkdir unit
    sed "s|^ExecStart=[^ ]*|ExecStart=$(command -v cloister)|" "$repository/deploy/systemd/cloister.service" \
        >unit/cloister.service
    systemd-analyze verify --man=no unit/cloister.service 2>said
    fails 1 grep cloister.service said
    milestone "checked the unit with systemd-analyze"
else
    milestone 'NOT RUN: the unit is not checked, because systemd-analyze is not installed'
fi

cloister --key alice.key dataset apply -f - <<'END'
{apiVersion: cloister.dev/v1alpha1, kind: Dataset, metadata: {name: penguins},
 spec: {files: [{type: file, path: penguins.csv}], compute: {allowRawAlgorithm: true}}}
END
cloister run column-stats.wasm --dataset alice/penguins --param groupBy=species --dir statistics
cloister audit verify
milestone 'saw a job through, and verified the audit log'

cloister backup --to backup
(cd backup && sha256sum --check --quiet SHA256SUMS)
stop
rm -r cloister-data
cloister restore --from backup
cloister audit verify --offline
serve cloister-data
job=$(cloister job list | awk '/Finished/ { print $1 }')
cloister job results "$job" --dir again
diff -r statistics again
cloister job receipt "$job" --verify
stop
milestone 'backed it up, lost it, and restored it'

# The folder of the previous version, with what its users had noted: tests/homes/README.md.
mkdir -m 700 previous
tar -xzf "$repository/tests/homes/v4.tar.gz" -C previous
cloister --home previous/home backup --to before-the-upgrade
serve previous/home --listen 127.0.0.1:0
export CLOISTER_HOME_DIR=previous/home
cloister audit verify --head "$(cat previous/head)"
cloister dataset list | tee datasets
grep penguins datasets
job=$(cat previous/finished)
cloister --key previous/carol.key job results "$job" --dir upgraded
diff -r previous/results upgraded
cloister --key previous/carol.key job receipt "$job" --verify
# What waited for the service is run by the new one.
cloister --key previous/carol.key job follow "$(cat previous/queued)"
stop
milestone 'upgraded the folder of the previous version'
