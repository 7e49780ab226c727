/** udp_receiver.ts as a process, with the permission of its first line. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { numbered as withNumbers } from "../support/bytes.ts";
import {
  assertSameBytes,
  bytes,
  COPIES,
  installed,
  run,
  Running,
  SCRIPTS,
  start,
  text,
  within,
} from "../support/helpers.ts";
import { freeUdpPort, Udp } from "../support/sockets.ts";
import { has, needs } from "../support/system.ts";

function receiver(...args: string[]): Running {
  return start("udp_receiver.ts", ["127.0.0.1:0", ...args]);
}

/** The port in what is said of an address. */
function portIn(said: unknown): number {
  return Number(/udp:\S+:(\d+)/.exec(String(said))![1]);
}

/** What the log says in JSON, line by line. */
function records(stderr: string): Record<string, unknown>[] {
  return stderr.trim().split("\n").map((line) => JSON.parse(line));
}

Deno.test("udp_receiver.ts prints what every peer sends, and who it was", async () => {
  await using running = receiver("--count", "3");
  const to = await running.port();
  using one = new Udp();
  using two = new Udp();
  await one.send(bytes("Hello"), to);
  await one.send(bytes(", "), to);
  await two.send(bytes("world"), to);
  const { code, stdout, stderr } = await running.ended();
  assertEquals([code, stdout], [0, "Hello, world"]);
  const peers = [one, two].map((socket) => socket.address.port);
  assertEquals(
    stderr.split("\n").slice(1, -1),
    peers.map((port) => `From udp://127.0.0.1:${port}:`),
  );
});

Deno.test("udp_receiver.ts passes bytes on untouched when it is no terminal", async () => {
  await using running = receiver("--count", "3");
  const to = await running.port();
  using sender = new Udp();
  const sent = new Uint8Array(65_507).map((_, i) => i * 31);
  await sender.send(sent, to);
  await sender.send(new Uint8Array(0), to);
  await sender.send(bytes("\x1b[2J\r\n"), to);
  const { bytes: printed } = await running.ended();
  await assertSameBytes(printed.slice(0, 65_507), sent);
  assertEquals(text(printed.subarray(65_507)), "\x1b[2J\r\n");
});

Deno.test("udp_receiver.ts says with --verbose where a datagram ends", async () => {
  await using running = receiver("--count", "3", "--verbose", "--json");
  using sender = new Udp();
  const said = await running.stderr("listening");
  const { address } = records(said)[0];
  for (const message of ["one", "", "three"]) {
    await sender.send(bytes(message), portIn(address));
  }
  const { stderr } = await running.ended();
  const peer = `udp://127.0.0.1:${sender.address.port}`;
  assertEquals(
    records(stderr).filter(({ event }) => event === "datagram")
      .map(({ peer, bytes }) => [peer, bytes]),
    [[peer, 3], [peer, 0], [peer, 5]],
  );
});

Deno.test("udp_receiver.ts shows each datagram for itself with --hex", async () => {
  await using running = receiver("--count", "2", "--hex");
  const to = await running.port();
  using sender = new Udp();
  for (const message of ["hello", "\x00"]) {
    await sender.send(bytes(message), to);
  }
  const { stdout } = await running.ended();
  const rows = stdout.trim().split("\n");
  assertEquals(rows.map((row) => row.slice(0, 13)), [
    "00000000  68 ",
    "00000000  00 ",
  ]);
});

Deno.test("udp_receiver.ts leaves when nothing comes, and says so", async () => {
  const { code, stderr } = await run("udp_receiver.ts", [
    "127.0.0.1:0",
    "--timeout",
    "100ms",
  ]);
  assertEquals(code, 0);
  assertStringIncludes(stderr, "no datagram came within 0.1s");
});

Deno.test("udp_receiver.ts fails when fewer come than it was told to wait for", async () => {
  await using running = receiver("--count", "3", "--timeout", "500ms");
  const to = await running.port();
  using sender = new Udp();
  for (const message of ["one", "two"]) await sender.send(bytes(message), to);
  const { code, stdout, stderr } = await running.ended();
  assertEquals([code, stdout], [1, "onetwo"]);
  assertStringIncludes(
    stderr,
    "udp_receiver: Only 2 of 3 datagrams came: no datagram came within 0.5s\n",
  );
});

Deno.test("udp_receiver.ts cuts what is longer than --max-size, and says so", async () => {
  await using running = receiver("--count", "2", "--max-size", "4", "--echo");
  const to = await running.port();
  using sender = new Udp();
  await sender.send(bytes("12345"), to);
  await sender.send(bytes("1234"), to);
  // The one that was cut would not have been an echo.
  assertEquals(await sender.texts(1), ["1234"]);
  const { stdout, stderr } = await running.ended();
  assertEquals(stdout, "12341234");
  assertEquals(
    stderr.match(/is longer than 4 bytes: its end is lost/g)!.length,
    1,
  );
});

Deno.test("udp_receiver.ts answers every peer with --echo", async () => {
  await using running = receiver("--echo");
  const to = await running.port();
  using one = new Udp();
  using two = new Udp();
  await one.send(bytes("one"), to);
  await two.send(bytes(""), to);
  assertEquals(await one.texts(1), ["one"]);
  assertEquals(await two.texts(1), [""]);
});

Deno.test("udp_receiver.ts falls silent when it echoes an echo", async () => {
  await using running = receiver("--echo", "--verbose");
  const to = await running.port();
  // It echoes without end: only the receiver can end this.
  using echo = new Udp();
  const MOST = 2 * 32;
  let bounces = 0;
  const echoing = (async () => {
    while (bounces <= MOST) {
      const { payload, peer } = await echo.receive();
      bounces++;
      await echo.send(payload, peer);
    }
    throw new Error(`It has answered more than ${MOST} times`);
  })();
  for (const ball of ["one", "two"]) await echo.send(bytes(ball), to);
  const silent = /gets no answer[^]*gets no answer/;
  await Promise.race([running.stderr(silent), echoing]);
  assertEquals(bounces, MOST);
  echo[Symbol.dispose]();
  await echoing.catch(() => {});
});

Deno.test(
  "udp_receiver.ts and another fall silent when they echo each other",
  needs("signals"),
  async () => {
    await using one = receiver("--echo", "--verbose");
    const first = await one.port();
    // Asleep, it does not see that its first peer makes room for another.
    one.process.kill("SIGSTOP");
    const starter = new Udp();
    const { port } = starter;
    await starter.send(bytes("ping"), first);
    starter[Symbol.dispose]();
    await using two = start("udp_receiver.ts", [
      `127.0.0.1:${port}`,
      "--echo",
      "--verbose",
    ]);
    await two.port();
    one.process.kill("SIGCONT");
    await one.stderr("gets no answer");
    // What goes round would be there before what comes after it.
    using last = new Udp();
    for (const to of [first, port]) {
      await last.send(bytes("last"), to);
      assertEquals(await last.texts(1), ["last"]);
    }
    const pings = async (running: Running) =>
      (await running.stdout("last")).match(/ping/g)!.length;
    assertEquals([await pings(one), await pings(two)], [33, 32]);
  },
);

Deno.test("udp_receiver.ts hears with --from that peer only", async () => {
  using wanted = new Udp();
  using other = new Udp();
  const from = `127.0.0.1:${wanted.address.port}`;
  await using running = receiver("--from", from, "--count", "1");
  const to = await running.port();
  await other.send(bytes("no"), to);
  await wanted.send(bytes("yes"), to);
  assertEquals((await running.ended()).stdout, "yes");
});

Deno.test(
  "udp_receiver.ts hears with --from the peers of a network",
  needs("loopbackGroups"),
  async () => {
    await using running = receiver("--from", "127.0.0.0/30", "--count", "1");
    const to = await running.port();
    using wanted = new Udp("127.0.0.2");
    using other = new Udp("127.0.0.4");
    await other.send(bytes("no"), to);
    await wanted.send(bytes("yes"), to);
    assertEquals((await running.ended()).stdout, "yes");
  },
);

function numbered(sequence: number, total: number): Uint8Array {
  return withNumbers({ sequence, total, time: 1000 * sequence }, "a");
}

Deno.test("udp_receiver.ts counts with --stats when it is stopped", {
  ...needs("signals"),
  ignore: COPIES || !has("signals"),
}, async () => {
  await using running = receiver("--stats", "--json");
  const said = await running.stderr("listening");
  const to = portIn(records(said)[0].address);
  using sender = new Udp();
  for (const sequence of [0, 1, 3, 3, 2, 5]) {
    await sender.send(numbered(sequence, 6), to);
  }
  await running.stdout("aaaaaa");
  running.process.kill("SIGINT");
  const { code, stdout, stderr } = await running.ended();
  // The header is no payload once it has been read.
  assertEquals([code, stdout], [0, "aaaaaa"]);
  const all = records(stderr);
  const { received, lost, duplicated, reordered, bytes } = all.find((record) =>
    record.event === "stats"
  )!;
  assertEquals(
    { received, lost, duplicated, reordered, bytes },
    { received: 5, lost: 1, duplicated: 1, reordered: 1, bytes: 6 * 21 },
  );
  const gaps = all.filter(({ event }) => event === "gap");
  assertEquals(gaps.reduce((sum, { count }) => sum + (count as number), 0), 5);
});

for (const options of [[], ["--hex"], ["--echo"]]) {
  Deno.test(
    `udp_receiver.ts --stats takes the end of a stopped run for no datagram ${options}`,
    { ignore: COPIES },
    async () => {
      const count = ["--stats", "--count", "2"];
      await using running = receiver(...count, ...options);
      const to = await running.port();
      using sender = new Udp();
      await sender.send(numbered(0, 9), to);
      const stop = { sequence: 2 ** 32 - 1, total: 1, time: 0 };
      await sender.send(withNumbers(stop, ""), to);
      await sender.send(bytes("b"), to);
      const { stdout, stderr } = await running.ended();
      if (options.includes("--hex")) {
        assertMatch(stdout, /^0{8} {2}61 .*\n0{8} {2}62 .*\n$/);
      } else assertEquals(stdout, "ab");
      assertMatch(stderr, /^2 received \(1 not numbered\), 0 lost /m);
      if (!options.includes("--echo")) return;
      const echoes = await sender.texts(2);
      assertEquals(echoes.map((echo) => echo.slice(-1)), ["a", "b"]);
    },
  );
}

Deno.test(
  "udp_receiver.ts --stats leaves datagrams without a mark as they are",
  { ignore: COPIES },
  async () => {
    await using running = receiver("--stats", "--count", "2");
    const to = await running.port();
    using sender = new Udp();
    const ntp = new Uint8Array(48);
    ntp[0] = 0x1b;
    await sender.send(ntp, to);
    await sender.send(new Uint8Array(34), to);
    const { bytes: printed, stderr } = await running.ended();
    assertEquals(printed, new Uint8Array([...ntp, ...new Uint8Array(34)]));
    assertMatch(stderr, /^2 received, none numbered/m);
  },
);

Deno.test("udp_receiver.ts draws the times between datagrams with --stats", {
  ignore: COPIES,
}, async () => {
  await using running = receiver("--stats", "--count", "3");
  const to = await running.port();
  using sender = new Udp();
  for (let i = 0; i < 3; i++) await sender.send(numbered(i, 3), to);
  const { stderr } = await running.ended();
  assertMatch(stderr, /^3 received, 0 lost \(0\.00 %\), 0 duplicated/m);
  assertMatch(
    stderr,
    /^Times between two datagrams:\n(.* - .* \d [█▏]+.*\n)+/m,
  );
});

Deno.test("udp_receiver.ts tells senders apart with --stats", {
  ignore: COPIES,
}, async () => {
  await using running = receiver("--stats", "--count", "3");
  const to = await running.port();
  using one = new Udp();
  using two = new Udp();
  await one.send(numbered(0, 2), to);
  await two.send(numbered(0, 1), to);
  await one.send(numbered(1, 2), to);
  const { stderr } = await running.ended();
  const [first, second] = [one, two].map(({ address }) => address.port);
  assertMatch(stderr, new RegExp(`^udp://.*:${first}: 2 received`, "m"));
  assertMatch(stderr, new RegExp(`^udp://.*:${second}: 1 received`, "m"));
});

/** Runs the receiver on a terminal of Python's: both its outputs at once. */
function onTerminal(...args: string[]): Running {
  const permissions = ["--no-prompt", "--allow-net", "--unstable-net"];
  const script = [`${SCRIPTS}/udp_receiver.ts`, "127.0.0.1:0", ...args];
  return new Running("python3", [
    ...["-c", "import pty, sys; pty.spawn(sys.argv[1:])", Deno.execPath()],
    ...["run", "--quiet", ...permissions, ...script],
  ], { input: "open" });
}

async function terminalPort(running: Running): Promise<number> {
  return portIn(await running.stdout(/Listening on \S*:\d+\r\n/));
}

Deno.test({
  name: "udp_receiver.ts shows on a terminal what would be obeyed",
  ignore: !installed("python3", "-V"),
  async fn() {
    await using running = onTerminal("--count", "3");
    const to = await terminalPort(running);
    using sender = new Udp();
    for (const message of ["two\r\nlines", "", "\x1b[2J\x07\u202e"]) {
      await sender.send(bytes(message), to);
    }
    const { stdout } = await running.ended();
    const [, , ...shown] = stdout.split("\r\n");
    assertEquals(shown, ["two", "lines", "", "\\x1b[2J\\x07\\u202e", ""]);
  },
});

Deno.test({
  name: "udp_receiver.ts --stats shows no datagrams on a terminal",
  ignore: !installed("python3", "-V") || COPIES,
  async fn() {
    await using running = onTerminal("--count", "2", "--stats");
    const to = await terminalPort(running);
    using sender = new Udp();
    for (const sequence of [0, 1]) await sender.send(numbered(sequence, 2), to);
    const { stdout } = await running.ended();
    assertStringIncludes(stdout, "\r\n2 received, 0 lost");
    assert(!stdout.includes("From"), stdout);
  },
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(
    `udp_receiver.ts exits with 0 on ${signal}`,
    needs("signals"),
    async () => {
      await using running = receiver();
      await running.port();
      running.process.kill(signal);
      const { code, stderr } = await running.ended();
      assertEquals([code, stderr.split("\n").length], [0, 2]);
    },
  );
}

Deno.test("udp_receiver.ts runs with no more than its address permitted", async () => {
  const port = freeUdpPort();
  await using running = start("udp_receiver.ts", [`:${port}`, "--count", "1"], {
    permissions: ["--unstable-net", `--allow-net=127.0.0.1:${port}`],
  });
  using sender = new Udp();
  await sender.send(bytes("hi"), await running.port());
  assertEquals((await running.ended()).stdout, "hi");
});

Deno.test("udp_receiver.ts stays when it may not answer a peer", async () => {
  const port = freeUdpPort();
  await using running = start("udp_receiver.ts", [
    `:${port}`,
    "--echo",
    "--count",
    "2",
  ], {
    permissions: ["--unstable-net", `--allow-net=127.0.0.1:${port}`],
  });
  const to = await running.port();
  using sender = new Udp();
  for (const message of ["one", "two"]) await sender.send(bytes(message), to);
  const { code, stdout, stderr } = await running.ended();
  assertEquals([code, stdout], [0, "onetwo"]);
  assertStringIncludes(
    stderr,
    `it needs --allow-net=127.0.0.1:${port},127.0.0.1:${sender.address.port}`,
  );
});

// Arguments, exit code, what its one line says.
const FAILURES: [string[], number, string][] = [
  [["127.0.0.1"], 2, "the port is missing"],
  [["127.0.0.1:99999"], 2, "0 to 65535"],
  [["tcp://127.0.0.1:0"], 2, "must be udp://"],
  [
    ["127.0.0.1:0", "--ech"],
    2,
    COPIES ? "no option --" : "did you mean --echo?",
  ],
  [["127.0.0.1:0", "--max-size", "0"], 2, "--max-size must be 1 to 65535"],
  [["127.0.0.1:0", "--max-size", "64k"], 2, "--max-size must be 1 to 65535"],
  [["127.0.0.1:0", "--count", "0"], 2, "--count must be a whole number"],
  [["127.0.0.1:0", "--from", "localhost"], 2, "must be an IP address"],
  [["127.0.0.1:0", "--join", "10.0.0.1"], 2, "a group is an address"],
  [[":0", "--join", "239.1.2.3@999.1.1.1"], 2, "a group is an address"],
  [[":0", "--join", "ff02::1%lo"], 2, "a group is an address"],
  [[":0", "--join", "239.1.2.3@203.0.113.9"], 1, "no interface has that"],
  [["203.0.113.9:0"], 1, "this machine has no such address"],
];
for (const [args, expected, message] of FAILURES) {
  // Groups are not in a copy.
  const test = COPIES && args.includes("--join") ? Deno.test.ignore : Deno.test;
  test(`udp_receiver.ts exits with ${expected} for ${args.join(" ")}`, async () => {
    const { code, stdout, stderr } = await run("udp_receiver.ts", args);
    assertEquals([code, stdout], [expected, ""]);
    assertStringIncludes(stderr, message);
    assertEquals(stderr.split("\n").length, 2, stderr);
  });
}

Deno.test("udp_receiver.ts names the permission that it needs", async () => {
  const { code, stderr } = await run("udp_receiver.ts", ["127.0.0.1:8080"], {
    permissions: ["--unstable-net", "--allow-net=127.0.0.1:1"],
  });
  assertEquals([code, stderr], [
    1,
    "udp_receiver: Cannot listen on udp://127.0.0.1:8080: Deno was not allowed to; it needs --allow-net=127.0.0.1:8080\n",
  ]);
});

Deno.test("udp_receiver.ts names the flag when it is copied elsewhere", async () => {
  // Like deno.json, but with no "unstable" in it.
  const directory = await Deno.makeTempDir();
  const lib = new URL("../../lib/", import.meta.url);
  const config = `${directory}/deno.json`;
  const imports = {
    "@std/cli/parse-args": `${lib}std/cli/parse_args.ts`,
    "@std/fmt/bytes": `${lib}std/fmt/bytes.ts`,
    "@std/fmt/colors": `${lib}std/fmt/colors.ts`,
  };
  try {
    await Deno.writeTextFile(config, JSON.stringify({ imports }));
    const { code, stderr } = await run("udp_receiver.ts", ["127.0.0.1:0"], {
      permissions: ["--allow-net", "--config", config],
    });
    assertEquals(code, 1);
    assertMatch(stderr, /^udp_receiver: .*add --unstable-net.*\n$/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** Resident memory of a process, in megabytes. */
function memoryOf({ pid }: Deno.ChildProcess): number {
  const args = ["-o", "rss=", "-p", `${pid}`];
  const { stdout } = new Deno.Command("ps", { args }).outputSync();
  return Number(text(stdout)) / 1024;
}

Deno.test({
  name: "udp_receiver.ts does not grow when its output is not read",
  ignore: !installed("ps"),
  async fn() {
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--allow-net", "--unstable-net"]
        .concat(`${SCRIPTS}/udp_receiver.ts`, "127.0.0.1:0"),
      cwd: new URL("../../", import.meta.url),
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    using sender = new Udp();
    try {
      const said = process.stderr.pipeThrough(new TextDecoderStream());
      const reader = said.getReader();
      const { value } = await within(reader.read());
      const to = portIn(value);
      const flood = async (count: number) => {
        for (let i = 0; i < count; i++) {
          await sender.send(new Uint8Array(8192), to);
        }
      };
      await flood(1000); // more than a pipe and a socket hold
      const before = memoryOf(process);
      await flood(20_000); // 160 MB
      const growth = memoryOf(process) - before;
      assert(growth < 32, `${growth} MB`);
      await reader.cancel();
    } finally {
      process.kill("SIGKILL");
      await process.stdout.cancel();
      await process.status;
    }
  },
});
