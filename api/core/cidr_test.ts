import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { normalizeCidr } from "./cidr.ts";

Deno.test("normalizeCidr() clears the host bits and completes a lone address", () => {
  assertEquals(normalizeCidr("10.1.2.3/8"), "10.0.0.0/8");
  assertEquals(normalizeCidr("203.0.113.7"), "203.0.113.7/32");
  assertEquals(normalizeCidr("255.255.255.255/0"), "0.0.0.0/0");
  assertEquals(normalizeCidr("192.168.129.1/17"), "192.168.128.0/17");
});

Deno.test("normalizeCidr() refuses what is no IPv4 network", () => {
  for (
    const text of ["", "x", "1.2.3", "1.2.3.4/33", "256.1.1.1", "01.2.3.4", "::1", "1.2.3.4/ 8"]
  ) {
    assertEquals(normalizeCidr(text), undefined, text);
  }
});

Deno.test("normalizeCidr() is idempotent", () => {
  fc.assert(fc.property(fc.ipV4(), fc.integer({ min: 0, max: 32 }), (address, bits) => {
    const once = normalizeCidr(`${address}/${bits}`) ?? "";
    assertEquals(normalizeCidr(once), once);
  }));
});
