/** eject.ts as a whole process, and what it writes put to the test. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { eject } from "../../lib/eject.ts";
import {
  type Ended,
  run,
  Running,
  type RunOptions,
  SCRIPTS,
  within,
} from "../support/helpers.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const NAMES = ["tcp_server", "tcp_client", "udp_sender", "udp_receiver"]
  .concat("google_connect");

/** Whole-process tests; what a copy does is to be what the original does. */
const TESTS = ["tcp_server", "tcp_client", "udp_sender", "udp_receiver"]
  .concat("udp_faults", "udp_peers", "google_connect", "nats")
  .concat("explain", "completions");

// With copies under test, the originals are not.
const test = SCRIPTS === "scripts" ? Deno.test : Deno.test.ignore;

/** A folder for a while. */
class Folder implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "eject_" });

  text(name: string): string {
    return Deno.readTextFileSync(`${this.path}/${name}`);
  }

  write(name: string, text: string): void {
    Deno.writeTextFileSync(`${this.path}/${name}`, text);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** All five, written once for all tests. */
let copies: Folder;

Deno.test.beforeAll(async () => {
  copies = new Folder();
  const { code, stderr } = await run("eject.ts", [...NAMES, copies.path]);
  assertEquals(code, 0, stderr);
});

Deno.test.afterAll(() => copies[Symbol.dispose]());

/** Runs Deno in a folder, with a cache in which there is nothing. */
function deno(
  args: string[],
  cwd: string,
  options: RunOptions = {},
): Running {
  const env = { DENO_DIR: `${copies.path}/.cache` };
  return new Running(Deno.execPath(), args, { ...options, cwd, env });
}

/** Runs a copy with the flags of its first line, or others. */
function startCopy(
  name: string,
  args: string[],
  flags = flagsOf(name),
): Running {
  const command = ["run", "--cached-only", ...flags, `${name}.ts`, ...args];
  return deno(command, copies.path);
}

async function runCopy(...args: Parameters<typeof startCopy>): Promise<Ended> {
  await using running = startCopy(...args);
  return await running.ended();
}

function flagsOf(name: string): string[] {
  const [shebang] = copies.text(`${name}.ts`).split("\n");
  assertMatch(shebang, /^#!\/usr\/bin\/env -S deno run /);
  return shebang.split(" ").filter((word) => word.startsWith("--"));
}

/** What is checked of every file; the first that fails tells why. */
async function checkAll(cwd: string, ...commands: string[][]): Promise<void> {
  for (const command of commands) {
    await using running = deno(command, cwd);
    const { code, stdout, stderr } = await running.ended();
    assertEquals(code, 0, `${command.join(" ")}: ${stdout}${stderr}`);
  }
}

test(
  "eject.ts writes files that pass check, lint and format when there is no deno.json",
  async () => {
    const files = NAMES.map((name) => `${name}.ts`);
    await checkAll(
      copies.path,
      ["check", ...files],
      ["lint", ...files],
      ["fmt", "--check", ...files],
    );
  },
);

for (const name of NAMES) {
  test(`eject.ts leaves no import and no example when it writes ${name}`, () => {
    const source = copies.text(`${name}.ts`);
    const [shebang, origin, doc] = source.split("\n");
    assertStringIncludes(shebang, "deno run --no-prompt --allow-net");
    assertStringIncludes(origin, `scripts/${name}.ts of @socket/scripts`);
    assertEquals(doc, "/**");
    assert(!/^(import|export \{)/m.test(source), "an import is left");
    assert(!/@example|@std\/assert/.test(source), "an example is left");
    assertStringIncludes(source, "\nasync function runCommand<");
    assertStringIncludes(source, " * Runs a command: parses its arguments");
    assert(!/deno run .* scripts\//.test(source), "a folder is left");
    // Nothing twice, and nothing renamed that did not have to be.
    const declared = [...source.matchAll(/^(?:const|class) (\w+)/gm)]
      .map(([, name]) => name);
    assertEquals(declared.length, new Set(declared).size);
    assert(!declared.some((name) => name.endsWith("_")));
  });
}

test("eject.ts takes only what is used when it writes a script", () => {
  const unused: Record<string, string[]> = {
    tcp_client: ["class Room", "function serve(", "class UdpSocket"],
    udp_receiver: ["class IdleSweep", "function parseFraming", "class Room"],
    google_connect: ["class UdpSocket", "class Histogram", "function duplex"],
  };
  for (const [name, declarations] of Object.entries(unused)) {
    const source = copies.text(`${name}.ts`);
    for (const declaration of declarations) {
      assert(!source.includes(declaration), `${declaration} in ${name}`);
    }
  }
});

Deno.test(
  "eject.ts writes a file that is a program when the system starts it",
  {
    ignore: Deno.build.os === "windows",
  },
  async () => {
    await using running = new Running(`${copies.path}/tcp_server.ts`, ["-V"], {
      cwd: "/",
    });
    const { code, stdout, stderr } = await running.ended();
    assertEquals(stderr, "");
    assertMatch(stdout, /^tcp_server \d/);
    assertEquals(code, 0);
  },
);

test(
  "eject.ts writes a server and a client that talk when run as copies",
  async () => {
    await using server = startCopy("tcp_server", ["127.0.0.1:0"]);
    const address = `127.0.0.1:${await server.port()}`;
    const said = await runCopy("tcp_client", [address, "--send", "hello"]);
    assertEquals([said.code, said.stdout, said.stderr], [0, "hello", ""]);
  },
);

test(
  "eject.ts writes a sender and a receiver that talk when run as copies",
  async () => {
    const args = ["127.0.0.1:0", "--echo", "--count", "1"];
    await using receiver = startCopy("udp_receiver", args);
    const address = `127.0.0.1:${await receiver.port()}`;
    const sent = await runCopy("udp_sender", [address, "hello", "--replies=1"]);
    assertEquals([sent.code, sent.stdout], [0, "hello"], sent.stderr);
    assertEquals((await receiver.ended()).stdout, "hello");
  },
);

test("eject.ts writes a google_connect that reports when run as a copy", async () => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("hi"),
  );
  const { port } = server.addr;
  const probed = await runCopy("google_connect", [`127.0.0.1:${port}`]);
  assertEquals(probed.code, 0, probed.stderr);
  assertStringIncludes(probed.stdout, "200 OK");
});

for (const name of ["udp_sender", "udp_receiver", "tcp_server"]) {
  test(
    `eject.ts writes a ${name} that names its flag when run without it`,
    async () => {
      const more = { udp_sender: ["hello"], tcp_server: ["--reuse-port"] };
      const args = ["127.0.0.1:9", ...more[name as keyof typeof more] ?? []];
      const { code, stderr } = await runCopy(name, args, ["--allow-net"]);
      assertMatch(stderr, new RegExp(`^${name}: .*add --unstable-net.*\n$`));
      assertEquals(code, 1);
    },
  );
}

test(
  "eject.ts writes copies that behave as the originals when put to their tests",
  async () => {
    await using tests = new Running(Deno.execPath(), [
      ...["test", "--quiet", "--no-check", "--parallel", "--no-prompt"],
      ...["--allow-net", "--allow-run", "--allow-read", "--allow-write"],
      "--allow-env",
      ...TESTS.map((name) => `tests/scripts/${name}_test.ts`),
      ...["--", `--scripts=${copies.path}`],
    ], { cwd: ROOT });
    // It may take longer than a process may elsewhere.
    const { code } = await tests.process.status;
    const output = await tests.stdout(/passed/);
    const said = output.slice(output.indexOf(" ERRORS "));
    assertEquals(code, 0, said);
    assertMatch(output, /ok \| [1-9]\d\d passed/);
  },
);

test("eject.ts imports what deno.json names when asked for --jsr", async () => {
  using folder = new Folder();
  const names = ["tcp_server", "udp_sender"];
  const args = ["--jsr", ...names, folder.path];
  const { code, stderr } = await run("eject.ts", args);
  assertEquals(code, 0, stderr);
  const { imports } = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
  const cli = `${imports["@std/cli"]}/parse-args`;
  const bytes = `${imports["@std/fmt"]}/bytes`;
  const colors = `${imports["@std/fmt"]}/colors`;
  const [server, sender] = names.map((name) => folder.text(`${name}.ts`));
  for (const source of [server, sender]) {
    assertStringIncludes(source, `\nimport { parseArgs } from "${cli}";\n`);
    assertMatch(source, /\nimport \{ dim.*, red \} from "jsr:@std\/fmt@\^/);
    assert(!source.includes("Stand-in for"));
  }
  assertStringIncludes(sender, `\nimport { format } from "${bytes}";\n`);
  assert(!server.includes(bytes));

  const files = names.map((name) => `${name}.ts`);
  // The registry may be out of reach, so the stand-ins are what is imported.
  const std = `file://${ROOT}lib/std`;
  folder.write(
    "map.json",
    JSON.stringify({
      imports: {
        [cli]: `${std}/cli/parse_args.ts`,
        [bytes]: `${std}/fmt/bytes.ts`,
        [colors]: `${std}/fmt/colors.ts`,
      },
    }),
  );
  await checkAll(
    folder.path,
    ["check", "--import-map=map.json", ...files],
    ["lint", ...files],
    ["fmt", "--check", ...files],
    ["run", "--import-map=map.json", "tcp_server.ts", "--help"],
  );
});

test("eject.ts writes none of two when one of them is there", async () => {
  using folder = new Folder();
  const written = await run("eject.ts", ["tcp_client.ts", folder.path]);
  assertEquals(written.code, 0, written.stderr);
  assertMatch(written.stderr, /^Wrote .*\/tcp_client.ts, \d+ lines\n$/);
  folder.write("tcp_client.ts", "mine");

  const both = ["scripts/udp_sender.ts", "tcp_client", `${folder.path}/`];
  const refused = await run("eject.ts", both);
  assertEquals([refused.code, refused.stdout, refused.stderr], [
    1,
    "",
    `eject: ${folder.path}/tcp_client.ts is there already; --force writes over it\n`,
  ]);
  assertEquals(folder.text("tcp_client.ts"), "mine");
  assertEquals([...Deno.readDirSync(folder.path)].length, 1);

  const forced = await run("eject.ts", ["--force", ...both]);
  assertEquals(forced.code, 0, forced.stderr);
  assertEquals(forced.stderr.trim().split("\n").length, 2);
  assertEquals(folder.text("tcp_client.ts"), copies.text("tcp_client.ts"));
  assertEquals(folder.text("udp_sender.ts"), copies.text("udp_sender.ts"));
});

const MISTAKES: [string[], number, RegExp][] = [
  [[], 2, /it takes a script and a folder/],
  [["tcp_server"], 2, /it takes a script and a folder/],
  [
    ["tcp_sever", "."],
    2,
    /there is no script tcp_sever; did you mean tcp_server\? There are google_connect, tcp_client, tcp_server, udp_receiver, udp_sender/,
  ],
  [["eject", "."], 2, /there is no script eject/],
  [["../lib/cli.ts", "."], 2, /there is no script/],
  [["--jrs", "tcp_server", "."], 2, /did you mean --jsr/],
  [["--explain", "tcp_server", "."], 2, /there is no option --explain/],
  [["tcp_server", "nowhere/at/all"], 1, /nowhere\/at\/all: there is no such/],
  [["tcp_server", "deno.json"], 1, /deno.json is not a folder/],
];
for (const [args, expected, message] of MISTAKES) {
  test(`eject.ts says what is wrong when given ${JSON.stringify(args)}`, async () => {
    const { code, stdout, stderr } = await run("eject.ts", args);
    assertMatch(stderr, /^eject: .*\n$/);
    assertMatch(stderr, message);
    assertEquals([code, stdout], [expected, ""]);
  });
}

test("eject.ts names the permission when one is missing", async () => {
  const [read, env, child, write] = ["--allow-read", "--allow-env"]
    .concat("--allow-run=deno", "--allow-write");
  const steps: [string[], string, string?][] = [
    [["--no-prompt"], "--allow-read="],
    [[read], "--allow-env=TSC_"],
    [[read, env], "--allow-run=deno", "that needs "],
    [[read, env, child], "--allow-write="],
    [[read, env, child, `${write}=/nowhere`], "--allow-write="],
  ];
  using folder = new Folder();
  for (const [permissions, missing, how = "to; it needs "] of steps) {
    const { code, stderr } = await run(
      "eject.ts",
      ["tcp_client", folder.path],
      { permissions },
    );
    assertMatch(stderr, /^eject: Cannot .*\n$/);
    assertStringIncludes(
      stderr,
      how + missing,
    );
    assertEquals(code, 1);
  }
});

test("eject.ts says so when the system lets nobody write there", {
  ignore: Deno.build.os !== "linux",
}, async () => {
  // Not even root can make a file in /sys, but Deno asks for everything there.
  const { code, stderr } = await run("eject.ts", ["tcp_client", "/sys"], {
    permissions: ["--allow-all"],
  });
  assertMatch(stderr, /^eject: Cannot write \/sys\/tcp_client.ts: .*\n$/);
  assertEquals(code, 1);
});

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
  await checkAll(elsewhere.path, ["check", name], ["fmt", "--check", name]);
  await using running = deno(["run", "--cached-only", name], elsewhere.path);
  const { code, stdout, stderr } = await within(running.ended());
  assertEquals(code, 0, `${stderr}\n${source}`);
  return { source, stdout };
}

Deno.test("eject() renames one of two when their names clash", async () => {
  const { source, stdout } = await ejected({
    "main.ts": `import { table } from "../some_words.ts";
import * as words from "../some_words.ts";
const text = "own";
console.log(text, words.text(), table.text(), words.SIZE, new words.Text().of({ text }));
`,
    "some_words.ts": `export function text(): string { return "inlined"; }
/** Holds {@linkcode text}. */
export const table = { text };
export const SIZE = 1;
export class Text { of({ text }: { text: string }): string { return text + SIZE + other(); } }
export function unused(): void {}
import { SIZE as BIG, text as both } from "../other.ts";
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
    "main.ts": `import { hidden as shown, performance } from "../lib.ts";
function local(hidden: string): string { return hidden + shown(); }
console.log(local("local "), performance, typeof globalOne());
import { globalOne } from "../globals.ts";
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
    "main.ts": `import type { Late } from "../late.ts";
import { type Shape, Square } from "../square.ts";
const late: Late = { shape: new Square() as Shape };
export { FEED as LINE } from "../feed.ts";
export const command = late;
console.log(late.shape.name, import.meta.main, SIDES);
import { SIDES } from "../square.ts";
`,
    "late.ts": `import { Square } from "../square.ts";
export interface Late { shape: Square }
export const unused = new Square();
`,
    "square.ts": `import { Base } from "../shapes.ts";
import { FEED } from "../feed.ts";
export { SIDES, type Shape } from "../shapes.ts";
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
    "feed.ts": `import "../effect.ts";
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
    "main.ts": `import { join } from "../paths.ts";
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
    "main.ts": `import { load } from "../load.ts";
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
const drawing = new (await import("../draw.ts")).Drawing();
if (Deno.args.length === 0) {
  console.log(drawing.line() + (await import("../draw.ts")).SEPARATOR);
}
console.log(SEPARATOR);
`,
    "draw.ts": `import { DASH } from "../dash.ts";
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
    [`import * as lib from "../lib.ts";\nconsole.log({ ...lib });\n`, "lib"],
    [`console.log(await import("../lib.ts"));\n`, "in the middle of it"],
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
