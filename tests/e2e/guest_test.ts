import { assert, assertEquals, assertMatch } from "@std/assert";
import { sharedSandbox } from "./lib/sandbox.ts";
import { test } from "./lib/test.ts";
import { until } from "./lib/wait.ts";

const sandbox = sharedSandbox({ vcpus: 2, memoryMb: 768, diskMb: 10240 });
const sh = async (script: string, user?: string): Promise<string> => {
  const { stdout } = await sandbox().commands.run(["bash", "-ec", script], {
    ...(user ? { user } : {}),
  });
  return stdout.trim();
};

test("Python runs, with its standard library and without pip", async () => {
  const program = `
import http.server, json, sqlite3, threading, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(json.dumps({"path": self.path}).encode())
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
answer = json.load(urllib.request.urlopen("http://127.0.0.1:%d/hello" % server.server_port))
db = sqlite3.connect(":memory:")
db.execute("create table t (n integer)")
db.executemany("insert into t values (?)", [(n,) for n in range(10)])
print(answer["path"], db.execute("select sum(n) from t").fetchone()[0])
`;
  await sandbox().files.write("program.py", program);
  assertEquals(await sh("python3 program.py"), "/hello 45");
});

test("Node runs", async () => {
  const { stdout } = await sandbox().commands.run(
    ["node", "-e", "console.log([1, 2, 3].map((n) => n * 2).join())"],
  );
  assertEquals(stdout, "2,4,6\n");
});

test("git makes a repository and a commit", async () => {
  const script = "git init -q r; cd r; git config user.email a@b.c; git config user.name A;" +
    "echo x > f; git add f; git commit -qm first; git log --format=%s";
  assertEquals(await sh(`cd $(mktemp -d); ${script}`), "first");
});

test("curl and its certificates are there", async () => {
  assertMatch(await sh("curl --version"), /^curl \d/);
  assert(Number(await sh("wc -c < /etc/ssl/certs/ca-certificates.crt")) > 100_000);
});

test("The user is user, with a home, sudo and a writable /tmp", async () => {
  assertEquals(await sh("id -un; echo $HOME; pwd"), "user\n/home/user\n/home/user");
  assertEquals(await sh("touch ~/x /tmp/x && sudo -n id -un"), "root");
  assertEquals(await sh("id -un; echo $HOME", "root"), "root\n/root");
});

test("Host name, clock and size are the sandbox's own", async () => {
  assertEquals(await sh("hostname"), sandbox().id);
  const before = Date.now();
  const guest = Number(await sh("date +%s%3N"));
  assert(
    guest > before - 2000 && guest < Date.now() + 2000,
    `Guest clock is off: ${guest - before}`,
  );
  assertEquals(await sh("nproc"), "2");
  const memory = Number(await sh("awk '/MemTotal/ {print $2}' /proc/meminfo")) / 1024;
  assert(memory > 600 && memory <= 768, `Memory: ${memory} MiB`);
  const disk = Number(await sh("df -BM --output=size / | tail -1 | tr -d ' M'"));
  assert(disk > 9500 && disk <= 10240, `Disk: ${disk} MiB`);
  assertMatch(await sh("cat /etc/resolv.conf"), /^nameserver \d+\.\d+\.\d+\.\d+/m);
  assertMatch(await sh("cat /proc/sys/kernel/random/boot_id"), /^[0-9a-f-]{36}$/);
});

test("Two hundred orphans leave no zombie", async () => {
  const program = `
import os
for i in range(200):
    if os.fork() == 0:
        if os.fork() == 0: os._exit(0)  # its parent is gone before it is waited for
        os._exit(0)
while True:
    try: os.wait()
    except ChildProcessError: break
`;
  await sandbox().commands.run(["python3", "-c", program]);
  await sh("for i in $(seq 20); do (sleep 0.05 &) ; done");
  await until("the end of every zombie", async () => {
    const zombies = await sh("ps -eo stat= | grep -c ^Z || true", "root");
    return zombies === "0" ? true : undefined;
  });
});

test("A command leaves no process of the platform behind", async () => {
  const count = async (): Promise<number> => Number(await sh("ls -d /proc/[0-9]* | wc -l", "root"));
  const before = await count();
  for (let i = 0; i < 10; i++) await sh("true");
  await until(
    "the old number of processes",
    async () => (await count()) <= before ? true : undefined,
  );
});

test("A program outlives the command that started it", async () => {
  await sh("setsid sleep 781 > /dev/null 2>&1 < /dev/null &");
  assertMatch(await sh("ps -eo args"), /^sleep 781$/m);
  await sh("pkill -f 'sleep 781'");
});
