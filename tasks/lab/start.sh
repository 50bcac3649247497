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
# The kernel patches its scheduler when the first virtual machine comes and when the last one goes. QEMU's threads may
# keep a translation from the middle of that: a CPU then hits the breakpoint of the patch for ever, or leaves out what a
# switch between tasks owes to KVM and a guest stands still. One machine that never runs is there from first to last.
# KVM_CREATE_VM is 0xAE01.
perl -e 'open my $kvm, "+<", "/dev/kvm" or die "kvm: $!"; ioctl($kvm, 0xAE01, 0) or die "kvm: $!"; sleep' &
# The same with the first and the last cgroup that has a share of the processors.
echo +cpu >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/held
echo "100000 100000" >/sys/fs/cgroup/held/cpu.max

# Nothing of this host outlives it. A page that is written back is read-only again: a guest whose memory is a file would
# fault on each of its pages anew.
sysctl -q vm.dirty_writeback_centisecs=0 vm.dirty_background_ratio=90 vm.dirty_ratio=95

out=$(port wrenn.out) code=$(port wrenn.code) beat=$(port wrenn.beat)
data=$(drive data) files=$(drive files)

mkdir -p /out /var/lib/wrenn
mount -o noatime,noinit_itable "$data" /var/lib/wrenn
# Tests link images into their own folders: on one file system with them.
mkdir -p -m 1777 /var/lib/wrenn/tmp
export TMPDIR=/var/lib/wrenn/tmp
tell() { # what every process waits for, on the console
  ps -eLo pid,tid,stat,wchan:32,args
  for task in /proc/[0-9]*/task/*; do
    case $(ps -o stat= -q "${task##*/}" 2>/dev/null) in
    D* | R*) echo "$task $(cat "$task/comm")" && cat "$task/stack" ;;
    esac
  done
  echo l >/proc/sysrq-trigger
  dmesg | tail -n 100
}
# The host watches this beat; a line from it asks what hangs. In the reading is the pause: no process is started for it.
while echo >&3; do
  if read -r -t 5 -u 3 _; then tell >/dev/console 2>&1; else [ $? -gt 128 ] || sleep 5; fi
done 3<>"$beat" &

# A session of its own: what it leaves behind is not ours to wait for.
setsid --wait bash /order.sh </dev/null >"$out" 2>&1
status=$?
[ -z "$files" ] || tar -cf "$files" -C /out .
echo "$status" >"$code"
sync
echo b >/proc/sysrq-trigger # QEMU runs with -no-reboot
