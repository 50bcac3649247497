// deno-lint-ignore-file no-console
import { Sandbox } from "@wrenn/sdk";

await using sandbox = await Sandbox.create({ template: "base" });
console.log(`${sandbox.id} runs`);

const sum = await sandbox.commands.run(["python3", "-c", "print(sum(range(10)))"]);
console.log(`Python says ${sum.stdout.trim()} after ${sum.durationMs} ms`);

await sandbox.files.write("/tmp/names.txt", "wren\nrobin\nfinch\n");
await sandbox.commands.run("sort /tmp/names.txt > /tmp/sorted.txt");
console.log(await sandbox.files.read("/tmp/sorted.txt"));

await sandbox.commands.run("for i in 1 2 3; do echo line $i; sleep 0.3; done", {
  onStdout: (text) => console.log(`as it happens: ${text.trim()}`),
});

const { exitCode } = await sandbox.commands.run("exit 3", { check: false });
console.log(`a failing command says ${exitCode}; leaving destroys the sandbox`);
