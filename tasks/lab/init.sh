#!/bin/bash
# First process of the lab: finds the drive with the order, which has the checkout and with it all else.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for folder in /sys/block/vd*; do
  [ "$(cat "$folder/serial")" = order ] && tar -xf "/dev/${folder##*/}" -C /
done
exec bash /project/tasks/lab/start.sh
