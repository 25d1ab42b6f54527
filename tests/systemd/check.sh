#!/bin/sh
# What docs/operators.md promises of the unit. Runs as a unit of the systemd that scripts/test-systemd.sh has booted.
set -eu
exec </dev/null
# shellcheck source=tests/systemd/functions.sh
. /functions.sh
cloister() { as_service /usr/local/bin/cloister --home "$home" "$@"; }
# What a reader needs to find out why.
failed() {
    cloister job list || :
    [ -z "${job:-}" ] || cloister job show "$job" || :
    journal
}
trap '[ $? = 0 ] || failed' EXIT
main() { systemctl show --property MainPID --value cloister; }

systemd-sysusers
install -d -m 700 -o cloister -g cloister "$home"
as_service /usr/local/bin/cloister serve --home "$home" --print-config >/dev/null
systemctl start cloister
eventually cloister whoami
[ "$(ps -o user= -p "$(main)")" = cloister ]
[ "$(stat -c '%U %a' $home/operator.key)" = 'cloister 600' ]
passed 'the unit starts the service, as the user cloister'

# The operator's key is in its file and nowhere else.
key=$(cat $home/operator.key)
eventually journalctl --unit cloister --quiet --grep listening
journalctl --unit cloister --quiet >/tmp/journal
if grep -F "$key" /tmp/journal; then
    echo 'the key is in the journal'
    exit 1
fi
passed 'the journal has the log of the service, and not the key'

# A program that never ends: `(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))`.
printf '\0asm\1\0\0\0\1\4\1\140\0\0\3\2\1\0\5\3\1\0\1\7\23\2\6memory\2\0\6_start\0\0\12\11\1\7\0\3\100\14\0\13\13' \
    >/tmp/endless.wasm
chmod 644 /tmp/endless.wasm
cat >/tmp/d.yaml <<'END'
{apiVersion: cloister.dev/v1alpha1, kind: Dataset, metadata: {name: penguins},
 spec: {files: [{type: file, path: /penguins.csv}], compute: {allowRawAlgorithm: true}}}
END
chmod 644 /tmp/d.yaml
cloister dataset apply -f /tmp/d.yaml
job=$(cloister job submit --dataset penguins --file /tmp/endless.wasm)
runs() { cloister job show "$job" | grep -q 'phase *Running'; }
eventually runs
sandboxes() { pgrep -u cloister -f 'sandbox.* run' | sort | tr '\n' ' '; }
before=$(sandboxes)
[ -n "$before" ]
passed 'a job runs behind the walls of the unit'

# `KillMode=process`: a restart ends the service alone.
first=$(main)
systemctl restart cloister
eventually cloister whoami
[ "$(main)" != "$first" ]
runs
[ "$(sandboxes)" = "$before" ]
passed 'the job outlives a restart of the service'

# A service that is killed comes back, and finds the job.
first=$(main)
kill -KILL "$first"
is_another() { [ "$(main)" != "$first" ] && [ "$(main)" != 0 ] && cloister whoami; }
eventually is_another
runs
[ "$(sandboxes)" = "$before" ]
passed 'a service that is killed is started again, and finds the job'

cloister job stop "$job"
ended() { cloister job show "$job" | grep -q 'phase *Stopped'; }
eventually ended
cloister audit verify >/dev/null
passed 'the job can be stopped, and the audit log is whole'

# Outside its folder the service sees a file system that it cannot write to, and no home folders.
if nsenter --target "$(main)" --mount -- sh -c ': >/usr/x' 2>/dev/null; then
    echo 'the service can write to /usr'
    exit 1
fi
grep -q '^NoNewPrivs:[[:space:]]*1' "/proc/$(main)/status"
grep -q '^CapEff:[[:space:]]*0*$' "/proc/$(main)/status"
passed 'the service has no capabilities, and a file system that is read-only'

job=$(cloister job submit --dataset penguins --file /tmp/endless.wasm)
eventually runs
systemctl stop cloister
[ -n "$(sandboxes)" ]
none() { [ -z "$(sandboxes)" ]; }
systemctl start cloister
eventually cloister whoami
systemctl kill --kill-whom=all --signal=KILL cloister
eventually none
passed 'systemctl kill --kill-whom=all ends the algorithms, too'
systemd-analyze security --no-pager cloister.service | tail -n 1
