/** HTTP by hand, for requests that no client makes. */

/** Sends bytes as they are and gives what comes back until the answer is whole. */
export async function rawRequest(socket: string, text: string): Promise<string> {
  using conn = await Deno.connect({ transport: "unix", path: socket });
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
  } catch (error) {
    // Who refuses may hang up before it has heard all.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65536);
  let answer = "";
  while (!whole(answer)) {
    const n = await conn.read(buffer);
    if (n === null) break;
    answer += decoder.decode(buffer.subarray(0, n), { stream: true });
  }
  return answer;
}

function whole(answer: string): boolean {
  const [head, body] = answer.split("\r\n\r\n", 2);
  if (head === undefined || body === undefined) return false;
  const length = /^content-length: *(\d+)/im.exec(head)?.[1];
  return new TextEncoder().encode(body).length >= Number(length ?? 0);
}
