/** How a process ended, in the words of Go's `os.ProcessState` that E2B clients compare. */
import { GO_SIGNAL_NAMES } from "@wrenn/common/signals";

/** End of a process on the wire. */
export interface ExitReport {
  /** Exit code, -1 when a signal ended the process. */
  exitCode: number;
  /** True when the process called exit. */
  exited: boolean;
  /** `exit status N` or `signal: name`. */
  status: string;
  /** Same text when the process did not succeed. */
  error?: string;
}

/** What the operating system said: a code, or the number of the signal. */
export type WaitResult = { code: number } | { signal: number };

/** The report of an ended process. */
export function exitReport(result: WaitResult): ExitReport {
  if ("code" in result) {
    const status = `exit status ${result.code}`;
    return result.code === 0
      ? { exitCode: 0, exited: true, status }
      : { exitCode: result.code, exited: true, status, error: status };
  }
  const status = `signal: ${GO_SIGNAL_NAMES[result.signal] || `signal ${result.signal}`}`;
  return { exitCode: -1, exited: false, status, error: status };
}
