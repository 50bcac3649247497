import { assert, assertEquals } from "@std/assert";
import { isDebianLike, missingPackages } from "./host_tools.ts";

Deno.test("missingPackages() names each package once and keeps the order", async () => {
  const tools = [["a", "pkg-a"], ["b", "pkg-b"], ["c", "pkg-b"], ["d", "pkg-d"]] as const;
  const missing = await missingPackages(tools, (program) => Promise.resolve(program === "d"));
  assertEquals(missing, ["pkg-a", "pkg-b"]);
});

Deno.test("isDebianLike() knows Debian, Ubuntu and their children, and no other", () => {
  assert(isDebianLike('ID=debian\nVERSION_ID="12"'));
  assert(isDebianLike("ID=ubuntu\nID_LIKE=debian"));
  assert(isDebianLike('ID=linuxmint\nID_LIKE="ubuntu debian"'));
  assert(!isDebianLike("ID=fedora"));
  assert(!isDebianLike(""));
});
