/** Rest, wake, copies and snapshots of the fake platform: the shapes of the wire without a machine. */
import { FakeRefusal } from "./fake_refusal.ts";

type Wire = Record<string, unknown>;

/** Generations by sandbox, snapshots by id. */
export class FakeSnapshots {
  readonly #snapshots = new Map<string, Wire>();
  readonly #generations = new Map<unknown, Wire[]>();
  readonly #add: (fields: Wire) => Wire;

  /** @param add Makes a sandbox with these fields. */
  constructor(add: (fields: Wire) => Wire) {
    this.#add = add;
  }

  /** A snapshot. */
  find(id: string): Wire {
    const found = this.#snapshots.get(id);
    if (found) return found;
    throw new FakeRefusal(404, "snapshot_not_found", `Snapshot '${id}' not found`);
  }

  /** Calls below `/v1/snapshots`. */
  route(method: string, id: string | undefined, query: URLSearchParams): Response {
    if (id !== undefined) {
      const found = this.find(id);
      if (method === "GET") return Response.json(found);
      this.#snapshots.delete(id);
      return new Response(null, { status: 204 });
    }
    const limit = Number(query.get("limit") ?? 2);
    const from = Number(query.get("cursor") ?? 0);
    const all = [...this.#snapshots.values()].toReversed();
    const next = from + limit < all.length ? String(from + limit) : null;
    return Response.json({ snapshots: all.slice(from, from + limit), next_cursor: next });
  }

  /** Calls of one sandbox; undefined for those of others. */
  async handle(call: string, sandbox: Wire, request: Request): Promise<Response | undefined> {
    const generations = this.#generations.get(sandbox["id"]) ?? [];
    const newest = generations[0];
    const receipt = (of: Wire | undefined) => ({
      generation: of?.["generation"] ?? 0,
      digest: of?.["digest"] ?? null,
      bytes: of?.["bytes"] ?? 0,
      durable_at: of?.["created_at"] ?? null,
    });
    switch (call) {
      case "POST pause":
        sandbox["status"] = "paused";
        return Response.json({ ...sandbox, receipt: receipt(newest) });
      case "POST hibernate": {
        sandbox["status"] = "hibernated";
        return Response.json({ ...sandbox, receipt: receipt(this.#keep(sandbox)) });
      }
      case "POST resume": {
        const from = sandbox["status"] === "hibernated" ? "memory" : sandbox["status"];
        sandbox["status"] = "running";
        const generation = newest?.["generation"] ?? 0;
        return Response.json({ ...sandbox, restored: { from, generation, reason: null } });
      }
      case "GET generations":
        return Response.json({ generations });
      case "POST rollback": {
        const { generation } = await request.json();
        sandbox["status"] = "running";
        return Response.json({
          ...sandbox,
          restored: { from: "memory", generation, reason: null },
        });
      }
      case "POST snapshots": {
        const { name = null } = await request.json();
        const id = `snap-${this.#snapshots.size.toString(16).padStart(16, "0")}`;
        const snapshot = { ...sandbox, ...this.#keep(sandbox, id), id, name };
        this.#snapshots.set(id, { ...snapshot, sandbox_id: sandbox["id"] });
        return Response.json(this.#snapshots.get(id), { status: 201 });
      }
      case "POST fork": {
        const { count } = await request.json();
        const sandboxes = Array.from({ length: count }, () => {
          const child = this.#add({ ...sandbox });
          return { ...child, report: report(child["id"]) };
        });
        return Response.json({ sandboxes }, { status: 201 });
      }
    }
    return undefined;
  }

  #keep(sandbox: Wire, snapshot: string | null = null): Wire {
    const before = this.#generations.get(sandbox["id"]) ?? [];
    const generation = {
      generation: before.length + 1,
      digest: "a".repeat(64),
      bytes: 4096,
      created_at: new Date().toISOString(),
      snapshot,
    };
    this.#generations.set(sandbox["id"], [generation, ...before]);
    return generation;
  }
}

function report(hostname: unknown): Wire {
  return {
    entropy_reseeded: true,
    clock_set: true,
    hostname,
    machine_id: "0".repeat(32),
    connections_dropped: 0,
    hooks: [{ name: "10-db", exit_code: 0, timed_out: false }],
  };
}
