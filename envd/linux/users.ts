/** Users of the machine, read again only when the files change. */
import { WrennError } from "@wrenn/common/errors";
import { type User, UserTable } from "../core/user_db.ts";

/** Where the tables are. */
export interface UserFiles {
  /** Usually `/etc/passwd`. */
  passwd: string;
  /** Usually `/etc/group`. */
  group: string;
}

/** Root, for images without `/etc/passwd`. */
const ROOT: User = { name: "root", uid: 0, gid: 0, home: "/root" };

/** Looks users up by name, and names up by id. */
export class Users {
  readonly #files: UserFiles;
  #stamp = "";
  #table = new UserTable("", "");

  /** @param files Paths of the two tables. */
  constructor(files: UserFiles = { passwd: "/etc/passwd", group: "/etc/group" }) {
    this.#files = files;
  }

  /** The tables as the files are at this moment. */
  async table(): Promise<UserTable> {
    // Every command asks: a synchronous stat takes a third of an asynchronous one.
    const stamp = `${stampOf(this.#files.passwd)} ${stampOf(this.#files.group)}`;
    if (stamp !== this.#stamp) {
      const [passwd, group] = await Promise.all(
        [this.#files.passwd, this.#files.group].map(readIfPresent),
      );
      this.#table = new UserTable(passwd ?? "", group ?? "");
      this.#stamp = stamp;
    }
    return this.#table;
  }

  /**
   * The user of that name; root always exists.
   *
   * @throws {WrennError} `invalid_user`.
   */
  async find(name: string): Promise<User> {
    const user = (await this.table()).user(name) ?? (name === "root" ? ROOT : undefined);
    if (user) return user;
    throw new WrennError("invalid_user", `invalid username: '${name}'`);
  }
}

function stampOf(path: string): string {
  try {
    const info = Deno.statSync(path);
    return `${info.ino}:${info.size}:${info.mtime?.getTime()}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "absent";
    throw error;
  }
}

async function readIfPresent(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
