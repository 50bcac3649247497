#!/bin/bash
# The lab after its first steps: mounts, modules, then the order; its exit code and its files go back.
export HOME=/root LANG=C.UTF-8
export DENO_DIR=/opt/deno DENO_NO_UPDATE_CHECK=1 NO_COLOR=1
# Without udev device-mapper makes its nodes itself.
export DM_DISABLE_UDEV=1

mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd
hostname lab
echo "127.0.0.1 localhost lab" >/etc/hosts
ip link set lo up

for module in virtio_console kvm-amd loop dm-mod dm-snapshot tun veth nf_tables; do
  modprobe "$module" || echo "lab: cannot load '$module'"
done

port() { # device of a port, by its name, which comes a moment after the driver
  local name
  for _ in {1..100}; do
    for name in /sys/class/virtio-ports/*/name; do
      [ "$(cat "$name" 2>/dev/null)" = "$1" ] && echo "/dev/$(basename "$(dirname "$name")")" && return
    done
    sleep 0.1
  done
  echo "lab: no port '$1'" >/dev/console
}
drive() { # device of a drive, by its name
  for folder in /sys/block/vd*; do
    [ "$(cat "$folder/serial")" = "$1" ] && echo "/dev/${folder##*/}"
  done
}
# Nothing of this host outlives it. A page that is written back is read-only again: a guest whose memory is a file would
# fault on each of its pages anew.
sysctl -q vm.dirty_writeback_centisecs=0 vm.dirty_background_ratio=90 vm.dirty_ratio=95

out=$(port wrenn.out) code=$(port wrenn.code)
data=$(drive data) files=$(drive files)

mkdir -p /out /var/lib/wrenn
mount -o noatime,noinit_itable "$data" /var/lib/wrenn
# Tests link images into their own folders: on one file system with them.
mkdir -p -m 1777 /var/lib/wrenn/tmp
export TMPDIR=/var/lib/wrenn/tmp
# A session of its own: what it leaves behind is not ours to wait for.
setsid --wait bash /order.sh </dev/null >"$out" 2>&1
status=$?
[ -z "$files" ] || tar -cf "$files" -C /out .
echo "$status" >"$code"
sync
echo b >/proc/sysrq-trigger # QEMU runs with -no-reboot
