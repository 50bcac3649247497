/** `POST /files`: one body or a form into files, and `POST /files/compose`. */
import { WrennError } from "@wrenn/common/errors";
import { parseMetadata } from "../core/metadata.ts";
import { multipartBoundary, MultipartParser } from "../core/multipart.ts";
import { baseName } from "../core/paths.ts";
import type { User } from "../core/user_db.ts";
import { FileWriter, incomplete, writeStream } from "../files/write.ts";

/** A file that was written, as E2B tells it. */
export interface WrittenFile {
  /** Last component. */
  name: string;
  /** Absolute path. */
  path: string;
  /** Always a file. */
  type: "file";
  /** What `X-Metadata-*` said. */
  metadata?: Record<string, string>;
}

/** What an upload needs to know beside the request. */
export interface UploadTarget {
  /** Owner of what is made. */
  user: User;
  /** Path of the query, if any. */
  path: string | undefined;
  /** Absolute path of one that a client wrote. */
  resolve: (path: string) => string;
}

/** Stores the body. @throws {WrennError} `invalid_request`, `is_directory`, `no_space`, ... */
export async function upload(request: Request, target: UploadTarget): Promise<WrittenFile[]> {
  const metadata = parseMetadata(request.headers);
  const type = request.headers.get("content-type") ?? "";
  const body = decoded(request);
  if (/^multipart\/form-data\b/i.test(type)) {
    return await uploadForm(body, multipartBoundary(type), target, metadata);
  }
  if (/^application\/octet-stream\b/i.test(type)) {
    if (target.path === undefined) throw new WrennError("invalid_path", "Query 'path' is missing");
    const path = target.resolve(target.path);
    await writeStream(path, target.user, body, metadata);
    return [written(path, metadata)];
  }
  throw new WrennError(
    "unsupported_media_type",
    "Content-Type is neither 'multipart/form-data' nor 'application/octet-stream'",
  );
}

/** Entry of the answer. */
export function written(
  path: string,
  metadata: Record<string, string> | undefined,
): WrittenFile {
  return { name: baseName(path), path, type: "file", ...(metadata ? { metadata } : {}) };
}

type Body = ReadableStream<Uint8Array<ArrayBuffer>> | null;

function decoded(request: Request): Body {
  const encoding = (request.headers.get("content-encoding") ?? "identity").trim().toLowerCase();
  if (encoding === "identity" || encoding === "") return request.body;
  if (encoding === "gzip" || encoding === "x-gzip") {
    return request.body?.pipeThrough(new DecompressionStream("gzip")) ?? null;
  }
  throw new WrennError("unsupported_media_type", `Content-Encoding '${encoding}' is not supported`);
}

/** Parts named `file` go to the query's path or to their whole file name; other parts are skipped. */
async function uploadForm(
  body: Body,
  boundary: string,
  target: UploadTarget,
  metadata: Record<string, string> | undefined,
): Promise<WrittenFile[]> {
  const parser = new MultipartParser(boundary);
  const files: WrittenFile[] = [];
  let current: { path: string; writer: FileWriter } | undefined;
  try {
    for await (const piece of body ?? []) {
      for (const event of parser.feed(piece)) {
        if (event.kind === "part") {
          if (event.name !== "file") continue;
          const path = partPath(event.filename, target);
          if (files.some((file) => file.path === path)) {
            throw new WrennError(
              "invalid_request",
              `you cannot upload multiple files to the same path '${path}' in one upload request`,
            );
          }
          current = { path, writer: await FileWriter.create(path, target.user) };
        } else if (event.kind === "data") await current?.writer.write(event.data);
        else if (current) {
          await current.writer.finish(metadata);
          files.push(written(current.path, metadata));
          current = undefined;
        }
      }
    }
    parser.finish();
    return files;
  } catch (error) {
    if (current) throw incomplete(error, current.path);
    if (error instanceof WrennError) throw error;
    throw new WrennError("invalid_request", "The body broke off or is damaged", { cause: error });
  } finally {
    current?.writer.abandon();
  }
}

function partPath(filename: string | undefined, target: UploadTarget): string {
  const path = target.path ?? filename;
  if (!path) throw new WrennError("invalid_path", "A part has no file name and there is no path");
  return target.resolve(path);
}
