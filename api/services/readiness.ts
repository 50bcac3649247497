/** Whether the platform can serve: the database answers, and at least one host does. */
import { WrennError } from "@wrenn/common";
import type { Database } from "../db/database.ts";
import type { HostRegistry } from "../hosts/host_registry.ts";
import type { ReadinessService } from "./types.ts";

const DATABASE_TIMEOUT_MS = 2000;

/** The service. */
export class Readiness implements ReadinessService {
  readonly #db: Database;
  readonly #hosts: HostRegistry;

  /** @param options Database and hosts. */
  constructor({ db, hosts }: { readonly db: Database; readonly hosts: HostRegistry }) {
    this.#db = db;
    this.#hosts = hosts;
  }

  async check(): Promise<{ ready: boolean; checks: Record<string, "ok" | string> }> {
    const checks = { database: await this.#database(), hosts: this.#hostsCheck() };
    return { ready: checks.database === "ok" && checks.hosts === "ok", checks };
  }

  async #database(): Promise<"ok" | string> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), DATABASE_TIMEOUT_MS);
    });
    const asked = this.#db.query("SELECT 1", [], { idempotent: true })
      .then(() => "ok", (error) => WrennError.from(error).message);
    const answer = await Promise.race([asked, late]);
    clearTimeout(timer);
    return answer === "late" ? "Database does not answer in time" : answer;
  }

  #hostsCheck(): "ok" | string {
    if (this.#hosts.connected().length > 0) return "ok";
    return `No host answers: ${this.#hosts.unreachable().join(", ")}`;
  }
}
