/** A machine whose agent is another process, which can die. */
import type { BootSpec } from "../driver.ts";
import type { FirecrackerDriverOptions } from "../firecracker/driver.ts";
import type { QemuDriverOptions } from "../qemu/driver.ts";

/** What the other process is told: which driver it opens, and how, and what it boots. */
export type AgentOrder =
  & { readonly spec: BootSpec }
  & (
    | { readonly driver: "qemu"; readonly options: QemuDriverOptions }
    | { readonly driver: "firecracker"; readonly options: FirecrackerDriverOptions }
  );

/** Boots a machine there and tells the VMM's process id. The process then does nothing until it is killed. */
export async function bootInAnotherAgent(
  order: AgentOrder,
): Promise<{ agent: Deno.ChildProcess; pid: number }> {
  const program = new URL("./dead_agent.ts", import.meta.url).pathname;
  const agent = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", program, JSON.stringify(order)],
    stdout: "piped",
  }).spawn();
  const reader = agent.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value } = await reader.read();
  await reader.cancel();
  return { agent, pid: Number(value) };
}
