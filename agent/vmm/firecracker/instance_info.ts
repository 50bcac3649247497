/** What Firecracker says of itself. */
import { z } from "zod";

const schema = z.object({
  id: z.string(),
  state: z.enum(["Not started", "Running", "Paused"]),
  vmm_version: z.string(),
  app_name: z.string(),
});

/** Answer of `GET /`. */
export interface InstanceInfo {
  /** As given by `--id`. */
  readonly id: string;
  /** `Not started` until it is started or has loaded a snapshot. */
  readonly state: "Not started" | "Running" | "Paused";
  /** `1.15.1`. */
  readonly vmm_version: string;
  /** `Firecracker`. */
  readonly app_name: string;
}

/** Reads the answer of `GET /`. @throws {SyntaxError} Not JSON. @throws {z.ZodError} Something else. */
export function parseInstanceInfo(text: string): InstanceInfo {
  return schema.parse(JSON.parse(text));
}
