/**
 * House rules that no stock rule can say: pure `core/`, file length, which part may import which, and the
 * grammar of error messages.
 */
const MAX_LINES = 400;
/** Which part may import which. Tests and tasks may import all. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  proto: [],
  common: ["proto"],
  envd: ["proto", "common"],
  agent: ["proto", "common"],
  api: ["proto", "common"],
  sdk: [],
};
const PARTS = Object.keys(MAY_IMPORT);
const IMPURE_GLOBALS = ["setTimeout", "setInterval", "fetch", "queueMicrotask"];

/** The part a file belongs to: the last path component that names one, above its own folders. */
export function partOf(file: string): string | undefined {
  const folders = file.split("/").slice(0, -1);
  return folders.findLast((f, i) => PARTS.includes(f) && !PARTS.includes(folders[i + 1] ?? ""));
}

/** The part an import leads to, if it leaves the file's own part. */
export function importedPart(file: string, specifier: string): string | undefined {
  const named = /^@wrenn\/(\w+)/.exec(specifier)?.[1];
  if (named !== undefined) return named;
  if (!specifier.startsWith(".")) return undefined;
  const target = new URL(specifier, `file://${file}`).pathname;
  return partOf(target);
}

/** What is wrong with an error message, if anything. */
export function messageFault(message: string): string | undefined {
  if (/^[a-z]/.test(message) && !/^[a-z]+[A-Z_.(]/.test(message)) return "starts with a capital";
  if (/[^.]\.$/.test(message)) return "has no final period";
  if (/\b\w+n't\b|\b(it|that|there)'s\b/i.test(message)) return "has no contractions";
  return undefined;
}

const isTest = (file: string): boolean => file.endsWith("_test.ts") || file.includes("/testing/");

const plugin: Deno.lint.Plugin = {
  name: "wrenn",
  rules: {
    "pure-core": {
      create(context) {
        if (!context.filename.includes("/core/") || isTest(context.filename)) return {};
        const report = (node: Deno.lint.Node, what: string): void =>
          context.report({
            node,
            message: `${what} has no place in a pure module`,
            hint: "Take the value or the effect as a parameter",
          });
        return {
          'MemberExpression[object.name="Deno"]'(node) {
            report(node, "Deno.*");
          },
          'CallExpression[callee.object.name="Date"][callee.property.name="now"]'(node) {
            report(node, "Date.now()");
          },
          'NewExpression[callee.name="Date"][arguments.length=0]'(node) {
            report(node, "new Date()");
          },
          'CallExpression[callee.object.name="performance"]'(node) {
            report(node, "performance.now()");
          },
          'CallExpression[callee.object.name="Math"][callee.property.name="random"]'(node) {
            report(node, "Math.random()");
          },
          'CallExpression[callee.object.name="crypto"]'(node) {
            report(node, "crypto.*");
          },
          CallExpression(node) {
            if (node.callee.type === "Identifier" && IMPURE_GLOBALS.includes(node.callee.name)) {
              report(node, `${node.callee.name}()`);
            }
          },
        };
      },
    },
    "file-length": {
      create(context) {
        return {
          Program(node) {
            const lines = context.sourceCode.text.trimEnd().split("\n").length;
            if (lines > MAX_LINES) {
              context.report({
                node,
                message: `File has ${lines} lines, at most ${MAX_LINES}: split it`,
              });
            }
          },
        };
      },
    },
    "part-imports": {
      create(context) {
        const from = partOf(context.filename);
        if (from === undefined || isTest(context.filename)) return {};
        const check = (node: Deno.lint.Node, specifier: unknown): void => {
          if (typeof specifier !== "string") return;
          const to = importedPart(context.filename, specifier);
          if (to === undefined || to === from || !PARTS.includes(to)) return;
          if (!MAY_IMPORT[from]?.includes(to)) {
            context.report({ node, message: `'${from}' may not import '${to}'` });
          } else if (specifier.startsWith(".")) {
            context.report({
              node,
              message: `Import '@wrenn/${to}', not a path into another part`,
            });
          }
        };
        return {
          ImportDeclaration(node) {
            check(node, node.source.value);
          },
          ExportNamedDeclaration(node) {
            check(node, node.source?.value);
          },
          ExportAllDeclaration(node) {
            check(node, node.source.value);
          },
        };
      },
    },
    "error-message": {
      create(context) {
        if (isTest(context.filename)) return {};
        const check = (node: Deno.lint.NewExpression, index: number): void => {
          const argument = node.arguments[index];
          const text = argument?.type === "Literal" && typeof argument.value === "string"
            ? argument.value
            : undefined;
          const fault = text === undefined ? undefined : messageFault(text);
          if (fault) context.report({ node, message: `An error message ${fault}: '${text}'` });
        };
        return {
          "NewExpression[callee.name=/^(Error|TypeError|RangeError|SyntaxError)$/]"(node) {
            check(node as Deno.lint.NewExpression, 0);
          },
          'NewExpression[callee.name="WrennError"]'(node) {
            check(node as Deno.lint.NewExpression, 1);
          },
        };
      },
    },
  },
};
export default plugin;
