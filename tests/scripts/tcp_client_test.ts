/** tcp_client.ts as a whole process, with the permission of its first line. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { frame } from "../support/bytes.ts";
import { hasOpenssl, makeCertificates } from "../support/certificates.ts";
import { Folder } from "../support/folder.ts";
import {
  assertSameBytes,
  bytes,
  closedPort,
  COPIES,
  type Ended,
  installed,
  readAll,
  run,
  Running,
  SCRIPTS,
  start,
  text,
  within,
} from "../support/helpers.ts";
import { inNetworks, Namespace } from "../support/small_network.ts";
import {
  echo,
  type Handler,
  listenHere,
  serving,
  writeAll,
} from "../support/sockets.ts";
import { has, needs } from "../support/system.ts";

const pause = (milliseconds: number) =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Reads everything, then answers with it, marked. */
const answer: Handler = async (conn) => {
  const question = text(await readAll(conn));
  await writeAll(conn, bytes(`<${question}>`));
};

Deno.test("tcp_client.ts sends a pipe as it is and prints the answer when it ends", async () => {
  await using server = serving(answer);
  const input = new Uint8Array([0, 255, 13, 10, 27, 128]);
  const { code, bytes: output, stderr } = await run("tcp_client.ts", [
    server.address,
  ], { input });
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(output, bytes(`<${text(input)}>`));
});

Deno.test("tcp_client.ts is binary safe both ways when it is in a pipe", async () => {
  await using server = serving(echo);
  const input = new Uint8Array(1_000_000);
  for (let i = 0; i < input.length; i += 50_000) {
    crypto.getRandomValues(input.subarray(i, i + 50_000));
  }
  const { code, bytes: output } = await run("tcp_client.ts", [server.address], {
    input,
  });
  assertEquals(code, 0);
  await assertSameBytes(output, input);
});

Deno.test("tcp_client.ts prints an answer that comes long after the end of its input", async () => {
  await using server = serving(async (conn) => {
    await readAll(conn);
    await pause(700);
    await writeAll(conn, bytes("sorry, I am late"));
  });
  const { code, stdout } = await run("tcp_client.ts", [server.address], {
    input: "hi\n",
  });
  assertEquals({ code, stdout }, { code: 0, stdout: "sorry, I am late" });
});

Deno.test("tcp_client.ts sends everything when the peer half-closes first", async () => {
  const input = "x".repeat(3_000_000);
  const received = Promise.withResolvers<number>();
  await using server = serving(async (conn) => {
    await conn.closeWrite();
    received.resolve((await readAll(conn)).length);
  });
  const { code } = await run("tcp_client.ts", [server.address], { input });
  assertEquals(code, 0);
  assertEquals(await within(received.promise), input.length);
});

Deno.test("tcp_client.ts leaves when the peer does, though its input is open", async () => {
  await using server = serving((conn) => writeAll(conn, bytes("bye")));
  await using client = start("tcp_client.ts", [server.address], {
    input: "open",
  });
  const { code, stdout } = await client.ended();
  assertEquals({ code, stdout }, { code: 0, stdout: "bye" });
});

Deno.test("tcp_client.ts fails when the peer goes before everything is sent", async () => {
  await using server = serving(async (conn) => {
    await conn.read(new Uint8Array(1));
  });
  const { code, stderr } = await run("tcp_client.ts", [server.address], {
    input: "x".repeat(20_000_000),
  });
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^tcp_client: Cannot finish the conversation with 127\.0\.0\.1:\d+: the peer .*\n$/,
  );
});

Deno.test("tcp_client.ts sends texts and no input when it is given some", async () => {
  await using server = serving(answer);
  const args = [server.address, "--send", "one", "--send=two", "--send", ""];
  await using client = start("tcp_client.ts", args, { input: "open" });
  const { code, stdout } = await client.ended();
  assertEquals({ code, stdout }, { code: 0, stdout: "<one\ntwo\n\n>" });
});

Deno.test("tcp_client.ts ends texts with CRLF when it is told to", async () => {
  await using server = serving(answer);
  const { stdout } = await run("tcp_client.ts", [
    server.address,
    ...["--crlf", "--send", "GET / HTTP/1.0", "--send", ""],
  ]);
  assertEquals(stdout, "<GET / HTTP/1.0\r\n\r\n>");
});

Deno.test("tcp_client.ts ends piped lines with CRLF when it is told to", async () => {
  await using server = serving(answer);
  const { stdout } = await run("tcp_client.ts", [server.address, "--crlf"], {
    input: "one\ntwo\r\nthree",
  });
  assertEquals(stdout, "<one\r\ntwo\r\nthree>");
});

Deno.test("tcp_client.ts sends a part of a line at once with --crlf, and knows its last byte", async () => {
  const come = Promise.withResolvers<string>();
  await using server = serving(async (conn) => {
    const part = new Uint8Array(9);
    const length = await conn.read(part);
    await writeAll(conn, bytes("go on\n"));
    come.resolve(text(part.subarray(0, length!)) + text(await readAll(conn)));
  });
  await using client = start("tcp_client.ts", [server.address, "--crlf"], {
    input: "open",
  });
  await client.type("half\r");
  await client.stdout("go on");
  await client.type("\nand\n");
  await client.stdin!.close();
  assertEquals(await within(come.promise), "half\r\nand\r\n");
});

/** Arguments, and what is sent. */
const ENDS: [string[], string][] = [
  [
    ["--send", "GET / HTTP/1.0\nHost: x\n", "--send", "\n"],
    "GET / HTTP/1.0\r\nHost: x\r\n\r\n",
  ],
  [["--send", "one\r", "--send", "two\r\n"], "one\r\ntwo\r\n"],
  [["-f", "lines", "--send", "a", "--send", ""], "a\r\n\r\n"],
];
for (const [args, sent] of ENDS) {
  Deno.test(`tcp_client.ts --crlf sends ${JSON.stringify(sent)} with ${JSON.stringify(args)}`, async () => {
    const came = Promise.withResolvers<Uint8Array>();
    await using server = serving(async (conn) => {
      came.resolve(await readAll(conn));
    });
    const { code } = await run("tcp_client.ts", [
      ...[server.address, "--crlf", ...args],
    ]);
    assertEquals([text(await within(came.promise)), code], [sent, 0]);
  });
}

for (
  const name of [
    "lines",
    "u8",
    "u16",
    "u32",
    "u16le",
    "u32le",
    "varint",
    "netstring",
  ]
) {
  Deno.test(`tcp_client.ts sends lines as messages and prints messages as lines with ${name}`, async () => {
    const sent = Promise.withResolvers<Uint8Array>();
    await using server = serving(async (conn) => {
      sent.resolve(await readAll(conn));
      for (const word of ["three", "", "four"]) {
        await writeAll(conn, frame(name, word));
      }
    });
    const { code, stdout } = await run("tcp_client.ts", [
      server.address,
      ...["-f", name],
    ], { input: "one\ntwo\n" });
    const expected = [...frame(name, "one"), ...frame(name, "two")];
    assertEquals({ code, stdout }, { code: 0, stdout: "three\n\nfour\n" });
    assertEquals([...await within(sent.promise)], expected);
  });
}

Deno.test("tcp_client.ts cuts its input into blocks and pads the last with fixed:N", async () => {
  await using server = serving(echo);
  const { code, stdout } = await run("tcp_client.ts", [
    server.address,
    ...["-f", "fixed:4"],
  ], { input: "abcdefghij" });
  assertEquals({ code, stdout }, { code: 0, stdout: "abcdefghij\0\0" });
});

Deno.test("tcp_client.ts fails when the answer ends inside a frame", async () => {
  await using server = serving((conn) =>
    writeAll(conn, new Uint8Array([0, 2, 104, 105, 0, 5, 104]))
  );
  const { code, stdout, stderr } = await run("tcp_client.ts", [
    server.address,
    ...["-f", "u16", "--no-stdin"],
  ]);
  // What came before it is not lost.
  assertEquals({ code, stdout }, { code: 1, stdout: "hi\n" });
  assertStringIncludes(stderr, "inside a frame: after 1 of 5 bytes");
});

/** What is loaded on request only is not in a copy. */
const onRequest = COPIES ? Deno.test.ignore : Deno.test;

onRequest(
  "tcp_client.ts shows bytes in hexadecimal when it is told to",
  async () => {
    await using server = serving((conn) =>
      writeAll(conn, bytes("hello\x1b[2J"))
    );
    const { stdout } = await run("tcp_client.ts", [
      server.address,
      ...["--hex", "--no-stdin"],
    ]);
    assertEquals(
      stdout,
      "< 00000000  68 65 6c 6c 6f 1b 5b 32  4a                       |hello.[2J|\n",
    );
  },
);

/** Arguments, what is typed, what is echoed back, each as it is shown. */
const DUMPS: [string[], string, string[]][] = [
  [["--hex"], "hi\n\0", ["68 69 0a 00", "|hi..|"]],
  [["--hex", "--send", "hi"], "", ["68 69 0a", "|hi.|"]],
  [["--hex", "--crlf"], "hi\n", ["68 69 0d 0a", "|hi..|"]],
  [["--hex", "-f", "u16"], "hi\n", ["68 69", "|hi|"]],
  [["--hex", "-f", "fixed:4"], "hi", ["68 69 00 00", "|hi..|"]],
];
for (const [args, input, [hex, text]] of DUMPS) {
  onRequest(
    `tcp_client.ts shows what is sent and what comes when it is told to with ${
      args.join(" ")
    }`,
    async () => {
      await using server = serving(echo);
      const { code, stdout } = await run(
        "tcp_client.ts",
        [server.address, ...args],
        { input },
      );
      const row = `00000000  ${hex.padEnd(49)} ${text}\n`;
      assertEquals([code, stdout], [0, `> ${row}< ${row}`]);
    },
  );
}

/** What the server sends, in pieces. */
function saying(...pieces: string[]): Handler {
  return async (conn) => {
    for (const piece of pieces) await writeAll(conn, bytes(piece));
    await readAll(conn);
  };
}

/** Arguments, what the peer sends, what is printed. */
const REPLIES: [string[], string[], string][] = [
  [["--replies", "1"], ["one\ntwo\n"], "one\n"],
  [["--replies", "2"], ["o", "ne\nt", "wo\nthree\n"], "one\ntwo\n"],
  [["--replies", "2", "-f", "lines"], ["one\r\ntwo\r\nthree\n"], "one\ntwo\n"],
  [["--replies", "1", "-f", "u8"], ["\x02hi\x03you"], "hi\n"],
  [["--replies", "2", "-f", "u8"], ["\0\x01", "a\x01b"], "\na\n"],
  [["--replies", "1", "-f", "fixed:2"], ["hihohu"], "hi"],
  [["--replies", "0"], [], ""],
];
for (const [args, pieces, printed] of REPLIES) {
  for (const source of ["--send", "--no-stdin", "a pipe"]) {
    if (args[1] === "0" && source === "--no-stdin") continue;
    Deno.test(`tcp_client.ts leaves with what it waited for with ${args.join(" ")} and ${source} when ${JSON.stringify(pieces)} comes`, async () => {
      await using server = serving(saying(...pieces));
      const more = source === "--send" ? ["--send", "hi"] : [source];
      await using client = start(
        "tcp_client.ts",
        [server.address, ...args, ...source === "a pipe" ? [] : more],
        { input: source === "a pipe" && args[1] === "0" ? "hi" : "open" },
      );
      const { code, stdout, stderr } = await client.ended();
      assertEquals([code, stdout, stderr], [0, printed, ""]);
    });
  }
}

Deno.test("tcp_client.ts sends all before it leaves with --replies 0", async () => {
  const received = Promise.withResolvers<number>();
  await using server = serving(async (conn) => {
    received.resolve((await readAll(conn)).length);
  });
  const { code, stdout } = await run(
    "tcp_client.ts",
    [server.address, "--replies", "0"],
    { input: "x".repeat(3_000_000) },
  );
  assertEquals([code, stdout], [0, ""]);
  assertEquals(await within(received.promise), 3_000_000);
});

/** Arguments, what the peer sends before it ends, what is printed, how many. */
const TOO_FEW: [string[], string, string, string][] = [
  [["--replies", "1"], "", "", "0 of 1"],
  [["--replies", "3"], "one\ntwo\n", "one\ntwo\n", "2 of 3"],
  [["--replies", "3"], "one\ntwo", "one\ntwo", "2 of 3"],
  [["--replies", "2", "-f", "u8"], "\x01a", "a\n", "1 of 2"],
];
for (const [args, sent, printed, count] of TOO_FEW) {
  Deno.test(`tcp_client.ts fails with ${args.join(" ")} when the peer ends after ${JSON.stringify(sent)}`, async () => {
    await using server = serving((conn) => writeAll(conn, bytes(sent)));
    const { code, stdout, stderr } = await run("tcp_client.ts", [
      server.address,
      ...args,
      "--no-stdin",
    ]);
    assertEquals([code, stdout], [1, printed]);
    assertEquals(
      stderr,
      `tcp_client: Cannot finish the conversation with ${server.address}: the peer ended after ${count} replies\n`,
    );
  });
}

Deno.test("tcp_client.ts takes a last line without its end for a reply", async () => {
  await using server = serving((conn) => writeAll(conn, bytes("one\ntwo")));
  const args = [server.address, "--replies", "2", "--send", "hi"];
  const { code, stdout } = await run("tcp_client.ts", args);
  assertEquals([code, stdout], [0, "one\ntwo"]);
});

Deno.test("tcp_client.ts reads no input and does not half-close when it only listens", async () => {
  const ended = Promise.withResolvers<boolean>();
  await using server = serving(async (conn) => {
    const reading = conn.read(new Uint8Array(1)).then(() =>
      ended.resolve(true)
    );
    await writeAll(conn, bytes("news"));
    await Promise.race([
      reading,
      pause(100),
    ]);
    ended.resolve(false);
    conn.close();
    await reading.catch(() => {});
  });
  await using client = start("tcp_client.ts", [server.address, "--no-stdin"]);
  const { code, stdout } = await client.ended();
  assertEquals({ code, stdout }, { code: 0, stdout: "news" });
  assertEquals(await within(ended.promise), false);
});

Deno.test("tcp_client.ts says that it is connected and leaves when it checks", async () => {
  await using server = serving(echo);
  const { code, stdout, stderr } = await run("tcp_client.ts", [
    server.address,
    "--check",
  ]);
  assertEquals({ code, stdout }, { code: 0, stdout: "" });
  assertMatch(stderr, /^Connected to 127\.0\.0\.1:\d+ in [\d.]+ ms\n$/);
});

Deno.test("tcp_client.ts tries again when it is told to and nobody listens yet", async () => {
  const port = closedPort();
  const args = [`127.0.0.1:${port}`, "--retry", "20", "--send", "hi"];
  await using client = start("tcp_client.ts", args);
  await client.stderr(
    "nobody listens there (connection refused); trying again",
  );
  await using _server = serving(echo, listenHere(port));
  const { code, stdout } = await client.ended();
  assertEquals({ code, stdout }, { code: 0, stdout: "hi\n" });
});

Deno.test("tcp_client.ts gives up when it has tried as often as it is told to", async () => {
  const { code, stderr } = await run("tcp_client.ts", [
    `127.0.0.1:${closedPort()}`,
    ...["--retry", "1"],
  ]);
  assertEquals(code, 1);
  assertEquals(stderr.match(/trying again/g)?.length, 1);
});

Deno.test("tcp_client.ts fails when it is stopped before it is connected", {
  ...needs("signals"),
}, async () => {
  const address = `127.0.0.1:${closedPort()}`;
  const args = [address, "--check", "--retry", "50"];
  await using client = start("tcp_client.ts", args);
  await client.stderr("trying again");
  client.process.kill("SIGINT");
  const { code, stderr } = await client.ended();
  assertEquals(code, 1);
  assertStringIncludes(
    stderr,
    `tcp_client: Cannot connect to ${address}: stopped\n`,
  );
});

Deno.test("tcp_client.ts carries long messages when both sides take them", async () => {
  await using server = serving(echo);
  const input = "x".repeat(70_000) + "\n";
  const args = [server.address, "--framing", "u32"];
  const short = await run("tcp_client.ts", args, { input });
  assertEquals(short.code, 1);
  assertMatch(
    short.stderr,
    /: the input has a message of more than 65536 bytes, the most that one may have \(--max-frame\)\n$/,
  );
  const long = await run("tcp_client.ts", [...args, "--max-frame=1m"], {
    input,
  });
  assertEquals(long.stdout, input);
});

Deno.test("tcp_client.ts leaves when the peer is silent too long", {
  ignore: COPIES,
}, async () => {
  await using server = serving(echo);
  await using client = start("tcp_client.ts", [
    server.address,
    ...["--idle-timeout", "200ms"],
  ], { input: "open" });
  const { code, stderr } = await client.ended();
  assertEquals(code, 1);
  assertStringIncludes(stderr, "it was silent too long");
});

Deno.test("tcp_client.ts gives up connecting when it takes too long", async () => {
  // Accepts, and never shakes hands.
  using listener = listenHere();
  const { code, stderr } = await run("tcp_client.ts", [
    `tls://127.0.0.1:${listener.addr.port}`,
    ...["--timeout", "200ms"],
  ]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "no answer within 0.2s");
});

Deno.test("tcp_client.ts shows its progress when it is told to", {
  ignore: COPIES,
}, async () => {
  await using server = serving(echo);
  const { code, stdout, stderr } = await run("tcp_client.ts", [
    server.address,
    "--progress",
  ], { input: "x".repeat(5000) });
  assertEquals({ code, length: stdout.length }, { code: 0, length: 5000 });
  const RATE = "[\\d.,]+ [kM]?B/s";
  assertMatch(
    stderr,
    new RegExp(
      `^sent 5 kB \\(${RATE}\\), received 5 kB \\(${RATE}\\), in [\\d.]+ s\n$`,
    ),
  );
});

Deno.test("tcp_client.ts --progress --json says its figures in JSON", {
  ignore: COPIES,
}, async () => {
  await using server = serving(echo);
  const args = [server.address, "--progress", "--json"];
  const { stderr } = await run("tcp_client.ts", args, { input: "hello" });
  const { event, sent, received } = JSON.parse(stderr);
  assertEquals([event, sent, received], ["progress", 5, 5]);
});

Deno.test("tcp_client.ts --progress says how much of a file is sent", {
  ...needs("bash"),
  ignore: COPIES || !has("bash"),
}, async () => {
  using folder = new Folder();
  folder.write("file", "x\n".repeat(2500));
  folder.write("empty", "");
  await using server = serving(echo);
  const command =
    `"$0" run --quiet --no-prompt --allow-net ${SCRIPTS}/tcp_client.ts ${server.address} --progress`;
  for (
    const [args, file, wanted] of [
      ["", "file", /^sent 5 kB \(100 % of 5 kB, .*\/s\), received 5 kB \(/],
      [
        "-f u8",
        "file",
        /^sent 5 kB \(100 % of 5 kB, .*\/s\), received 5 kB \(/,
      ],
      ["", "empty", /^sent 0 B \(0 B\/s\), received 0 B \(0 B\/s\), in /],
      ["--send hi", "file", /^sent 3 B \([^%]*\), received 3 B \([^%]*\), in /],
    ] as const
  ) {
    await using shell = new Running("bash", [
      "-c",
      `${command} ${args} < ${folder.path}/${file} > /dev/null`,
      Deno.execPath(),
    ]);
    const { code, stderr } = await shell.ended();
    assertMatch(stderr, wanted);
    assertEquals(code, 0);
  }
});

/** Reads one line of what the client prints, then its exit code. */
async function firstLine(address: string): Promise<Ended> {
  const client =
    `"$0" run --quiet --no-prompt --allow-net ${SCRIPTS}/tcp_client.ts`;
  await using shell = new Running("bash", [
    "-c",
    `${client} ${address} --no-stdin | head -1; echo \${PIPESTATUS[0]}`,
    Deno.execPath(),
  ]);
  return await shell.ended();
}

Deno.test("tcp_client.ts ends quietly when nobody reads its output any more", {
  ...needs("bash"),
}, async () => {
  await using server = serving(async (conn) => {
    const lines = bytes("line\n".repeat(10_000));
    for (;;) await writeAll(conn, lines);
  });
  const { stdout, stderr } = await firstLine(server.address);
  assertEquals({ stdout, stderr }, { stdout: "line\n0\n", stderr: "" });
});

Deno.test(
  "tcp_client.ts notices that nobody reads its output when the server is silent afterwards",
  {
    ...needs("bash"),
  },
  async () => {
    const left = Promise.withResolvers<void>();
    await using server = serving(async (conn) => {
      // When the second line comes, head has long had enough.
      await writeAll(conn, bytes("line\n"));
      await pause(500);
      await writeAll(conn, bytes("line\n"));
      await conn.read(new Uint8Array(1)).catch(() => null);
      left.resolve();
    });
    const { stdout } = await firstLine(server.address);
    assertEquals(stdout, "line\n0\n");
    await within(left.promise);
  },
);

Deno.test("tcp_client.ts says so when its output cannot be written", {
  ...needs("linux", "bash"),
}, async () => {
  await using server = serving((conn) => writeAll(conn, bytes("hello")));
  const { code, stderr } = await new Deno.Command("bash", {
    args: [
      "-c",
      `${Deno.execPath()} run --no-prompt --allow-net ${SCRIPTS}/tcp_client.ts ${server.address} --no-stdin > /dev/full`,
    ],
    cwd: new URL("../../", import.meta.url),
  }).output();
  assertEquals(code, 1);
  assertEquals(
    text(stderr),
    "tcp_client: Cannot write to standard output: there is no space left on the device\n",
  );
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(
    `tcp_client.ts half-closes and prints the rest when it gets ${signal}`,
    {
      ...needs("signals"),
    },
    async () => {
      await using server = serving(async (conn) => {
        await writeAll(conn, bytes("before "));
        await readAll(conn);
        await writeAll(conn, bytes("after"));
      });
      await using client = start("tcp_client.ts", [server.address], {
        input: "open",
      });
      await client.stdout("before");
      client.process.kill(signal);
      const { code, stdout, stderr } = await client.ended();
      assertEquals({ code, stdout }, { code: 0, stdout: "before after" });
      assertEquals(stderr, "Stopping: what is under way has 5s\n");
    },
  );
}

Deno.test("tcp_client.ts fails when a signal cuts its input off", {
  ...needs("signals"),
}, async () => {
  await using server = serving(async (conn) => {
    // Once it is in full flow.
    const buffer = new Uint8Array(65_536);
    for (let come = 0; come < 10_000_000;) come += (await conn.read(buffer))!;
    await writeAll(conn, bytes("go"));
    await readAll(conn);
  });
  await using client = start("tcp_client.ts", [server.address], {
    input: "x".repeat(300_000_000),
  });
  await client.stdout("go");
  client.process.kill("SIGTERM");
  const { code, stderr } = await client.ended();
  assertEquals(code, 1);
  assertMatch(stderr, /it was stopped after \d+ bytes of its input\n$/);
});

Deno.test("tcp_client.ts speaks TLS and verifies the certificate", {
  ignore: !hasOpenssl,
}, async (t) => {
  await using made = await makeCertificates();
  const ca = ["--ca", made.ca.certFile];
  const other = ["--server-name", "other.example"];
  const cases: [string, typeof made.good, string[], number, string][] = [
    ["trusted", made.good, ca, 0, ""],
    ["for the name asked for", made.wrongName, [...ca, ...other], 0, ""],
    ["for another name", made.wrongName, ca, 1, "for another name"],
    ["expired", made.expired, ca, 1, "has expired"],
    ["signed by an unknown CA", made.good, [], 1, "--ca FILE"],
    ["self-signed", made.selfSigned, ca, 1, "--ca FILE"],
  ];
  for (const [name, { cert, key }, args, code, problem] of cases) {
    await t.step(name, async () => {
      const place = { hostname: "127.0.0.1", port: 0 };
      const listener = Deno.listenTls({ ...place, cert, key });
      await using server = serving(echo, listener);
      const permissions = ["--allow-net", `--allow-read=${made.ca.certFile}`];
      const ended = await run("tcp_client.ts", [
        `tls://localhost:${server.port}`,
        ...args,
      ], { permissions, input: "secret" });
      assertEquals(ended.code, code, ended.stderr);
      assertStringIncludes(ended.stderr, problem);
      assertEquals(ended.stdout, code === 0 ? "secret" : "");
    });
  }
});

Deno.test("tcp_client.ts talks over a unix socket when its address is one", {
  ...needs("unixSockets"),
}, async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/socket`;
  try {
    const listener = Deno.listen({ transport: "unix", path });
    await using _server = serving(echo, listener);
    const { code, stdout } = await run("tcp_client.ts", [`unix:${path}`], {
      input: "hello",
      permissions: [
        `--allow-net=unix:${path}`,
        `--allow-read=${path}`,
        `--allow-write=${path}`,
      ],
    });
    assertEquals({ code, stdout }, { code: 0, stdout: "hello" });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

const NOBODY = `127.0.0.1:${closedPort()}`;

/** Arguments, exit code, what the one line says, permissions. */
const BAD: [string[], number, string, string[]?][] = [
  [["--snd", "x"], 2, COPIES ? "no option --" : "did you mean --send?"],
  [["--send"], 2, "--send needs a value"],
  [["127.0.0.1:0"], 2, "port 0 is only for listening"],
  [["127.0.0.1:70000"], 2, "the port must be 0 to 65535, not 70000"],
  [["udp://:1"], 2, "udp_sender.ts"],
  [["--ca", "x"], 2, "need a tls:// address"],
  [["--crlf", "-f", "u16"], 2, "--crlf goes with raw and lines only"],
  [["--max-frame", "1m"], 2, "--max-frame needs a --framing"],
  [["--max-frame", "0"], 2, "--max-frame needs a --framing"],
  [[NOBODY, "--max-frame", "64k"], 1, "nobody listens there"],
  [
    ["-f", "fixed:8", "--max-frame", "4"],
    2,
    '"fixed:8": its blocks are longer',
  ],
  [["-f", "fixed:4294967297"], 2, "the limit is 65536 bytes"],
  [[NOBODY, "-f", "lines", "--send", "a\nb"], 2, "--send: A line cannot hold"],
  [[NOBODY, "-f", "u8", "--send", "x".repeat(256)], 2, "--send: the input has"],
  ...["unix:/x", "443", "foo bar", "", "https://x", "x:1", "[x]"].map((
    name,
  ): [string[], number, string] => [
    ["tls://:9", "--server-name", name],
    2,
    `--server-name "${name}" is no host name`,
  ]),
  [["-f", "fixed:0"], 2, 'Cannot parse framing "fixed:0"'],
  [["--check", "--send", "x"], 2, "--check sends and shows nothing"],
  [["--check", "--replies", "1"], 2, "--check sends and shows nothing"],
  [["--check", "--progress"], 2, COPIES ? "no option" : "takes no --progress"],
  [["--replies", "0", "--no-stdin"], 2, "--replies 0 waits until all is sent"],
  [["--replies", "-1"], 2, "--replies must be a whole number from 0"],
  [["--timeout", "0"], 2, "--timeout must be a duration above zero"],
  [["--retry", "-1"], 2, "--retry must be a whole number"],
  [[NOBODY], 1, "nobody listens there (connection refused)"],
  [["name.invalid:80"], 1, "the name does not resolve"],
  [["127.0.0.1:9"], 1, "it needs --allow-net=127.0.0.1:9", []],
  [["localhost:9"], 1, "it needs --allow-net=localhost:9", [
    "--allow-net=127.0.0.1",
  ]],
  [["tls://:9", "--ca", "none"], 1, "it needs --allow-read=none"],
];

for (const [args, code, problem, permissions] of BAD) {
  Deno.test(`tcp_client.ts says what is wrong when run with ${args.join(" ")} ${permissions ?? ""}`, async () => {
    const ended = await run("tcp_client.ts", args, { permissions });
    assertStringIncludes(ended.stderr, problem);
    assertMatch(ended.stderr, /^tcp_client: .*\n$/);
    assertEquals(ended.stdout, "");
    assertEquals(ended.code, code);
  });
}

Deno.test("tcp_client.ts gives up when nothing answers from a black hole", {
  ...needs("linux"),
  ignore: !(await canMakeNamespaces()),
}, async () => {
  // Only in a network of its own is there an address where nothing answers.
  const script = `
    ip link set lo up
    ip link add hole0 type veth peer name hole1
    ip addr add 192.0.2.1/24 dev hole0
    ip link set hole0 up; ip link set hole1 up
    ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev hole0
    exec "$0" run --no-prompt --allow-net ${SCRIPTS}/tcp_client.ts "$@"
  `;
  const before = performance.now();
  const { code, stderr } = await new Deno.Command("unshare", {
    args: [
      "--net",
      "sh",
      "-c",
      script,
      Deno.execPath(),
      "192.0.2.9:80",
      "--timeout",
      "1s",
    ],
    cwd: new URL("../../", import.meta.url),
    stdin: "null",
  }).output();
  assertEquals(
    text(stderr),
    "tcp_client: Cannot connect to 192.0.2.9:80: no answer within 1s\n",
  );
  assertEquals(code, 1);
  assert(performance.now() - before >= 1000);
});

Deno.test("tcp_client.ts says that no route leads there when none does", {
  ...needs("linux"),
  ignore: !(await canMakeNamespaces()),
}, async () => {
  const { code, stderr } = await new Deno.Command("unshare", {
    args: [
      ...["--net", Deno.execPath(), "run", "--no-prompt", "--allow-net"],
      ...[`${SCRIPTS}/tcp_client.ts`, "192.0.2.9:80"],
    ],
    cwd: new URL("../../", import.meta.url),
    stdin: "null",
  }).output();
  assertStringIncludes(text(stderr), "no route leads there");
  assertEquals(code, 1);
});

async function canMakeNamespaces(): Promise<boolean> {
  if (!has("linux") || !installed("ip", "-V")) return false;
  const { success } = await new Deno.Command("unshare", {
    args: ["--net", "true"],
    stderr: "null",
  }).output().catch(() => ({ success: false }));
  return success;
}

Deno.test("tcp_client.ts says so when its input is a directory", {
  ...needs("bash"),
}, async () => {
  await using server = serving(echo);
  await using shell = new Running("bash", [
    "-c",
    `"$0" run --quiet --no-prompt --allow-net ${SCRIPTS}/tcp_client.ts ${server.address} < /`,
    Deno.execPath(),
  ]);
  const { code, stderr } = await shell.ended();
  assertEquals(
    [code, stderr],
    [
      1,
      `tcp_client: Cannot finish the conversation with ${server.address}: standard input is a directory\n`,
    ],
  );
});

Deno.test({
  name: "tcp_client.ts says what is wrong with the file of --ca",
  ignore: !hasOpenssl,
  async fn() {
    await using made = await makeCertificates();
    const { ca, good, directory } = made;
    await using another = await makeCertificates();
    const place = { hostname: "127.0.0.1", port: 0 };
    const listener = Deno.listenTls({ ...place, ...good });
    await using server = serving(echo, listener);
    const files: [string, string][] = [
      [ca.cert.replace(/-----END[^]*/, ""), "in the --ca file is damaged"],
      [ca.cert.replace("\n", "\n@!"), "in the --ca file is damaged"],
      [ca.cert.replace(/\n[^-]+\n/, "\nMIIB\n"), "the --ca file, is damaged"],
      [another.ca.cert, "is --ca the right file?"],
    ];
    for (const [pem, problem] of files) {
      const file = `${directory}/wrong.pem`;
      await Deno.writeTextFile(file, pem);
      const permissions = ["--allow-net", `--allow-read=${file}`];
      const { code, stderr } = await run("tcp_client.ts", [
        ...[`tls://127.0.0.1:${server.port}`, "--ca", file, "--check"],
      ], { permissions });
      assertStringIncludes(stderr, problem);
      assertEquals(code, 1);
    }
  },
});

Deno.test({
  name:
    "tcp_client.ts trusts a certificate whose file begins with a byte order mark",
  ignore: !hasOpenssl,
  async fn() {
    await using made = await makeCertificates();
    const file = `${made.directory}/marked.pem`;
    // Two files that were joined have two.
    const marked = [made.wrongName, made.ca].map(({ cert }) => `\ufeff${cert}`);
    await Deno.writeTextFile(file, marked.join(""));
    using listener = Deno.listenTls({
      ...{ hostname: "127.0.0.1", port: 0 },
      ...{ cert: made.good.cert, key: made.good.key },
    });
    const accepted = listener.accept().then(async (conn) => {
      await conn.handshake();
      conn.close();
    });
    const permissions = ["--allow-net", `--allow-read=${made.directory}`];
    const { code, stderr } = await run("tcp_client.ts", [
      ...[`tls://127.0.0.1:${listener.addr.port}`, "--ca", file, "--check"],
    ], { permissions });
    assertMatch(stderr, /^Connected to tls:/);
    assertEquals(code, 0);
    await within(accepted);
  },
});

Deno.test({
  name: "tcp_client.ts --check finds nobody when it would meet itself",
  ...inNetworks,
  async fn() {
    using namespace = new Namespace();
    const range = "net.ipv4.ip_local_port_range=40000 40001";
    namespace.run("sysctl", "-qw", range);
    await using client = namespace.script(
      ...["tcp_client.ts", "127.0.0.1:40000", "--check"] as const,
    );
    const { code, stderr } = await client.ended();
    assertMatch(stderr, /nobody listens there \(connection refused\)\n$/);
    assertEquals(code, 1);
  },
});
