#!/bin/busybox sh
# PID 1 of the initramfs: loads the virtio drivers, mounts the root disk, goes to the image's own init.
# The shell finds its applets by name only once /proc is mounted, which is not needed here.
bb=/bin/busybox
$bb mount -t devtmpfs dev /dev
$bb mkdir -p /dev/pts /dev/shm # the image mounts the same devtmpfs and finds them there
while read -r module; do
  $bb insmod "/lib/modules/$module" || echo "wrenn: cannot load '$module'"
done </lib/modules/order

tries=0
until [ -b /dev/vda ]; do
  tries=$((tries + 1))
  [ "$tries" -gt 500 ] && {
    echo "wrenn: no root disk: /dev/vda did not appear in 5 s"
    exit 1 # the kernel panics and the VM ends
  }
  $bb usleep 10000
done
# The tables of unused inodes read as zeroes in the sparse image: nothing to initialise in the background.
$bb mount -t ext4 -o rw,noatime,noinit_itable /dev/vda /root || {
  echo "wrenn: cannot mount the root disk"
  exit 1
}
exec $bb switch_root /root /opt/wrenn/init
