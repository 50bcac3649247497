/** Network programs inside a guest of the template `base`: servers and probes, in Python. */
import { TAP_MAC } from "../../../agent/core/slot_plan.ts";
import type { TestAgent } from "./agent.ts";

/** Time after which silence counts as no answer, seconds. */
const SILENCE_SEC = 2;

/** Answers each line with `NAME CLIENT-ADDRESS`, as `net_peer.ts` does. */
const SERVER = `
import socketserver, sys
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while self.rfile.readline():
            self.wfile.write(("%s %s\\n" % (sys.argv[3], self.client_address[0])).encode())
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
server = Server((sys.argv[1], int(sys.argv[2])), Handler)
print("ready", flush=True)
server.serve_forever()
`;

/** Tries every host at once by TCP and sends it a datagram; prints the answers as JSON. */
const PROBE = `
import concurrent.futures, json, socket, sys
order = json.loads(sys.argv[1])
def tcp(host):
    try:
        with socket.create_connection((host, order["port"]), order["silence"]) as s:
            s.settimeout(order["silence"])
            s.sendall(b"who\\n")
            return s.makefile().readline().strip() or None
    except OSError:
        return None
def udp(host):
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(("%s %s" % (order["name"], host)).encode(), (host, order["port"]))
    except OSError:
        pass # refused on the spot: as good as silence
for host in order["hosts"]: udp(host)
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    print(json.dumps(dict(zip(order["hosts"], pool.map(tcp, order["hosts"])))))
`;

/** Fixes the MAC of fe80::1, the gateway: busybox has no `ip neigh add`, so by netlink, RTM_NEWNEIGH. */
const NEIGHBOUR = `
import socket, struct, sys
mac = bytes.fromhex(sys.argv[1].replace(":", ""))
body = struct.pack("=BxxxIHBB", socket.AF_INET6, socket.if_nametoindex("eth0"), 0x80, 0, 0)
body += struct.pack("=HH", 20, 1) + socket.inet_pton(socket.AF_INET6, "fe80::1")
body += struct.pack("=HH", 10, 2) + mac + bytes(2)
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
netlink.send(struct.pack("=IHHII", 16 + len(body), 28, 0x505, 1, 0) + body)
error = struct.unpack("=i", netlink.recv(4096)[16:20])[0]
sys.exit("netlink answers %d" % error if error else 0)
`;

/** Starts a server in a guest that outlives the command, and waits until it listens. */
export async function serveInGuest(
  agent: TestAgent,
  id: string,
  server: { host: string; port: number; name: string },
): Promise<void> {
  const { host, port, name } = server;
  const log = `/tmp/${name}.log`;
  const ran = await agent.sh(
    id,
    `cat > /tmp/server.py <<'EOF'
${SERVER}EOF
setsid python3 /tmp/server.py ${host} ${port} ${name} > ${log} 2>&1 < /dev/null &
i=0; until grep -q ready ${log}; do i=$((i+1)); [ $i -lt 600 ] || exit 1; sleep 0.1; done`,
    "user",
  );
  if (ran.exitCode !== 0) throw new Error(`Cannot serve in the guest: ${ran.stderr}`);
}

/** Which hosts answer a guest on TCP, with the answer; null is silence. Each gets a datagram `NAME HOST` too. */
export async function probeFromGuest(
  agent: TestAgent,
  id: string,
  order: { hosts: readonly string[]; port: number; name: string },
): Promise<Record<string, string | null>> {
  const json = JSON.stringify({ ...order, silence: SILENCE_SEC });
  const script = `python3 - '${json}' <<'EOF'\n${PROBE}EOF`;
  const ran = await agent.sh(id, script, "user");
  if (ran.exitCode !== 0) throw new Error(`Cannot probe from the guest: ${ran.stderr}`);
  return JSON.parse(ran.stdout);
}

/** Gives a guest an IPv6 address and a route by way of its gateway, as its root could. */
export async function addIpv6(agent: TestAgent, id: string): Promise<void> {
  const ip = "/opt/wrenn/bin/busybox ip";
  const ran = await agent.sh(
    id,
    `set -e; echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6
    ${ip} -6 addr add 2001:db8:2::2/64 dev eth0; ${ip} -6 addr add fe80::2/64 dev eth0
    ${ip} -6 route add default via fe80::1 dev eth0
    python3 - ${TAP_MAC} <<'EOF'
${NEIGHBOUR}EOF`,
  );
  if (ran.exitCode !== 0) throw new Error(`Cannot add IPv6 to the guest: ${ran.stderr}`);
}
