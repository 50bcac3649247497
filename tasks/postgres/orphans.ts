/** Server processes that outlived whoever started them. */
import { delay } from "@wrenn/common";

/**
 * Ends every PostgreSQL process that works in this cluster: first as its owner would, then harder. A process is
 * known by its program's name and by its working directory, which PostgreSQL keeps at the cluster's folder;
 * a number in a file is not believed.
 *
 * @param data Folder of the cluster.
 * @returns Number of processes found.
 */
export async function endServer(data: string): Promise<number> {
  const found = await serverProcesses(data);
  if (found.length === 0) return 0;
  // SIGINT: fast shutdown; SIGQUIT: at once, recovering at the next start; SIGKILL for what does not listen.
  const steps = [["SIGINT", 10_000], ["SIGQUIT", 3000], ["SIGKILL", 5000]] as const;
  for (const [signal, patienceMs] of steps) {
    const alive = await serverProcesses(data);
    const head = alive.filter((p) => !alive.some((other) => other.pid === p.parent));
    for (const { pid } of signal === "SIGKILL" ? alive : head) kill(pid, signal);
    for (let waited = 0; waited < patienceMs; waited += 50) {
      if ((await serverProcesses(data)).length === 0) return found.length;
      await delay(50);
    }
  }
  throw new Error(`Cannot end the PostgreSQL server of '${data}'`);
}

interface ServerProcess {
  readonly pid: number;
  readonly parent: number;
}

/** The processes that work in a cluster. */
export async function serverProcesses(data: string): Promise<ServerProcess[]> {
  const folder = await Deno.stat(data).catch(absent);
  if (!folder) return [];
  const found: ServerProcess[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const program = await Deno.readLink(`/proc/${name}/exe`).catch(absent);
    if (!program || !/\/postgres( \(deleted\))?$/.test(program)) continue;
    const cwd = await Deno.stat(`/proc/${name}/cwd`).catch(absent);
    if (!cwd || cwd.dev !== folder.dev || cwd.ino !== folder.ino) continue;
    const status = await Deno.readTextFile(`/proc/${name}/status`).catch(absent);
    if (status === undefined || /^State:\s+Z/m.test(status)) continue;
    found.push({ pid: Number(name), parent: Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]) });
  }
  return found;
}

/** Processes end while one looks at them, and those of other users cannot be looked at. */
function absent(error: unknown): undefined {
  if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
    return undefined;
  }
  if (error instanceof Error && /os error 3\b|ESRCH/.test(error.message)) return undefined;
  throw error;
}

function kill(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    absent(error);
  }
}
