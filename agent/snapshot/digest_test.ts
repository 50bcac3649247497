import { assert, assertEquals, assertNotEquals } from "@std/assert";
import fc from "fast-check";
import { createHash } from "node:crypto";
import { digestFile, digestOfText, PIECE_BYTES, PieceDigest } from "./digest.ts";

/** The digest by its definition in docs/snapshots.md, on an implementation of SHA-256 of its own. */
function byDefinition(bytes: Uint8Array): string {
  const all = createHash("sha256");
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    all.update(createHash("sha256").update(bytes.subarray(at, at + PIECE_BYTES)).digest());
  }
  return `sha256:${all.digest("hex")}`;
}

/** Bytes that differ everywhere and are the same in each run. */
function noise(length: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(length / 4));
  let x = 123456789;
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13, x ^= x >>> 17, x ^= x << 5;
    words[i] = x;
  }
  return new Uint8Array(words.buffer, 0, length);
}

async function withFile(work: (path: string) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile({ prefix: "wrenn-digest-" });
  try {
    await work(path);
  } finally {
    await Deno.remove(path);
  }
}

const LENGTHS = [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES + 77];

Deno.test("digestFile() is SHA-256 over the SHA-256 of the pieces", async () => {
  await withFile(async (path) => {
    for (const length of LENGTHS) {
      const bytes = noise(length);
      await Deno.writeFile(path, bytes);
      assertEquals(await digestFile(path), byDefinition(bytes), String(length));
    }
  });
});

Deno.test("digestFile() takes the first bytes alone where it is told to", async () => {
  await withFile(async (path) => {
    const bytes = noise(2 * PIECE_BYTES + 5);
    await Deno.writeFile(path, bytes);
    for (const limit of [0, 1, 1 << 20, PIECE_BYTES, PIECE_BYTES + 9, bytes.length, Infinity]) {
      assertEquals(await digestFile(path, limit), byDefinition(bytes.subarray(0, limit)));
    }
    const head = await digestFile(path, 1 << 20);
    bytes.fill(0, 1 << 20);
    await Deno.writeFile(path, bytes);
    assertEquals(await digestFile(path, 1 << 20), head);
  });
});

Deno.test("holes are zeroes", async () => {
  await withFile(async (path) => {
    const bytes = new Uint8Array(4 * PIECE_BYTES + 100);
    bytes.set([1, 2, 3], 2 * PIECE_BYTES - 1);
    {
      using file = await Deno.open(path, { write: true });
      await file.seek(2 * PIECE_BYTES - 1, Deno.SeekMode.Start);
      await file.write(new Uint8Array([1, 2, 3]));
      await file.truncate(bytes.length);
    }
    assert(((await Deno.stat(path)).blocks ?? 0) * 512 < PIECE_BYTES, "the file has holes");
    assertEquals(await digestFile(path), byDefinition(bytes));
    // More and fewer zeroes are another file.
    await Deno.truncate(path, bytes.length - 1);
    assertNotEquals(await digestFile(path), byDefinition(bytes));
  });
});

Deno.test("PieceDigest gives digestFile()'s digest for any splitting, also when a buffer is used again", async () => {
  await withFile(async (path) => {
    const bytes = noise(2 * PIECE_BYTES + 12345);
    await Deno.writeFile(path, bytes);
    const wanted = await digestFile(path);
    const cuts = fc.array(
      fc.oneof(fc.nat(bytes.length), fc.constantFrom(PIECE_BYTES, 2 * PIECE_BYTES)),
      { maxLength: 8 },
    );
    const property = fc.asyncProperty(cuts, async (cuts) => {
      const digest = new PieceDigest();
      const buffer = new Uint8Array(bytes.length);
      let from = 0;
      for (const to of [...cuts.sort((a, b) => a - b), bytes.length]) {
        const part = buffer.subarray(0, to - from);
        part.set(bytes.subarray(from, to));
        await digest.add(part);
        part.fill(0xff);
        from = to;
      }
      assertEquals(await digest.finish(), wanted);
    });
    await fc.assert(property, { numRuns: 25 });
  });
  assertEquals(await new PieceDigest().finish(), byDefinition(new Uint8Array(0)));
});

Deno.test("digestOfText() is the plain SHA-256 of a text in UTF-8", async () => {
  const hex = createHash("sha256").update("é\n").digest("hex");
  assertEquals(await digestOfText("é\n"), `sha256:${hex}`);
});
