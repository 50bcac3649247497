/** How a process ended, in the words of Go's `os.ProcessState` that E2B clients compare. */

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

/** Go's `syscall.Signal` names on Linux, by number. */
const GO_NAMES: readonly string[] = [
  "",
  "hangup",
  "interrupt",
  "quit",
  "illegal instruction",
  "trace/breakpoint trap",
  "aborted",
  "bus error",
  "floating point exception",
  "killed",
  "user defined signal 1",
  "segmentation fault",
  "user defined signal 2",
  "broken pipe",
  "alarm clock",
  "terminated",
  "stack fault",
  "child exited",
  "continued",
  "stopped (signal)",
  "stopped",
  "stopped (tty input)",
  "stopped (tty output)",
  "urgent I/O condition",
  "CPU time limit exceeded",
  "file size limit exceeded",
  "virtual timer expired",
  "profiling timer expired",
  "window changed",
  "I/O possible",
  "power failure",
  "bad system call",
];

/** The report of an ended process. */
export function exitReport(result: WaitResult): ExitReport {
  if ("code" in result) {
    const status = `exit status ${result.code}`;
    return result.code === 0
      ? { exitCode: 0, exited: true, status }
      : { exitCode: result.code, exited: true, status, error: status };
  }
  const status = `signal: ${GO_NAMES[result.signal] || `signal ${result.signal}`}`;
  return { exitCode: -1, exited: false, status, error: status };
}
