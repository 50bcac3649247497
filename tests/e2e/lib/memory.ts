/** Peak memory of processes on this host. */

/** Forgets the peak that a process has reached so far (Linux `clear_refs`, value 5). */
export async function resetPeak(pid: number): Promise<void> {
  await Deno.writeTextFile(`/proc/${pid}/clear_refs`, "5");
}

/** Highest resident memory since the start or the last reset, bytes. */
export async function peakBytes(pid: number): Promise<number> {
  return parsePeak(await Deno.readTextFile(`/proc/${pid}/status`));
}

/** `VmHWM` of a `/proc/<pid>/status`, bytes. */
export function parsePeak(status: string): number {
  const found = /^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1];
  if (found === undefined) throw new Error("Cannot find VmHWM");
  return Number(found) * 1024;
}
