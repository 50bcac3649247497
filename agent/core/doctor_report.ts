/** What `doctor` prints: the choice or why there is none, and each fact that was looked at. */

/** One thing that was looked at. */
export interface Fact {
  readonly name: string;
  /** What is there; or why it does not work. */
  readonly state: "ok" | "missing";
  readonly detail: string;
  /** What to do about it; empty when nothing has to be done. */
  readonly advice: string;
  /** Without it no agent starts. */
  readonly needed: boolean;
}

/** The whole report. */
export interface DoctorReport {
  /** The agent could start. */
  readonly ok: boolean;
  /** What it would run with and why, or what is in the way: one sentence. */
  readonly verdict: string;
  readonly facts: readonly Fact[];
}

/** A fact from a fault: undefined when all is well. */
export function factOf(
  name: string,
  fault: string | undefined,
  { advice, needed = false, detail = "" }: { advice: string; needed?: boolean; detail?: string },
): Fact {
  return fault === undefined
    ? { name, state: "ok", detail, advice: "", needed }
    : { name, state: "missing", detail: fault, advice, needed };
}

/** Puts the report together. `refusal`: why nothing can be chosen. */
export function reportOf(
  choice: { readonly sentence: string } | { readonly refusal: string },
  facts: readonly Fact[],
): DoctorReport {
  const lacking = facts.filter(({ state, needed }) => needed && state === "missing");
  const ok = "sentence" in choice && lacking.length === 0;
  const verdict = "refusal" in choice
    ? choice.refusal
    : ok
    ? choice.sentence
    : `No agent can start here without: ${lacking.map(({ name }) => name).join(", ")}`;
  return { ok, verdict, facts };
}

/** The report as text: the verdict, then a table. */
export function reportText({ verdict, facts }: DoctorReport): string {
  const rows = facts.map(({ name, state, detail, advice }) => [
    name,
    state,
    detail.includes(advice) ? detail : [detail, advice].filter((text) => text !== "").join(" -> "),
  ]);
  const width = (column: number): number =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const [first, second] = [width(0), width(1)];
  const lines = rows.map(([name = "", state = "", text = ""]) =>
    `${name.padEnd(first)}  ${state.padEnd(second)}  ${text}`.trimEnd()
  );
  return [verdict, "", ...lines].join("\n");
}
