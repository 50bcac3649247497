/** `template.json`: what a built-in template is made of. */
import { z } from "zod";

interface RecipeBase {
  /** Template name, also the file name of its image. */
  readonly name: string;
  /** One sentence for people. */
  readonly description: string;
  /** Size of the root disk, MiB. */
  readonly disk_mb: number;
}

/** A template that is busybox and nothing else. */
export interface BusyboxRecipe extends RecipeBase {
  /** Tells the kinds apart. */
  readonly kind: "busybox";
}

/** A template of Debian packages. */
export interface DebianRecipe extends RecipeBase {
  /** Tells the kinds apart. */
  readonly kind: "debian";
  /** Code name of the release. */
  readonly suite: string;
  /** Packages besides those that every Debian has. */
  readonly packages: readonly string[];
  /** Exact version of npm to install beside Node. */
  readonly npm?: string | undefined;
}

/** A template's recipe. */
export type Recipe = BusyboxRecipe | DebianRecipe;

const common = {
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
  description: z.string().min(1),
  disk_mb: z.int().min(256).max(1 << 20),
};
const schema: z.ZodType<Recipe> = z.discriminatedUnion("kind", [
  z.strictObject({ ...common, kind: z.literal("busybox") }),
  z.strictObject({
    ...common,
    kind: z.literal("debian"),
    suite: z.string().regex(/^[a-z]+$/),
    packages: z.array(z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/)).min(1),
    npm: z.string().regex(/^\d+\.\d+\.\d+$/).optional(),
  }),
]);

/**
 * Reads a recipe.
 *
 * @throws {TypeError} With the file's name and every fault in it.
 */
export function parseRecipe(file: string, text: string): Recipe {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new TypeError(`Cannot read '${file}': not JSON`, { cause });
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((i) => `${i.path.join(".") || "recipe"}: ${i.message}`);
    throw new TypeError(`Cannot read '${file}': ${faults.join("; ")}`);
  }
  return parsed.data;
}
