/**
 * Making a guest warm before anybody owns it: typical commands put programs into its page cache and, under
 * emulation, their translated code into its VMM. It has no identity meanwhile and is sealed afterwards.
 */
import { hasCode, logger } from "@wrenn/common";
import { exec } from "../guest/exec.ts";
import type { GuestFileRef } from "../guest/files.ts";
import type { GuestCommand } from "../guest/processes.ts";
import type { HostParts, Machine } from "./machine.ts";

const DEFAULTS: Omit<GuestCommand, "cmd" | "args"> = { cwd: "", env: {}, user: "", timeoutSec: 60 };
const command = (cmd: string, ...args: string[]): GuestCommand => ({ ...DEFAULTS, cmd, args });

/** As often as it takes until Python starts no faster than before: the code of rare turns is translated, too. */
const PYTHON_TIMES = 3;
/** What tenants run first. What an image does not have is left out. */
const COMMON: readonly GuestCommand[] = [
  command("true"),
  command("echo", "warm"),
  command("sh", "-c", "echo warm; ls / >/dev/null"),
  command("bash", "-c", "echo warm"),
  ...Array<GuestCommand>(PYTHON_TIMES).fill(command("python3", "-c", "print(1 + 1)")),
];
/** Goes on after its command, as a tenant's server does. */
const SERVER = command("sh", "-c", "sleep 60 >/dev/null 2>&1 &");
/** What takes long or much memory: once, for the page cache of the golden snapshot. */
const RARE: readonly GuestCommand[] = [
  command("bash", "-l", "-c", "id; uname -a; env; cat /etc/os-release; df; ps"),
  command("python3", "-c", "import json, os, re, subprocess, sys, urllib.request"),
  command("node", "-e", "console.log(1 + 1)"),
  command("git", "--version"),
  command("curl", "--version"),
];
/** Signal that ends a terminal's shell. */
const SIGKILL = 9;

/** How much is warmed. */
export interface WarmUp {
  /** Rounds of the common commands. */
  readonly rounds: number;
  /** Also the rare ones, a terminal and files. */
  readonly deep: boolean;
}

/**
 * Warms a running, sealed guest and seals it again.
 *
 * @throws {WrennError} `guest_unavailable` when it does not answer.
 */
export async function warmUp(
  { secret, clock }: HostParts,
  machine: Machine,
  { rounds, deep }: WarmUp,
  signal: AbortSignal,
): Promise<void> {
  const { guest, vm } = machine;
  const nobody = {
    token: secret.token(`warm-${vm.vmId}`),
    env: {},
    hostname: "wrenn",
    defaultUser: "user",
    machineId: "0".repeat(32),
    bootId: crypto.randomUUID(),
  };
  for (let round = 0; round < rounds; round++) {
    await guest.init(nobody, { now: () => clock.now() }, signal);
    await runAll(machine, COMMON, signal);
    if (deep && round === 0) {
      await runAll(machine, RARE, signal);
      await useTerminal(machine, signal);
      await useFiles(machine, signal);
    }
    // The first pause and resume of its owner go the same way, with a process to be frozen.
    await runAll(machine, [SERVER], signal);
    await guest.quiesce({ sync: true }, signal);
    const now = (): number => clock.now();
    await guest.init(nobody, { now, previousToken: nobody.token }, signal);
    await guest.seal(signal);
  }
}

async function runAll(
  { guest, vm }: Machine,
  commands: readonly GuestCommand[],
  signal: AbortSignal,
): Promise<void> {
  for (const each of commands) {
    try {
      await exec(guest, each, signal);
    } catch (error) {
      if (!hasCode(error, "command_not_found")) throw error;
      logger("agent", "warm").debug("Not in this image", { vmId: vm.vmId, command: each.cmd });
    }
  }
}

async function useTerminal({ guest }: Machine, signal: AbortSignal): Promise<void> {
  const pty = { cols: 80, rows: 24 };
  await using shell = await guest.processes.start(
    command("sh", "-i"),
    { pty, stdin: false },
    signal,
  );
  await shell.write(new TextEncoder().encode("echo warm\n"));
  await shell.signal(SIGKILL);
}

async function useFiles({ guest }: Machine, signal: AbortSignal): Promise<void> {
  const ref = (path: string): GuestFileRef => ({ path, user: "" });
  const { files, tree } = guest;
  await tree.mkdir(ref("/tmp/warm"), signal);
  const bytes = new TextEncoder().encode("warm\n");
  await files.write(
    ref("/tmp/warm/file"),
    (async function* () {
      yield bytes;
    })(),
    signal,
  );
  const { data } = await files.read(ref("/tmp/warm/file"), { offset: 0, length: 0 }, signal);
  for await (const _piece of data);
  await tree.list(ref("/tmp/warm"), 1, signal);
  await tree.stat(ref("/tmp/warm/file"), signal);
  await tree.remove(ref("/tmp/warm"), signal);
}
