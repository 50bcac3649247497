/** What a request may do to a sandbox, from its state and what is already queued: decided here, performed elsewhere. */
import type { ErrorCode } from "@wrenn/common";
import { isFinal, type SandboxState } from "./sandbox_state.ts";

/**
 * A request for a sandbox that is in the map. `use` stands for commands and files, `capture` for forks and
 * snapshots.
 */
export type SandboxRequest =
  | { readonly kind: "create"; readonly executionId: string }
  | { readonly kind: "destroy"; readonly executionId: string }
  | {
    readonly kind:
      | "pause"
      | "hibernate"
      | "resume"
      | "capture"
      | "rollback"
      | "ping"
      | "use";
  };

/** What the decision depends on. */
export interface AdmissionView {
  /** State after everything that was performed. */
  readonly state: SandboxState;
  /** The execution that the agent runs or ran. */
  readonly executionId: string;
  /** A destroy is queued or under way. */
  readonly stopping: boolean;
}

/**
 * `accept`: perform it. `ignore`: it is done already, answer with the sandbox as it is. `wait`: it is under way,
 * answer when it has settled. `deny`: answer with the code.
 */
export type Admission =
  | { readonly kind: "accept" | "ignore" | "wait" }
  | { readonly kind: "deny"; readonly code: ErrorCode; readonly reason: string };

const ACCEPT: Admission = { kind: "accept" };
const IGNORE: Admission = { kind: "ignore" };
const WAIT: Admission = { kind: "wait" };
const deny = (code: ErrorCode, reason: string): Admission => ({ kind: "deny", code, reason });

/** Decides about one request. */
export function admit(request: SandboxRequest, view: AdmissionView): Admission {
  switch (request.kind) {
    case "create":
      return admitCreate(request.executionId, view);
    case "destroy":
      return admitDestroy(request.executionId, view);
    case "pause":
      return admitLive(view, { running: ACCEPT, paused: IGNORE, hibernated: IGNORE });
    case "hibernate":
      return admitLive(view, { running: ACCEPT, paused: ACCEPT, hibernated: IGNORE });
    case "resume":
      return admitLive(view, { running: IGNORE, paused: ACCEPT, hibernated: ACCEPT });
    case "rollback":
      return admitLive(view, { running: ACCEPT, paused: ACCEPT, hibernated: ACCEPT });
    case "capture":
      return admitLive(view, {
        running: ACCEPT,
        paused: ACCEPT,
        hibernated: deny("sandbox_paused", "is hibernated: resume it first"),
      });
    case "ping":
    case "use":
      return admitLive(view, {
        running: ACCEPT,
        paused: deny("sandbox_paused", "is paused"),
        hibernated: deny("sandbox_paused", "is hibernated"),
      });
  }
}

/** An id belongs to one execution at a time; the same execution asked for twice is one sandbox. */
function admitCreate(executionId: string, view: AdmissionView): Admission {
  const ended = isFinal(view.state);
  if (executionId !== view.executionId) {
    return ended ? ACCEPT : deny("conflict", "runs another execution");
  }
  if (ended || view.stopping) return deny("conflict", "has ended");
  return view.state === "starting" ? WAIT : IGNORE;
}

function admitDestroy(executionId: string, view: AdmissionView): Admission {
  if (executionId !== "" && executionId !== view.executionId) {
    return deny("conflict", "runs another execution");
  }
  if (isFinal(view.state)) return IGNORE;
  return view.stopping ? WAIT : ACCEPT;
}

function admitLive(
  view: AdmissionView,
  answers: Readonly<Record<"running" | "paused" | "hibernated", Admission>>,
): Admission {
  if (view.stopping) return deny("sandbox_not_running", "is stopping");
  switch (view.state) {
    case "running":
    case "paused":
    case "hibernated":
      return answers[view.state];
    case "starting":
      return deny("sandbox_not_running", "is starting");
    default:
      return deny("sandbox_not_running", "is not running");
  }
}
