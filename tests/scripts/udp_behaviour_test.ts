/** udp_sender.ts and udp_receiver.ts as whole processes: what they hear, answer, count and wait for. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { text } from "../support/bytes.ts";
import { COPIES, run, type Running } from "../support/helpers.ts";
import { start, within } from "../support/helpers.ts";
import { redirected } from "../support/processes.ts";
import { freeUdpPort, Udp } from "../support/sockets.ts";
import { pause } from "../support/timing.ts";
import { has, needs } from "../support/system.ts";

const ANY_PORT = "127.0.0.1:0";
const onLinux = needs("linux");
/** Groups are not in a copy. */
const joiningOnLinux = { ...onLinux, ignore: COPIES || !has("linux") };

function receiver(...args: string[]): Running {
  return start("udp_receiver.ts", [ANY_PORT, ...args]);
}

/** Runs the sender to its end; gives what the test gets of it, too. */
async function send(count: number, ...args: string[]) {
  using socket = new Udp();
  const heard = socket.next(count);
  const to = `127.0.0.1:${socket.port}`;
  const ended = await run("udp_sender.ts", [to, ...args]);
  return { ...ended, heard: await heard };
}

/** A group that no other test, or run of it, has joined. */
function anyGroup(): string {
  const part = () => 1 + Math.floor(Math.random() * 254);
  return `239.${part()}.${part()}.${part()}`;
}

/** What the statistics come to, from a log in JSON. */
function statistics(stderr: string): Record<string, number> {
  return stderr.trim().split("\n").map((line) => JSON.parse(line))
    .find(({ event }) => event === "stats");
}

Deno.test("udp_receiver.ts --echo does not answer a datagram that it cut", async () => {
  await using running = receiver("--echo", "--max-size", "4");
  const to = await running.port();
  using sender = new Udp();
  for (const message of ["abcdef", "hijklm", "1234"]) {
    await sender.send(message, to);
  }
  assertEquals(await sender.texts(1), ["1234"]);
  await running.stdout("abcdhijk1234");
});

Deno.test("udp_receiver.ts --count 1 fails when what came cannot be written", {
  ...needs("linux", "bash"),
}, async () => {
  const args = [ANY_PORT, "--count", "1"];
  await using running = redirected("> /dev/full", "udp_receiver.ts", args);
  const to = await running.port();
  using sender = new Udp();
  await sender.send("hello", to);
  const { code, stderr } = await running.ended();
  assertEquals(code, 1);
  assertStringIncludes(
    stderr,
    "udp_receiver: Cannot write to standard output: there is no space left on the device\n",
  );
});

Deno.test("udp_sender.ts --wait prints an answer while its input is still open", async () => {
  using socket = new Udp();
  const args = [`127.0.0.1:${socket.port}`, "--wait", "20s"];
  await using running = start("udp_sender.ts", args, { input: "open" });
  for (const word of ["one", "two"]) {
    await running.type(`${word}\n`);
    const [{ payload, peer }] = await socket.next(1);
    assertEquals(text(payload), word);
    await socket.send(`<${word}>`, peer);
    await running.stdout(`<${word}>`);
  }
});

Deno.test("udp_sender.ts --replies 2 waits 5 s, not for ever, when none or one comes", async () => {
  const waiting = async (answers: string[]) => {
    using socket = new Udp();
    const to = `127.0.0.1:${socket.port}`;
    const before = performance.now();
    const ending = run("udp_sender.ts", [to, "ping", "--replies", "2"]);
    const [{ peer }] = await socket.next(1);
    for (const answer of answers) await socket.send(answer, peer);
    const { stdout, stderr } = await ending;
    const elapsed = performance.now() - before;
    assertEquals(stdout, answers.join(""));
    assertStringIncludes(stderr, "within 5s");
    assert(elapsed >= 4990 && elapsed < 15_000, `${elapsed} ms`);
  };
  await Promise.all([waiting([]), waiting(["pong"])]);
});

Deno.test("udp_sender.ts --interval waits before the second datagram already", async () => {
  using socket = new Udp();
  const to = `127.0.0.1:${socket.port}`;
  const args = [to, "x", "--count", "2", "--interval", "2s"];
  const ending = run("udp_sender.ts", args);
  await socket.next(1);
  const before = performance.now();
  await socket.next(1);
  const elapsed = performance.now() - before;
  assertEquals((await ending).code, 0);
  // This process may have been late to hear of the first one.
  assert(elapsed > 1000, `${elapsed} ms`);
});

Deno.test("udp_sender.ts sends what stands after -- though it looks like options", async () => {
  const words = ["-v", "--count", "--", "--allow-net"];
  const { code, heard } = await send(4, "--", ...words);
  assertEquals(code, 0);
  assertEquals(heard.map(({ payload }) => text(payload)), words);
});

Deno.test("udp_receiver.ts --timeout 1 waits for a second", async () => {
  const before = performance.now();
  const args = [ANY_PORT, "--timeout", "1"];
  const { stderr } = await run("udp_receiver.ts", args);
  const elapsed = performance.now() - before;
  assertStringIncludes(stderr, "no datagram came within 1s");
  assert(elapsed >= 990 && elapsed < 10_000, `${elapsed} ms`);
});

Deno.test("udp_receiver.ts --timeout starts anew with each datagram", async () => {
  await using running = receiver("--timeout", "1s");
  const to = await running.port();
  using sender = new Udp();
  let last = 0;
  for (let i = 0; i < 5; i++) {
    await pause(300);
    last = performance.now();
    await sender.send(`${i}`, to);
  }
  const { stdout } = await running.ended();
  const elapsed = performance.now() - last;
  assertEquals(stdout, "01234");
  assert(elapsed >= 990 && elapsed < 10_000, `${elapsed} ms`);
});

Deno.test(
  "udp_receiver.ts --join hears the group, and not what is sent to this machine alone",
  joiningOnLinux,
  async () => {
    const group = anyGroup();
    const port = freeUdpPort();
    const join = ["--join", `${group}@127.0.0.1`, "--count", "1"];
    await using running = start("udp_receiver.ts", [`:${port}`, ...join]);
    await running.port();
    using stranger = new Udp();
    await stranger.send("to you alone", port);
    const args = [`${group}:${port}`, "to all", "--bind", "127.0.0.1"];
    assertEquals((await run("udp_sender.ts", args)).code, 0);
    const { code, stdout } = await running.ended();
    assertEquals([code, stdout], [0, "to all"]);
  },
);

/** Ports of services that answer whatever they get. */
const ANSWERING = [7, 13, 17, 19];
/** Where their sockets are: nobody else is there. */
const ELSEWHERE = "127.0.0.7";

Deno.test(
  "udp_receiver.ts --echo does not answer services that would answer it",
  {
    ...needs("linux"),
    ignore: !has("linux") || !canBind(ELSEWHERE, ANSWERING),
  },
  async () => {
    await using running = receiver("--echo");
    const to = await running.port();
    for (const port of ANSWERING) {
      using service = new Udp(ELSEWHERE, port);
      await service.send("ping", to);
      await running.stderr(`${ELSEWHERE}:${port} gets no answer`);
      await assertNothingFor(service);
    }
    using other = new Udp(ELSEWHERE, 0);
    await other.send("ping", to);
    assertEquals(await other.texts(1), ["ping"]);
  },
);

Deno.test(
  "udp_receiver.ts --echo does not answer its own address",
  joiningOnLinux,
  async () => {
    // Only as one of several that share a port can another socket have it too.
    const port = freeUdpPort();
    const join = ["--join", `${anyGroup()}@127.0.0.1`, "--echo"];
    await using running = start("udp_receiver.ts", [
      `0.0.0.0:${port}`,
      ...join,
    ]);
    await running.port();
    const itself = Deno.listenDatagram({
      ...{ transport: "udp", hostname: "127.0.0.1", port, reuseAddress: true },
    });
    try {
      const to = { transport: "udp", hostname: "127.0.0.2", port } as const;
      await itself.send(new TextEncoder().encode("hello"), to);
      await running.stderr(`127.0.0.1:${port} gets no answer`);
      using probe = new Udp();
      await probe.send("nothing else", port);
      const [payload] = await within(itself.receive());
      assertEquals(text(payload), "nothing else");
    } finally {
      itself.close();
    }
    using other = new Udp();
    await other.send("hello", { hostname: "127.0.0.2", port });
    assertEquals(await other.texts(1), ["hello"]);
  },
);

/** Asserts that nothing has come to a socket yet: what is sent now is first. */
async function assertNothingFor(socket: Udp): Promise<void> {
  using probe = new Udp();
  await probe.send("nothing else", socket.address);
  assertEquals(await socket.texts(1), ["nothing else"]);
}

function canBind(hostname: string, ports: number[]): boolean {
  try {
    for (const port of ports) new Udp(hostname, port)[Symbol.dispose]();
    return true;
  } catch {
    return false;
  }
}

for (const withPort of [false, true]) {
  Deno.test(
    `udp_receiver.ts [::]:0 --from hears an IPv4 peer by its ${
      withPort ? "address and port" : "address"
    }`,
    onLinux,
    async () => {
      using wanted = new Udp();
      using other = new Udp("127.0.0.2", 0);
      const from = withPort ? `127.0.0.1:${wanted.port}` : "127.0.0.1";
      const args = ["[::]:0", "--from", from, "--count", "1"];
      await using running = start("udp_receiver.ts", args);
      const to = await running.port();
      await other.send("no", to);
      await wanted.send("yes", to);
      const { stdout, stderr } = await running.ended();
      assertEquals(stdout, "yes");
      assertStringIncludes(stderr, `From udp://127.0.0.1:${wanted.port}:`);
    },
  );
}

Deno.test(
  "udp_sender.ts --number takes its bytes from the longest message",
  needs("longDatagrams"),
  async () => {
    const [bare] = (await send(1, "--number", "")).heard;
    const header = bare.payload.length;
    assert(header > 0 && header < 100, `${header} bytes`);
    const longest = "x".repeat(65_507 - header);
    const { code, heard } = await send(1, "--number", longest);
    assertEquals([code, heard[0].payload.length], [0, 65_507]);
    assertEquals(text(heard[0].payload.subarray(header)), longest);

    using socket = new Udp();
    const to = `127.0.0.1:${socket.port}`;
    const refused = await run("udp_sender.ts", [to, "--number", `${longest}x`]);
    assertEquals(refused.code, 2);
    assertStringIncludes(refused.stderr, "65507");
    await assertNothingFor(socket);
  },
);

Deno.test(
  "udp_receiver.ts --stats takes a second run of a sender for no copies of the first",
  { ignore: COPIES },
  async () => {
    await using running = receiver("--stats", "--json", "--count", "9");
    const to = `127.0.0.1:${await running.port()}`;
    const bind = `127.0.0.1:${freeUdpPort()}`;
    for (let i = 0; i < 3; i++) {
      const args = [to, "x", "--number", "--count", "3", "--bind", bind];
      assertEquals((await run("udp_sender.ts", args)).code, 0);
    }
    const { stderr } = await running.ended();
    const { received, lost, duplicated, reordered } = statistics(stderr);
    assertEquals(
      { received, lost, duplicated, reordered },
      { received: 9, lost: 0, duplicated: 0, reordered: 0 },
    );
  },
);

Deno.test(
  "udp_receiver.ts --stats counts datagrams without a number, and leaves them as they are",
  { ignore: COPIES },
  async () => {
    await using running = receiver("--stats", "--json", "--count", "5");
    const port = await running.port();
    const bind = freeUdpPort();
    {
      // From the same port as the numbered ones.
      using sender = new Udp("127.0.0.1", bind);
      await sender.send("a text, longer than any header, ", port);
      await sender.send("", port);
    }
    const numbered = [
      "--number",
      "--count",
      "3",
      "--bind",
      `127.0.0.1:${bind}`,
    ];
    await run("udp_sender.ts", [`127.0.0.1:${port}`, "x", ...numbered]);
    const { stdout, stderr } = await running.ended();
    assertEquals(stdout, "a text, longer than any header, xxx");
    const { received, unnumbered, lost } = statistics(stderr);
    assertEquals(
      { received, unnumbered, lost },
      { received: 5, unnumbered: 2, lost: 0 },
    );
  },
);

Deno.test(
  "udp_receiver.ts --stats adds a sixteenth of each change of delay to the jitter",
  { ignore: COPIES },
  async () => {
    const sent = (await send(3, "x", "--number", "--count", "3")).heard;
    await using running = receiver("--stats", "--json", "--count", "3");
    const port = await running.port();
    // Sent together, they come with a gap before the second, and none after it.
    using relay = new Udp();
    for (const [i, { payload }] of sent.entries()) {
      if (i === 1) await pause(640);
      await relay.send(payload, port);
    }
    const { stderr } = await running.ended();
    const { jitter, seconds, received } = statistics(stderr);
    assertEquals(received, 3);
    assert(seconds >= 0.6, `${seconds} s`);
    const first = 1000 * seconds / 16;
    const expected = first - first / 16;
    assert(Math.abs(jitter - expected) < 0.2 * expected, `${jitter} ms`);
  },
);
