import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { onOnePort } from "./on_one_port.ts";

/** Datagrams that only count how many are open. */
function counted(): { open: Set<number>; datagrams: () => { port: number } & Disposable } {
  const open = new Set<number>();
  let next = 1;
  const datagrams = () => {
    const port = next++;
    open.add(port);
    return { port, [Symbol.dispose]: () => void open.delete(port) };
  };
  return { open, datagrams };
}

Deno.test("onOnePort() takes another port when the number is taken for the server", () => {
  const { open, datagrams } = counted();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [first, server] = onOnePort(datagrams, ({ port }) => {
    const at = port === 1 ? (taken.addr as Deno.NetAddr).port : 0;
    return Deno.listen({ hostname: "127.0.0.1", port: at });
  });
  using _ = server;
  assertEquals([first.port, [...open]], [2, [2]]);
  assertNotEquals((server.addr as Deno.NetAddr).port, (taken.addr as Deno.NetAddr).port);
});

Deno.test("onOnePort() leaves nothing open when the server fails", () => {
  const { open, datagrams } = counted();
  const server = (): never => {
    throw new TypeError("Broken");
  };
  assertThrows(() => onOnePort(datagrams, server), TypeError, "Broken");
  assertEquals(open.size, 0);
});
