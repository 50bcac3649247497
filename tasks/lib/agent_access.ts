/** How to reach the host agent of a platform on this machine. */
import { type ListenAddress, listenAddress } from "@wrenn/common";

/** Where an agent listens and what callers show. */
export interface AgentAccess {
  readonly address: ListenAddress;
  readonly secret: string;
}

/**
 * How to reach a running agent, from its own environment: `dev` makes a new secret at every start and writes it
 * nowhere. Undefined when it may not be read or names no socket.
 */
export async function readAgentAccess(
  pid: number,
  proc: string = "/proc",
): Promise<AgentAccess | undefined> {
  const text = await Deno.readTextFile(`${proc}/${pid}/environ`).catch(() => "");
  const env = new Map(
    text.split("\0").map((line): [string, string] => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
  const secret = env.get("WRENN_AGENT_SECRET");
  const address = listenAddress.safeParse(env.get("WRENN_AGENT_LISTEN") ?? "");
  return secret && address.success ? { address: address.data, secret } : undefined;
}
