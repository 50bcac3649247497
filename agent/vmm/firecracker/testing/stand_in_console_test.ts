import { assertEquals, assertRejects } from "@std/assert";
import { StandInConsole } from "./stand_in_console.ts";
import { StandInFault } from "./stand_in_fault.ts";
import { StandInFiles } from "./stand_in_files.ts";

const text = new TextEncoder();

Deno.test("StandInConsole writes to standard output until it is given a file", async () => {
  const folder = await Deno.makeTempDir();
  try {
    let shown = "";
    const print = (bytes: Uint8Array): Promise<void> => {
      shown += new TextDecoder().decode(bytes);
      return Promise.resolve();
    };
    using sink = new StandInConsole(new StandInFiles(), print);
    await sink.print(text.encode("one"));
    const path = `${folder}/serial`;
    await assertRejects(() => sink.useFile(path), StandInFault, "No such file");
    await Deno.writeTextFile(path, "old ");
    await sink.useFile(path);
    await sink.print(text.encode("two"));
    assertEquals([shown, await Deno.readTextFile(path)], ["one", "old two"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("StandInConsole does not wait for the reader of a pipe", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/pipe`;
    await new Deno.Command("mkfifo", { args: [path] }).output();
    using sink = new StandInConsole(new StandInFiles());
    await sink.useFile(path);
    await sink.print(text.encode("words"));
    using reader = await Deno.open(path, { read: true });
    const got = new Uint8Array(16);
    const length = await reader.read(got);
    assertEquals(new TextDecoder().decode(got.subarray(0, length ?? 0)), "words");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
