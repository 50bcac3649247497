// Written by `deno task migrate create`: the migrations in their order, as texts that bundle into one file.
import up0001 from "./0001_init.up.sql" with { type: "text" };
import down0001 from "./0001_init.down.sql" with { type: "text" };
import up0002 from "./0002_snapshots.up.sql" with { type: "text" };
import down0002 from "./0002_snapshots.down.sql" with { type: "text" };

/** A schema change and its undoing. */
export interface Migration {
  /** Number, 1 and up without gaps. */
  readonly version: number;
  readonly name: string;
  readonly up: string;
  readonly down: string;
}

/** All migrations, oldest first. */
export const MIGRATIONS: readonly Migration[] = [
  { version: 1, name: "init", up: up0001, down: down0001 },
  { version: 2, name: "snapshots", up: up0002, down: down0002 },
];
