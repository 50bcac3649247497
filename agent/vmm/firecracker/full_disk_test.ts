import { assert, assertEquals } from "@std/assert";
import { CommandError, hasCode } from "@wrenn/common";
import { FirecrackerError } from "./firecracker_error.ts";
import { fullDisk } from "./full_disk.ts";

Deno.test("fullDisk() knows a full disk in every guise, and nothing else", () => {
  const refusal = (fault: string): FirecrackerError =>
    new FirecrackerError("refused", "PUT /snapshot/create", "no", { status: 400, fault });
  const failure = (stderr: string): CommandError =>
    new CommandError(["cp"], { code: 1, stdout: "", stderr });
  const full = [
    refusal("Create snapshot error: Memory: No space left on device (os error 28)"),
    failure("cp: error writing 'memory': No space left on device\n"),
    failure("cp: error writing 'memory': Disk quota exceeded\n"),
    Object.assign(new Error("write failed"), { code: "ENOSPC" }),
  ];
  for (const error of full) assert(hasCode(fullDisk(error), "no_space"), String(error));
  const others = [refusal("not paused"), failure("cp: cannot stat 'x'\n"), new Error("no"), "no"];
  for (const error of others) assertEquals(fullDisk(error), error);
});
