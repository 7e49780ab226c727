/**
 * The imports that stay: of Deno's own modules (`node:assert`), and of packages
 * where those are not to be inlined.
 *
 * @module
 */
import type { Binding } from "./binding.ts";
import type { Names } from "./names.ts";

type From = NonNullable<Binding["from"]>;

/**
 * Prints one import a module.
 *
 * @param bindings What the script uses.
 * @param names What everything is called.
 * @param packages The imports of deno.json: a bare name, and what it stands
 * for, with the version.
 * @returns The imports, a line each; empty if there are none.
 */
export function printImports(
  bindings: Iterable<Binding>,
  names: Names,
  packages: Readonly<Record<string, string>>,
): string {
  const lines = new Map<string, Set<string>>();
  const add = (start: string, name: string) => {
    if (!lines.has(start)) lines.set(start, new Set());
    lines.get(start)!.add(name);
  };
  for (const binding of bindings) {
    if (binding.from === undefined) continue;
    const { name, typeOnly } = binding.from;
    const local = names.of(binding);
    const from = fullSpecifier(binding.from, packages);
    const start = typeOnly ? "import type" : "import";
    if (name === "*") add(`${from} ${start} * as ${local}`, "");
    else if (name === "default") add(`${from} ${start} ${local}`, "");
    else {
      const renamed = name === local ? name : `${name} as ${local}`;
      add(`${from} ${start}`, renamed);
    }
  }
  return [...lines].sort(([a], [b]) => a < b ? -1 : 1).map(([key, found]) => {
    const [from, ...start] = key.split(" ");
    const listed = [...found].sort().join(", ");
    const what = listed === "" ? start : [...start, `{ ${listed} }`];
    // deno.json is where such a prefix belongs, but here there is none.
    const ignore = /^(jsr|npm|https?):/.test(from)
      ? "// deno-lint-ignore no-import-prefix\n"
      : "";
    return `${ignore}${what.join(" ")} from "${from}";`;
  }).join("\n");
}

/** `@std/fmt/colors` is `jsr:@std/fmt@^1.0.10/colors`. */
function fullSpecifier(
  { specifier }: From,
  packages: Readonly<Record<string, string>>,
): string {
  const name = Object.keys(packages).find((name) =>
    specifier === name || specifier.startsWith(`${name}/`)
  );
  return name === undefined
    ? specifier
    : packages[name] + specifier.slice(name.length);
}
