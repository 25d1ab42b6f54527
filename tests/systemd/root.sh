#!/bin/sh
# Process 1 of the namespaces of scripts/test-systemd.sh: makes a root in memory over this machine's, and becomes systemd in it.
#
#   root.sh true|boot
mount --make-rprivate /
mount -t tmpfs tmpfs "$work/root"
mkdir "$work/root/upper" "$work/root/work" "$work/root/new"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/root/upper,workdir=$work/root/work" "$work/root/new"
cd "$work/root/new"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t sysfs sysfs sys
mount -t cgroup2 none sys/fs/cgroup
[ "$1" = boot ] || exit 0

mkdir -p out old var/lib/cloister
mount --bind "$work/out" out

# As docs/operators.md installs it.
mkdir -p usr/local/bin etc/systemd/system/checked.target.wants etc/sysusers.d
install -m 755 "$programs/cloister" "$programs/sandbox" usr/local/bin/
install -m 644 "$repository/deploy/systemd/cloister.service" etc/systemd/system/
install -m 644 "$repository/deploy/systemd/cloister.sysusers" etc/sysusers.d/cloister.conf
install -m 644 "$repository/tests/systemd/functions.sh" functions.sh
install -m 755 "$repository/tests/systemd/check.sh" check.sh
checks=/check.sh
if [ -e "$work/package.deb" ]; then
    install -m 755 "$repository/tests/systemd/package.sh" package.sh
    install -m 644 "$work/package.deb" package.deb
    checks='/check.sh && /package.sh'
fi
install -m 644 "$repository/data/penguins.csv" penguins.csv
cat >etc/systemd/system/checked.target <<'UNIT'
[Unit]
Description=The journal, and what is looked at
Wants=systemd-journald.service
After=systemd-journald.service
UNIT
cat >etc/systemd/system/check.service <<UNIT
[Unit]
DefaultDependencies=no
After=systemd-journald.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c '{ $checks; } >/out/said 2>&1 && echo passed >/out/result'
ExecStopPost=systemctl --force --force poweroff
UNIT
ln -s ../check.service etc/systemd/system/checked.target.wants/
: >etc/machine-id

pivot_root . old
umount -l old
container=test exec env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    "$systemd" --system --unit=checked.target --log-target=console --log-level=info --show-status=no
