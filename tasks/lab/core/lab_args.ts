/**
 * The command line of the lab: a QEMU that emulates an AMD CPU with SVM, so that the Debian kernel in it has a
 * real KVM and device-mapper whatever this machine has. The choices were tried one by one; the kernel hangs
 * without `mitigations=off`, and often while calibrating without a given TSC rate.
 */

/** A drive of the lab. What is written to one that is not `kept` is gone with the lab. */
export interface LabDrive {
  /** Shows up in the lab as `/dev/disk/lab/{name}`, at most 20 characters. */
  readonly name: string;
  /** Raw image or archive on the host. */
  readonly path: string;
  /** Writes go to the file. */
  readonly kept?: boolean;
}

/** A lab to start. */
export interface LabMachine {
  readonly cpus: number;
  readonly memoryMb: number;
  /** Firecracker demands XSAVE. */
  readonly xsave: boolean;
  /** Rate of this machine's time stamp counter, kHz. */
  readonly tscKhz: number;
  readonly kernel: string;
  readonly initrd: string;
  /** The root file system first. */
  readonly drives: readonly LabDrive[];
  /** File for the kernel's console. */
  readonly console: string;
  /** File for the exit code of what the lab runs. */
  readonly exitCode: string;
  /** Socket on which the lab beats and is asked for its processes. */
  readonly beat: string;
  /** Socket of QEMU's human monitor. */
  readonly monitor: string;
}

/** Translated code is kept up to this size: two kernels, QEMU and Deno are translated. */
const TRANSLATION_MB = 1024;

/** Ports of the lab: what is run prints to `out`, which is QEMU's own standard output, a pipe. */
export const PORTS = { out: "wrenn.out", code: "wrenn.code", beat: "wrenn.beat" } as const;

/** Arguments of `qemu-system-x86_64`. */
export function labArgs(lab: LabMachine): string[] {
  return [
    ["-M", "microvm,acpi=on,rtc=on", "-cpu", cpu(lab)],
    ["-accel", `tcg,thread=multi,tb-size=${TRANSLATION_MB}`],
    ["-smp", String(lab.cpus), "-m", `${lab.memoryMb}M`],
    ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ["-kernel", lab.kernel, "-initrd", lab.initrd, "-append", kernelWords(lab.tscKhz).join(" ")],
    ["-chardev", `file,id=console,path=${escaped(lab.console)}`, "-serial", "chardev:console"],
    ["-device", "virtio-serial-device"],
    // As a `stdio` device it would close with standard input.
    ["-chardev", "file,id=out,path=/dev/fd/1,append=on"],
    ["-device", `virtserialport,chardev=out,name=${PORTS.out}`],
    ["-chardev", `file,id=code,path=${escaped(lab.exitCode)}`],
    ["-device", `virtserialport,chardev=code,name=${PORTS.code}`],
    ["-chardev", socket("beat", lab.beat), "-chardev", socket("monitor", lab.monitor)],
    ["-device", `virtserialport,chardev=beat,name=${PORTS.beat}`],
    ["-mon", "chardev=monitor,mode=readline"],
    ["-object", "rng-random,filename=/dev/urandom,id=rng", "-device", "virtio-rng-device,rng=rng"],
    ...lab.drives.map(driveArgs),
  ].flat();
}

/**
 * Four-level page tables make faults of nested guests cheaper. With XSAVE the kernel of a nested guest reports an
 * "XSAVE consistency problem", and first processes have died of bad signal frames: without it all use FXSAVE.
 */
function cpu({ xsave }: LabMachine): string {
  const without = xsave ? [] : ["xsave", "avx", "avx2", "fma", "f16c", "pku", "mpx"];
  return ["max", "+svm", "+npt", "-la57", ...without.map((name) => `-${name}`)].join(",");
}

function driveArgs({ name, path, kept = false }: LabDrive): string[] {
  const writes = kept ? "cache=unsafe" : "snapshot=on";
  return [
    ...["-drive", `if=none,id=${name},format=raw,${writes},file=${escaped(path)}`],
    ...["-device", `virtio-blk-device,drive=${name},serial=${name}`],
  ];
}

function kernelWords(tscKhz: number): string[] {
  return [
    ...["console=ttyS0", "quiet", "panic=1", "reboot=t", "mitigations=off"],
    ...["no_timer_check", "tsc=reliable", `tsc_early_khz=${tscKhz}`, `lpj=${4 * tscKhz}`],
    ...["norandmaps", "nokaslr", "audit=0", "nowatchdog"],
  ];
}

function socket(id: string, path: string): string {
  return `socket,id=${id},path=${escaped(path)},server=on,wait=off`;
}

/** A comma in a value is doubled. */
function escaped(path: string): string {
  return path.replaceAll(",", ",,");
}
