/** How slow the host is that tests run on. */

/** `WRENN_TEST_SLOWNESS`: how many times longer things may take here than elsewhere. Limits are multiplied by it. */
export const SLOWNESS: number = Number(Deno.env.get("WRENN_TEST_SLOWNESS") ?? 1);
