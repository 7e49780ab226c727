/** udp_sender.ts as a process, with the permission of its first line. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { type Numbers, NUMBERS_LENGTH, readNumbers } from "../support/bytes.ts";
import {
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
import { redirected } from "../support/processes.ts";
import { type Datagram, freeUdpPort, Udp } from "../support/sockets.ts";
import { needs } from "../support/system.ts";

function texts(heard: Datagram[]): string[] {
  return heard.map(({ payload }) => text(payload));
}

/** Runs the sender; gives what a socket gets of it, and how it ended. */
async function send(count: number, args: string[], input?: string) {
  using socket = new Udp();
  const to = `127.0.0.1:${socket.address.port}`;
  const heard = socket.next(count);
  const ended = await run("udp_sender.ts", [to, ...args], { input });
  return { heard: await heard, ...ended };
}

Deno.test("udp_sender.ts sends each message as a datagram", async () => {
  const { heard, code, stdout, stderr } = await send(3, [
    "Hello, my name is Henry",
    "",
    "Wörld",
  ]);
  assertEquals(texts(heard), ["Hello, my name is Henry", "", "Wörld"]);
  assertEquals([code, stdout], [0, ""]);
  assertMatch(
    stderr,
    /^Sent 3 datagrams \(29 B\) to udp:\/\/127\.0\.0\.1:\d+ in .* s\n$/,
  );
});

Deno.test("udp_sender.ts sends each line of its input as a datagram", async () => {
  const { heard } = await send(4, [], "one\ntwo\r\n\nlast");
  assertEquals(texts(heard), ["one", "two", "", "last"]);
});

Deno.test(
  "udp_sender.ts sends a line as soon as it is there",
  needs("signals"),
  async () => {
    using socket = new Udp();
    const to = `127.0.0.1:${socket.address.port}`;
    await using running = start("udp_sender.ts", [to], { input: "open" });
    for (const line of ["first", "second"]) {
      const heard = socket.next(1);
      await running.type(`${line}\n`);
      assertEquals(texts(await heard), [line]);
    }
    // Waiting for the next line, it can still be stopped.
    running.process.kill("SIGINT");
    const { code, stderr } = await running.ended();
    assertEquals(code, 0);
    assertStringIncludes(stderr, "Sent 2 datagrams");
  },
);

Deno.test(
  "udp_sender.ts sends the largest datagram",
  needs("longDatagrams"),
  async () => {
    const { heard } = await send(1, ["--size", "65507"]);
    assertEquals(heard[0].payload.length, 65_507);
  },
);

Deno.test("udp_sender.ts sends --count times, --size bytes", async () => {
  const { heard } = await send(4, ["ab", "c", "--count", "2", "--size", "4"]);
  assertEquals(texts(heard), ["abcd", "cbcd", "abcd", "cbcd"]);
});

Deno.test("udp_sender.ts sends from the port of --bind", async () => {
  const port = freeUdpPort();
  const { heard } = await send(1, ["x", "--bind", `127.0.0.1:${port}`]);
  assertEquals(heard[0].peer.port, port);
});

Deno.test("udp_sender.ts sends over IPv6", async () => {
  using socket = new Udp("::1");
  const heard = socket.next(1);
  await run("udp_sender.ts", [`[::1]:${socket.address.port}`, "hello"]);
  assertEquals(texts(await heard), ["hello"]);
});

Deno.test(
  "udp_sender.ts reaches a broadcast address",
  needs("loopbackGroups"),
  async () => {
    using socket = new Udp("0.0.0.0");
    const heard = socket.next(1);
    const to = `127.255.255.255:${socket.address.port}`;
    await run("udp_sender.ts", [to, "all", "--bind", "127.0.0.1"]);
    assertEquals(texts(await heard), ["all"]);
  },
);

Deno.test("udp_sender.ts numbers datagrams with --number", async () => {
  const { heard } = await send(3, ["abc", "--count", "3", "--number"]);
  const headers = heard.map(({ payload }) => readNumbers(payload));
  assertEquals(
    headers.map(({ sequence, total }) => [sequence, total]),
    [[0, 3], [1, 3], [2, 3]],
  );
  for (const { payload } of heard) {
    assertEquals(text(payload.subarray(NUMBERS_LENGTH)), "abc");
  }
  const times = headers.map(({ time }) => time);
  assert((times[2] - times[0] | 0) >= 0, `${times}`);
});

Deno.test("udp_sender.ts numbers lines, of which it does not know the total", async () => {
  const { heard } = await send(2, ["--number"], "one\ntwo\n");
  assertEquals(
    heard.map(({ payload }) => readNumbers(payload))
      .map(({ sequence, total }) => [sequence, total]),
    [[0, 0], [1, 0]],
  );
});

Deno.test("udp_sender.ts numbers each run by itself", async () => {
  const runs: number[] = [];
  for (let i = 0; i < 2; i++) {
    const { heard } = await send(2, ["--count", "2", "--number"]);
    const [one, two] = heard.map(({ payload }) => readNumbers(payload).run);
    assertEquals(one, two);
    runs.push(one!);
  }
  assert(runs[0] !== runs[1]);
});

for (
  const [signal, ...options] of [
    ["SIGINT"],
    ["SIGINT", "--wait", "5s"],
    ["SIGHUP"],
  ] as const
) {
  Deno.test(
    `udp_sender.ts says how many it has sent when it is stopped ${
      [signal, ...options].join(" ")
    }`,
    needs("signals"),
    async () => {
      using socket = new Udp();
      const to = `127.0.0.1:${socket.address.port}`;
      const args = [to, "--count", "100", "--number", "--interval", "10s"];
      await using running = start("udp_sender.ts", [...args, ...options]);
      const [{ payload }] = await socket.next(1);
      running.process.kill(signal);
      const [{ payload: last }] = await socket.next(1);
      const { run, total } = readNumbers(payload);
      assertEquals(total, 100);
      const { time: _, ...said } = readNumbers(last);
      assertEquals(said, { run, sequence: 2 ** 32 - 1, total: 1 });
      assertEquals(last.length, NUMBERS_LENGTH);
      const { code, stderr } = await running.ended();
      assertEquals(code, 0);
      assertStringIncludes(stderr, "Sent 1 datagram ");
    },
  );
}

Deno.test(
  "udp_sender.ts says how many it has sent when nobody reads the answers any more",
  needs("linux", "bash"),
  async () => {
    using socket = new Udp();
    const to = `127.0.0.1:${socket.address.port}`;
    const args = ["x", "--number", "--count=9999", "--interval=50ms"];
    await using running = redirected("> >(head -c 1)", "udp_sender.ts", [
      ...[to, ...args, "--wait=20s"],
    ]);
    let sent = 0;
    for (;;) {
      const [{ payload, peer }] = await socket.next(1);
      const { sequence, total } = readNumbers(payload);
      if (sequence === 2 ** 32 - 1) {
        assertEquals(total, sent);
        break;
      }
      sent = sequence + 1;
      await socket.send("answer", peer);
    }
    const { code, stderr } = await running.ended();
    assertEquals(code, 0);
    assertStringIncludes(stderr, `Sent ${sent} datagram`);
  },
);

Deno.test("udp_sender.ts says how many it has sent when a line is too long to be sent", async () => {
  const input = `short\n${"x".repeat(65_508)}\n`;
  const { heard, code, stderr } = await send(2, ["--number"], input);
  const { sequence, total } = readNumbers(heard[1].payload);
  assertEquals([sequence, total], [2 ** 32 - 1, 1]);
  assertMatch(stderr, /^Sent 1 datagram .*\nudp_sender: Cannot send .*\n$/);
  assertEquals(code, 1);
});

Deno.test("udp_sender.ts keeps its pace over 2,000 datagrams", async () => {
  using socket = new Udp();
  const to = `127.0.0.1:${socket.address.port}`;
  const headers: Numbers[] = [];
  const collecting = (async () => {
    for (;;) {
      const { payload } = await socket.receive();
      if (payload.length === 0) break;
      headers.push(readNumbers(payload));
    }
  })();
  const options = ["--count", "2000", "--interval", "1ms", "--number"];
  const { code } = await run("udp_sender.ts", [to, ...options]);
  assertEquals(code, 0);
  await socket.send(new Uint8Array(0), socket.address);
  await within(collecting);
  // By the sender's own clock, and for what came: on a busy machine this
  // process may be late, or miss some.
  const [first, last] = [headers[0], headers.at(-1)!];
  const wanted = 1000 * (last.sequence - first.sequence);
  assert(wanted > 1_000_000, `${headers.length} came`);
  // A busy machine makes some of them late, but delays must not add up.
  const delays = headers.map(({ time, sequence }) =>
    ((time - first.time) | 0) - 1000 * (sequence - first.sequence)
  );
  const half = delays.length / 2;
  const drift = Math.min(...delays.slice(half)) -
    Math.min(...delays.slice(0, half));
  assert(Math.abs(drift) < wanted / 100, `${drift} us in ${wanted} us`);
  // No burst, whatever had to be caught up with: ten take 10 ms, or 2.5 ms,
  // and a busy machine may add something to the time of the first.
  for (let i = 10; i < headers.length; i++) {
    const ten = (headers[i].time - headers[i - 10].time) | 0;
    assert(ten >= 1500, `ten datagrams until ${i} took ${ten} us`);
  }
});

Deno.test("udp_sender.ts prints answers, and who sent them, with --replies", async () => {
  using socket = new Udp();
  using stranger = new Udp();
  const to = `127.0.0.1:${socket.address.port}`;
  const options = ["--replies", "2", "--wait", "20s"];
  const ended = run("udp_sender.ts", [to, "ping", ...options]);
  const [{ peer }] = await socket.next(1);
  await socket.send(bytes("pong "), peer);
  await stranger.send(bytes("me too"), peer);
  const { code, stdout, stderr } = await ended;
  assertEquals([code, stdout], [0, "pong me too"]);
  assertStringIncludes(stderr, `5 bytes from udp://${to}\n`);
  const { port } = stranger.address;
  assertStringIncludes(stderr, `6 bytes from udp://127.0.0.1:${port}\n`);
});

Deno.test("udp_sender.ts leaves as soon as the answers have come", async () => {
  using socket = new Udp();
  const to = `127.0.0.1:${socket.address.port}`;
  const start = performance.now();
  const ended = run("udp_sender.ts", [to, "ping", "--replies", "1"]);
  const [{ peer }] = await socket.next(1);
  await socket.send(bytes("pong"), peer);
  assertEquals((await ended).stdout, "pong");
  assert(performance.now() - start < 4500); // 5 s without --wait
});

Deno.test("udp_sender.ts gets every answer of udp_receiver.ts --echo", async () => {
  await using echo = start("udp_receiver.ts", ["127.0.0.1:0", "--echo"]);
  const { code, stderr } = await run("udp_sender.ts", [
    `127.0.0.1:${await echo.port()}`,
    "--count",
    "200",
    "--number",
    "--interval",
    "2ms",
    "--replies",
    "200",
    "--wait",
    "20s",
  ]);
  assertEquals(code, 0);
  assertEquals(stderr.match(/64 bytes from/g)!.length, 200);
});

for (
  const options of [["--wait", "100ms"], ["--wait", "100ms", "--replies", "1"]]
) {
  Deno.test(`udp_sender.ts says that nobody answers with ${options}`, async () => {
    const { code, stdout, stderr } = await send(1, ["anybody?", ...options]);
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(stderr, "udp_sender: Nobody answered within 0.1s");
  });
}

Deno.test("udp_sender.ts --raw sends what each read gives when standard input is no text", async () => {
  using socket = new Udp();
  const to = `127.0.0.1:${socket.address.port}`;
  const args = [to, "--raw"];
  await using running = start("udp_sender.ts", args, { input: "open" });
  const pieces = [[0xff, 0x0a, 0x0d], [0x0a], Array(65_507).fill(0)];
  for (const piece of pieces) {
    await running.stdin!.write(Uint8Array.from(piece));
    const [{ payload }] = await socket.next(1);
    assertEquals([...payload], piece);
  }
  await running.stdin!.close();
  const { code, stderr } = await running.ended();
  assertEquals(code, 0);
  assertStringIncludes(stderr, "Sent 3 datagrams");
});

for (const other of [["hello"], ["--count", "3"]]) {
  Deno.test(`udp_sender.ts refuses --raw with ${other.join(" ")}`, async () => {
    const args = ["127.0.0.1:9", ...other, "--raw"];
    const { code, stderr } = await run("udp_sender.ts", args);
    assertEquals(code, 2);
    assertStringIncludes(stderr, "--raw is for standard input");
  });
}

Deno.test("udp_sender.ts says how many answers are missing", async () => {
  using socket = new Udp();
  const to = `127.0.0.1:${socket.address.port}`;
  await using running = start("udp_sender.ts", [
    to,
    "ping",
    "--replies",
    "2",
    "--wait",
    "2s",
  ]);
  const [{ peer }] = await socket.next(1);
  await socket.send(bytes("pong"), peer);
  const { code, stderr } = await running.ended();
  assertEquals(code, 0);
  assertStringIncludes(stderr, "1 of 2 answers came within 2s");
});

Deno.test({
  name: "udp_sender.ts shows on a terminal how far it is, and takes it away",
  ignore: !installed("python3", "-V") || COPIES,
  async fn() {
    using socket = new Udp();
    const to = `127.0.0.1:${socket.address.port}`;
    const permissions = ["--no-prompt", "--allow-net", "--unstable-net"];
    const args = [to, "--count", "100", "--interval", "10ms"];
    await using running = new Running("python3", [
      ...["-c", "import pty, sys; pty.spawn(sys.argv[1:])", Deno.execPath()],
      ...[
        "run",
        "--quiet",
        ...permissions,
        `${SCRIPTS}/udp_sender.ts`,
        ...args,
      ],
    ], { input: "open" });
    const { stdout } = await running.ended();
    const shown = stdout.split("\r\x1b[K");
    assertEquals(shown.shift(), "");
    assertMatch(shown.pop()!, /^Sent 100 datagrams/);
    assert(shown.length > 0);
    for (const line of shown) assertMatch(line, /^\d+ of 100 sent, .*B$/);
  },
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(
    `udp_sender.ts ends with 0 on ${signal}`,
    needs("signals"),
    async () => {
      using socket = new Udp();
      const to = `127.0.0.1:${socket.address.port}`;
      const args = [to, "x", "--count", "1000", "--interval", "10s"];
      await using running = start("udp_sender.ts", args);
      await socket.next(1);
      running.process.kill(signal);
      const { code, stderr } = await running.ended();
      assertEquals(code, 0);
      assertStringIncludes(stderr, "Sent 1 datagram ");
    },
  );
}

// Arguments, exit code, what its one line says.
const FAILURES: [string[], number, string][] = [
  [["127.0.0.1", "x"], 2, "the port is missing"],
  [["127.0.0.1:0", "x"], 2, "port 0 is only for listening"],
  [["tls://127.0.0.1:80", "x"], 2, "must be udp://"],
  [
    ["127.0.0.1:9", "--siez", "1"],
    2,
    COPIES ? "no option --" : "did you mean --size?",
  ],
  [
    ["127.0.0.1:9", "--size", "65508"],
    2,
    "of 65508 bytes: over IPv4 it holds at most 65507",
  ],
  [
    ["[::1]:9", "--size", "65528"],
    2,
    "of 65528 bytes: over IPv6 it holds at most 65527",
  ],
  [["127.0.0.1:9", "x".repeat(65_508)], 2, "of 65508 bytes: over IPv4"],
  [["127.0.0.1:9", "x".repeat(65_500), "--number"], 2, "of 65520 bytes"],
  [["127.0.0.1:9", "--size", "19", "--number"], 2, "--size must be 20 or more"],
  [
    ["127.0.0.1:9", "x", "--bind", "203.0.113.9"],
    1,
    "this machine has no such",
  ],
  [["[::1]:9", "x", "--bind", "127.0.0.1"], 1, "bind it to [::]:0"],
  [["nobody.invalid:9", "x"], 1, "the name does not resolve"],
];
for (const [args, expected, message] of FAILURES) {
  const name = args.join(" ").slice(0, 60);
  Deno.test(`udp_sender.ts exits with ${expected} for ${name}`, async () => {
    const { code, stdout, stderr } = await run("udp_sender.ts", args);
    assertEquals([code, stdout], [expected, ""]);
    assertStringIncludes(stderr, message);
    assertEquals(stderr.split("\n").length, 2, stderr);
  });
}

Deno.test("udp_sender.ts refuses a line that is too long", async () => {
  const input = `short\n${"x".repeat(65_508)}\n`;
  const { code, stderr, heard } = await send(1, [], input);
  assertEquals([code, texts(heard)], [1, ["short"]]);
  assertStringIncludes(
    stderr,
    "of 65508 bytes: over IPv4 it holds at most 65507",
  );
});

Deno.test("udp_sender.ts names the permission that it needs", async () => {
  for (const allowed of ["127.0.0.1:9", "0.0.0.0:0"]) {
    const { code, stderr } = await run("udp_sender.ts", ["127.0.0.1:9", "x"], {
      permissions: ["--unstable-net", `--allow-net=${allowed}`],
    });
    assertEquals(code, 1);
    assertMatch(
      stderr,
      /^udp_sender: .*it needs --allow-net=0.0.0.0:0,127.0.0.1:9\n$/,
    );
  }
});

Deno.test(
  "udp_sender.ts says how to receive when it starts at a terminal with no arguments",
  {
    ...needs("terminals"),
  },
  async () => {
    const deno = [Deno.execPath(), "run", "--allow-net", "--unstable-net"];
    const args = ["tests/support/python/terminal.py", ...deno];
    await using sender = new Running("python3", [
      ...args,
      `${SCRIPTS}/udp_sender.ts`,
    ], { input: "open" });
    if (!COPIES) {
      await sender.stdout("udp_receiver.ts (or nc -u -l 8080)\r\n");
    }
    await sender.stdout("Ctrl-D ends the input");
    await sender.type("\x04");
    assertEquals((await sender.ended()).code, 0);
  },
);

Deno.test(
  "udp_sender.ts sends lines that are typed, in UTF-8, until Ctrl-C",
  needs("terminals", "signals"),
  async () => {
    using socket = new Udp();
    const deno = [Deno.execPath(), "run", "--allow-net", "--unstable-net"];
    const place = `127.0.0.1:${socket.address.port}`;
    await using sender = new Running("python3", [
      "tests/support/python/terminal.py",
      ...deno,
      `${SCRIPTS}/udp_sender.ts`,
      place,
    ], { input: "open" });
    await sender.stdout("Ctrl-D ends the input");
    await sender.type("grüße\n€\n");
    assertEquals(await socket.texts(2), ["grüße", "€"]);
    await sender.type("half\x03");
    assertEquals((await sender.ended()).code, 0);
  },
);

Deno.test("udp_sender.ts takes --interval 0, as its help says", async () => {
  const { heard, code } = await send(2, ["a", "b", "--interval", "0"]);
  assertEquals([texts(heard), code], [["a", "b"], 0]);
});
