/** Version of the agent, as `GetHostInfo` tells it. */
export const AGENT_VERSION: string = "0.1.0";
