/** `file_up_100mb`, `file_down_100mb`: transfers through the whole platform. */
import { ranBox } from "./create.ts";
import { type Phase, WARM_POOL } from "./phase.ts";
import { fullPool, sampled } from "./sampling.ts";

/** Bytes of one transfer. */
export const TRANSFER_BYTES: number = 100 * 1000 * 1000;
const PATH = "/tmp/bench.bin";

/** One file, written and read. */
export const filesPhase: Phase = {
  name: "files",
  pool: WARM_POOL,
  rows: ["file_up_100mb", "file_down_100mb"],
  compared: true,
  strict: false,
  run: async (context) => {
    const { record, runs, say } = context;
    say(`file_up_100mb, file_down_100mb: ${runs.transfers} times`);
    const bytes = new Uint8Array(TRANSFER_BYTES).map((_, i) => (i * 7) ^ (i >> 8));
    await using box = await ranBox(context);
    await fullPool(context);
    await sampled(context, filesPhase.rows, runs.transfers, async () => {
      record.add("file_up_100mb", (await box.upload(PATH, bytes)).ms);
      const start = performance.now();
      const count = await box.download(PATH);
      if (count !== TRANSFER_BYTES) throw new Error(`Read ${count} bytes of ${TRANSFER_BYTES}`);
      record.add("file_down_100mb", performance.now() - start);
    });
  },
};
