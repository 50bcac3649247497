/** Runs in a network namespace of its own and prints what the port mirror did there, as JSON. */
import { PortMirror } from "../ports/port_mirror.ts";

const ADDRESS = "169.254.0.21";

async function serve(listener: Deno.Listener, name: string): Promise<void> {
  for await (const connection of listener) {
    void (async () => {
      // Answers only after the client's half-close: both ends must pass through.
      let received = 0;
      const buffer = new Uint8Array(65_536);
      for (let n = await connection.read(buffer); n !== null; n = await connection.read(buffer)) {
        received += n;
      }
      await connection.write(new TextEncoder().encode(`${name} ${received}`));
      connection.close();
    })();
  }
}

async function ask(port: number): Promise<string> {
  try {
    using connection = await Deno.connect({ hostname: ADDRESS, port });
    const body = new Uint8Array(3_000_000);
    for (let at = 0; at < body.length;) at += await connection.write(body.subarray(at));
    await connection.closeWrite();
    return await new Response(connection.readable).text();
  } catch (error) {
    return error instanceof Error ? error.name : "unknown";
  }
}

/** A closed listener listens until the event loop turns; the mirror follows at its next look. */
async function refused(port: number): Promise<string> {
  for (let i = 0; i < 100; i++) {
    mirror.scan();
    const answer = await ask(port);
    if (answer === "ConnectionRefused") return answer;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return "still open";
}

const listeners: [Deno.Listener, string][] = [
  [Deno.listen({ hostname: "127.0.0.1", port: 8001 }), "v4"],
  [Deno.listen({ hostname: "::1", port: 8002 }), "v6"],
  [Deno.listen({ hostname: "0.0.0.0", port: 8003 }), "all"],
  [Deno.listen({ hostname: "127.0.0.1", port: 49983 }), "envd"],
];
for (const [listener, name] of listeners) void serve(listener, name);
const mirror = new PortMirror({
  address: ADDRESS,
  excluded: new Set([49983]),
  busy: () => true,
});
const before = await ask(8001);
mirror.scan();
mirror.scan();
const during = await Promise.all([8001, 8002, 8003, 49983].map(ask));
listeners[0]?.[0].close();
const after = await refused(8001);
const found = PortMirror.hasAddress(ADDRESS);
mirror[Symbol.dispose]();
const disposed = await refused(8002);
await Deno.stdout.write(
  new TextEncoder().encode(JSON.stringify({ found, before, during, after, disposed })),
);
Deno.exit(0);
