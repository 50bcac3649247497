import { assertEquals } from "@std/assert";
import { parseGroup, parsePasswd, UserTable } from "./user_db.ts";

const PASSWD = `root:x:0:0:root:/root:/bin/bash
# comment
broken
user:x:1000:1000:,,,:/home/user:/bin/bash
user:x:2000:2000::/elsewhere:/bin/sh
homeless:x:5:6:::
bad:x:minus:0::/:/bin/sh
`;
const GROUP = `root:x:0:
user:x:1000:
sudo:x:27:user,other
docker:x:999:user
same:x:1000:user
`;

Deno.test("parsePasswd() and parseGroup() leave malformed lines out", () => {
  assertEquals(parsePasswd(PASSWD).map((user) => user.name), ["root", "user", "user", "homeless"]);
  assertEquals(parseGroup("a:x:1:\nb:x\n:x:2:\n").map((group) => group.name), ["a"]);
});

Deno.test("UserTable takes the first entry of a name and finds supplementary groups", () => {
  const table = new UserTable(PASSWD, GROUP);
  const user = table.user("user");
  assertEquals(user, { name: "user", uid: 1000, gid: 1000, home: "/home/user" });
  assertEquals(user && table.supplementaryGroups(user).sort((a, b) => a - b), [27, 999]);
  assertEquals(table.user("homeless")?.home, "/");
  assertEquals(table.user("nobody"), undefined);
});

Deno.test("UserTable names ids, and tells unknown ones as numbers", () => {
  const table = new UserTable(PASSWD, GROUP);
  assertEquals([table.ownerName(1000), table.ownerName(4)], ["user", "4"]);
  assertEquals([table.groupName(27), table.groupName(28)], ["sudo", "28"]);
});
