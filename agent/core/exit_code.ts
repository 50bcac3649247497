/** The exit code of a process in the guest, from what the guest agent says about its end. */

/** How envd reports an end (`process.ProcessEvent.EndEvent`): the strings of Go's `ProcessState`. */
export interface GuestExit {
  readonly exitCode: number;
  /** False when a signal ended the process. */
  readonly exited: boolean;
  /** `exit status 1`, `signal: killed`, `signal: segmentation fault (core dumped)`. */
  readonly status: string;
}

/** Go's names of the Linux signals, by number. */
const SIGNAL_NAMES: readonly string[] = [
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
const SIGNALED = /^signal: (.+?)( \(core dumped\))?$/;
const NUMBERED = /^(?:signal )?(\d{1,2})$/;

/** Exit code of the process; 128 + signal number when a signal ended it, 255 when the signal is unknown. */
export function exitCodeOf(exit: GuestExit): number {
  if (exit.exited || exit.exitCode >= 0) return exit.exitCode;
  const signal = signalOf(exit.status);
  return signal === undefined ? 255 : 128 + signal;
}

/** Number of the signal that a status names; undefined when it names none. */
export function signalOf(status: string): number | undefined {
  const name = SIGNALED.exec(status)?.[1];
  if (name === undefined) return undefined;
  const number = NUMBERED.exec(name)?.[1];
  if (number !== undefined) return Number(number);
  const index = SIGNAL_NAMES.indexOf(name);
  return index > 0 ? index : undefined;
}
