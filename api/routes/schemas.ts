/** Shapes that several routes share, each once: validation, types and OpenAPI come from here. */
import { z } from "@hono/zod-openapi";
import {
  ERROR_CODES,
  type ErrorCode,
  isSandboxId,
  type SandboxId,
  WrennError,
} from "@wrenn/common";

const PATH_BYTES = 4096;
const ARG_BYTES = 131_071; // Linux MAX_ARG_STRLEN without its NUL
const ENV_BYTES = 64 * 1024;
const METADATA_PAIRS = 64;
const encoder = new TextEncoder();

/** Length in UTF-8. */
export function byteLength(text: string): number {
  return encoder.encode(text).length;
}

/** Text that every layer below can carry: no NUL, no half of a surrogate pair. */
export const text: z.ZodString = z.string()
  .refine((s) => !s.includes("\0"), { error: "Must not contain NUL", abort: true })
  .refine((s) => s.isWellFormed(), { error: "Must be valid Unicode", abort: true });

/** A path in the guest. */
export const guestPath: z.ZodString = z.string()
  .refine((s) => s.length > 0, { error: "Must not be empty", params: { code: "invalid_path" } })
  .refine((s) => !s.includes("\0"), {
    error: "Must not contain NUL",
    params: { code: "invalid_path" },
  })
  .refine((s) => s.isWellFormed(), {
    error: "Must be valid Unicode",
    params: { code: "invalid_path" },
  })
  .refine((s) => byteLength(s) <= PATH_BYTES, {
    error: `Must have at most ${PATH_BYTES} bytes`,
    params: { code: "invalid_path" },
  })
  .openapi({
    description:
      "Path in the guest: absolute, `~/...`, or relative to the user's home. 1 to 4096 bytes.",
    example: "/home/user/data.csv",
  });

/** A Linux user name. */
export const userName: z.ZodString = z.string()
  .refine((s) => /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}$/.test(s), {
    error: "Must be a user name",
    params: { code: "invalid_user" },
  })
  .openapi({
    description: "Linux user; the template's default user when absent.",
    example: "user",
  });

/** One command-line argument. */
export const argument: z.ZodString = text.refine((s) => byteLength(s) <= ARG_BYTES, {
  error: `Must have at most ${ARG_BYTES} bytes`,
});

/** Environment variables. */
export const env: z.ZodRecord<z.ZodString, z.ZodString> = z.record(z.string(), z.string())
  .superRefine((vars, ctx) => {
    let size = 0;
    for (const [name, value] of Object.entries(vars)) {
      size += byteLength(name) + byteLength(value) + 2;
      const fault = !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)
        ? "Must be named by letters, digits and '_', and not start with a digit"
        : value.includes("\0")
        ? "Must not contain NUL"
        : !value.isWellFormed()
        ? "Must be valid Unicode"
        : undefined;
      if (fault) {
        ctx.addIssue({ code: "custom", message: fault, path: [name] });
        return;
      }
    }
    if (size > ENV_BYTES) {
      ctx.addIssue({ code: "custom", message: `Must have at most ${ENV_BYTES} bytes in all` });
    }
  })
  .openapi({
    description: "Environment variables, at most 64 KiB in all.",
    example: { LANG: "C.UTF-8" },
  });

/** Labels of a sandbox. */
export const metadata: z.ZodRecord<z.ZodString, z.ZodString> = z.record(z.string(), text.max(1024))
  .superRefine((pairs, ctx) => {
    const keys = Object.keys(pairs);
    if (keys.length > METADATA_PAIRS) {
      ctx.addIssue({ code: "custom", message: `Must have at most ${METADATA_PAIRS} pairs` });
    }
    for (const key of keys) {
      if (key === "" || key.length > 128 || key.includes("\0") || !key.isWellFormed()) {
        ctx.addIssue({ code: "custom", message: "Must be named by 1 to 128 characters" });
        return;
      }
    }
  })
  .openapi({
    description: "Labels: at most 64 pairs, keys of 1 to 128 characters, values of up to 1024.",
    example: { purpose: "demo" },
  });

/** Every error. */
export const errorSchema: z.ZodObject = z.strictObject({
  error: z.strictObject({
    code: z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]])
      .openapi({ description: "Stable code", example: "sandbox_not_found" }),
    message: z.string().openapi({
      description: "A sentence for people",
      example: "Sandbox 'sb-1a2b3c4d' not found",
    }),
  }),
}).openapi("Error");

/** Path parameters of everything below one sandbox. */
export const sandboxParams: z.ZodObject<{ id: z.ZodString }> = z.object({
  id: z.string().regex(/^sb-[0-9a-f]{8}$/).openapi({
    description: "Sandbox id",
    example: "sb-1a2b3c4d",
    param: { name: "id", in: "path" },
  }),
});

/** The id of validated path parameters. */
export function sandboxId({ id }: { id: string }): SandboxId {
  if (!isSandboxId(id)) throw new WrennError("sandbox_not_found", "Sandbox not found");
  return id;
}

/** Query parameter of lists: length of a page. */
export const limit: z.ZodType<number> = z.string().regex(/^\d{1,3}$/, "Must be a number")
  .transform(Number).pipe(z.int().min(1).max(100)).default(50)
  .openapi({ type: "integer", minimum: 1, maximum: 100, default: 50 });

/** Query parameter of lists: where the page before ended. */
export const cursor: z.ZodType<string | undefined> = z.string()
  .regex(/^[A-Za-z0-9_=.-]{1,512}$/, "Must be a cursor of the page before")
  .optional().openapi({ description: "`next_cursor` of the page before." });

/** A JSON response of a route. */
export function json<S extends z.ZodType>(
  schema: S,
  description: string,
): { description: string; content: { "application/json": { schema: S } } } {
  return { description, content: { "application/json": { schema } } };
}

type ErrorResponses = Record<number, {
  description: string;
  content: { "application/json": { schema: typeof errorSchema } };
}>;

/** Codes that any call below `/v1` can answer. */
const COMMON: readonly ErrorCode[] = [
  "unauthorized",
  "headers_too_large",
  "too_many_requests",
  "internal",
  "unavailable",
];

/** OpenAPI responses for the errors of a route, one per status; the common ones are included. */
export function errors(...codes: ErrorCode[]): ErrorResponses {
  const byStatus: Record<number, ErrorCode[]> = {};
  for (const code of new Set([...codes, ...COMMON])) {
    (byStatus[ERROR_CODES[code].http] ??= []).push(code);
  }
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, list]) => [status, {
      description: `Code ${list.map((code) => `\`${code}\``).join(", ")}`,
      content: { "application/json": { schema: errorSchema } },
    }]),
  );
}

/** Codes of a call that reads a JSON body. */
export const BODY_ERRORS: readonly ErrorCode[] = [
  "invalid_request",
  "invalid_json",
  "payload_too_large",
  "unsupported_media_type",
  "request_timeout",
  "canceled",
];

/** Codes of a call that works inside a running sandbox. */
export const GUEST_ERRORS: readonly ErrorCode[] = [
  "sandbox_not_found",
  "sandbox_not_running",
  "sandbox_paused",
  "conflict",
  "guest_unavailable",
  "host_unavailable",
  "timeout",
  "canceled",
];
