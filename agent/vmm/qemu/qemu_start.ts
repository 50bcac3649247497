/** What every way to a running QEMU machine ends with: the machine, or nothing and the reason. */
import { CleanupStack, logger, WrennError } from "@wrenn/common";
import { runFiles } from "../../core/qemu_args.ts";
import type { MachineSpec } from "../driver.ts";
import { findRegion } from "./guest_memory.ts";
import type { Started } from "./qemu_process.ts";
import { QemuVm } from "./qemu_vm.ts";
import { fileTail } from "../tail.ts";

const log = logger("agent", "vmm");
const LOG_LINES = 20;
const MIB = 1 << 20;

/** Runs a start; when it fails, undoes it and tells the end of QEMU's log. */
export async function undone<T>(
  spec: MachineSpec,
  work: (undo: CleanupStack) => Promise<T>,
): Promise<T> {
  const undo = new CleanupStack();
  try {
    const made = await work(undo);
    undo.keep();
    return made;
  } catch (cause) {
    const tail = await fileTail(runFiles(spec.runDir).log, LOG_LINES);
    await undo.run();
    if (cause instanceof WrennError && cause.code !== "internal") throw cause;
    const reason = new Error(`QEMU did not start: ${tail || "its log is empty"}`, { cause });
    throw new WrennError("internal", "Cannot start the virtual machine", { cause: reason });
  }
}

/** The machine of a process whose memory is mapped. */
export async function vmOf(
  { vmId, memoryMb, disk }: MachineSpec,
  { process, qmp, files, events, cleanUp }: Started,
  { memoryFile, booted }: { memoryFile: string; booted: boolean },
): Promise<QemuVm> {
  const { ino } = await Deno.stat(memoryFile);
  if (ino === null) throw new Error(`'${memoryFile}' has no inode`);
  const memory = await findRegion(process.pid, ino, memoryMb * MIB);
  const vm = new QemuVm({
    ...{ vmId, process, qmp, files, memory, booted },
    layered: disk.format === "qcow2",
    cleanUp: () => cleanUp.run(),
  });
  events.deliver((event) => vm.onEvent(event));
  log.debug("Machine {vmId} is process {pid}", { vmId, pid: vm.pid });
  return vm;
}
