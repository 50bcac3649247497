/** Which of the host's package sources a Debian image of a given release may be built from. */

/** A file of `/etc/apt/sources.list.d`, or `/etc/apt/sources.list` itself. */
export interface SourcesFile {
  /** File name; `.sources` marks the deb822 format. */
  readonly name: string;
  /** Its text. */
  readonly text: string;
}

/** Sources of one release, in the two formats that apt knows. Empty texts when the host has none. */
export interface Sources {
  /** One source a line. */
  readonly list: string;
  /** Stanzas in deb822 format. */
  readonly deb822: string;
}

/**
 * Keeps the host's sources of a release and its updates that have the component `main`; sources of other
 * vendors, releases, and disabled ones stay out.
 */
export function sourcesOf(suite: string, files: readonly SourcesFile[]): Sources {
  const suites = new Set([suite, `${suite}-updates`, `${suite}-security`, `${suite}/updates`]);
  const list: string[] = [];
  const stanzas: string[] = [];
  for (const { name, text } of files) {
    if (name.endsWith(".sources")) {
      stanzas.push(...text.split(/\n\s*\n/).filter((s) => keepsStanza(s, suites)));
    } else if (name.endsWith(".list")) {
      list.push(...text.split("\n").filter((line) => keepsLine(line, suites)));
    }
  }
  const join = (parts: string[], by: string): string =>
    parts.map((p) => p.trim()).join(by) + (parts.length > 0 ? "\n" : "");
  return { list: join(list, "\n"), deb822: join(stanzas, "\n\n") };
}

function keepsLine(line: string, suites: ReadonlySet<string>): boolean {
  const match = /^\s*deb\s+(?:\[[^\]]*\]\s+)?\S+\s+(\S+)\s+([^#]+)/.exec(line);
  return match !== null && suites.has(match[1] ?? "") && words(match[2]).includes("main");
}

function keepsStanza(stanza: string, suites: ReadonlySet<string>): boolean {
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}:[ \\t]*(.*)$`, "im").exec(stanza)?.[1];
  if (/^(no|false|without|off|disable)$/i.test(field("Enabled")?.trim() ?? "")) return false;
  const named = words(field("Suites"));
  return words(field("Types")).includes("deb") && words(field("Components")).includes("main") &&
    named.length > 0 && named.every((s) => suites.has(s));
}

function words(text: string | undefined): string[] {
  return (text ?? "").trim().split(/\s+/).filter((w) => w !== "");
}

/** Settings of the host's apt that reach the network: proxies, retries, checks of dates. */
export function networkSettings(dump: string): string[] {
  return dump.split("\n").filter((line) =>
    /^Acquire::(https?::|Check-|Retries |ForceIPv|AllowReleaseInfoChange)/i.test(line) &&
    !/ "";$/.test(line)
  );
}
