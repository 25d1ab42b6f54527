#!/bin/sh
# What docs/operators.md promises of the package for Debian: it is installed, started, removed and purged. Runs as a part of the unit that
# runs check.sh, after it.
set -eu
exec </dev/null
# shellcheck source=tests/systemd/functions.sh
. /functions.sh
cloister() { as_service /usr/bin/cloister --home "$home" "$@"; }
trap '[ $? = 0 ] || journal' EXIT
installed() { [ "$(dpkg-query --show --showformat '${db:Status-Status}' cloister 2>/dev/null)" = "$1" ]; }

# A machine that has never seen Cloister.
systemctl stop cloister
rm -f /etc/systemd/system/cloister.service /etc/sysusers.d/cloister.conf /usr/local/bin/cloister /usr/local/bin/sandbox
systemctl daemon-reload
rm -rf "$home"
userdel cloister

DEBIAN_FRONTEND=noninteractive dpkg --install /package.deb
installed installed
[ "$(dpkg --verify cloister)" = '' ]
id cloister >/dev/null
[ "$(systemctl is-active cloister || :)" = inactive ]
passed 'the package is installed, and starts nothing'

install -d -m 700 -o cloister -g cloister "$home"
systemctl enable --now cloister
eventually cloister whoami
[ "$(readlink "/proc/$(systemctl show --property MainPID --value cloister)/exe")" = /usr/bin/cloister ]
cloister dataset apply -f /tmp/d.yaml
# A program that ends at once: `(module (memory (export "memory") 1) (func (export "_start")))`.
printf '\0asm\1\0\0\0\1\4\1\140\0\0\3\2\1\0\5\3\1\0\1\7\23\2\6memory\2\0\6_start\0\0\12\4\1\2\0\13' >/tmp/ends.wasm
chmod 644 /tmp/ends.wasm
finished=$(cloister job submit --dataset penguins --file /tmp/ends.wasm --wait)
cloister job show "$finished" | grep -q 'phase *Finished'
passed 'the service of the package runs a job'

endless=$(cloister job submit --dataset penguins --file /tmp/endless.wasm)
runs() { cloister job show "$endless" | grep -q 'phase *Running'; }
eventually runs
dpkg --install /package.deb
eventually cloister whoami
eventually runs
passed 'the package is installed again, and the job goes on'

dpkg --remove cloister
installed config-files
for file in /usr/bin/cloister /usr/lib/systemd/system/cloister.service \
    /etc/systemd/system/multi-user.target.wants/cloister.service; do
    [ ! -e "$file" ]
done
none() { ! pgrep -u cloister; }
eventually none
for file in cloister.db operator.key receipt.key; do [ -s "$home/$file" ]; done
[ "$(stat -c '%U %a' "$home")" = 'cloister 700' ]
passed 'the package is removed with what ran, and leaves the data'

dpkg --install /package.deb
systemctl start cloister
eventually cloister whoami
cloister job show "$finished" | grep -q 'phase *Finished'
cloister audit verify >/dev/null
passed 'installed again, it serves the same folder'

dpkg --purge cloister >/tmp/said 2>&1
cat /tmp/said
grep -qF "$home" /tmp/said
[ -s "$home/cloister.db" ]
id cloister >/dev/null
left=$(find /etc /usr /var/lib/dpkg/info -xdev -name 'cloister*' ! -path '/usr/src/*' ! -path '/usr/local/*' 2>/dev/null || :)
[ "$left" = '' ] || {
    echo "a purge leaves $left"
    exit 1
}
passed 'a purge leaves the data and its user, says so, and nothing else'
