/** Where the time of a call goes, from the steps that its answers name. */
import type { Timing } from "./server_timing.ts";
import { hundredth, percentile } from "./stats.ts";

/** One step of a call. */
export interface Step {
  readonly name: string;
  /** Median of the answers that name it; null when none does. */
  readonly p50: number | null;
  /** Answers that name it. */
  readonly n: number;
}

/** A call and its steps. */
export interface Breakdown {
  readonly call: string;
  /** Answers. */
  readonly n: number;
  /** Median of the whole call as the client sees it. */
  readonly total_p50: number;
  readonly steps: readonly Step[];
  /** The step with the largest median; null when no answer names any. */
  readonly largest: { readonly name: string; readonly p50: number; readonly share: number } | null;
}

/** Steps of the control plane; `rpc` is its call of the agent, and holds the agent's own steps. */
const API_STEPS = ["auth", "sql", "rpc"];
/** Steps of the agent's fast path, in its order. */
const AGENT_STEPS = ["claim", "policy", "resume", "init"];
/** What `rpc` took beside the agent's steps: the wire, and what the agent does unnamed. */
const RPC_REST = "rpc_rest";
/** What the call took beside `auth`, `sql` and `rpc`: HTTP, reading and writing JSON, and the client. */
const REPLY = "reply";

interface Sample {
  readonly totalMs: number;
  readonly steps: Timing;
}

/** Collects the timing of answers by call. */
export class PathLog {
  readonly #calls = new Map<string, Sample[]>();

  /** One more answer. */
  add(call: string, totalMs: number, steps: Timing): void {
    const samples = this.#calls.get(call) ?? [];
    samples.push({ totalMs, steps });
    this.#calls.set(call, samples);
  }

  /** Every call, in the order they first came. */
  breakdowns(): Breakdown[] {
    return [...this.#calls].map(([call, samples]) => breakdown(call, samples));
  }
}

/** The steps of one call: those that are known, absent ones too, and whatever else the answers name. */
export function breakdown(call: string, samples: readonly Sample[]): Breakdown {
  const all = samples.map((sample) => ({ ...sample, steps: complete(sample) }));
  const known = [...API_STEPS, ...AGENT_STEPS, RPC_REST, REPLY];
  const others = new Set(
    all.flatMap(({ steps }) => [...steps.keys()]).filter((name) => !known.includes(name)),
  );
  const names = [...API_STEPS, ...AGENT_STEPS, ...others, RPC_REST, REPLY];
  const steps = names.map((name): Step => {
    const values = all.flatMap(({ steps }) => steps.get(name) ?? []);
    return {
      name,
      p50: values.length === 0 ? null : hundredth(percentile(values, 50)),
      n: values.length,
    };
  });
  const total = percentile(samples.map(({ totalMs }) => totalMs), 50);
  return {
    call,
    n: samples.length,
    total_p50: hundredth(total),
    steps,
    largest: largest(steps, total),
  };
}

/** The steps of an answer with those that follow from them. What does not follow stays away. */
function complete({ totalMs, steps }: Sample): Timing {
  const rpc = steps.get("rpc");
  if (rpc === undefined) return steps;
  const sum = (wanted: (name: string) => boolean): number =>
    [...steps].reduce((ms, [name, more]) => wanted(name) ? ms + more : ms, 0);
  const api = sum((name) => API_STEPS.includes(name));
  const agent = sum((name) => !API_STEPS.includes(name) && name !== REPLY);
  return new Map([
    [RPC_REST, Math.max(0, rpc - agent)],
    [REPLY, Math.max(0, totalMs - api)],
    ...steps,
  ]);
}

/** `rpc` is the sum of others and does not compete with them. */
function largest(steps: readonly Step[], total: number): Breakdown["largest"] {
  let found: Breakdown["largest"] = null;
  for (const { name, p50 } of steps) {
    if (name === "rpc" || p50 === null || p50 <= (found?.p50 ?? -1)) continue;
    found = { name, p50, share: hundredth(p50 / total) };
  }
  return found;
}
