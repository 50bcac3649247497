/** A process in the guest that holds memory which no snapshot has, and proves afterwards that it still does. */
import type { Argv } from "../sandbox_api.ts";

/** Bytes that it holds. */
export const HELD_BYTES: number = 32 * 1024 * 1024;

const HOLDER = `
import os, signal, sys, zlib
folder, size = sys.argv[1], int(sys.argv[2])
data = os.urandom(size)
def tell(*_):
    with open(folder + "/held.new", "w") as f:
        f.write(str(zlib.crc32(data)))
    os.rename(folder + "/held.new", folder + "/held.crc")
signal.signal(signal.SIGUSR1, tell)
pid = os.fork()
if pid:
    with open(folder + "/held.pid", "w") as f:
        f.write(str(pid))
    print(zlib.crc32(data), flush=True)
    os._exit(0)
os.setsid()
null = os.open(os.devnull, os.O_RDWR)
for fd in (0, 1, 2):
    os.dup2(null, fd)
while True:
    signal.pause()
`;

const CHECK = `
rm -f "$1/held.crc"
pid=$(cat "$1/held.pid")
if ! [ -e "/proc/$pid/exe" ] || ! kill -USR1 "$pid"; then
  echo "The process is gone" >&2
  exit 1
fi
for _ in $(seq 200); do
  if [ -f "$1/held.crc" ]; then cat "$1/held.crc"; exit 0; fi
  sleep 0.05
done
echo "The process does not answer" >&2
exit 1
`;

/** Starts the process, which stays, and prints the checksum of what it holds. */
export function holdMemory(bytes: number, folder: string = "/tmp"): Argv {
  return ["python3", "-c", HOLDER, folder, String(bytes)];
}

/** Asks the process and prints the checksum of what it holds now. Fails when there is no such process. */
export function checkMemory(folder: string = "/tmp"): Argv {
  return ["sh", "-c", CHECK, "sh", folder];
}
