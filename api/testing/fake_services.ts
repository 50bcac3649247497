/** The control plane's services in memory, over a fake agent: what `createApp` needs in tests. */
import { create } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import {
  fromConnectError,
  isApiKey,
  newExecutionId,
  newSandboxId,
  newSnapshotId,
  type SandboxId,
  type SnapshotId,
  WrennError,
} from "@wrenn/common";
import {
  type Receipt as WireReceipt,
  type Sandbox,
  SandboxSpecSchema,
  SandboxStatus,
} from "@wrenn/proto/agent";
import {
  toForkReport,
  toGeneration,
  toReceipt,
  toRestored,
  toSpec,
} from "../hosts/agent_messages.ts";
import type {
  AgentClient,
  CreateSandbox,
  ForkedSandbox,
  Generation,
  KeyService,
  ListSandboxes,
  ListSnapshots,
  OpenSandbox,
  Principal,
  ReadinessService,
  Receipt,
  Restored,
  SandboxPage,
  SandboxRecord,
  SandboxService,
  SnapshotPage,
  SnapshotRecord,
  SnapshotService,
} from "../services/types.ts";

const STATUS: Readonly<Record<SandboxStatus, SandboxRecord["status"]>> = {
  [SandboxStatus.UNSPECIFIED]: "pending",
  [SandboxStatus.STARTING]: "starting",
  [SandboxStatus.RUNNING]: "running",
  [SandboxStatus.PAUSED]: "paused",
  [SandboxStatus.HIBERNATED]: "hibernated",
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

type Rested = { sandbox: SandboxRecord; receipt: Receipt };
type Woken = { sandbox: SandboxRecord; restored: Restored };

interface Row {
  readonly teamId: string;
  readonly request: CreateSandbox;
}

/** Snapshots of one agent, without a database. Names are forgotten. */
export class FakeSnapshotService implements SnapshotService {
  readonly #agent: AgentClient;
  readonly #sandboxes: SandboxService;
  readonly #owners = new Map<string, SnapshotRecord>();

  /** @param agent Where they are. @param sandboxes What they are made of. */
  constructor(agent: AgentClient, sandboxes: SandboxService) {
    this.#agent = agent;
    this.#sandboxes = sandboxes;
  }

  /** Makes one on the agent. */
  async create(who: Principal, sandbox: SandboxId, name?: string): Promise<SnapshotRecord> {
    const { template, vcpus, memoryMb, diskMb } = await this.#sandboxes.get(who, sandbox);
    const id = newSnapshotId();
    const { snapshot } = await call(
      this.#agent.snapshotSandbox({ id: sandbox, snapshotId: id }),
    );
    const record: SnapshotRecord = {
      ...{ id, teamId: who.teamId, sandboxId: sandbox, hostId: "host-00000001", name },
      ...{ template, vcpus, memoryMb, diskMb },
      generation: Number(snapshot?.generation),
      digest: snapshot?.digest ?? "",
      bytes: Number(snapshot?.bytes),
      createdAt: new Date(),
    };
    this.#owners.set(id, record);
    return record;
  }

  /** All of a team in one page. */
  list(who: Principal, query: ListSnapshots): Promise<SnapshotPage> {
    const snapshots = [...this.#owners.values()].filter((s) =>
      s.teamId === who.teamId && (query.name === undefined || s.name === query.name) &&
      (query.sandboxId === undefined || s.sandboxId === query.sandboxId)
    );
    return Promise.resolve({ snapshots: snapshots.slice(0, query.limit), nextCursor: undefined });
  }

  /** One of the team. */
  get(who: Principal, id: SnapshotId): Promise<SnapshotRecord> {
    const found = this.#owners.get(id);
    if (found?.teamId === who.teamId) return Promise.resolve(found);
    return Promise.reject(new WrennError("snapshot_not_found", `Snapshot '${id}' not found`));
  }

  /** Deletes on the agent. */
  async delete(who: Principal, id: SnapshotId): Promise<void> {
    await this.get(who, id);
    await call(this.#agent.deleteSnapshot({ id }));
    this.#owners.delete(id);
  }
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
    const spec = create(SandboxSpecSchema, toSpec(request));
    const executionId = newExecutionId();
    const snapshotId = request.snapshot ?? "";
    const made = await call(this.#agent.createSandbox({ id, executionId, spec, snapshotId }));
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
  async pause(who: Principal, id: SandboxId): Promise<Rested> {
    this.#row(who, id);
    return this.#rested(id, await call(this.#agent.pauseSandbox({ id })));
  }

  /** Hibernates on the agent. */
  async hibernate(who: Principal, id: SandboxId): Promise<Rested> {
    this.#row(who, id);
    return this.#rested(id, await call(this.#agent.hibernateSandbox({ id })));
  }

  /** Resumes on the agent. */
  async resume(who: Principal, id: SandboxId): Promise<Woken> {
    this.#row(who, id);
    const { sandbox, restore } = await call(this.#agent.resumeSandbox({ id }));
    return { sandbox: this.#record(id, sandbox), restored: toRestored(restore) };
  }

  /** Forks on the agent. */
  async fork(who: Principal, id: SandboxId, count: number): Promise<ForkedSandbox[]> {
    const row = this.#row(who, id);
    const children = Array.from(
      { length: count },
      () => ({ id: newSandboxId(), executionId: newExecutionId() }),
    );
    const answer = await call(this.#agent.forkSandbox({ id, children }));
    return answer.children.map(({ sandbox, report }) => {
      const child = (sandbox?.id ?? "sb-") as SandboxId;
      this.#rows.set(child, row);
      return { sandbox: this.#record(child, sandbox), report: toForkReport(report) };
    });
  }

  /** Of the agent. */
  async generations(who: Principal, id: SandboxId): Promise<Generation[]> {
    this.#row(who, id);
    return (await call(this.#agent.listGenerations({ id }))).generations.map(toGeneration);
  }

  /** Rolls back on the agent. */
  async rollback(who: Principal, id: SandboxId, generation: number): Promise<Woken> {
    this.#row(who, id);
    const { sandbox, restore } = await call(
      this.#agent.rollbackSandbox({ id, generation: BigInt(generation) }),
    );
    return { sandbox: this.#record(id, sandbox), restored: toRestored(restore) };
  }

  /** Pings the agent. */
  async ping(who: Principal, id: SandboxId): Promise<SandboxRecord> {
    this.#row(who, id);
    return this.#record(id, (await call(this.#agent.pingSandbox({ id }))).sandbox);
  }

  /** Throws unless it runs. */
  async open(who: Principal, id: SandboxId): Promise<OpenSandbox> {
    const sandbox = await this.get(who, id);
    if (sandbox.status === "paused" || sandbox.status === "hibernated") {
      throw new WrennError("sandbox_paused", `Sandbox '${id}' is paused: resume it first`);
    }
    if (sandbox.status !== "running") {
      throw new WrennError("sandbox_not_running", `Sandbox '${id}' is ${sandbox.status}`);
    }
    return { sandbox, agent: this.#agent };
  }

  #rested(
    id: SandboxId,
    { sandbox, receipt }: { sandbox?: Sandbox | undefined; receipt?: WireReceipt | undefined },
  ): Rested {
    return { sandbox: this.#record(id, sandbox), receipt: toReceipt(receipt) };
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
