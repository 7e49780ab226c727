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

/** Writes modules into a house of their own; the first is a script. */
function build(folder: Folder, modules: Record<string, string>): URL {
  for (const name of ["scripts", "lib"]) {
    Deno.mkdirSync(`${folder.path}/${name}`);
  }
  for (const [name, text] of Object.entries(modules)) folder.write(name, text);
  return new URL(`file://${folder.path}/${Object.keys(modules)[0]}`);
}

/** Ejects a script, checks the copy as anyone would, and runs it. */
async function ejected(
  modules: Record<string, string>,
): Promise<{ source: string; stdout: string }> {
  using folder = new Folder();
  const source = await eject(build(folder, modules));
  using elsewhere = new Folder();
  elsewhere.write("main.ts", source);
  let stdout = "";
  for (const command of ["check", "lint", "fmt --check", "run --cached-only"]) {
    const args = [...command.split(" "), "main.ts"];
    const cwd = elsewhere.path;
    await using running = new Running(Deno.execPath(), args, { cwd });
    const ended = await running.ended();
    assertEquals(ended.code, 0, `${command}: ${ended.stderr}\n${source}`);
    stdout = ended.stdout;
  }
  return { source, stdout };
}

Deno.test("eject() puts a module below what it imports, under its name", async () => {
  const { source, stdout } = await ejected({
    "scripts/main.ts": `#!/usr/bin/env -S deno run
/**
 * Shows how. And more.
 *
 *     deno run scripts/main.ts
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { type Shape, Square } from "../lib/shapes.ts";
import type { Late } from "../lib/late.ts";

const late: Late = { shape: new Square() as Shape };
/** The help. */
export const HELP = \`
Usage:
  deno run scripts/main.ts
\`;
console.log(late.shape.name, HELP, parseArgs(["x"])._);
`,
    "lib/late.ts": `/**
 * Late, and of a header so long that the table of contents has no room for it.
 *
 * @module
 */
import { Square } from "./square.ts";

export interface Late {
  shape: Square;
}
`,
    "lib/shapes.ts": `/** What others import. Two of them.\n *\n * @module\n */
export { type Shape } from "./base.ts";
export { Square } from "./square.ts";
`,
    "lib/square.ts": `import {
  Base,
  // The other one.
  type Shape,
} from "./base.ts";

export class Square extends Base implements Shape {
  override name = "square";
}
`,
    "lib/base.ts": `/** Bases.\n *\n * @module\n */\n
export interface Shape {
  name: string;
}
export abstract class Base implements Shape {
  name = "base";
}
`.replaceAll("\n", "\r\n"),
  });
  assertStringIncludes(stdout, "square \nUsage:\n  deno run main.ts\n");
  assertStringIncludes(
    source,
    `#!/usr/bin/env -S deno run
/**
 * Shows how. And more.
 *
 *     deno run main.ts
 *
 * @module
 */
// SPDX-License-Identifier: MIT
// Copyright (c) 2026 the socket scripts authors
`,
  );
  assertMatch(source, /Ejected from scripts\/main.ts of @socket\/scripts \d/);
  const headings = source.match(/^\/\/ \S+ -+$/gm)!;
  assertMatch(headings[0], /parse_args.ts -+$/); // a stand-in, or published
  assertEquals(headings.slice(1).map((line) => line.split(" ")[1]), [
    "lib/base.ts",
    "lib/square.ts",
    "lib/late.ts",
    "scripts/main.ts",
  ]);
  const line = source.split("\n").indexOf(headings[3]) + 1;
  const place = `${line}`.padStart(5);
  assertStringIncludes(
    source,
    `\n// ${place} lib/late.ts: Late, and of a header so long that the table of contents …\n`,
  );
  assertStringIncludes(source, "\nconst HELP = ");
});

Deno.test("eject() leaves out what is loaded on request only", async () => {
  const { source, stdout } = await ejected({
    "scripts/main.ts": `import type { Relay } from "../lib/relay.ts";
import { say } from "../lib/say.ts";

const OPTIONS = {
  mode: "echo",

  // On request: needs a module more.
  relay: "nats",
};

async function run(
  options: { mode: string },
) {
  await say(options.mode);

  // On request: only now is it loaded.
  if (OPTIONS.relay) {
    const relay: Relay = new (await import("../lib/relay.ts")).Relay();
    relay.start();
  }

  say("end");
}

await run(OPTIONS);
`,
    "lib/relay.ts":
      `export class Relay { start() { import(globalThis.name); } }\n`,
    "lib/say.ts": `
// On request: of no use to others.
export function unsaid() {}

export function say(text: string): void { console.log(text); }
`,
  });
  assertEquals(stdout, "echo\nend\n");
  assert(!/relay|unsaid|request/i.test(source), source);
});

Deno.test("eject() takes in what is loaded when it is needed", async () => {
  const { source, stdout } = await ejected({
    "scripts/main.ts": `if (Deno.args.length === 0) {
  const { draw, LINES } = await import("../lib/draw.ts");
  const {
    shade,
  } = await import(
    "../lib/shade.ts"
  );
  const { sep } = await import("node:path");
  console.log(draw(LINES), shade(), sep.length);
}
`,
    "lib/draw.ts": `import { DASH } from "./dash.ts";
export const LINES = 3;
export function draw(length: number): string { return DASH.repeat(length); }
`,
    "lib/dash.ts": `export const DASH = "=";\n`,
    "lib/shade.ts": `export function shade(): string { return "#"; }\n`,
  });
  assertEquals(stdout, "=== # 1\n");
  assertEquals(source.match(/await import\(.*/g), [
    `await import("node:path");`,
  ]);
});

Deno.test("eject() keeps Deno's own modules imported", async () => {
  const { source, stdout } = await ejected({
    "scripts/main.ts": `import { join } from "node:path";
import { base } from "../lib/paths.ts";
console.log(join("a", "b"), base("c/d").base);
`,
    "lib/paths.ts": `import { join } from "node:path";
import { basename, type ParsedPath } from "node:path";
export function base(path: string): Partial<ParsedPath> {
  return { base: basename(join("x", path)) };
}
`,
  });
  assertEquals(stdout, "a/b d\n");
  assertEquals(source.match(/^import .*/gm), [
    `import { join } from "node:path";`,
    `import { basename, type ParsedPath } from "node:path";`,
  ]);
});

Deno.test("eject() leaves out what nothing uses, and what only that used", async () => {
  const { source, stdout } = await ejected({
    "scripts/main.ts": `import { Used, used } from "../lib/lib.ts";
console.log(used, new Used().text("a"));
`,
    "lib/lib.ts": `/** How many. */
const COUNT = 2;
const TABLE = {
  a() {
    return 1;
  },

  b: 2,
};
// About the next one.
const PATTERN = String
  .raw\`x\`;
/** Not used. */
export async function unused(
  text: string,
): Promise<void> {
  await other(text);

  console.log(TABLE, PATTERN);
}
export const used = COUNT;
function other(text: string) { return text; }

export class Unused {
  text = "unused";
}
export class Used {
  text(text: string) { return text; }
}
`,
  });
  assertEquals(stdout, "2 a\n");
  assert(!/[uU]nused|other|TABLE|PATTERN|Not|About/.test(source), source);
  assertStringIncludes(source, "/** How many. */\nconst COUNT = 2;\n");
});

Deno.test("eject() cuts documentation to its first sentence", async () => {
  const { source } = await ejected({
    "scripts/main.ts": `/**
 * Counts, as in 1.5 or e.g. two,
 * up. Then \`more\`.
 *
 * @param a A number.
 */
export function count(a: number) { return a; }

export class Counter {
  /** The first of many words, so many that they stand in two lines, for sure. All. */
  a = 1;
  /**
   * One. {@linkcode Counter}
   */
  b = 2;
  // Stays. Wholly.
  c = 3;
}
console.log(count(1), new Counter());
`,
  });
  const body = source.slice(source.indexOf("-\n/") + 2);
  assertEquals(
    body,
    `/** Counts, as in 1.5 or e.g. two, up. */
function count(a: number) {
  return a;
}

class Counter {
  // The first of many words, so many that they stand in two lines, for sure.
  a = 1;
  /** One. */
  b = 2;
  // Stays. Wholly.
  c = 3;
}
console.log(count(1), new Counter());
`,
  );
});

Deno.test("eject() says what is wrong when a script does not parse", async () => {
  using folder = new Folder();
  const script = build(folder, { "scripts/main.ts": "console.log(;\n" });
  await assertRejects(() => eject(script), Error, "deno fmt says ");
});
