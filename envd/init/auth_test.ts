import { assertEquals, assertRejects } from "@std/assert";
import { WrennError } from "@wrenn/common/errors";
import { Users } from "../linux/users.ts";
import { authorize, fileSignature } from "./auth.ts";
import { GuestState } from "./state.ts";

const TOKEN = "0tQG31xiMp0IOQfaz9dcwi72L1CPo8e0";

function stateWith(token: string | undefined, sealed = false): GuestState {
  const state = new GuestState(new Users(), sealed);
  state.accessToken = token;
  return state;
}

async function outcome(
  state: GuestState,
  route: string,
  headers: Record<string, string> = {},
  now = 1000,
): Promise<string> {
  const [method = "", path = ""] = route.split(" ");
  const request = new Request(`http://x${path}`, { method, headers });
  try {
    await authorize(request, new URL(request.url), state, now);
    return "passed";
  } catch (error) {
    return error instanceof WrennError && error.code === "unauthorized" ? error.message : "broken";
  }
}

Deno.test("fileSignature() gives the wire's fixed vector", async () => {
  const fields = { path: "hello.txt", operation: "read" as const, user: "user", token: TOKEN };
  assertEquals(
    await fileSignature({ ...fields, expiration: undefined }),
    "v1_gUtH/s9YCJWgCizjfUxuWfhFE4QSydOWEIIvfLwDr6E",
  );
});

Deno.test("authorize() is closed while sealed, but for health and init", async () => {
  const state = stateWith(undefined, true);
  assertEquals(await outcome(state, "GET /health"), "passed");
  assertEquals(await outcome(state, "POST /init"), "passed");
  for (const route of ["GET /files?path=x", "GET /envs", "POST /process.Process/List", "GET /"]) {
    assertEquals(await outcome(state, route), "The sandbox is not ready");
  }
});

Deno.test("authorize() is open without a token and asks for it with one", async () => {
  assertEquals(await outcome(stateWith(undefined), "GET /envs"), "passed");
  const state = stateWith(TOKEN);
  assertEquals(await outcome(state, "GET /envs", { "x-access-token": TOKEN }), "passed");
  assertEquals(await outcome(state, "GET /health"), "passed");
  for (const headers of [{}, { "x-access-token": "" }, { "x-access-token": `${TOKEN}x` }]) {
    assertEquals(
      (await outcome(state, "POST /process.Process/List", headers)).slice(0, 12),
      "unauthorized",
    );
    assertEquals(await outcome(state, "GET /envs?signature=v1_x", headers) !== "passed", true);
  }
});

Deno.test("authorize() takes signed file URLs: signature first, expiry second", async () => {
  const state = stateWith(TOKEN);
  const sign = async (operation: "read" | "write", expiration?: number): Promise<string> => {
    const signature = await fileSignature({
      path: "a b",
      operation,
      user: "u",
      token: TOKEN,
      expiration,
    });
    const expires = expiration === undefined ? "" : `&signature_expiration=${expiration}`;
    return `/files?path=a%20b&username=u&signature=${encodeURIComponent(signature)}${expires}`;
  };
  assertEquals(await outcome(state, `GET ${await sign("read")}`), "passed");
  assertEquals(await outcome(state, `POST ${await sign("write", 2000)}`), "passed");
  assertEquals(await outcome(state, `POST ${await sign("read")}`), "invalid signature");
  const late = `GET ${await sign("read", 999)}`;
  assertEquals(await outcome(state, late), "signature is already expired");
  assertEquals(await outcome(state, late.replace("999", "9999")), "invalid signature");
  assertEquals(await outcome(state, late.replace("=999", "=x")), "invalid signature");
  // The first of two fields is the one that is used, so it must be the one that was signed.
  assertEquals(await outcome(state, `GET ${await sign("read")}&username=v`), "passed");
  const swapped = (await sign("read")).replace("?", "?username=v&");
  assertEquals(await outcome(state, `GET ${swapped}`), "invalid signature");
  assertEquals(await outcome(state, "GET /files?path=x"), "missing signature query parameter");
  assertEquals(
    await outcome(state, `GET ${await sign("read")}`, { "x-access-token": "wrong" }),
    "access token present in header but does not match",
  );
  const compose = (await sign("write")).replace("/files?", "/files/compose?");
  assertEquals((await outcome(state, `POST ${compose}`)).slice(0, 12), "unauthorized");
});

Deno.test("authorize() rejects with a stable code", async () => {
  const request = new Request("http://x/envs");
  const state = stateWith(TOKEN);
  const url = new URL(request.url);
  const error = await assertRejects(() => authorize(request, url, state, 0), WrennError);
  assertEquals(error.code, "unauthorized");
});
