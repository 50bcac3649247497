import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { delay, runCommand } from "@wrenn/common";
import { putBootSource, putNetworkInterface } from "../../../core/firecracker_calls.ts";
import { bootCalls, DEFAULT_SETTINGS } from "../../../core/firecracker_requests.ts";
import { answers, filesIn, processesWith, VmHost } from "../../testing/vm_host.ts";
import { FirecrackerApi } from "../api_client.ts";
import { FirecrackerError } from "../firecracker_error.ts";
import { openFresh } from "../open_machine.ts";
import { fakeKernel } from "./stand_in_files.ts";
import {
  type InstalledEngine,
  installStandIn,
  installStandInJailer,
} from "./stand_in_executable.ts";

const UID = 399_001;

/** A folder with both programs, which every user may enter. */
async function withPrograms(
  work: (folder: string, jailer: string, firecracker: string) => Promise<void>,
  engine?: InstalledEngine,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "wrenn-jailer-" });
  try {
    await Deno.chmod(folder, 0o755);
    await Deno.mkdir(`${folder}/jails`, { mode: 0o700 });
    const firecracker = await installStandIn(folder, engine);
    await work(folder, await installStandInJailer(folder), firecracker);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Starts the jailer with what it needs at least. */
function jailArgs(folder: string, id: string, uid: number = UID): string[] {
  const own = ["--id", id, "--exec-file", `${folder}/firecracker`, "--uid", String(uid)];
  return [...own, "--gid", String(uid), "--chroot-base-dir", `${folder}/jails`];
}

async function connect(socket: string): Promise<FirecrackerApi> {
  for (let n = 0; n < 500; n++) {
    const api = new FirecrackerApi(socket);
    if (await api.info().then(() => true, () => false)) return api;
    api.close();
    await delay(20);
  }
  throw new Error(`Nobody listens at '${socket}'`);
}

Deno.test("The stand-in jailer makes a jail that its process cannot look out of", async () => {
  await withPrograms(async (folder, jailer) => {
    const root = `${folder}/jails/firecracker/vm-1/root`;
    await using child = new Deno.Command(jailer, {
      args: [...jailArgs(folder, "vm-1"), "--", "--api-sock", "/run/api.sock"],
    }).spawn();
    using api = await connect(`${root}/run/api.sock`);
    assertEquals((await api.info()).id, "vm-1");
    assertEquals(await Deno.readTextFile(`${root}/firecracker.pid`), String(child.pid));
    const status = await Deno.readTextFile(`/proc/${child.pid}/status`);
    assertStringIncludes(status, `Uid:\t${UID}\t${UID}\t${UID}\t${UID}`);
    assertStringIncludes(status, "CapEff:\t0000000000000000");
    assertStringIncludes(await Deno.readLink(`/proc/${child.pid}/exe`), "/program/firecracker");
    for (const [path, uid, mode] of [["", UID, 0o700], ["dev/net/tun", UID, 0o600]] as const) {
      const stat = await Deno.stat(`${root}/${path}`);
      assertEquals([stat.uid, (stat.mode ?? 0) & 0o777], [uid, mode], path);
    }

    const kernel = `${folder}/vmlinux`;
    const refused = async (kernel_image_path: string): Promise<string> => {
      const error = await assertRejects(
        () => api.send(putBootSource({ kernel_image_path })),
        FirecrackerError,
      );
      return error.fault ?? "";
    };
    await Deno.writeFile(kernel, fakeKernel(), { mode: 0o644 });
    assertStringIncludes(await refused(kernel), "No such file");
    assertStringIncludes(await refused(`/../../../../../vmlinux`), "No such file");
    await Deno.symlink(kernel, `${root}/link`);
    assertStringIncludes(await refused("/link"), "symbolic link");
    await Deno.link(kernel, `${root}/vmlinux`);
    await api.send(putBootSource({ kernel_image_path: "/vmlinux" }));
    await Deno.chmod(kernel, 0o600);
    assertStringIncludes(await refused("/vmlinux"), "Permission denied");
    const net = putNetworkInterface({ iface_id: "eth0", host_dev_name: "wrenn-none" });
    await assertRejects(() => api.send(net), FirecrackerError, "Open tap device failed");

    const second = await runCommand([jailer, ...jailArgs(folder, "vm-1")], { allowFailure: true });
    assertEquals(second.code === 0, false, "a jail that is there");
    child.kill("SIGKILL");
    assertEquals((await child.status).signal, "SIGKILL");
  });
});

Deno.test("The stand-in jailer refuses what cannot be a jail", async () => {
  await withPrograms(async (folder, jailer, firecracker) => {
    const { stdout } = await runCommand([jailer, "--version"]);
    assertEquals(stdout.split("\n")[0], "Jailer v1.15.1");
    await Deno.copyFile(firecracker, `${folder}/other`);
    const good = jailArgs(folder, "vm-2");
    const at = (flag: string, value: string): string[] => good.with(good.indexOf(flag) + 1, value);
    const wrong = [
      at("--exec-file", `${folder}/nothing`),
      at("--exec-file", `${folder}/other`),
      at("--exec-file", `${folder}/program`),
      at("--chroot-base-dir", `${folder}/nothing`),
      at("--chroot-base-dir", firecracker),
      at("--id", "vm_2"),
      [...good, "--netns", "/run/netns/wrenn-none"],
      [...good, "--cgroup", "memory.max=1"],
    ];
    for (const args of wrong) {
      const { code, stderr } = await runCommand([jailer, ...args], { allowFailure: true });
      assertEquals([code, stderr.startsWith("Jailer error: ")], [1, true], args.join(" "));
    }
    assertEquals((await filesIn(`${folder}/jails`)).filter((name) => name !== "firecracker"), []);
  });
});

Deno.test("A guest boots in the stand-in's jail", async () => {
  await withPrograms(async (folder, jailer) => {
    await using host = await VmHost.open("minimal", "raw");
    const spec = await host.spec();
    const root = `${folder}/jails/firecracker/${spec.vmId}/root`;
    await Deno.mkdir(root, { recursive: true });
    const files = { kernel: spec.kernel, initrd: spec.initrd, disk: spec.disk.path };
    for (const [name, path] of Object.entries(files)) await Deno.copyFile(path, `${root}/${name}`);
    await Deno.chown(`${root}/disk`, spec.uid, spec.uid);
    const args = jailArgs(folder, spec.vmId, spec.uid);
    const netns = `/run/netns/${spec.slot.namespace}`;
    await using child = new Deno.Command(jailer, {
      args: [...args, "--netns", netns, "--", "--api-sock", "/api.sock"],
    }).spawn();
    (await connect(`${root}/api.sock`)).close();
    const paths = { kernel: "/kernel", initrd: "/initrd", disk: "/disk" };
    const fresh = await openFresh(`${root}/api.sock`);
    const settings = { ...DEFAULT_SETTINGS, trackDirtyPages: true };
    const running = await (await fresh.configure(bootCalls(spec, paths, settings))).start();
    assert(await answers(spec), "the guest answers");
    using paused = await running.pause();
    await paused.createSnapshot({ snapshot_path: "/state", mem_file_path: "/memory" });
    const { uid, size } = await Deno.stat(`${root}/memory`);
    assertEquals([uid, size], [spec.uid, spec.memoryMb << 20]);
    child.kill("SIGKILL");
    await child.status;
    for (let n = 0; n < 100 && (await processesWith("wrenn-engine-")).length > 0; n++) {
      await delay(20);
    }
    assertEquals(await processesWith("wrenn-engine-"), []);
  }, {});
});
