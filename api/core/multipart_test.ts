import { assertEquals } from "@std/assert";
import { boundaryOf, partName } from "./multipart.ts";

Deno.test("boundaryOf() reads tokens and quoted strings", () => {
  assertEquals(boundaryOf("multipart/form-data; boundary=abc"), "abc");
  assertEquals(boundaryOf('Multipart/Form-Data; charset=utf-8; boundary="a b:c"'), "a b:c");
});

Deno.test("boundaryOf() refuses what is no boundary", () => {
  const long = "x".repeat(71);
  for (
    const rest of ["", "; boundary=", '; boundary=""', `; boundary=${long}`, "; boundary=a\u00e9"]
  ) {
    assertEquals(boundaryOf(`multipart/form-data${rest}`), undefined, rest);
  }
  assertEquals(boundaryOf("multipart/mixed; boundary=abc"), undefined);
});

Deno.test("partName() reads the name of a form-data part", () => {
  const head = "Content-Type: text/plain\r\nContent-Disposition: form-data; ";
  assertEquals(partName(`${head}name="file"; filename="a;name=b"`), "file");
  assertEquals(partName(`${head}filename="x"; name=path`), "path");
  assertEquals(partName(String.raw`${head}name="a\"b"`), 'a"b');
});

Deno.test("partName() answers nothing for other parts", () => {
  assertEquals(partName(""), undefined);
  assertEquals(partName("content-disposition: attachment; name=x"), undefined);
  assertEquals(partName("content-disposition: form-data"), undefined);
});
