/** Commands on the wire. */
import { z } from "@hono/zod-openapi";
import { signalNumber } from "../core/signals.ts";
import type { ExecCommand, ExecInput, ExecStart } from "../services/exec.ts";
import { argument, env, guestPath, text, userName } from "./schemas.ts";

const size = { cols: z.int().min(1).max(1000), rows: z.int().min(1).max(1000) };

const command = {
  cmd: text.min(1).max(4096).openapi({
    description: "Program, run directly: `sh -c` is yours to add.",
    example: "python3",
  }),
  args: z.array(argument).max(4096).default([]).openapi({ example: ["-c", "print(6 * 7)"] }),
  cwd: guestPath.optional(),
  env: env.default({}),
  user: userName.optional(),
  timeout_sec: z.int().min(0).max(86_400).default(0).openapi({
    description: "Seconds until the process is killed; 0 is no limit.",
  }),
};

interface CommandJson {
  cmd: string;
  args: string[];
  cwd?: string | undefined;
  env: Record<string, string>;
  user?: string | undefined;
  timeout_sec: number;
}

/** Body of exec. */
export const commandSchema: z.ZodType<ExecCommand> = z.strictObject(command)
  .openapi("Command").transform(toCommand);

/** First message of exec/stream. */
export const startSchema: z.ZodType<ExecStart> = z.strictObject({
  ...command,
  pty: z.strictObject(size).optional().openapi({
    description: "Run on a terminal of this size; output then comes as `pty`.",
  }),
  stdin: z.boolean().default(false).openapi({
    description: "Keep standard input open; without it the command reads end of file at once.",
  }),
}).openapi("ExecStart").transform(({ pty, stdin, ...rest }) => ({
  ...toCommand(rest),
  pty,
  stdin,
}));

const signal = z.union([z.int().min(1).max(64), z.string()]).transform((value, ctx) => {
  const number = typeof value === "number" ? value : signalNumber(value);
  if (number === undefined) {
    ctx.addIssue({ code: "custom", message: "Must be a signal name or number" });
    return z.NEVER;
  }
  return number;
}).openapi({ type: ["string", "integer"], example: "SIGINT" });

/** Messages of the client after the first. */
export const inputSchema: z.ZodType<ExecInput> = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("stdin"),
    data: z.string(),
    encoding: z.enum(["utf-8", "base64"]).default("utf-8"),
  }),
  z.strictObject({ type: z.literal("stdin_close") }),
  z.strictObject({ type: z.literal("signal"), signal }),
  z.strictObject({ type: z.literal("resize"), ...size }),
]).openapi("ExecInput").transform((message, ctx): ExecInput => {
  switch (message.type) {
    case "stdin": {
      const data = message.encoding === "base64"
        ? fromBase64(message.data)
        : new TextEncoder().encode(message.data);
      if (data) return { type: "stdin", data };
      ctx.addIssue({ code: "custom", message: "Must be base64", path: ["data"] });
      return z.NEVER;
    }
    case "resize":
      return { type: "resize", size: { cols: message.cols, rows: message.rows } };
    default:
      return message;
  }
});

function toCommand(json: CommandJson): ExecCommand {
  const { cmd, args, cwd = "", env: variables, user = "", timeout_sec: timeoutSec } = json;
  return { cmd, args, cwd, env: variables, user, timeoutSec };
}

function fromBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.fromBase64(text);
  } catch {
    return undefined;
  }
}
