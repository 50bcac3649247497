/** Which test files run in the lab. */

/** Run on every `deno task test`: disks on device-mapper, machines under KVM, and the whole agent with both. */
const SHORT: readonly string[] = [
  "agent/rootfs/dm/dm_store_integration_test.ts",
  "agent/vmm/qemu/driver_integration_test.ts",
  "tests/lab/agent_test.ts",
];

/** Run beside them by `--full`. */
const LONG: readonly string[] = [
  "agent/rootfs/dm/dm_layers_integration_test.ts",
  "agent/rootfs/dm/dm_crash_integration_test.ts",
  "agent/rootfs/dm/dm_full_integration_test.ts",
  "tests/lab/stand_in_test.ts",
];

/** Test files by their paths in the checkout. */
export function labSuite({ full }: { readonly full: boolean }): readonly string[] {
  return full ? [...SHORT, ...LONG] : SHORT;
}
