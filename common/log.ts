/** Logging: JSON lines on standard error, secrets redacted. One canonical event per operation. */
import {
  configureSync,
  getConsoleSink,
  getJsonLinesFormatter,
  getLogger,
  type Logger,
  type LogLevel,
  type LogRecord,
  type Sink,
} from "@logtape/logtape";

export type { Logger } from "@logtape/logtape";

const SECRET_KEY = /token|secret|password|authorization|api[-_]?key|^env$|^envs$/i;
const SECRET_VALUE = /\b(wrn_[0-9A-Za-z]{32}|e2b_[0-9a-f]{40})\b/g;

/** A logger for one part, `["agent", "network"]`. Silent until {@linkcode configureLog} ran. */
export function logger(...category: string[]): Logger {
  return getLogger(["wrenn", ...category]);
}

/** Sends records of at least `level` to standard error. Call once, in main. */
export function configureLog(level: LogLevel = "info"): void {
  const lines = getJsonLinesFormatter();
  const encoder = new TextEncoder();
  const sink: Sink = (record) => {
    Deno.stderr.writeSync(encoder.encode(lines(redactRecord(record))));
  };
  configureSync({
    reset: true,
    sinks: { stderr: sink, meta: getConsoleSink() },
    loggers: [
      { category: ["wrenn"], lowestLevel: level, sinks: ["stderr"] },
      { category: ["logtape", "meta"], lowestLevel: "warning", sinks: ["meta"] },
    ],
  });
}

/** Copies a value with secrets replaced: by key name, and by the shape of our keys inside texts. */
export function redact(value: unknown, key: string = ""): unknown {
  if (SECRET_KEY.test(key) && value !== undefined && value !== null) return "[redacted]";
  if (typeof value === "string") return value.replace(SECRET_VALUE, "[redacted]");
  if (value instanceof Error) {
    return {
      name: value.name,
      message: redact(value.message),
      ...("code" in value ? { code: value.code } : {}),
      ...(value.cause === undefined ? {} : { cause: redact(value.cause) }),
      ...(value instanceof AggregateError ? { errors: value.errors.map((e) => redact(e)) } : {}),
    };
  }
  if (Array.isArray(value)) return value.map((item) => redact(item));
  if (value !== null && typeof value === "object" && !(value instanceof Date)) {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, redact(v, k)]));
  }
  return typeof value === "bigint" ? value.toString() : value;
}

function redactRecord(record: LogRecord): LogRecord {
  return {
    ...record,
    message: record.message.map((part) => redact(part)),
    properties: redact(record.properties) as Record<string, unknown>,
  };
}
