/** What `/init` brought: environment, token, default user and working directory. */
import type { Users } from "../linux/users.ts";
import type { User } from "../core/user_db.ts";

/** The guest's identity and defaults, one per envd. */
export class GuestState {
  /** Environment of every new process, above the basic one. */
  envVars: Readonly<Record<string, string>> = {};
  /** Token that callers must show; undefined leaves everything open unless `sealed`. */
  accessToken: string | undefined;
  /** User of requests that name none. */
  defaultUser: string | undefined;
  /** Directory of requests with an empty path. */
  defaultWorkdir: string | undefined;
  /** Id of this life of the sandbox, told by the platform. */
  lifecycleId: string | undefined;
  /** True between a quiesce and the next init: nothing new starts. */
  frozen: boolean = false;
  /** Established connections to other machines when it was last quiesced: a copy has them of its original. */
  connections: number = 0;
  /** True until a token arrived, when envd was told to wait for one. */
  sealed: boolean;
  readonly #users: Users;

  /** @param users Users of the machine. @param sealed Refuse everything until a token is set. */
  constructor(users: Users, sealed: boolean) {
    this.#users = users;
    this.sealed = sealed;
  }

  /** Forgets everything that an init brought: the guest waits for another one. */
  seal(): void {
    this.envVars = {};
    this.accessToken = undefined;
    this.defaultUser = undefined;
    this.defaultWorkdir = undefined;
    this.lifecycleId = undefined;
    this.connections = 0;
    this.sealed = true;
  }

  /**
   * The user that a request named, or the default one: from `/init`, else `user`, else root.
   *
   * @throws {WrennError} `invalid_user` for an unknown name.
   */
  async user(name: string | undefined): Promise<User> {
    const wanted = name || this.defaultUser;
    if (wanted) return await this.#users.find(wanted);
    return (await this.#users.table()).user("user") ?? await this.#users.find("root");
  }
}
