/** The stand-in's table of calls: which exist, what their bodies are, and when they are allowed. */
import type { z } from "zod";
import type { ActionType } from "../../../core/firecracker_calls.ts";
import type * as types from "../api_types.ts";
import * as bodies from "./stand_in_bodies.ts";
import { ID_MISMATCH, StandInFault } from "./stand_in_fault.ts";

/** A call that the table allows in some state. */
export type StandInCall =
  | { readonly name: "info"; readonly when: "any" }
  | { [Name in keyof Bodies]: Known<Name> }[keyof Bodies];

interface Known<Name extends keyof Bodies> {
  readonly name: Name;
  readonly when: "before" | "after";
  readonly body: Bodies[Name];
}

/** Body of each call; the id of a resource is left out of its path. */
interface Bodies {
  "PUT /boot-source": types.BootSource;
  "PUT /machine-config": types.MachineConfig;
  "PUT /drives/": types.Drive;
  "PATCH /drives/": types.DriveUpdate;
  "PUT /network-interfaces/": types.NetworkInterface;
  "PATCH /network-interfaces/": types.NetworkInterfaceUpdate;
  "PUT /vsock": types.Vsock;
  "PUT /entropy": types.Entropy;
  "PUT /balloon": types.Balloon;
  "PUT /mmds/config": types.MmdsConfig;
  "PUT /logger": types.LoggerConfig;
  "PUT /metrics": types.MetricsConfig;
  "PUT /serial": types.SerialConfig;
  "PUT /hotplug/memory": types.HotplugMemory;
  "PATCH /hotplug/memory": types.HotplugMemoryUpdate;
  "PUT /actions": { readonly action_type: ActionType };
  "PATCH /vm": { readonly state: "Paused" | "Resumed" };
  "PUT /snapshot/create": types.SnapshotCreate;
  "PUT /snapshot/load": types.SnapshotLoad;
}

const SCHEMAS: { readonly [Name in keyof Bodies]: z.ZodType<Bodies[Name]> } = {
  "PUT /boot-source": bodies.bootSource,
  "PUT /machine-config": bodies.machineConfig,
  "PUT /drives/": bodies.drive,
  "PATCH /drives/": bodies.driveUpdate,
  "PUT /network-interfaces/": bodies.networkInterface,
  "PATCH /network-interfaces/": bodies.networkInterfaceUpdate,
  "PUT /vsock": bodies.vsock,
  "PUT /entropy": bodies.entropy,
  "PUT /balloon": bodies.balloon,
  "PUT /mmds/config": bodies.mmdsConfig,
  "PUT /logger": bodies.logger,
  "PUT /metrics": bodies.metrics,
  "PUT /serial": bodies.serial,
  "PUT /hotplug/memory": bodies.hotplugMemory,
  "PATCH /hotplug/memory": bodies.hotplugMemoryUpdate,
  "PUT /actions": bodies.action,
  "PATCH /vm": bodies.vm,
  "PUT /snapshot/create": bodies.snapshotCreate,
  "PUT /snapshot/load": bodies.snapshotLoad,
};

/** Calls with a body that need a started machine. All others need one that is not. */
const AFTER: ReadonlySet<string> = new Set([
  "PATCH /drives/",
  "PATCH /network-interfaces/",
  "PATCH /hotplug/memory",
  "PATCH /vm",
  "PUT /snapshot/create",
]);

/**
 * Reads a request.
 *
 * @param path Path of the URL. @param text The body; empty for none.
 * @throws {StandInFault}
 */
export function readCall(method: string, path: string, text: string): StandInCall {
  if (method === "GET") {
    if (path === "/") return { name: "info", when: "any" };
    throw unknownCall(method, path);
  }
  if (text === "") throw new StandInFault(`Empty ${method} request.`);
  const [, base = path, id] = /^(\/(?:drives|network-interfaces)\/)([A-Za-z0-9_]+)$/.exec(path) ??
    [];
  const name = `${method} ${base}`;
  if (!isName(name) || name.endsWith("/") !== (id !== undefined)) throw unknownCall(method, path);
  const body = parse(SCHEMAS[name], text);
  if (id !== undefined && !Object.values(body).includes(id)) throw new StandInFault(ID_MISMATCH);
  return { name, when: whenOf(name, body), body } as StandInCall;
}

function isName(name: string): name is keyof Bodies {
  return Object.hasOwn(SCHEMAS, name);
}

function whenOf(name: string, body: object): "before" | "after" {
  if ("action_type" in body) return body.action_type === "InstanceStart" ? "before" : "after";
  return AFTER.has(name) ? "after" : "before";
}

function parse(schema: z.ZodType<object>, text: string): object {
  const intro = "An error occurred when deserializing the json body of a request";
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new StandInFault(`${intro}: ${error instanceof Error ? error.message : error}.`);
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new StandInFault(`${intro}: ${issue?.path.join(".")} ${issue?.message}.`);
}

function unknownCall(method: string, path: string): StandInFault {
  return new StandInFault(
    `Invalid request method and/or path: ${method} ${path.split("/")[1] ?? ""}.`,
  );
}
