/**
 * What every part shares: ids, errors, configuration, log, cleanup, clock, and Connect RPC on Deno.
 *
 * @module
 */
export * from "./abortable_fetch.ts";
export * from "./abort.ts";
export * from "./cleanup.ts";
export * from "./clock.ts";
export * from "./command.ts";
export * from "./config.ts";
export * from "./connect_error.ts";
export * from "./connect_handler.ts";
export * from "./connect_transport.ts";
export * from "./control_datagram.ts";
export * from "./error_codes.ts";
export * from "./errors.ts";
export * from "./files.ts";
export * from "./hash.ts";
export * from "./ids.ts";
export * from "./log.ts";
export * from "./side_by_side.ts";
export * from "./signals.ts";
export * from "./turns.ts";
