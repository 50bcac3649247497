import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { inPieces } from "./pieces.ts";

Deno.test("inPieces() keeps every byte and cuts at the size", async () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 });
  await fc.assert(
    fc.asyncProperty(chunks, fc.integer({ min: 1, max: 16 }), async (given, size) => {
      async function* source(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
        for (const chunk of given) yield new Uint8Array(chunk);
      }
      const pieces: number[][] = [];
      for await (const piece of inPieces(source(), size)) pieces.push([...piece]);
      assertEquals(pieces.flat(), given.flatMap((chunk) => [...chunk]));
      assert(pieces.slice(0, -1).every((piece) => piece.length === size));
      assert(pieces.every((piece) => piece.length > 0 && piece.length <= size));
    }),
  );
});
