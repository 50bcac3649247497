/** Linux signals by name. */

/** Names without the `SIG` prefix and their numbers on x86-64 and arm64. */
const SIGNALS: Readonly<Record<string, number>> = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  TRAP: 5,
  ABRT: 6,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  CHLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  URG: 23,
  XCPU: 24,
  XFSZ: 25,
  VTALRM: 26,
  PROF: 27,
  WINCH: 28,
  IO: 29,
  PWR: 30,
  SYS: 31,
};

/** Number of `SIGINT`, `INT` or `int`; undefined for a name that does not exist. */
export function signalNumber(name: string): number | undefined {
  const short = name.toUpperCase().replace(/^SIG/, "");
  return Object.hasOwn(SIGNALS, short) ? SIGNALS[short] : undefined;
}
