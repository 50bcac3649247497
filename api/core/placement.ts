/** Which host takes a new sandbox. */

/** A host that could. */
export interface PlacementCandidate {
  readonly hostId: string;
  readonly templates: readonly string[];
  /** Sandboxes it has, and creates on their way to it. */
  readonly load: number;
}

/** The decision: a host, or why there is none. */
export type Placement =
  | { readonly kind: "host"; readonly hostId: string }
  | { readonly kind: "no_host" }
  /** No host has the template; these are the ones there are. */
  | { readonly kind: "no_template"; readonly known: readonly string[] };

/** The least loaded host that has the template. */
export function place(template: string, candidates: readonly PlacementCandidate[]): Placement {
  if (candidates.length === 0) return { kind: "no_host" };
  const [best] = candidates
    .filter((c) => c.templates.includes(template))
    .sort((a, b) => a.load - b.load || a.hostId.localeCompare(b.hostId));
  if (best) return { kind: "host", hostId: best.hostId };
  const known = [...new Set(candidates.flatMap((c) => c.templates))].sort();
  return { kind: "no_template", known };
}
