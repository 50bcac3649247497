/** Web responses over `node:http`. */
import { type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";

/** Content types that are sent as they come, with or without a known length. */
const STREAMED = /^(application\/octet-stream|text\/event-stream)/;

/**
 * Writes a response as fast as the client reads it; a client that leaves cancels the body.
 *
 * @throws What the body throws: the connection must then be cut.
 */
export async function writeResponse(res: ServerResponse, response: Response): Promise<void> {
  for (const [name, value] of response.headers) res.appendHeader(name, value);
  res.statusCode = response.status;
  if (!response.body) return void res.end();
  if (!response.headers.has("content-length") && !STREAMED.test(contentType(response))) {
    // One packet: a head, a body and an end in packets of their own wait for each other's acknowledgement.
    const body = new Uint8Array(await response.arrayBuffer());
    res.setHeader("content-length", body.length);
    return void res.end(body);
  }
  const reader = response.body.getReader();
  const leave = (): void => void reader.cancel().catch(() => {});
  res.once("close", leave);
  try {
    while (!res.destroyed) {
      const { done, value } = await reader.read();
      if (done) break;
      if (!res.write(value)) await drained(res);
    }
    res.off("close", leave);
    res.end();
  } catch (error) {
    leave();
    throw error;
  }
}

/** Writes a whole response on a bare socket and closes it. For small answers. */
export async function writeRaw(socket: Socket, response: Response): Promise<void> {
  const body = new Uint8Array(await response.arrayBuffer());
  const headers = new Headers(response.headers);
  headers.set("content-length", String(body.length));
  if (!headers.has("upgrade")) headers.set("connection", "close");
  const lines = [`HTTP/1.1 ${response.status} ${STATUS_CODES[response.status] ?? "Error"}`];
  for (const [name, value] of headers) lines.push(`${name}: ${value}`);
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  socket.end(body);
}

function drained(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      res.off("drain", done);
      res.off("close", done);
      resolve();
    };
    res.once("drain", done);
    res.once("close", done);
  });
}

function contentType(response: Response): string {
  return response.headers.get("content-type") ?? "";
}
