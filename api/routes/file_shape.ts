/** File calls on the wire. */
import { z } from "@hono/zod-openapi";
import type { SandboxId } from "@wrenn/common";
import type { FileInfo, GuestFile } from "../services/files.ts";
import { guestPath, userName } from "./schemas.ts";

/** Fields that name a file. */
export interface FileJson {
  path: string;
  user?: string | undefined;
}

const file = { path: guestPath, user: userName.optional() };
const count = z.string().regex(/^\d{1,15}$/, "Must be a number").transform(Number);
const offset = z.int().min(0).max(Number.MAX_SAFE_INTEGER).default(0);

/** Body of calls that need a path alone. */
export const fileBody: z.ZodType<FileJson> = z.strictObject(file).openapi("File");

/** Body of list. */
export const listBody: z.ZodType<FileJson & { depth: number }> = z.strictObject({
  ...file,
  depth: z.int().min(1).max(16).default(1).openapi({ description: "Levels below the folder." }),
}).openapi("ListFiles");

/** Body of move. */
export const moveBody: z.ZodType<FileJson & { destination: string }> = z.strictObject({
  ...file,
  destination: guestPath,
}).openapi("MoveFile");

/** Body of read. */
export const readBody: z.ZodType<FileJson & { offset: number; length: number }> = z.strictObject({
  ...file,
  offset: offset.openapi({ description: "First byte." }),
  length: offset.openapi({ description: "Bytes; 0 is to the end." }),
}).openapi("ReadFile");

/** First message of watch. */
export const watchMessage: z.ZodType<FileJson & { recursive: boolean }> = z.strictObject({
  ...file,
  recursive: z.boolean().default(false),
}).openapi("WatchFiles");

/** No message is expected after the first. */
export const noMessage: z.ZodType<never> = z.never({ error: "No message is expected here" });

/** Query of the streamed write. */
export const fileQuery: z.ZodObject<{
  path: z.ZodString;
  user: z.ZodOptional<z.ZodString>;
}> = z.strictObject(file);

/** Query of the multipart write, where the fields may also be parts. */
export const partialFileQuery: z.ZodObject<{
  path: z.ZodOptional<z.ZodString>;
  user: z.ZodOptional<z.ZodString>;
}> = z.strictObject({ path: guestPath.optional(), user: userName.optional() });

/** Query of the streamed reads. */
export const rangeQuery: z.ZodObject<{
  path: z.ZodString;
  user: z.ZodOptional<z.ZodString>;
  offset: z.ZodOptional<z.ZodType<number, string>>;
  length: z.ZodOptional<z.ZodType<number, string>>;
}> = z.strictObject({
  ...file,
  offset: count.optional().openapi({ type: "integer", minimum: 0, description: "First byte." }),
  length: count.optional()
    .openapi({ type: "integer", minimum: 0, description: "Bytes; 0 is to the end." }),
});

/** What is known of a path, in JSON. */
export interface FileInfoJson {
  name: string;
  path: string;
  type: "file" | "directory" | "symlink" | "other";
  size: number;
  mode: number;
  owner: string;
  group: string;
  modified_at: string | null;
  symlink_target?: string | undefined;
}

/** What is known of a path. */
export const fileInfoSchema: z.ZodType<FileInfoJson> = z.strictObject({
  name: z.string(),
  path: z.string().openapi({ description: "Absolute." }),
  type: z.enum(["file", "directory", "symlink", "other"]),
  size: z.int().openapi({ description: "Bytes." }),
  mode: z.int().openapi({ description: "Permission bits.", example: 420 }),
  owner: z.string(),
  group: z.string(),
  modified_at: z.iso.datetime().nullable(),
  symlink_target: z.string().optional(),
}).openapi("FileInfo");

/** Answer of both writes. */
export const writtenSchema: z.ZodType<{ path: string; size: number }> = z.strictObject({
  path: z.string().openapi({ description: "Absolute." }),
  size: z.int().openapi({ description: "Bytes written." }),
}).openapi("WrittenFile");

/** The service's view of a validated reference. */
export function toFile(id: SandboxId, { path, user = "" }: FileJson): GuestFile {
  return { id, path, user };
}

/** The wire's view of what a path is. */
export function toInfoJson(info: FileInfo): FileInfoJson {
  return {
    name: info.name,
    path: info.path,
    type: info.type,
    size: info.size,
    mode: info.mode,
    owner: info.owner,
    group: info.group,
    modified_at: info.modifiedAt?.toISOString() ?? null,
    ...(info.symlinkTarget === undefined ? {} : { symlink_target: info.symlinkTarget }),
  };
}
