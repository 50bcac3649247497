/** Where a development platform keeps its files. */
import { join } from "node:path";

/** Folders and files of one platform. */
export interface DevFolders {
  /** dotenv file for SDKs and for `deno task demo`. */
  readonly env: string;
  /** Processes of this platform, for `leftovers.ts` and for tests. */
  readonly state: string;
  /** `agent.log`, `api.log`. */
  readonly logs: string;
  /** The agent's data folder. */
  readonly host: string;
  /** The database cluster. */
  readonly postgres: string;
  /** Sockets; short, since a Unix socket's path has at most 107 bytes. */
  readonly run: string;
}

/** The folders under a data folder; `run` is a function of its path, so that a later start finds it. */
export async function devFolders(dataDir: string): Promise<DevFolders> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(dataDir));
  const tag = new Uint8Array(digest).toHex().slice(0, 8);
  return {
    env: join(dataDir, "env"),
    state: join(dataDir, "state.json"),
    logs: join(dataDir, "logs"),
    host: join(dataDir, "host"),
    postgres: join(dataDir, "postgres"),
    run: `/run/wrenn-${tag}`,
  };
}
