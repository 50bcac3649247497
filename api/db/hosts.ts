/** Rows of hosts: what each said about itself, and when it was last heard. */
import type { Queryable } from "./database.ts";

/** What a host says about itself. */
export interface HostRow {
  readonly id: string;
  readonly address: string;
  readonly cpus: number;
  readonly memoryMb: number;
  readonly accelerator: string;
  readonly vmm: string;
  readonly version: string;
}

/** Writes that a host is there and what it is. */
export async function upsertHost(db: Queryable, host: HostRow): Promise<void> {
  await db.query(
    `INSERT INTO hosts (id, address, status, cpus, memory_mb, accelerator, vmm, version)
     VALUES ($1, $2, 'online', $3, $4, $5, $6, $7)
     ON CONFLICT (id) DO UPDATE SET address = EXCLUDED.address, status = 'online', cpus = EXCLUDED.cpus,
       memory_mb = EXCLUDED.memory_mb, accelerator = EXCLUDED.accelerator, vmm = EXCLUDED.vmm,
       version = EXCLUDED.version, last_seen_at = now()`,
    [
      host.id,
      host.address,
      host.cpus,
      host.memoryMb,
      host.accelerator,
      host.vmm,
      host.version,
    ],
    { idempotent: true },
  );
}

/** Writes that a host does not answer. */
export async function markHostOffline(db: Queryable, id: string): Promise<void> {
  await db.query("UPDATE hosts SET status = 'offline' WHERE id = $1", [id], { idempotent: true });
}
