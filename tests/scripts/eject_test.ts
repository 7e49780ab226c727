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

const ROOT = new URL("../../", import.meta.url).pathname;
const NAMES = ["tcp_server", "tcp_client", "udp_sender", "udp_receiver"]
  .concat("google_connect");

/** Whole-process tests; what a copy does is to be what the original does. */
const TESTS = ["tcp_server", "tcp_client", "udp_sender", "udp_receiver"]
  .concat("tcp_server_modes", "udp_faults", "google_connect", "explain")
  .concat("completions").map((name) => `tests/scripts/${name}_test.ts`)
  .concat("tests/peers/udp_peers_test.ts", "tests/peers/nats_test.ts");

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
