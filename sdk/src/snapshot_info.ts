/** What the platform says about rest, wake, copies and snapshots. */
import { number } from "./core/exec_messages.ts";
import { WrennError } from "./errors.ts";
import { readSandboxInfo, type SandboxInfo } from "./sandbox_info.ts";

/** The newest generation of a sandbox on disk: what a crash of its host would leave. */
export interface Receipt {
  /** 0: nothing of it is on disk yet. */
  readonly generation: number;
  /** SHA-256 of the generation, in hex. */
  readonly digest?: string;
  /** Bytes that it takes. */
  readonly bytes: number;
  /** Since when it is on disk. */
  readonly durableAt?: Date;
}

/** A sandbox that was put to rest. */
export interface RestedSandbox extends SandboxInfo {
  /** What is safe of it. */
  readonly receipt: Receipt;
}

/** How a sandbox came back. */
export interface Restored {
  /** `memory`: it goes on where it was. `disk`: it was booted from its disk. */
  readonly from: "running" | "paused" | "memory" | "disk";
  /** The generation that it came from. */
  readonly generation: number;
  /** Why its memory was not used. */
  readonly reason?: string;
}

/** A sandbox that was woken. */
export interface WokenSandbox extends SandboxInfo {
  /** How. */
  readonly restored: Restored;
}

/** What was done to a copy before its processes went on. */
export interface ForkReport {
  /** Its random numbers are its own. */
  readonly entropyReseeded: boolean;
  /** Its clock is right. */
  readonly clockSet: boolean;
  /** Its new host name. */
  readonly hostname: string;
  /** Its new machine id. */
  readonly machineId: string;
  /** Connections that came with the memory. */
  readonly connectionsDropped: number;
  /** What ran of `/etc/wrenn/on-fork.d`. */
  readonly hooks: readonly {
    readonly name: string;
    readonly exitCode: number;
    readonly timedOut: boolean;
  }[];
}

/** A moment that a sandbox can be rolled back to. */
export interface Generation {
  /** Counts from 1. */
  readonly generation: number;
  /** SHA-256, in hex. */
  readonly digest: string;
  /** Bytes that it takes. */
  readonly bytes: number;
  /** When it was. */
  readonly createdAt: Date;
  /** Its id, when somebody asked for it as a snapshot. */
  readonly snapshotId?: string;
}

/** A snapshot as the platform describes it. */
export interface SnapshotInfo {
  /** `snap-` and 16 hex digits. */
  readonly id: string;
  /** The maker's name for it. */
  readonly name?: string;
  /** What it was made of; that may be gone. */
  readonly sandboxId: string;
  /** Template of that sandbox. */
  readonly template: string;
  /** Virtual CPUs of a sandbox that starts from it. */
  readonly vcpus: number;
  /** Memory, MiB. */
  readonly memoryMb: number;
  /** Disk, MiB. */
  readonly diskMb: number;
  /** The sandbox's generation that it is. */
  readonly generation: number;
  /** SHA-256, in hex. */
  readonly digest: string;
  /** Bytes that it takes. */
  readonly bytes: number;
  /** Host that has it. */
  readonly hostId: string;
  /** When it was made. */
  readonly createdAt: Date;
}

/** Reads the answer of pause and hibernate. */
export function readRested(value: unknown): RestedSandbox {
  const wire = part(value, "receipt");
  const [digest, durableAt] = [text(wire, "digest"), text(wire, "durable_at")];
  return {
    ...readSandboxInfo(value),
    receipt: {
      generation: number(wire, "generation"),
      bytes: number(wire, "bytes"),
      ...(digest === undefined ? {} : { digest }),
      ...(durableAt === undefined ? {} : { durableAt: new Date(durableAt) }),
    },
  };
}

/** Reads the answer of resume and rollback. */
export function readWoken(value: unknown): WokenSandbox {
  const wire = part(value, "restored");
  const reason = text(wire, "reason");
  return {
    ...readSandboxInfo(value),
    restored: {
      from: wire["from"] as Restored["from"],
      generation: number(wire, "generation"),
      ...(reason === undefined ? {} : { reason }),
    },
  };
}

/** Reads the report of a copy; undefined when there is none. */
export function readReport(value: unknown): ForkReport | undefined {
  if ((value as Wire)["report"] === null) return undefined;
  const wire = part(value, "report");
  return {
    entropyReseeded: wire["entropy_reseeded"] === true,
    clockSet: wire["clock_set"] === true,
    hostname: text(wire, "hostname") ?? "",
    machineId: text(wire, "machine_id") ?? "",
    connectionsDropped: number(wire, "connections_dropped"),
    hooks: list(wire, "hooks").map((hook) => ({
      name: text(hook, "name") ?? "",
      exitCode: number(hook, "exit_code"),
      timedOut: hook["timed_out"] === true,
    })),
  };
}

/** Reads the list of generations. */
export function readGenerations(value: unknown): Generation[] {
  return list(value, "generations").map((wire) => {
    const snapshotId = text(wire, "snapshot");
    return {
      generation: number(wire, "generation"),
      digest: text(wire, "digest") ?? "",
      bytes: number(wire, "bytes"),
      createdAt: new Date(text(wire, "created_at") ?? NaN),
      ...(snapshotId === undefined ? {} : { snapshotId }),
    };
  });
}

/** Reads a snapshot. */
export function readSnapshot(value: unknown): SnapshotInfo {
  const wire = value as Wire;
  const id = text(wire ?? {}, "id");
  if (!id?.startsWith("snap-")) {
    throw new WrennError("invalid_response", "The platform's answer is not a snapshot");
  }
  const name = text(wire, "name");
  return {
    id,
    ...(name === undefined ? {} : { name }),
    sandboxId: text(wire, "sandbox_id") ?? "",
    template: text(wire, "template") ?? "",
    vcpus: number(wire, "vcpus"),
    memoryMb: number(wire, "memory_mb"),
    diskMb: number(wire, "disk_mb"),
    generation: number(wire, "generation"),
    digest: text(wire, "digest") ?? "",
    bytes: number(wire, "bytes"),
    hostId: text(wire, "host_id") ?? "",
    createdAt: new Date(text(wire, "created_at") ?? NaN),
  };
}

/** A list in an answer. */
export function list(value: unknown, name: string): Wire[] {
  const items = (value as Wire)?.[name];
  if (!Array.isArray(items)) {
    throw new WrennError("invalid_response", `The platform's answer has no list '${name}'`);
  }
  return items;
}

type Wire = Record<string, unknown>;

function part(value: unknown, name: string): Wire {
  const found = (value as Wire)?.[name];
  if (typeof found !== "object" || found === null) {
    throw new WrennError("invalid_response", `The platform's answer has no '${name}'`);
  }
  return found as Wire;
}

function text(wire: Wire, name: string): string | undefined {
  const value = wire[name];
  return typeof value === "string" ? value : undefined;
}
