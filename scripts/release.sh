# What the scripts that pack a release have in common. Sourced, in the repository, with the folder of the packages in $dist.

version=$(awk -F '"' '/^\[/ { here = ($0 == "[workspace.package]") } here && $1 ~ /^version/ { print $2; exit }' Cargo.toml)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

# packed DIR PREFIX...: a tar archive whose bytes depend on names, modes and contents only.
packed() (
    folder=$1
    shift
    tar --create --format=gnu --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner -C "$folder" "$@"
)

# completions PROGRAM DIR: what its shells read, in the folder completions of DIR.
completions() (
    program=$1 into=$2/completions
    name=$(basename "$program")
    mkdir -p "$into"
    "$program" completions bash >"$into/$name.bash"
    "$program" completions zsh >"$into/_$name"
    "$program" completions fish >"$into/$name.fish"
)

# sums: writes the digests of all packages, and prints them.
sums() (
    cd "$dist"
    find . -maxdepth 1 -type f -name 'cloister*' -printf '%P\n' | sort | xargs sha256sum >SHA256SUMS
    cat SHA256SUMS
)
