# Runs the guest agent, and ends the machine with it; with the argument `exec` it is replaced by the agent (the
# image builder fills envd's cache that way). The loader and libraries are Wrenn's own, so that an image without a
# C library will do.
W=/opt/wrenn
# Compiled JavaScript does not pay under emulation: the compilers are code to translate, and so is what they make.
# What a function has seen is kept from its first run on: without that every property goes the long way. All of it is
# compiled at boot, before the golden snapshot: the first file that a tenant reads comes after 150 ms instead of 390.
v8=
case $(cat /proc/cmdline) in *wrenn.emulated=1*) v8=--v8-flags=--no-opt,--no-sparkplug,--no-maglev,--single-threaded,--no-lazy-feedback-allocation,--no-flush-bytecode,--no-lazy ;; esac
set -- "$1" env -i \
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  HOME=/root LANG=C.UTF-8 DENO_DIR="$W/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1 \
  "$W/lib/ld-linux-x86-64.so.2" --library-path "$W/lib" "$W/deno" run -A --quiet --no-config --no-lock \
  --no-prompt --cached-only --unstable-no-legacy-abort --unstable-net $v8 "$W/envd.js" --await-init
if [ "$1" = exec ]; then
  shift
  exec "$@" </dev/null
fi
shift
"$@" </dev/null
echo "wrenn: envd has ended with exit code $?"
sync
reboot -f # QEMU runs with -no-reboot
