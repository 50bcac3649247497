/** New migration files, and the module that lists all of them. */
import { join } from "node:path";

/** Two files of one migration. */
interface Entry {
  readonly version: string;
  readonly name: string;
}

/**
 * Makes the files of the next migration and lists it in `mod.ts`.
 *
 * @param folder The migrations' folder.
 * @param name Lower case, with underscores.
 * @returns Paths of the new files.
 */
export async function createMigration(folder: string, name: string): Promise<string[]> {
  const entries = await readEntries(folder);
  const version = String(entries.length + 1).padStart(4, "0");
  const files = ["up", "down"].map((way) => join(folder, `${version}_${name}.${way}.sql`));
  const [up = "", down = ""] = files;
  await Deno.writeTextFile(up, `-- Say why, not what.\n`, { createNew: true });
  await Deno.writeTextFile(down, `-- Undo '${version}_${name}.up.sql'.\n`, { createNew: true });
  await Deno.writeTextFile(
    join(folder, "mod.ts"),
    migrationsModule([...entries, { version, name }]),
  );
  return files;
}

/** Text of `migrations/mod.ts`. */
export function migrationsModule(entries: readonly Entry[]): string {
  const file = ({ version, name }: Entry, way: string): string =>
    `import ${way}${version} from "./${version}_${name}.${way}.sql" with { type: "text" };`;
  const item = ({ version, name }: Entry): string =>
    `  { version: ${Number(version)}, name: "${name}", up: up${version}, down: down${version} },`;
  return `// Written by \`deno task migrate create\`: the migrations in their order, as texts that bundle into one file.
${entries.flatMap((e) => [file(e, "up"), file(e, "down")]).join("\n")}

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
${entries.map(item).join("\n")}
];
`;
}

/** The migrations whose files lie in the folder, oldest first. */
export async function readEntries(folder: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const { name: file } of Deno.readDir(folder)) {
    const match = /^(\d{4})_([a-z0-9_]+)\.up\.sql$/.exec(file);
    if (match?.[1] && match[2]) entries.push({ version: match[1], name: match[2] });
  }
  return entries.sort((a, b) => a.version.localeCompare(b.version));
}
