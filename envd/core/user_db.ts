/** `/etc/passwd` and `/etc/group` as tables (passwd(5), group(5)). */

/** A user of the guest. */
export interface User {
  /** Login name. */
  readonly name: string;
  /** User id. */
  readonly uid: number;
  /** Primary group id. */
  readonly gid: number;
  /** Home directory, absolute. */
  readonly home: string;
}

/** A group of the guest. */
export interface Group {
  /** Group name. */
  readonly name: string;
  /** Group id. */
  readonly gid: number;
  /** Login names of its supplementary members. */
  readonly members: readonly string[];
}

const ID = /^\d{1,10}$/;

/** Users of a passwd file; malformed lines are left out, the first entry of a name counts. */
export function parsePasswd(text: string): User[] {
  return rows(text).flatMap(([name, , uid, gid, , home]) =>
    name && ID.test(uid ?? "") && ID.test(gid ?? "")
      ? [{ name, uid: Number(uid), gid: Number(gid), home: home?.startsWith("/") ? home : "/" }]
      : []
  );
}

/** Groups of a group file. */
export function parseGroup(text: string): Group[] {
  return rows(text).flatMap(([name, , gid, members]) =>
    name && ID.test(gid ?? "")
      ? [{ name, gid: Number(gid), members: (members ?? "").split(",").filter(Boolean) }]
      : []
  );
}

/** Fast lookups over both files. */
export class UserTable {
  readonly #byName: Map<string, User>;
  readonly #userNames: Map<number, string>;
  readonly #groupNames: Map<number, string>;
  readonly #supplementary: Map<string, number[]> = new Map();

  /** @param passwd Text of `/etc/passwd`. @param group Text of `/etc/group`. */
  constructor(passwd: string, group: string) {
    const users = parsePasswd(passwd).reverse();
    const groups = parseGroup(group).reverse();
    this.#byName = new Map(users.map((user) => [user.name, user]));
    this.#userNames = new Map(users.map((user) => [user.uid, user.name]));
    this.#groupNames = new Map(groups.map((entry) => [entry.gid, entry.name]));
    for (const { gid, members } of groups) {
      for (const name of members) {
        const gids = this.#supplementary.get(name) ?? [];
        if (!gids.includes(gid)) this.#supplementary.set(name, [...gids, gid]);
      }
    }
  }

  /** The user of that name. */
  user(name: string): User | undefined {
    return this.#byName.get(name);
  }

  /** Name of a user id, or the number as text. */
  ownerName(uid: number): string {
    return this.#userNames.get(uid) ?? String(uid);
  }

  /** Name of a group id, or the number as text. */
  groupName(gid: number): string {
    return this.#groupNames.get(gid) ?? String(gid);
  }

  /** Group ids beyond the primary one. */
  supplementaryGroups(user: User): number[] {
    return (this.#supplementary.get(user.name) ?? []).filter((gid) => gid !== user.gid);
  }
}

function rows(text: string): string[][] {
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(":"));
}
