import { assert, assertEquals } from "@std/assert";
import { delay, type Logger } from "@wrenn/common";
import { WrennError } from "@wrenn/common";
import { TEST_KEY } from "../testing/fake_services.ts";
import { TestApp } from "../testing/test_app.ts";

type Event = Record<string, unknown> & { level: string; message: string };

/** A logger that keeps what it gets. */
function memoryLog(): { log: Logger; events: Event[]; until: (count: number) => Promise<void> } {
  const events: Event[] = [];
  const at = (level: string) => (message: string, properties: Record<string, unknown>): void => {
    events.push({ ...properties, level, message });
  };
  const log = { info: at("info"), warn: at("warn"), error: at("error") } as unknown as Logger;
  const until = async (count: number): Promise<void> => {
    while (events.filter((e) => e.message === "Request").length < count) await delay(1);
  };
  return { log, events, until };
}

Deno.test("every request leaves one event, with its outcome and without secrets", async () => {
  const { log, events, until } = memoryLog();
  await using t = new TestApp({}, log);
  const id = await t.create({ env: { TOKEN: "hush" } });
  await (await t.request("GET", `/v1/sandboxes/${id}/files/read?path=/private-name`)).body
    ?.cancel();
  await until(2);
  const [made, read] = events;
  assertEquals([made?.method, made?.path, made?.status, made?.team_id], [
    "POST",
    "/v1/sandboxes",
    201,
    "team-1",
  ]);
  assertEquals([read?.status, read?.outcome], [404, "ok"]);
  assert(typeof read?.duration_ms === "number" && typeof read.request_id === "string");
  const text = JSON.stringify(events);
  for (const secret of [TEST_KEY, "hush", "private-name"]) assert(!text.includes(secret), secret);
});

Deno.test("a WebSocket leaves its event when it is over", async () => {
  const { log, events, until } = memoryLog();
  await using t = new TestApp({}, log);
  const socket = await t.socket(`/v1/sandboxes/${await t.create()}/exec/stream`);
  await socket.send({ cmd: "sleep" });
  await socket.until((m) => m.type === "start");
  assertEquals(events.length, 1);
  await socket.close();
  await until(2);
  assertEquals([events[1]?.status, events[1]?.outcome], [101, "canceled"]);
});

Deno.test("a fault of ours is logged with its cause and answered without", async () => {
  const { log, events } = memoryLog();
  await using t = new TestApp({}, log);
  t.sandboxes.list = () => Promise.reject(new TypeError("Column secret_x does not exist"));
  const response = await t.request("GET", "/v1/sandboxes");
  const text = await response.text();
  assertEquals(response.status, 500);
  assertEquals(JSON.parse(text), { error: { code: "internal", message: "Internal error" } });
  const event = events.find((e) => e.level === "error");
  assert(event?.error instanceof TypeError);
  assertEquals(event.error.message, "Column secret_x does not exist");
  assert(!(event.error instanceof WrennError));
});
