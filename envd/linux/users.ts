/** Users of the machine, read again only when the files change. */
import { WrennError } from "@wrenn/common/errors";
import { type User, UserTable } from "../core/user_db.ts";
import { FileStamp } from "./stat.ts";

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
  readonly #passwd: FileStamp;
  readonly #group: FileStamp;
  #table = new UserTable("", "");

  /** @param files Paths of the two tables. */
  constructor(files: UserFiles = { passwd: "/etc/passwd", group: "/etc/group" }) {
    this.#files = files;
    this.#passwd = new FileStamp(files.passwd);
    this.#group = new FileStamp(files.group);
  }

  /** The tables as the files are at this moment. */
  table(): UserTable {
    const changed = [this.#passwd.changed(), this.#group.changed()];
    if (changed.includes(true)) {
      const { passwd, group } = this.#files;
      this.#table = new UserTable(readIfPresent(passwd), readIfPresent(group));
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

function readIfPresent(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
