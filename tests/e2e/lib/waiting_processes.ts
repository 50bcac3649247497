/** What the agent under test keeps ready. */
import { agentEndpoint } from "../../../api/hosts/agent_client.ts";
import { readAgentAccess } from "../../../tasks/lib/agent_access.ts";
import { platformHost } from "./platform.ts";

/** Number of processes of the agent's that wait: warm machines, and spare processes without one. */
export async function waitingProcesses(): Promise<number> {
  const access = await readAgentAccess(platformHost().agentPid);
  if (access === undefined) throw new Error("The agent's address cannot be read");
  const agent = agentEndpoint(access.address, access.secret);
  try {
    const { pools, spares } = await agent.client.getStats({});
    return pools.reduce((sum, { ready }) => sum + ready, spares?.ready ?? 0);
  } finally {
    agent.close();
  }
}
