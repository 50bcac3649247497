/** The header `Server-Timing` (W3C): which step of a request took how long. */

/** Milliseconds by step, in the order of the header. A step that the header does not name is not there. */
export type Timing = ReadonlyMap<string, number>;

/** One metric: a token, then parameters whose values are tokens or quoted texts. */
const METRIC =
  /\s*([!#$%&'*+.^_`|~\w-]+)((?:\s*;\s*[\w-]+(?:\s*=\s*(?:"(?:\\.|[^"\\])*"|[^\s;,"]*))?)*)\s*(?:,|$)/y;
const DURATION = /;\s*dur\s*=\s*"?(\d+(?:\.\d+)?)"?/i;

/**
 * Reads the header. A metric without a duration says nothing here and is left out; a name that comes twice is
 * added up. Reading ends where the text is no such header.
 */
export function parseServerTiming(header: string | null): Timing {
  const steps = new Map<string, number>();
  if (header === null) return steps;
  METRIC.lastIndex = 0;
  while (METRIC.lastIndex < header.length) {
    const match = METRIC.exec(header);
    if (match === null) break;
    const [, name = "", parameters = ""] = match;
    const duration = DURATION.exec(withoutDescriptions(parameters))?.[1];
    if (duration === undefined) continue;
    steps.set(name, (steps.get(name) ?? 0) + Number(duration));
  }
  return steps;
}

/** A description may hold anything, a duration too. */
function withoutDescriptions(parameters: string): string {
  return parameters.replaceAll(/;\s*desc\s*=\s*"(?:\\.|[^"\\])*"/gi, "");
}
