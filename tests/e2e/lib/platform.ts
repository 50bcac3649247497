/** The platform under test, as the runner describes it in the environment. */

/** Where the platform is. */
export interface PlatformUnderTest {
  readonly apiUrl: string;
  readonly apiKey: string;
}

/** The platform's address and key. Throws when no runner has set them. */
export function platform(): PlatformUnderTest {
  return { apiUrl: required("WRENN_API_URL"), apiKey: required("WRENN_API_KEY") };
}

/** What only a test on the platform's own host can see. */
export interface PlatformHost {
  /** Process id of the host agent. */
  readonly agentPid: number;
  /** Process id of the control plane. */
  readonly apiPid: number;
  /** Folder of sockets and of one folder per virtual machine. */
  readonly runDir: string;
  /** The agent's data folder. */
  readonly dataDir: string;
}

/** The platform's processes and folders. Throws when no runner has set them. */
export function platformHost(): PlatformHost {
  return {
    agentPid: Number(required("WRENN_E2E_AGENT_PID")),
    apiPid: Number(required("WRENN_E2E_API_PID")),
    runDir: required("WRENN_E2E_RUN_DIR"),
    dataDir: required("WRENN_E2E_DATA_DIR"),
  };
}

function required(name: string): string {
  const value = Deno.env.get(name);
  if (!value) {
    throw new Error(`'${name}' is not set: run these tests with 'deno task test:e2e'`);
  }
  return value;
}
