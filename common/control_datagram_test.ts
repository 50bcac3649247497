import { assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type ControlAnswer,
  type ControlQuestion,
  decodeAnswer,
  decodeQuestion,
  encodeAnswer,
  encodeQuestion,
} from "./control_datagram.ts";

const word = fc.stringMatching(/^[\w/.-]*[\w/.]$/);

Deno.test("questions and answers come back as they were", () => {
  fc.assert(
    fc.property(word, word, word, fc.string({ unit: "grapheme" }), (id, token, path, body) => {
      const question: ControlQuestion = { id, token, path, body };
      assertEquals(decodeQuestion(encodeQuestion(question)), question);
      assertEquals(decodeQuestion(encodeQuestion({ ...question, token: "" }))?.token, "");
    }),
  );
  fc.assert(
    fc.property(word, fc.integer({ min: 100, max: 599 }), fc.uint8Array(), (id, status, body) => {
      const answer: ControlAnswer = { id, status, body: new Uint8Array(body) };
      assertEquals(decodeAnswer(encodeAnswer(answer)), answer);
    }),
  );
});

Deno.test("what is no question and no answer is nothing", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      decodeQuestion(bytes);
      decodeAnswer(new Uint8Array(bytes));
    }),
  );
  const bytes = (text: string) => new TextEncoder().encode(text);
  for (const text of ["", "\n", "a b c", "a b\n", "a  c\n", "a b c d\n"]) {
    assertEquals(decodeQuestion(bytes(text)), undefined, text);
  }
  for (const text of ["", "a\n", "a x\n", "a 200 b\n", "a 99\n", " 200\n"]) {
    assertEquals(decodeAnswer(bytes(text)), undefined, text);
  }
});
