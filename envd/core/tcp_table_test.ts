import { assertEquals } from "@std/assert";
import { parseConnections } from "./tcp_table.ts";

Deno.test("parseConnections() takes established ones and tells those to this machine", () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000
   1: 1500FEA9:C33F 1600FEA9:9C40 01 00000000:00000000 00:00000000 00000000
   2: 0100007F:8000 0100007F:1F90 01 00000000:00000000 00:00000000 00000000
   3: 1500FEA9:8001 08080808:01BB 06 00000000:00000000 00:00000000 00000000
`;
  assertEquals(parseConnections(table), [
    { loopback: false, localPort: 49983 },
    { loopback: true, localPort: 32768 },
  ]);
  const six =
    "   0: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:8000 01 x\n" +
    "   1: 0000000000000000FFFF00000100007F:1F91 0000000000000000FFFF00000100007F:8000 01 x\n";
  assertEquals(parseConnections(six).map(({ loopback }) => loopback), [true, true]);
  assertEquals(parseConnections("nonsense"), []);
});
