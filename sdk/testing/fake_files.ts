/** The file calls of the fake platform: a map from path to bytes. */
import { FakeRefusal } from "./fake_refusal.ts";

/** Files and folders of one fake platform. */
export class FakeFiles {
  readonly #entries = new Map<string, Uint8Array<ArrayBuffer> | "directory">([["/", "directory"]]);
  readonly #watchers = new Set<(type: string, path: string) => void>();

  /** Serves one call, such as `POST list`. */
  async handle(call: string, request: Request, query: URLSearchParams): Promise<Response> {
    const path = query.get("path") ?? "";
    switch (call) {
      case "POST stream/write":
        return await this.#write(path, request);
      case "GET stream/read":
        return this.#read(path, Number(query.get("offset") ?? 0), Number(query.get("length") ?? 0));
      case "GET watch":
        return this.#watch(request);
      case "POST list":
      case "POST stat":
      case "POST mkdir":
      case "POST move":
      case "POST remove":
        return this.#manage(call.slice(5), await request.json());
    }
    throw new FakeRefusal(404, "not_found", "No route");
  }

  async #write(path: string, request: Request): Promise<Response> {
    if (path === "/refused") throw new FakeRefusal(507, "no_space", "Disk is full");
    let size = 0;
    if (path === "/dev/null") {
      for await (const piece of request.body ?? []) size += piece.length;
    } else {
      const bytes = new Uint8Array(await request.arrayBuffer());
      this.#entries.set(path, bytes);
      size = bytes.length;
    }
    this.#tell("create", path);
    return Response.json({ path, size });
  }

  #read(path: string, offset: number, length: number): Response {
    if (path === "/dev/zero") return new Response(zeros(length));
    const bytes = this.#get(path);
    if (bytes === "directory") {
      throw new FakeRefusal(400, "is_directory", `'${path}' is a directory`);
    }
    const part = bytes.subarray(offset, length ? offset + length : undefined);
    const headers = { "content-type": "application/octet-stream" };
    return new Response(part, { headers });
  }

  #manage(call: string, body: { path: string; destination?: string; depth?: number }): Response {
    const { path } = body;
    switch (call) {
      case "list": {
        this.#get(path);
        const names = [...this.#entries.keys()].filter((p) => p !== path && parent(p) === path);
        return Response.json({ entries: names.map((p) => this.#entry(p)) });
      }
      case "mkdir":
        if (this.#entries.has(path)) {
          throw new FakeRefusal(409, "already_exists", `'${path}' exists`);
        }
        this.#entries.set(path, "directory");
        return Response.json(this.#entry(path));
      case "move": {
        const { destination = "" } = body;
        this.#entries.set(destination, this.#get(path));
        this.#entries.delete(path);
        return Response.json(this.#entry(destination));
      }
      case "remove":
        if (this.#entries.delete(path)) this.#tell("remove", path);
        return new Response(null, { status: 204 });
      default:
        return Response.json(this.#entry(path));
    }
  }

  #watch(request: Request): Response {
    const { socket, response } = Deno.upgradeWebSocket(request);
    let watcher: ((type: string, path: string) => void) | undefined;
    socket.onmessage = ({ data }) => {
      const { path } = JSON.parse(String(data));
      if (!this.#entries.has(path)) {
        const error = { code: "file_not_found", message: `'${path}' not found` };
        socket.send(JSON.stringify({ type: "error", error }));
        return socket.close(1000);
      }
      watcher = (type, changed) => {
        if (parent(changed) !== path) return;
        socket.send(JSON.stringify({ type, name: changed.slice(path.length).replace(/^\//, "") }));
      };
      this.#watchers.add(watcher);
      socket.send(JSON.stringify({ type: "start" }));
    };
    socket.onclose = () => {
      if (watcher) this.#watchers.delete(watcher);
    };
    return response;
  }

  #get(path: string): Uint8Array<ArrayBuffer> | "directory" {
    const found = this.#entries.get(path);
    if (!found) throw new FakeRefusal(404, "file_not_found", `File '${path}' not found`);
    return found;
  }

  #entry(path: string): Record<string, unknown> {
    const content = this.#get(path);
    return {
      name: path.split("/").at(-1) ?? "",
      path,
      type: content === "directory" ? "directory" : "file",
      size: content === "directory" ? 0 : content.length,
      mode: content === "directory" ? 0o755 : 0o644,
      owner: "user",
      group: "user",
      modified_at: "2026-01-31T12:00:00.000Z",
    };
  }

  #tell(type: string, path: string): void {
    for (const watcher of this.#watchers) watcher(type, path);
  }
}

function parent(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** As many zeros as asked for, made while they are read. */
function zeros(length: number): ReadableStream<Uint8Array> {
  let left = length;
  return new ReadableStream({
    pull(controller) {
      const piece = new Uint8Array(Math.min(left, 65536));
      left -= piece.length;
      controller.enqueue(piece);
      if (left === 0) controller.close();
    },
  });
}
