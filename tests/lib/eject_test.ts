/** A script and its modules become one file, which does the same. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { eject } from "../../lib/eject.ts";
import { Folder } from "../support/folder.ts";
import { Running } from "../support/helpers.ts";

/** Runs Deno in a folder, with a cache in which there is nothing. */
async function deno(cwd: string, ...args: string[]): Promise<string> {
  using cache = new Folder();
  const env = { DENO_DIR: cache.path };
  await using running = new Running(Deno.execPath(), args, { cwd, env });
  const { code, stdout, stderr } = await running.ended();
  assertEquals(code, 0, `${args.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

/** Writes modules, ejects the first of them, and runs what comes of it. */
async function ejected(
  modules: Record<string, string>,
): Promise<{ source: string; stdout: string }> {
  using folder = new Folder();
  for (const [name, text] of Object.entries(modules)) folder.write(name, text);
  const [name] = Object.keys(modules);
  const source = await eject(new URL(`file://${folder.path}/${name}`));
  using elsewhere = new Folder();
  elsewhere.write(name, source);
  await deno(elsewhere.path, "check", name);
  await deno(elsewhere.path, "fmt", "--check", name);
  const stdout = await deno(elsewhere.path, "run", "--cached-only", name);
  return { source, stdout };
}

Deno.test("eject() renames one of two when their names clash", async () => {
  const { source, stdout } = await ejected({
    "main.ts": `import { table } from "./some_words.ts";
import * as words from "./some_words.ts";
const text = "own";
console.log(text, words.text(), table.text(), words.SIZE, new words.Text().of({ text }));
`,
    "some_words.ts": `export function text(): string { return "inlined"; }
/** Holds {@linkcode text}. */
export const table = { text };
export const SIZE = 1;
export class Text { of({ text }: { text: string }): string { return text + SIZE + other(); } }
export function unused(): void {}
import { SIZE as BIG, text as both } from "./other.ts";
function other(): string { return both() + BIG; }
`,
    "other.ts": `export const SIZE = 2;\nexport const text = () => "other";\n`,
  });
  assertEquals(stdout, "own inlined inlined 1 own1other2\n");
  assertStringIncludes(source, "{ text: someWordsText }");
  assertStringIncludes(source, "{@linkcode someWordsText}");
  assertStringIncludes(source, "const otherText = ");
  assertStringIncludes(source, "const SOME_WORDS_SIZE = 1;");
  assert(!source.includes("unused"));
});

Deno.test("eject() renames what a local or a global would hide", async () => {
  const { source, stdout } = await ejected({
    "main.ts": `import { hidden as shown, performance } from "./lib.ts";
function local(hidden: string): string { return hidden + shown(); }
console.log(local("local "), performance, typeof globalOne());
import { globalOne } from "./globals.ts";
`,
    "lib.ts": `export function hidden(): string { return "inlined"; }
export const performance = "mine";
`,
    "globals.ts":
      `export function globalOne(): number { return performance.now(); }\n`,
  });
  assertEquals(stdout, "local inlined mine number\n");
  assertStringIncludes(source, "hidden + libHidden()");
  assertStringIncludes(source, 'const libPerformance = "mine"');
});

Deno.test("eject() defines things before they are used when modules load in that order", async () => {
  const { source, stdout } = await ejected({
    "main.ts": `import type { Late } from "./late.ts";
import { type Shape, Square } from "./square.ts";
const late: Late = { shape: new Square() as Shape };
export { FEED as LINE } from "./feed.ts";
export const command = late;
console.log(late.shape.name, import.meta.main, SIDES);
import { SIDES } from "./square.ts";
`,
    "late.ts": `import { Square } from "./square.ts";
export interface Late { shape: Square }
export const unused = new Square();
`,
    "square.ts": `import { Base } from "./shapes.ts";
import { FEED } from "./feed.ts";
export { SIDES, type Shape } from "./shapes.ts";
export class Square extends Base { override name = "square" + FEED + more(); }
function more(): string; // an overload
function more(size?: number): string;
function more(size = COUNT): string { return String(size); }
const COUNT = 4;
`,
    "shapes.ts": `export interface Shape { name: string }
export abstract class Base implements Shape { name = "base"; }
const COUNT = 4;
export const { SIDES } = { SIDES: COUNT };
`,
    "feed.ts": `import "./effect.ts";
export const FEED = 10;
type Pair = [unused: number];
export const unused: Pair = [1];
`,
    "effect.ts": `console.log("loaded");
if (import.meta.main) console.log("not here");
`,
  });
  assertEquals(stdout, "loaded\nsquare104 true 4\n");
  assertStringIncludes(source, "export { FEED as LINE };");
  assertEquals(source.split("const COUNT = 4").length, 2, "COUNT is one");
  assertStringIncludes(source, "// an overload");
  assert(!source.includes("unused"));
});

Deno.test("eject() keeps Deno's own modules imported when they are used", async () => {
  const { source, stdout } = await ejected({
    "main.ts": `import { join } from "./paths.ts";
console.log(join("a", "b"), typeof EOL, typeof path.basename);
import { EOL } from "node:os";
import path from "node:path";
`,
    "paths.ts":
      `import { join as joinPaths, basename } from "node:path";\nexport const join = (...parts: string[]): string => joinPaths(...parts);\nexport const unused = basename;\n`,
  });
  assertEquals(stdout, "a/b string function\n");
  assertStringIncludes(source, 'import { EOL } from "node:os";');
  assertStringIncludes(source, 'import { join as joinPaths } from "node:path"');
  assertStringIncludes(source, 'import path from "node:path"');
});

Deno.test("eject() keeps a package imported where it is when it is loaded on demand", async () => {
  const { source, stdout } = await ejected({
    "main.ts": `import { load } from "./load.ts";
console.log(Deno.args.length > 0 ? await load() : "not loaded");
`,
    // In no registry: who would fetch it before it is asked for would fail.
    "load.ts": `const PACKAGE = "npm:@socket/no-such-package@^1.0.0";
export const load = (): Promise<unknown> => import(PACKAGE);
`,
  });
  assertEquals(stdout, "not loaded\n");
  assertStringIncludes(source, "import(PACKAGE)");
});

Deno.test("eject() takes in a module when it is loaded on demand", async () => {
  const { source, stdout } = await ejected({
    "main.ts": `const SEPARATOR = "-";
const drawing = new (await import("./draw.ts")).Drawing();
if (Deno.args.length === 0) {
  console.log(drawing.line() + (await import("./draw.ts")).SEPARATOR);
}
console.log(SEPARATOR);
`,
    "draw.ts": `import { DASH } from "./dash.ts";
export const SEPARATOR = "+";
export class Drawing { line() { return DASH.repeat(3); } }
export const unused = 1;
`,
    "dash.ts": `export const DASH = "=";\n`,
  });
  assertEquals(stdout, "===+\n-\n");
  assertStringIncludes(source, "new Drawing()");
  assert(!source.includes("import("), "something is loaded");
  assert(!source.includes("unused"));
});

Deno.test("eject() refuses when a script does not fit in one file", async () => {
  const parts: [string, string][] = [
    [`import * as lib from "./lib.ts";\nconsole.log({ ...lib });\n`, "lib"],
    [`console.log(await import("./lib.ts"));\n`, "in the middle of it"],
    [`console.log(import.meta.url);\n`, "import.meta"],
    [`console.log(;\n`, "expected"],
  ];
  for (const [main, message] of parts) {
    using folder = new Folder();
    folder.write("main.ts", main);
    folder.write("lib.ts", "export const a = 1;\n");
    const error = await assertRejects(
      () => eject(new URL(`file://${folder.path}/main.ts`)),
      Error,
      message,
    );
    assertMatch(error.message, /main\.ts:\d+\)$/);
  }
});
