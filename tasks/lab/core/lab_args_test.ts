import { assert, assertEquals } from "@std/assert";
import { labArgs, type LabMachine } from "./lab_args.ts";

const LAB: LabMachine = {
  cpus: 2,
  memoryMb: 4096,
  xsave: false,
  tscKhz: 2_450_000,
  kernel: "/k/vmlinux",
  initrd: "/k/initrd.img",
  drives: [{ name: "root", path: "/c/root.ext4" }, { name: "out", path: "/t/a,b", kept: true }],
  console: "/t/console",
  exitCode: "/t/code",
  beat: "/t/beat",
  monitor: "/t/monitor",
};

/** What stands behind each use of an option. */
function values(args: readonly string[], option: string): string[] {
  return args.flatMap((arg, i) => arg === option ? [args[i + 1] ?? ""] : []);
}

Deno.test("labArgs() offers SVM and tells the kernel the clock's rate", () => {
  const args = labArgs(LAB);
  const without = "-xsave,-avx,-avx2,-fma,-f16c,-pku,-mpx";
  assertEquals(values(args, "-cpu"), [`max,+svm,+npt,-la57,${without}`]);
  assertEquals(values(labArgs({ ...LAB, xsave: true }), "-cpu"), ["max,+svm,+npt,-la57"]);
  assert(values(args, "-append")[0]?.includes("tsc_early_khz=2450000"));
});

Deno.test("labArgs() writes only to drives that are kept, and the root comes first", () => {
  assertEquals(values(labArgs(LAB), "-drive"), [
    "if=none,id=root,format=raw,snapshot=on,file=/c/root.ext4",
    "if=none,id=out,format=raw,cache=unsafe,file=/t/a,,b",
  ]);
});
