/** eject.ts as a whole process, and what it writes put to the test. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { Folder } from "../support/folder.ts";
import {
  type Ended,
  run,
  Running,
  type RunOptions,
  SCRIPTS,
} from "../support/helpers.ts";
import { canMakeNetworks } from "../support/small_network.ts";
import { needs } from "../support/system.ts";

const ROOT = `${import.meta.dirname}/../../`;
const NAMES = ["tcp_server", "tcp_client", "udp_sender", "udp_receiver"]
  .concat("google_connect");

/** Whole-process tests; what a copy does is to be what the original does. */
const TESTS = [...Deno.readDirSync(`${ROOT}tests/scripts`)]
  .map(({ name }) => `tests/scripts/${name}`)
  .filter((path) => /\/(tcp|udp|google)_\w+_test\.ts$/.test(path))
  .concat("tests/peers/udp_peers_test.ts");

// With copies under test, the originals are not.
const test = SCRIPTS === "scripts" ? Deno.test : Deno.test.ignore;

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
  test(`eject.ts says on top what is in it and where when it writes ${name}`, () => {
    const source = copies.text(`${name}.ts`);
    const lines = source.split("\n");
    assertStringIncludes(lines[0], "deno run --no-prompt --allow-net");
    // All that the script says of itself, but for the folder.
    const original = Deno.readTextFileSync(`${ROOT}scripts/${name}.ts`)
      .replaceAll("\r\n", "\n"); // as Git may have written it on Windows
    const [documentation] = original.split("@module");
    assert(source.startsWith(documentation.replaceAll(/scripts\/(?=\w)/g, "")));
    assertStringIncludes(source, "\n// SPDX-License-Identifier: MIT\n");
    assertStringIncludes(source, `from scripts/${name}.ts of @socket/scripts`);
    const entries = [...source.matchAll(/^\/\/ +(\d+) (\S+\.ts): .+/gm)];
    const named = entries.map(([, line, file]) => [Number(line), file]);
    const headings = lines.flatMap((line, i) => {
      const [, file] = /^\/\/ (\S+\.ts) -+$/.exec(line) ?? [];
      return file === undefined ? [] : [[i + 1, file]];
    });
    assertEquals(named, headings);
    assert(headings.length > 3, "there is more than a script");
    assertEquals(headings.at(-1)![1], `scripts/${name}.ts`);
  });

  test(`eject.ts leaves out what a copy has no use for when it writes ${name}`, async () => {
    const { stdout } = await runCopy(name, ["--help"]);
    assertStringIncludes(stdout, "--verbose");
    const absent = /--(explain|relay|progress|stats|proxy|to|idle)\b/;
    assert(!absent.test(stdout), stdout);
    assert(!/^ .*\b(pipe|forward) {2,}/m.test(stdout), stdout);
    assert(!/--mode (chat|pipe|forward)/.test(stdout), stdout);
    const source = copies.text(`${name}.ts`);
    assert(!/^(import|export) .*"[.@]/m.test(source), "an import is left");
    // What edits lines takes 15 ms to load, so nobody waits for it at the start.
    assert(!/^import .*"node:readline"/m.test(source), "readline is loaded");
    const said = /^\/\/ Not in it: .*--relay/m.test(source);
    assertEquals(said, name === "tcp_server");
    assert(!/@(example|param|returns)/.test(source), "an example is left");
    assert(!/deno run .* scripts\//.test(source), "a folder is left");
    assertStringIncludes(source, "\nasync function runCommand<");
    const declared = [...source.matchAll(/^(?:const|class) (\w+)/gm)]
      .map(([, name]) => name);
    assertEquals(
      declared.length,
      new Set(declared).size,
      "a name is there twice",
    );
  });
}

Deno.test(
  "eject.ts writes a file that is a program when the system starts it",
  {
    ...needs("shebang"),
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
    assertEquals([said.code, said.stdout, said.stderr], [0, "hello\n", ""]);
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
      ...TESTS,
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
    /there is no script tcp_sever; there are google_connect, tcp_client, tcp_server, udp_receiver, udp_sender/,
  ],
  [["eject", "."], 2, /there is no script eject/],
  [["../lib/text.ts", "."], 2, /there is no script/],
  [["--forse", "tcp_server", "."], 2, /did you mean --force/],
  [["--explain", "tcp_server", "."], 2, /there is no option --explain/],
  [["tcp_server", "nowhere/at/all"], 1, /at\/all: there is no such folder/],
  [["tcp_server", "deno.json"], 1, /deno.json is not a folder/],
  [
    ["--force", "tcp_server", "scripts"],
    1,
    /scripts has the originals; name another/,
  ],
];
for (const [args, expected, message] of MISTAKES) {
  test(`eject.ts says what is wrong when given ${JSON.stringify(args)}`, async () => {
    const { code, stdout, stderr } = await run("eject.ts", args);
    assertMatch(stderr, /^eject: .*\n$/);
    assertMatch(stderr, message);
    assertEquals([code, stdout], [expected, ""]);
  });
}

test("eject.ts replaces a link and not what it points to when told to --force", async () => {
  using folder = new Folder();
  folder.write("mine", "mine");
  folder.write("tcp_client.ts", "old");
  await Deno.symlink(`${folder.path}/mine`, `${folder.path}/tcp_server.ts`);
  await Deno.mkdir(`${folder.path}/udp_sender.ts`);
  const isFolder = ["--force", "tcp_client", "udp_sender", folder.path];
  const refused = await run("eject.ts", isFolder);
  assertMatch(refused.stderr, /^eject: .*\/udp_sender.ts is a folder\n$/);
  assertEquals([refused.code, folder.text("tcp_client.ts")], [1, "old"]);

  const isLink = ["--force", "tcp_server", folder.path];
  const { code, stderr } = await run("eject.ts", isLink);
  assertEquals(code, 0, stderr);
  assertEquals(folder.text("mine"), "mine");
  assertEquals(folder.text("tcp_server.ts"), copies.text("tcp_server.ts"));
});

/** What a shell does to a folder so that not all of three can be written in it. */
const OBSTACLES: [string, string, string, RegExp][] = [
  [
    "one is not to be replaced",
    "chattr +i udp_sender.ts",
    "chattr -i udp_sender.ts",
    /udp_sender.ts: the system does not permit it\n$/,
  ],
  [
    "the disk is full",
    "mount -t tmpfs -o size=96k tmpfs . && cd . && printf old > udp_sender.ts",
    'cd / && umount "$OLDPWD"',
    /udp_sender.ts: there is no space left on the device\n$/,
  ],
];
for (const [what, before, after, message] of OBSTACLES) {
  test(`eject.ts --force writes none when ${what}`, {
    ...needs("linux"),
    ignore: !canMakeNetworks, // it takes as many rights
  }, async () => {
    using folder = new Folder();
    folder.write("udp_sender.ts", "old");
    const sh = (line: string) =>
      new Deno.Command("sh", { args: ["-c", line], cwd: folder.path })
        .outputSync();
    if (!sh(before).success) return; // not every file system can do that
    try {
      await assertNoneWritten(folder, message);
    } finally {
      sh(after);
    }
  });
}

test("eject.ts --force writes none when it may not write one", async () => {
  using folder = new Folder();
  folder.write("udp_sender.ts", "old");
  const denied = `--deny-write=${folder.path}/udp_sender.ts`;
  const all = ["--allow-read", "--allow-run=deno", "--allow-write"];
  const message = /udp_sender.ts: Deno was not allowed to; .*\n$/;
  await assertNoneWritten(folder, message, [...all, denied]);
});

async function assertNoneWritten(
  folder: Folder,
  message: RegExp,
  permissions?: string[],
) {
  const args = ["--force", "google_connect", "udp_sender", "udp_receiver"];
  const { code, stdout, stderr } = await run("eject.ts", [
    ...[...args, folder.path],
  ], { permissions });
  assertMatch(stderr, /^eject: Cannot write .*\n$/);
  assertMatch(stderr, message);
  assertEquals([code, stdout], [1, ""]);
  const left = [...Deno.readDirSync(folder.path)].map(({ name }) => name);
  assertEquals(left, ["udp_sender.ts"]);
  assertEquals(folder.text("udp_sender.ts"), "old");
}

test("eject.ts names the permission when one is missing", async () => {
  const [read, child, write] = ["read", "run=deno", "write"]
    .map((name) => `--allow-${name}`);
  const steps: [string[], string][] = [
    [["--no-prompt"], "--allow-read="],
    [[read], "--allow-read --allow-run=deno"],
    [[read, child], "--allow-write="],
    [[read, child, `${write}=/nowhere`], "--allow-write="],
  ];
  using folder = new Folder();
  for (const [permissions, missing] of steps) {
    const { code, stderr } = await run(
      "eject.ts",
      ["tcp_client", folder.path],
      { permissions },
    );
    assertMatch(stderr, /^eject: Cannot .*\n$/);
    assertStringIncludes(stderr, `not allowed to; it needs ${missing}`);
    assertEquals(code, 1);
  }
});

test("eject.ts says so when the system lets nobody write there", {
  ...needs("linux"),
}, async () => {
  // Not even root can make a file in /sys, but Deno asks for everything there.
  const { code, stderr } = await run("eject.ts", ["tcp_client", "/sys"], {
    permissions: ["--allow-all"],
  });
  assertMatch(stderr, /^eject: Cannot write \/sys\/tcp_client.ts: .*\n$/);
  assertEquals(code, 1);
});
