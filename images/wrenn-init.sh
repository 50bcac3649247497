#!/opt/wrenn/bin/busybox sh
# First process of a guest: mounts, name, network, size of the root disk; then catatonit as PID 1
# with envd under it.
# Only busybox applets and shell built-ins: the image may hold nothing else. Every fork costs milliseconds
# under emulation, so values go through /proc and /sys where they can.
W=/opt/wrenn
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

"$W/bin/busybox" mount -a -T "$W/fstab" || echo "wrenn: some mounts have failed"
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/0 /dev/stdin
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr

hostname=wrenn ip='' gw='' dns=''
read -r cmdline </proc/cmdline
for word in $cmdline; do
  case $word in
    wrenn.hostname=*) hostname=${word#*=} ;;
    wrenn.ip=*) ip=${word#*=} ;;
    wrenn.gw=*) gw=${word#*=} ;;
    wrenn.dns=*) dns=${word#*=} ;;
  esac
done

# Names are new in every copy of a guest. They lie in memory, so that writing them costs no journal.
mkdir -p /run/wrenn
echo "$hostname" >/proc/sys/kernel/hostname
echo "$hostname" >/run/wrenn/hostname
echo 00000000000000000000000000000000 >/run/wrenn/machine-id
{
  echo "127.0.0.1 localhost"
  echo "127.0.1.1 $hostname"
  echo "::1 localhost ip6-localhost ip6-loopback"
} >/run/wrenn/hosts
ln -sf /run/wrenn/hostname /run/wrenn/hosts /run/wrenn/machine-id /etc/

set_sysctl() { # path under /proc/sys, value; a kernel without the setting is no fault
  [ -w "/proc/sys/$1" ] && echo "$2" >"/proc/sys/$1"
}
set_sysctl net/ipv4/ping_group_range "0 2147483647"
set_sysctl net/ipv4/ip_unprivileged_port_start 0
set_sysctl net/ipv6/conf/all/accept_ra 0
set_sysctl net/ipv6/conf/default/accept_ra 0
set_sysctl net/ipv6/conf/all/autoconf 0
set_sysctl net/ipv6/conf/default/autoconf 0
set_sysctl fs/inotify/max_user_watches 1048576
set_sysctl fs/inotify/max_user_instances 1024
set_sysctl vm/swappiness 10
set_sysctl kernel/panic_on_oops 1
# Housekeeping by the clock wakes a guest that does nothing.
set_sysctl vm/compaction_proactiveness 0
set_sysctl vm/stat_interval 60
echo 0 >/sys/block/vda/queue/wbt_lat_usec

# Copies of a guest share the kernel's boot id: envd writes another one here.
cat /proc/sys/kernel/random/boot_id >/run/wrenn/boot_id
mount -o bind /run/wrenn/boot_id /proc/sys/kernel/random/boot_id || rm /run/wrenn/boot_id

ifconfig lo 127.0.0.1 up
if [ -n "$ip" ]; then
  ip address add "$ip" dev eth0 && ip link set eth0 up || echo "wrenn: cannot set the address '$ip'"
  [ -n "$gw" ] && { ip route add default via "$gw" || echo "wrenn: cannot set the gateway '$gw'"; }
fi
if [ -n "$dns" ]; then
  rest=$dns,
  while [ -n "$rest" ]; do
    [ -n "${rest%%,*}" ] && echo "nameserver ${rest%%,*}"
    rest=${rest#*,}
  done >/etc/resolv.conf
fi

# The disk may be larger than the image: blocks of 4 KiB in the superblock against sectors of 512 bytes.
read -r sectors </sys/class/block/vda/size
blocks=$(hexdump -s 1028 -n 4 -e '1/4 "%u"' /dev/vda)
if [ "$((sectors / 8))" -gt "$blocks" ]; then
  "$W/lib/ld-linux-x86-64.so.2" --library-path "$W/lib" "$W/bin/resize2fs" /dev/vda >/run/wrenn-resize.log 2>&1 || {
    echo "wrenn: cannot grow the root file system"
    while read -r line; do echo "$line"; done </run/wrenn-resize.log
  }
fi

echo -1000 >/proc/self/oom_score_adj # kept by catatonit and envd; envd gives its children a normal one
cd /
# When envd ends, for whatever reason, so does the machine.
exec "$W/bin/catatonit" -- "$W/bin/busybox" sh "$W/run-envd"
