/** What a host's failure means to a caller of the control plane. */
import { fromConnectError, hasCode, WrennError } from "@wrenn/common";

/** Any error of a call to an agent. That a host refuses the control plane's secret is no fault of the caller. */
export function fromAgentError(cause: unknown): WrennError {
  const error = fromConnectError(cause, "host_unavailable");
  return hasCode(error, "unauthorized", "forbidden")
    ? new WrennError("host_unavailable", "Host refuses the control plane", { cause })
    : error;
}
