/** A running QEMU's disk: which layer is written, continuing on another, and taking several into one. */
import { delay } from "@wrenn/common";
import { z } from "zod";
import { layerNode } from "../../core/qemu_args.ts";
import type { BlockDevice, LayerControl } from "../../rootfs/store.ts";
import type { QmpClient } from "./qmp.ts";

const blockList = z.array(z.object({
  inserted: z.object({ "node-name": z.string(), file: z.string() }).optional(),
}));
const nodeList = z.array(z.object({
  "node-name": z.string(),
  drv: z.string(),
  file: z.string(),
}));
const jobList = z.array(
  z.object({ id: z.string(), status: z.string(), error: z.string().optional() }),
);

const JOB = "flatten";
const POLL_MS = 20;

/** Control of the one disk of a machine. */
export class QemuDisk implements LayerControl {
  readonly #qmp: QmpClient;

  /** @param qmp Control connection of the machine. */
  constructor(qmp: QmpClient) {
    this.#qmp = qmp;
  }

  /** Name of the file that is written. */
  async topLayer(): Promise<string> {
    return layerName((await this.#top()).file);
  }

  /** Continues on another top layer, an empty one that names the present one as what is below. */
  async switchTo(disk: BlockDevice): Promise<void> {
    const layer = baseName(disk.path);
    const node = layer.replace(/[^0-9a-z-]/g, "-");
    const { "node-name": present } = await this.#top();
    // The disk's folder is the root of the process.
    const added = { ...layerNode(node, disk, `/${layer}`), backing: null };
    await this.#qmp.execute("blockdev-add", added);
    try {
      await this.#qmp.execute("blockdev-snapshot", { node: present, overlay: node });
    } catch (error) {
      await this.#qmp.execute("blockdev-del", { "node-name": node });
      throw error;
    }
  }

  /** Takes all layers between the top and `layer` into the top. */
  async flatten(layer: string): Promise<void> {
    const [{ "node-name": device }, base] = [await this.#top(), await this.#nodeOf(layer)];
    await this.#qmp.execute("block-stream", {
      "job-id": JOB,
      device,
      "base-node": base,
      "backing-file": layer,
      "auto-dismiss": false,
    });
    for (;;) {
      const jobs = jobList.parse(await this.#qmp.execute("query-jobs"));
      const job = jobs.find(({ id }) => id === JOB);
      if (job === undefined) throw new Error("The job that flattens the disk is gone");
      if (job.status === "concluded") {
        await this.#qmp.execute("job-dismiss", { id: JOB });
        if (job.error !== undefined) throw new Error(`Cannot flatten the disk: ${job.error}`);
        return;
      }
      await delay(POLL_MS);
    }
  }

  async #top(): Promise<{ "node-name": string; file: string }> {
    for (const { inserted } of blockList.parse(await this.#qmp.execute("query-block"))) {
      if (inserted) return inserted;
    }
    throw new Error("The machine has no disk");
  }

  async #nodeOf(layer: string): Promise<string> {
    const nodes = nodeList.parse(
      await this.#qmp.execute("query-named-block-nodes", { flat: true }),
    );
    const found = nodes.find(({ drv, file }) => drv !== "file" && layerName(file) === layer);
    if (found) return found["node-name"];
    throw new Error(`The disk has no layer '${layer}'`);
  }
}

/** What QEMU says when a file was opened with options of ours: `json:{"file":{"filename":...}}`. */
const pseudoName = z.object({ file: z.object({ filename: z.string() }) });

/** Name of a layer's file, from either of the ways in which QEMU tells it. */
export function layerName(told: string): string {
  const path = told.startsWith("json:")
    ? pseudoName.parse(JSON.parse(told.slice(5))).file.filename
    : told;
  return baseName(path);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
