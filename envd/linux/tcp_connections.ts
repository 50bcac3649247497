/** TCP connections of the guest (proc_pid_net(5)). */
import { parseConnections } from "../core/tcp_table.ts";

/** Counts the established connections to other machines, but for those to envd. */
export function foreignConnections(): number {
  let foreign = 0;
  for (const table of ["tcp", "tcp6"]) {
    try {
      foreign +=
        parseConnections(Deno.readTextFileSync(`/proc/net/${table}`)).filter(isForeign).length;
    } catch (error) {
      // A guest without IPv6 has no such table.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return foreign;
}

/** Neither to this machine itself nor to envd. */
function isForeign({ loopback, localPort }: { loopback: boolean; localPort: number }): boolean {
  return !loopback && localPort !== ENVD_PORT;
}

const ENVD_PORT = 49983;
