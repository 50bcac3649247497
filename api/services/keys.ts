/** Authentication by API key. */
import type { Clock, Logger } from "@wrenn/common";
import { isAcceptedKey } from "../core/api_keys.ts";
import type { Database, Subscription } from "../db/database.ts";
import { findKeyOwner, hashKey, KEYS_CHANNEL, touchKey } from "../db/keys.ts";
import type { KeyService, Principal } from "./types.ts";

/** What the service needs. */
export interface KeysOptions {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
}

/** How long an answer of the database is believed: a revoked key works no longer than this. */
const CACHE_MS = 4000;
/** Keys remembered at most. */
const CACHE_SIZE = 10_000;
/** "Last used" is written at most this often per key. */
const TOUCH_MS = 60_000;

interface Entry {
  readonly owner: Principal;
  readonly until: number;
}

/** The service. A key is found by its hash; keys that do not exist are not remembered. */
export class Keys implements KeyService, AsyncDisposable {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #cache = new Map<string, Entry>();
  readonly #touched = new Map<string, number>();
  readonly #touching = new Set<Promise<void>>();
  readonly #subscription: Subscription;

  /** @param options Database, clock, log. */
  constructor({ db, clock, log }: KeysOptions) {
    this.#db = db;
    this.#clock = clock;
    this.#log = log;
    const forget = (): void => this.#cache.clear();
    this.#subscription = db.listen(KEYS_CHANNEL, { onNotify: forget, onResync: forget });
  }

  async authenticate(key: string): Promise<Principal | undefined> {
    if (!isAcceptedKey(key)) return undefined;
    const hash = await hashKey(key);
    const name = hash.toHex();
    const now = this.#clock.monotonic();
    const cached = this.#cache.get(name);
    if (cached && now < cached.until) return cached.owner;
    const owner = await findKeyOwner(this.#db, hash);
    if (!owner) {
      this.#cache.delete(name);
      return undefined;
    }
    remember(this.#cache, name, { owner, until: now + CACHE_MS });
    this.#touch(owner.keyId, now);
    return owner;
  }

  /** Ends the subscription and waits for what is being written. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#subscription.close();
    await Promise.all(this.#touching);
  }

  /** Beside the request: no request waits for it or fails by it. */
  #touch(keyId: string, now: number): void {
    if (now - (this.#touched.get(keyId) ?? -Infinity) < TOUCH_MS) return;
    remember(this.#touched, keyId, now);
    const write = touchKey(this.#db, keyId)
      .catch((error) => this.#log.warn("Cannot write when a key was used", { keyId, error }))
      .finally(() => this.#touching.delete(write));
    this.#touching.add(write);
  }
}

/** Adds to a map that forgets its oldest entries. */
function remember<V>(map: Map<string, V>, name: string, value: V): void {
  map.delete(name);
  map.set(name, value);
  for (const oldest of map.keys()) {
    if (map.size <= CACHE_SIZE) break;
    map.delete(oldest);
  }
}
