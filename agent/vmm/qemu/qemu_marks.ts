/** How a QEMU of ours is told from other processes. */
import { runDirOf } from "../../core/qemu_args.ts";
import type { VmmMarks } from "../process_identity.ts";

/** Its control socket lies in a run folder, and its program is one of QEMU's. */
export const QEMU_MARKS: VmmMarks = {
  runDirOf,
  isVmm: (program) => program.startsWith("qemu-"),
};
