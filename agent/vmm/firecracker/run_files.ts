/** What the driver keeps in a run folder. */
import { apiSocket } from "../../core/firecracker_jail.ts";

/** Paths on the host, but for one. */
export interface RunFiles {
  /** Link to the API's socket, which lies in the jail. */
  readonly socket: string;
  /** Where the socket lies, as the jailed process sees it. */
  readonly jailedSocket: string;
  /** Named pipe for what Firecracker and the guest's console print. */
  readonly console: string;
  /** The end of that, written when the process has ended. */
  readonly consoleLog: string;
}

/** Files of a run folder. @throws {RangeError} When its path is too long. */
export function runFiles(runDir: string): RunFiles {
  return {
    socket: `${runDir}/api.sock`,
    jailedSocket: apiSocket(runDir),
    console: `${runDir}/console`,
    consoleLog: `${runDir}/console.log`,
  };
}
