/** What the agent under test keeps ready. */
import { agentEndpoint } from "../../../api/hosts/agent_client.ts";
import { readAgentAccess } from "../../../tasks/lib/agent_access.ts";
import { platformHost } from "./platform.ts";

/** Number of warm machines in the agent's pools. */
export async function warmMachines(): Promise<number> {
  const access = await readAgentAccess(platformHost().agentPid);
  if (access === undefined) throw new Error("The agent's address cannot be read");
  const agent = agentEndpoint(access.address, access.secret);
  try {
    const { pools } = await agent.client.getStats({});
    return pools.reduce((sum, { ready }) => sum + ready, 0);
  } finally {
    agent.close();
  }
}
