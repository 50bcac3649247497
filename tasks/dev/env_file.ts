/** `.dev/env`: what SDKs and the demo need to reach this platform, as dotenv. */

/** Values written to the file. */
export interface EnvValues {
  /** Base URL of the control plane. */
  readonly url: string;
  /** API key of the default team. */
  readonly key: string;
  /** The database. */
  readonly databaseUrl: string;
}

/** The file's text. */
export function formatEnv({ url, key, databaseUrl }: EnvValues): string {
  const values = {
    WRENN_API_URL: url,
    WRENN_API_KEY: key,
    E2B_API_URL: url,
    E2B_API_KEY: key,
    E2B_SANDBOX_URL: url,
    DATABASE_URL: databaseUrl,
  };
  return Object.entries(values).map(([name, value]) => `${name}="${value}"\n`).join("");
}

/** Reads lines `NAME="value"` or `NAME=value`; other lines are passed over. */
export function parseDotenv(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const match = /^([A-Z][A-Z0-9_]*)=("?)(.*)\2$/.exec(line.trim());
    if (match?.[1] !== undefined && match[3] !== undefined) values[match[1]] = match[3];
  }
  return values;
}

/** Reads the file, or nothing when there is none. */
export async function readEnvFile(path: string): Promise<Record<string, string>> {
  try {
    return parseDotenv(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    throw error;
  }
}

/** Writes the file, readable by its owner alone, under a temporary name first. */
export async function writeEnvFile(path: string, values: EnvValues): Promise<void> {
  await Deno.writeTextFile(`${path}.new`, formatEnv(values), { mode: 0o600 });
  await Deno.rename(`${path}.new`, path);
}
