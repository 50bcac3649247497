/** The control plane's services in memory, over a fake agent: what `createApp` needs in tests. */
import { create } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import {
  fromConnectError,
  isApiKey,
  newExecutionId,
  newSandboxId,
  type SandboxId,
  WrennError,
} from "@wrenn/common";
import { OnTimeout, type Sandbox, SandboxSpecSchema, SandboxStatus } from "@wrenn/proto/agent";
import type {
  AgentClient,
  CreateSandbox,
  KeyService,
  ListSandboxes,
  OpenSandbox,
  Principal,
  ReadinessService,
  SandboxPage,
  SandboxRecord,
  SandboxService,
} from "../services/types.ts";

const STATUS: Readonly<Record<SandboxStatus, SandboxRecord["status"]>> = {
  [SandboxStatus.UNSPECIFIED]: "pending",
  [SandboxStatus.STARTING]: "starting",
  [SandboxStatus.RUNNING]: "running",
  [SandboxStatus.PAUSED]: "paused",
  [SandboxStatus.STOPPED]: "stopped",
  [SandboxStatus.ERROR]: "error",
};

/** Key that {@linkcode FakeKeys} knows. */
export const TEST_KEY = "wrn_0123456789ABCDEFGHIJKLMNOPQRSTUV";
/** Key of another team. */
export const OTHER_KEY = "wrn_VUTSRQPONMLKJIHGFEDCBA9876543210";

/** Two teams with one key each. */
export class FakeKeys implements KeyService {
  /** Owners by key. */
  readonly owners: Map<string, Principal> = new Map([
    [TEST_KEY, { teamId: "team-1", keyId: "key-1" }],
    [OTHER_KEY, { teamId: "team-2", keyId: "key-2" }],
  ]);

  /** Looks the key up. */
  authenticate(key: string): Promise<Principal | undefined> {
    return Promise.resolve(isApiKey(key) ? this.owners.get(key) : undefined);
  }
}

/** Ready until a test says otherwise. */
export class FakeReadiness implements ReadinessService {
  /** What {@linkcode FakeReadiness.check} answers. */
  state: { ready: boolean; checks: Record<string, "ok" | string> } = {
    ready: true,
    checks: { database: "ok", agent: "ok" },
  };

  /** The state. */
  check(): Promise<{ ready: boolean; checks: Record<string, "ok" | string> }> {
    return Promise.resolve(this.state);
  }
}

interface Row {
  readonly teamId: string;
  readonly request: CreateSandbox;
}

/** Sandboxes of one agent, without a database: the agent's own record is the state. */
export class FakeSandboxes implements SandboxService {
  readonly #agent: AgentClient;
  readonly #rows = new Map<SandboxId, Row>();

  /** @param agent Usually `new FakeAgent().client()`, or a client over TCP. */
  constructor(agent: AgentClient) {
    this.#agent = agent;
  }

  /** Creates on the agent. */
  async create(who: Principal, request: CreateSandbox): Promise<SandboxRecord> {
    const id = newSandboxId();
    const spec = create(SandboxSpecSchema, {
      template: request.template,
      vcpus: request.vcpus,
      memoryMb: request.memoryMb,
      diskMb: request.diskMb,
      timeoutSec: request.timeoutSec,
      onTimeout: request.onTimeout === "pause" ? OnTimeout.PAUSE : OnTimeout.DESTROY,
      env: { ...request.env },
      network: {
        internet: request.network.internet,
        allowOut: [...request.network.allowOut],
        denyOut: [...request.network.denyOut],
      },
    });
    const executionId = newExecutionId();
    const made = await call(this.#agent.createSandbox({ id, executionId, spec }));
    this.#rows.set(id, { teamId: who.teamId, request });
    return this.#record(id, made.sandbox);
  }

  /** Filters and pages; the cursor is the last id of a page. */
  async list(who: Principal, query: ListSandboxes): Promise<SandboxPage> {
    const known = [...this.#rows].filter(([, row]) => row.teamId === who.teamId);
    const all = await Promise.all(known.map(([id]) => this.get(who, id)));
    const wanted = query.status ?? ["pending", "starting", "running", "paused", "hibernated"];
    const found = all.filter((s) =>
      wanted.includes(s.status) &&
      (query.template === undefined || s.template === query.template) &&
      Object.entries(query.metadata ?? {}).every(([k, v]) => s.metadata[k] === v)
    ).toSorted((a, b) => a.id < b.id ? -1 : 1);
    const { cursor } = query;
    if (cursor !== undefined && !/^sb-[0-9a-f]{8}$/.test(cursor)) {
      throw new WrennError("invalid_request", "Invalid query parameter 'cursor'");
    }
    const rest = cursor === undefined ? found : found.filter((s) => s.id > cursor);
    const page = rest.slice(0, query.limit);
    return { sandboxes: page, nextCursor: rest.length > page.length ? page.at(-1)?.id : undefined };
  }

  /** The agent's view. */
  async get(who: Principal, id: SandboxId): Promise<SandboxRecord> {
    this.#row(who, id);
    return this.#record(id, (await call(this.#agent.getSandbox({ id }))).sandbox);
  }

  /** Destroys on the agent. */
  async destroy(who: Principal, id: SandboxId): Promise<void> {
    this.#row(who, id);
    await call(this.#agent.destroySandbox({ id }));
  }

  /** Pauses on the agent. */
  async pause(who: Principal, id: SandboxId): Promise<SandboxRecord> {
    this.#row(who, id);
    return this.#record(id, (await call(this.#agent.pauseSandbox({ id }))).sandbox);
  }

  /** Resumes on the agent. */
  async resume(who: Principal, id: SandboxId): Promise<SandboxRecord> {
    this.#row(who, id);
    return this.#record(id, (await call(this.#agent.resumeSandbox({ id }))).sandbox);
  }

  /** Pings the agent. */
  async ping(who: Principal, id: SandboxId): Promise<SandboxRecord> {
    this.#row(who, id);
    return this.#record(id, (await call(this.#agent.pingSandbox({ id }))).sandbox);
  }

  /** Throws unless it runs. */
  async open(who: Principal, id: SandboxId): Promise<OpenSandbox> {
    const sandbox = await this.get(who, id);
    if (sandbox.status === "paused") {
      throw new WrennError("sandbox_paused", `Sandbox '${id}' is paused: resume it first`);
    }
    if (sandbox.status !== "running") {
      throw new WrennError("sandbox_not_running", `Sandbox '${id}' is ${sandbox.status}`);
    }
    return { sandbox, agent: this.#agent };
  }

  #row(who: Principal, id: SandboxId): Row {
    const row = this.#rows.get(id);
    if (row?.teamId === who.teamId) return row;
    throw new WrennError("sandbox_not_found", `Sandbox '${id}' not found`);
  }

  #record(id: SandboxId, sandbox: Sandbox | undefined): SandboxRecord {
    const row = this.#rows.get(id);
    if (!row || !sandbox?.spec || !sandbox.createdAt || !sandbox.lastActiveAt) {
      throw new WrennError("internal", "Agent sent an incomplete sandbox");
    }
    const { request } = row;
    const lastActiveAt = timestampDate(sandbox.lastActiveAt);
    const live = sandbox.status !== SandboxStatus.STOPPED && sandbox.status !== SandboxStatus.ERROR;
    const expires = live && request.timeoutSec > 0;
    return {
      id,
      teamId: row.teamId,
      status: STATUS[sandbox.status],
      template: request.template,
      vcpus: request.vcpus,
      memoryMb: request.memoryMb,
      diskMb: sandbox.spec.diskMb,
      timeoutSec: request.timeoutSec,
      onTimeout: request.onTimeout,
      metadata: request.metadata,
      hostId: live ? "host-00000001" : undefined,
      hostIp: live ? sandbox.hostIp : undefined,
      executionId: sandbox.executionId,
      createdAt: timestampDate(sandbox.createdAt),
      startedAt: sandbox.startedAt ? timestampDate(sandbox.startedAt) : undefined,
      lastActiveAt,
      expiresAt: expires ? new Date(lastActiveAt.getTime() + request.timeoutSec * 1000) : undefined,
      error: sandbox.reasonCode === ""
        ? undefined
        : { code: sandbox.reasonCode, message: sandbox.reason },
    };
  }
}

async function call<T>(response: Promise<T>): Promise<T> {
  try {
    return await response;
  } catch (error) {
    throw fromConnectError(error, "host_unavailable");
  }
}
