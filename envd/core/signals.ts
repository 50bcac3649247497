/** Signal numbers of Linux on x86_64 and aarch64 (signal(7)). */

const NAMES: readonly string[] = [
  "",
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGILL",
  "SIGTRAP",
  "SIGABRT",
  "SIGBUS",
  "SIGFPE",
  "SIGKILL",
  "SIGUSR1",
  "SIGSEGV",
  "SIGUSR2",
  "SIGPIPE",
  "SIGALRM",
  "SIGTERM",
  "SIGSTKFLT",
  "SIGCHLD",
  "SIGCONT",
  "SIGSTOP",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGURG",
  "SIGXCPU",
  "SIGXFSZ",
  "SIGVTALRM",
  "SIGPROF",
  "SIGWINCH",
  "SIGIO",
  "SIGPWR",
  "SIGSYS",
];

/** Number of a signal's name. */
export function signalNumber(name: string): number | undefined {
  const number = NAMES.indexOf(name);
  return number > 0 ? number : undefined;
}

/** True for the numbers that can be sent: the standard signals, 1 to 31. */
export function isSendableSignal(number: number): boolean {
  return Number.isInteger(number) && number >= 1 && number <= 31;
}
