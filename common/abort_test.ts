import { assert, assertEquals } from "@std/assert";
import { linkSignals } from "./abort.ts";

Deno.test("linkSignals() aborts with the first source and its reason", () => {
  const [a, b] = [new AbortController(), new AbortController()];
  using linked = linkSignals(a.signal, b.signal);
  assert(!linked.signal.aborted);
  b.abort("because");
  a.abort("later");
  assertEquals([linked.signal.aborted, linked.signal.reason], [true, "because"]);
});

Deno.test("linkSignals() is aborted at once when a source is", () => {
  using linked = linkSignals(new AbortController().signal, AbortSignal.abort("before"));
  assertEquals(linked.signal.reason, "before");
});

Deno.test("linkSignals() stops following when it is disposed of", () => {
  const source = new AbortController();
  const linked = linkSignals(source.signal);
  linked[Symbol.dispose]();
  source.abort();
  assert(!linked.signal.aborted);
});

Deno.test("linkSignals() can be aborted alone", () => {
  const source = new AbortController();
  using linked = linkSignals(source.signal);
  linked.abort("mine");
  assertEquals([linked.signal.reason, source.signal.aborted], ["mine", false]);
});
