/** What an image says about itself, in `images/{template}.json` beside `{template}.ext4`. */
import { z } from "zod";

const TEMPLATE_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** True for a well-formed template name: lower-case letters, digits and dashes, at most 63. */
export function isTemplateName(text: string): boolean {
  return TEMPLATE_NAME.test(text);
}

/** Schema of a manifest. Unknown fields are ignored. */
export const ImageManifest: z.ZodType<{
  /** Template name, the same as in the file's name. */
  name: string;
  /** Smallest disk of a sandbox of this template, MiB; at least the image's own size. */
  disk_mb: number;
  /** Content hash of the image. */
  hash: string;
  /** When it was built, RFC 3339. */
  created_at: string;
}> = z.object({
  name: z.string().regex(TEMPLATE_NAME),
  disk_mb: z.int().min(1).max(4 * 1024 * 1024),
  hash: z.string().min(1).max(256),
  created_at: z.iso.datetime({ offset: true }),
});

/** A manifest as its file has it. */
export type ImageManifest = z.infer<typeof ImageManifest>;
