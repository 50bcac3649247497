/** Which migrations are to be applied, and whether what was applied is what this program knows. */

/** A migration in this program. */
export interface KnownMigration {
  /** Number, 1 and up without gaps. */
  readonly version: number;
  readonly name: string;
  /** Checksum of the up text. */
  readonly checksum: string;
}

/** A migration in the database. */
export type AppliedMigration = KnownMigration;

/** The database and this program do not belong together. The message says why. */
export class MigrationError extends Error {
  /** Always `MigrationError`. */
  override readonly name: string = "MigrationError";
}

/** `0001_init`. */
export function migrationLabel({ version, name }: { version: number; name: string }): string {
  return `${String(version).padStart(4, "0")}_${name}`;
}

/**
 * The migrations that are missing in the database, in order.
 *
 * @throws {MigrationError} When the known ones have a gap, or when an applied one is unknown, out of order, or
 *   was changed after it had been applied.
 */
export function pendingMigrations<M extends KnownMigration>(
  known: readonly M[],
  applied: readonly AppliedMigration[],
): M[] {
  known.forEach((migration, i) => {
    if (migration.version !== i + 1) {
      throw new MigrationError(
        `Cannot migrate: '${migrationLabel(migration)}' stands where number ${i + 1} is expected`,
      );
    }
  });
  [...applied].sort((a, b) => a.version - b.version).forEach((done, i) => {
    const label = migrationLabel(done);
    const expected = known[done.version - 1];
    if (!expected) {
      throw new MigrationError(
        `Cannot migrate: the database has '${label}', which this program does not know`,
      );
    }
    if (done.version !== i + 1) {
      throw new MigrationError(
        `Cannot migrate: the database has '${label}' but not number ${i + 1}`,
      );
    }
    if (expected.name !== done.name) {
      throw new MigrationError(
        `Cannot migrate: the database has '${label}', this program '${migrationLabel(expected)}'`,
      );
    }
    if (expected.checksum !== done.checksum) {
      throw new MigrationError(
        `Cannot migrate: '${label}' was changed after it had been applied; write a new one instead`,
      );
    }
  });
  return known.slice(applied.length);
}
