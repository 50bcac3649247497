/** The data folder of one agent: nobody else's while it lives, and the host's id in it. */
import { join } from "node:path";
import { ConfigError, type HostId, isHostId, newHostId } from "@wrenn/common";

/**
 * Takes the data folder for this process until disposed of. The kernel gives it back when the process dies.
 *
 * @throws {ConfigError} When another agent has it.
 */
export async function lockDataDir(dataDir: string): Promise<Disposable> {
  const file = await Deno.open(join(dataDir, "agent.lock"), {
    create: true,
    write: true,
    mode: 0o600,
  });
  if (await file.tryLock(true)) return file;
  file.close();
  throw new ConfigError(`Wrong configuration: WRENN_DATA_DIR: another agent uses '${dataDir}'`);
}

/** The host's id, made at the first start and kept in the data folder. */
export async function loadHostId(dataDir: string): Promise<HostId> {
  const path = join(dataDir, "host-id");
  const known = await Deno.readTextFile(path).catch((error: unknown) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
  const id = known?.trim();
  if (id !== undefined) {
    if (isHostId(id)) return id;
    throw new ConfigError(`Wrong configuration: WRENN_DATA_DIR: '${path}' holds no host id`);
  }
  const made = newHostId();
  // Whole or not at all, whenever the machine stops.
  using temporary = await Deno.open(`${path}.new`, { create: true, write: true, truncate: true });
  await temporary.write(new TextEncoder().encode(`${made}\n`));
  await temporary.sync();
  await Deno.rename(`${path}.new`, path);
  return made;
}
