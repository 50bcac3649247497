/**
 * What tasks and tests use of the control plane.
 *
 * @module
 */
export { type Database } from "./db/database.ts";
export { bootstrapKey } from "./db/keys.ts";
export {
  migrateDown,
  migrateReset,
  migrateUp,
  MigrationError,
  migrationStatus,
} from "./db/migrate.ts";
export { openDatabase, type PgOptions } from "./db/pg_database.ts";
