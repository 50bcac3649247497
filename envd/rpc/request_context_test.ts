import { assertEquals, assertThrows } from "@std/assert";
import { WrennError } from "@wrenn/common/errors";
import { deadlineMs, keepaliveMs, requestUser } from "./request_context.ts";

const withHeader = (name: string, value: string): Headers => new Headers({ [name]: value });

Deno.test("requestUser() reads Basic credentials", () => {
  assertEquals(requestUser(withHeader("authorization", `Basic ${btoa("user:")}`)), "user");
  assertEquals(requestUser(withHeader("authorization", `basic ${btoa("user:secret")}`)), "user");
  assertEquals(requestUser(withHeader("authorization", `Basic ${btoa(":")}`)), undefined);
  assertEquals(requestUser(withHeader("authorization", "Bearer x")), undefined);
  assertEquals(requestUser(new Headers()), undefined);
  assertThrows(() => requestUser(withHeader("authorization", "Basic %%")), WrennError);
});

Deno.test("keepaliveMs() reads seconds", () => {
  const of = (value: string): number => keepaliveMs(withHeader("keepalive-ping-interval", value));
  assertEquals([of("50"), of("0.5"), of("x"), of("-1"), of("1e12")], [
    50_000,
    500,
    90_000,
    90_000,
    2_147_483_647,
  ]);
});

Deno.test("deadlineMs() takes none for 0, nonsense and years", () => {
  const of = (value: string): number => deadlineMs(withHeader("connect-timeout-ms", value));
  assertEquals([of("60000"), of("0"), of("x"), of("2147483648"), of("99999999999")], [
    60_000,
    0,
    0,
    0,
    0,
  ]);
});
