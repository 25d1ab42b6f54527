# shellcheck shell=sh
# What check.sh and package.sh share.
home=/var/lib/cloister
passed() { printf 'test-systemd: %s\n' "$1"; }
# as_service COMMAND...: as the user of the service, as the page says.
as_service() { runuser -u cloister -- "$@"; }
# eventually COMMAND...: repeats it until it succeeds, or for a minute.
eventually() {
    end=$(($(date +%s) + 60))
    while [ "$(date +%s)" -lt "$end" ]; do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.5
    done
    echo "never: $*"
    "$@"
}
# The end of the journal of the service.
journal() {
    journalctl --unit cloister --quiet --no-pager | grep -v "\"message\":\"answered\"" | tail -n 40 || :
}
