import { assert, assertEquals } from "@std/assert";
import { type PeerOptions, runPeers } from "./peers.ts";
import { Recorder } from "./recorder.ts";
import { PEER_ROWS } from "./rows.ts";

const ONLY_RUNSC = (row: string): boolean => row.startsWith("peer_runsc_");

/** Runs the peers with a program that stands in for runsc, and then so many turns. */
async function withRunsc(
  script: string,
  turns = 0,
): Promise<{ record: Recorder; calls: string[] }> {
  const folder = await Deno.makeTempDir();
  const before = Deno.env.get("WRENN_BENCH_RUNSC");
  const path = `${folder}/runsc`;
  await Deno.writeTextFile(
    path,
    `#!/bin/sh\necho "$*" >> ${folder}/calls\n${script}\n`,
    { mode: 0o755 },
  );
  Deno.env.set("WRENN_BENCH_RUNSC", path);
  try {
    const record = new Recorder();
    const options: PeerOptions = {
      record,
      runs: 2,
      wanted: ONLY_RUNSC,
      build: false,
      cacheDir: folder,
      say: () => {},
      signal: new AbortController().signal,
    };
    const turn = await runPeers(options, turns > 0 ? ["peer_runsc_python"] : []);
    for (let n = 0; n < turns; n++) await turn();
    const calls = (await Deno.readTextFile(`${folder}/calls`)).trim().split("\n");
    return { record, calls };
  } finally {
    if (before === undefined) Deno.env.delete("WRENN_BENCH_RUNSC");
    else Deno.env.set("WRENN_BENCH_RUNSC", before);
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("runPeers() times a peer's python and true, each once uncounted before", async () => {
  const { record, calls } = await withRunsc('case "$*" in *python3*) echo 2;; esac');
  assertEquals(record.values("peer_runsc_python").length, 2);
  assertEquals(record.values("peer_runsc_true").length, 2);
  assertEquals(record.values("peer_runsc_bare_python").length, 2);
  assertEquals(calls.length, 9);
  assertEquals(calls.filter((call) => call.includes("--ignore-cgroups")).length, 3);
  assert(calls[0]?.endsWith("do /usr/bin/python3 -c print(1+1)"), calls[0]);
  assertEquals(record.runs("peer_bwrap_python"), 0);
});

Deno.test("runPeers() leaves a peer to its turns, and ends them when one fails", async () => {
  const python = 'case "$*" in *cgroups*python3*) echo 2;; *python3*) ';
  const { record, calls } = await withRunsc(`${python} echo 2;; esac`, 3);
  assertEquals(record.values("peer_runsc_python").length, 3);
  assertEquals(record.values("peer_runsc_bare_python").length, 2);
  assert(calls.slice(-3).every((call) => call.endsWith("do /usr/bin/python3 -c print(1+1)")));
  const fails = `test $(wc -l <$(dirname $0)/calls) -lt 8 || exit 3; echo 2`;
  const broken = await withRunsc(`${python} ${fails};; esac`, 3);
  assertEquals(broken.record.values("peer_runsc_python").length, 0);
  assertEquals(broken.record.failures("peer_runsc_python"), 1);
});

Deno.test("runPeers() measures no peer that prints something else or fails", async () => {
  const { record } = await withRunsc("echo 3; exit 0");
  const rows = record.rows(PEER_ROWS.filter(({ name }) => ONLY_RUNSC(name)));
  assertEquals(rows.map(({ n, failed }) => [n, failed]), [[0, 1], [0, 1], [0, 1]]);
  const broken = await withRunsc("echo cannot read client sync file >&2; exit 128");
  const [python] = broken.record.rows(PEER_ROWS);
  assert(python?.note?.includes("code 128"), `${python?.note}`);
  assert(python?.note?.includes("client sync file"), `${python?.note}`);
});
