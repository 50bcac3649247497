import { assertEquals } from "@std/assert";
import { parseListeners, planMirrors } from "./listeners.ts";

const HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";
const row = (address: string, state = "0A"): string =>
  `   0: ${address} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 1\n`;
const TCP = HEAD + row("0100007F:1F90") + row("00000000:0016") + row("0100007F:0BB8", "01") +
  row("3500007F:0035") + row("150000A9FE:1F91");
const TCP6 = HEAD + row("00000000000000000000000001000000:1F92") +
  row("0000000000000000FFFF00000100007F:1F93") + row("00000000000000000000000000000000:1F90") +
  row("00000000000000000000000001000000:1F93");

Deno.test("parseListeners() tells loopback from everywhere", () => {
  const { loopback, everywhere } = parseListeners(TCP, TCP6);
  assertEquals(loopback, [
    { port: 8080, host: "127.0.0.1" },
    { port: 8082, host: "::1" },
    { port: 8083, host: "127.0.0.1" },
  ]);
  assertEquals([...everywhere], [22, 8080]);
});

Deno.test("planMirrors() opens what lacks and closes what is gone or elsewhere", () => {
  const listeners = parseListeners(TCP, TCP6);
  const mirrored = new Map([[8082, "::1"], [8083, "::1"], [9000, "127.0.0.1"]]);
  assertEquals(planMirrors(listeners, mirrored, new Set()), {
    open: [{ port: 8083, host: "127.0.0.1" }],
    close: [8083, 9000],
  });
  assertEquals(planMirrors(listeners, new Map(), new Set([8082, 8083])).open, []);
});
