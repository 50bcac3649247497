/** The exit code of a process in the guest, from what the guest agent says about its end. */
import { GO_SIGNAL_NAMES } from "@wrenn/common";

/** How envd reports an end (`process.ProcessEvent.EndEvent`): the strings of Go's `ProcessState`. */
export interface GuestExit {
  readonly exitCode: number;
  /** False when a signal ended the process. */
  readonly exited: boolean;
  /** `exit status 1`, `signal: killed`, `signal: segmentation fault (core dumped)`. */
  readonly status: string;
}

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
  const index = GO_SIGNAL_NAMES.indexOf(name);
  return index > 0 ? index : undefined;
}
