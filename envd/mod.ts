/**
 * Guest agent: what tests of other parts may import.
 *
 * @module
 */
export { ENVD_VERSION } from "./version.ts";
