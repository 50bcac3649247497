import { assertEquals, assertThrows } from "@std/assert";
import { WrennError } from "@wrenn/common/errors";
import { parseInitRequest, timestampNs } from "./init_request.ts";

Deno.test("parseInitRequest() reads every field and ignores others", () => {
  const request = parseInitRequest(JSON.stringify({
    envVars: { A: "1" },
    accessToken: "t",
    timestamp: "2026-11-23T22:30:18.5Z",
    defaultUser: "user",
    defaultWorkdir: "/work",
    hostname: "sb-0a1b2c3d",
    entropy: "AAEC",
    lifecycleID: "l",
    machineId: "0123456789abcdef0123456789abcdef",
    bootId: "01234567-89ab-cdef-0123-456789abcdef",
    fork: true,
    hyperloopIP: "1.2.3.4",
    volumeMounts: [],
  }));
  assertEquals(request, {
    envVars: { A: "1" },
    accessToken: "t",
    timestampNs: BigInt(Date.parse("2026-11-23T22:30:18.500Z")) * 1_000_000n,
    defaultUser: "user",
    defaultWorkdir: "/work",
    hostname: "sb-0a1b2c3d",
    entropy: new Uint8Array([0, 1, 2]),
    lifecycleId: "l",
    machineId: "0123456789abcdef0123456789abcdef",
    bootId: "01234567-89ab-cdef-0123-456789abcdef",
    fork: true,
    report: false,
  });
});

Deno.test("parseInitRequest() takes an empty body as nothing to change", () => {
  assertEquals(Object.values(parseInitRequest("")).every((value) => !value), true);
});

Deno.test("parseInitRequest() names the wrong field", () => {
  const bad: [string, string][] = [
    ["{", "not JSON"],
    ["[]", "not an object"],
    ['{"envVars":[]}', "envVars"],
    ['{"envVars":{"A=B":"x"}}', "envVars"],
    ['{"envVars":{"A":1}}', "envVars"],
    ['{"accessToken":1}', "accessToken"],
    ['{"timestamp":"yesterday"}', "timestamp"],
    ['{"timestamp":"2026-13-40T00:00:00Z"}', "timestamp"],
    ['{"hostname":"a b"}', "hostname"],
    ['{"hostname":"a\\n127.0.0.1 x"}', "hostname"],
    ['{"entropy":"%%%"}', "entropy"],
    ['{"machineId":"../../etc"}', "machineId"],
    ['{"bootId":"1"}', "bootId"],
  ];
  for (const [text, words] of bad) assertThrows(() => parseInitRequest(text), WrennError, words);
});

Deno.test("timestampNs() keeps nanoseconds and offsets", () => {
  assertEquals(timestampNs("1970-01-01T00:00:01.123456789Z"), 1_123_456_789n);
  assertEquals(timestampNs("1970-01-01T01:00:01+01:00"), 1_000_000_000n);
});
