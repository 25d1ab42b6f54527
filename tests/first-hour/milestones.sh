# Prints how long each part of a script took. Sourced.

began=$(date +%s%N)

# milestone TEXT: the seconds since the last one.
milestone() {
    now=$(date +%s%N)
    tenths=$(((now - began) / 100000000))
    printf '%4d.%d s  %s\n' $((tenths / 10)) $((tenths % 10)) "$1"
    began=$(date +%s%N)
}

# eventually COMMAND...: repeats it until it succeeds, for a minute at most.
eventually() {
    for _ in $(seq 600); do
        if "$@"; then return; fi
        sleep 0.1
    done
    echo "never: $*" >&2
    return 1
}

# fails CODE COMMAND...: it has to end with this code.
fails() {
    expected=$1 code=0
    shift
    "$@" || code=$?
    [ "$code" -eq "$expected" ] || { echo "ended with $code, not $expected: $*" >&2; return 1; }
}
