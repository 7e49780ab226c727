/** What peers send, as it arrives at a real terminal: text, and nothing else. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { concatenate, frame } from "../support/bytes.ts";
import { bytes, type Running, SCRIPTS, within } from "../support/helpers.ts";
import { writeAll } from "../support/sockets.ts";
import {
  ANY_PORT,
  report,
  RUDE,
  rude,
  rudeWith,
  serverWith,
} from "./support.ts";
import { assertHarmless, ATTACKS } from "./terminal_attacks.ts";

const LINE_FEED = new Uint8Array([0x0a]);
const LAST = "that was all";

/** Every attack on a line of its own. */
const LINES = concatenate(
  [...ATTACKS, bytes(LAST)].flatMap((attack) => [attack, LINE_FEED]),
);
/** Every attack in a frame of its own. */
const FRAMES = concatenate(
  [...ATTACKS, bytes(LAST)].map((attack) => frame("u32", attack)),
);

/** Runs a script at a terminal; what that gets is its standard output. */
function atTerminal(script: string, ...args: string[]): Running {
  return rude("terminal", ...commandLine(script, args));
}

/** The same, at a terminal that has colours. */
function atColourTerminal(script: string, ...args: string[]): Running {
  const env = { NO_COLOR: "" };
  return rudeWith(env, "terminal", ...commandLine(script, args));
}

function commandLine(script: string, args: string[]): string[] {
  const unstable = script.startsWith("udp") ? ["--unstable-net"] : [];
  return [
    ...[Deno.execPath(), "run", "--quiet", "--no-prompt", "--allow-net"],
    ...[...unstable, `${SCRIPTS}/${script}`, ...args],
  ];
}

/** Serves one client with some bytes, and waits for it to go. */
async function serveOnce(listener: Deno.TcpListener, answer: Uint8Array) {
  using conn = await within(listener.accept());
  await writeAll(conn, answer);
  await conn.read(new Uint8Array(1024)).catch(() => null);
}

/** What the log would say, as a peer says it. */
const FORGED = "127.0.0.1:5 connected";
const DIM = "\x1b[2m";

/** Asserts that our words are dim, and a peer's are not. */
function assertTold(shown: string, ours: string): void {
  assert(shown.includes(`${DIM}${ours}`), shown);
  // deno-lint-ignore no-control-regex
  const withoutPrompt = shown.replaceAll(/\x1b\[(1G|0J|5G)/g, "");
  assertMatch(withoutPrompt, new RegExp(`^( -> | |\r\x1b\\[K)*${FORGED}`, "m"));
}

Deno.test(
  "tcp_client.ts shows its own words dim when a server says them",
  RUDE,
  async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const served = serveOnce(listener, bytes(`${FORGED}\n`));
    {
      const address = `127.0.0.1:${listener.addr.port}`;
      await using client = atColourTerminal("tcp_client.ts", address);
      assertTold(await client.stdout(FORGED), "Connected to 127.0.0.1:");
    }
    await within(served);
  },
);

Deno.test(
  "tcp_server.ts -m chat shows its own words dim when a client says them",
  RUDE,
  async () => {
    await using server = atColourTerminal(
      "tcp_server.ts",
      ...[ANY_PORT, "-m", "chat"],
    );
    using conn = await Deno.connect({ port: await portOf(server) });
    await writeAll(conn, bytes(`${FORGED}\n`));
    assertTold(await server.stdout(FORGED), "Listening on 127.0.0.1:");
  },
);

Deno.test(
  "udp_receiver.ts shows its own words dim when a sender says them",
  RUDE,
  async () => {
    await using receiver = atColourTerminal("udp_receiver.ts", ANY_PORT);
    const port = await portOf(receiver);
    const socket = Deno.listenDatagram({
      transport: "udp",
      hostname: "127.0.0.1",
      port: 0,
    });
    const to = { transport: "udp" as const, hostname: "127.0.0.1", port };
    await socket.send(bytes(FORGED), to);
    assertTold(await receiver.stdout(FORGED), "From udp://127.0.0.1:");
    socket.close();
  },
);

/** Waits until a server at a terminal has said on which port it listens. */
async function portOf(server: Running): Promise<number> {
  const said = await server.stdout(/Listening on \S*:\d+.*\n/);
  return Number(/Listening on \S*:(\d+)/.exec(said)![1]);
}

Deno.test("there are at least 200 attacks on a terminal", () => {
  report("the corpus", `${ATTACKS.length} attacks`);
  assert(ATTACKS.length >= 200);
});

for (
  const [args, sent] of [
    [[], LINES],
    [["-f", "lines"], LINES],
    [["-f", "u32"], FRAMES],
  ] as const
) {
  Deno.test(
    `tcp_client.ts ${
      args.join(" ")
    } lets nothing through when a server attacks its terminal`,
    RUDE,
    async () => {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const { port } = listener.addr;
      const served = serveOnce(listener, sent);
      {
        await using client = atTerminal(
          "tcp_client.ts",
          `127.0.0.1:${port}`,
          ...args,
        );
        const shown = assertHarmless(await client.stdout(LAST));
        assert(shown.includes("hello\\x0d\\x1b[K<user1>"), shown);
      }
      await within(served);
    },
  );
}

for (const [args, sent] of [[[], LINES], [["-f", "u32"], FRAMES]] as const) {
  Deno.test(
    `tcp_server.ts -m chat ${
      args.join(" ")
    } lets nothing through when a client attacks its terminal`,
    RUDE,
    async () => {
      await using server = atTerminal(
        "tcp_server.ts",
        ...[ANY_PORT, "-m", "chat", ...args],
      );
      using conn = await Deno.connect({ port: await portOf(server) });
      await writeAll(conn, sent);
      const shown = assertHarmless(await server.stdout(LAST));
      assert(shown.includes("hello\\x0d\\x1b[K<user1>"), shown);
    },
  );
}

for (
  const [framing, sent] of [["lines", LINES], ["u32", FRAMES]] as const
) {
  Deno.test(
    `tcp_server.ts -m room -f ${framing} lets nobody forge a name when a member tries all it can`,
    RUDE,
    async () => {
      await using server = await serverWith("-m", "room", "-f", framing);
      await using member = atTerminal(
        "tcp_client.ts",
        `127.0.0.1:${server.port}`,
        ...["-q", "-f", framing],
      );
      await member.stdout("you are user1");
      using attacker = await Deno.connect({ port: server.port });
      await writeAll(attacker, sent);
      const shown = assertHarmless(await member.stdout(LAST));
      const lines = shown.split("\n").map((line) =>
        line.replace(/^ * -> /, "")
      );
      const count = lines.filter((line) => line.startsWith("<user2> ")).length;
      assertEquals(count, ATTACKS.length + 1);
      for (
        const line of lines.slice(
          0,
          lines.findIndex((l) => l.endsWith(LAST)),
        )
      ) {
        assertMatch(
          line,
          /^(<user2> |\* (you are user1, 1 here|user2 joined)$)|^$/,
        );
      }
    },
  );
}

for (const json of [false, true]) {
  for (const framing of ["lines", "u32", "varint", "netstring"]) {
    Deno.test(
      `tcp_server.ts -f ${framing} ${
        json ? "--json " : ""
      }keeps its log in order when every client attacks it`,
      RUDE,
      async () => {
        await using server = atTerminal(
          "tcp_server.ts",
          ...[ANY_PORT, "-v", "-f", framing, ...(json ? ["--json"] : [])],
        );
        const said = await server.stdout(/Listening on \S*:\d+.*\n/);
        const port = Number(/Listening on \S*?:(\d+)/.exec(said)![1]);
        let last = 0;
        for (const attack of ATTACKS) {
          using conn = await Deno.connect({ port });
          await writeAll(conn, attack);
          await conn.closeWrite();
          last = conn.localAddr.port;
          const buffer = new Uint8Array(1024);
          while (await within(conn.read(buffer).catch(() => null)) !== null);
        }
        const all = new RegExp(`:${last} (closed|dropped.*)[^\n]*\n`);
        const shown = assertHarmless(await server.stdout(all));
        for (const line of shown.split("\n").slice(0, -1)) {
          if (json) assertEquals(typeof JSON.parse(line).event, "string");
          else {
            assertMatch(
              line,
              /^(Listening on|127\.0\.0\.1:\d+ (connected$|closed$|dropped: ))/,
            );
          }
        }
      },
    );
  }
}

/** The attacks as datagrams, some in each, so that none is lost. */
const DATAGRAMS = Array.from(
  { length: Math.ceil(ATTACKS.length / 16) },
  (_, i) => concatenate(ATTACKS.slice(16 * i, 16 * i + 16)),
);

Deno.test(
  "udp_receiver.ts lets nothing through when a peer attacks its terminal",
  RUDE,
  async () => {
    await using receiver = atTerminal("udp_receiver.ts", ANY_PORT, "-v");
    const said = await receiver.stdout(/Listening on \S*:\d+\n/);
    const port = Number(/Listening on \S*:(\d+)/.exec(said)![1]);
    const socket = Deno.listenDatagram({
      transport: "udp",
      hostname: "127.0.0.1",
      port: 0,
    });
    const to = { transport: "udp" as const, hostname: "127.0.0.1", port };
    for (const datagram of [...DATAGRAMS, bytes(LAST)]) {
      await socket.send(datagram, to);
    }
    const shown = assertHarmless(await receiver.stdout(LAST));
    assert(shown.includes("hello\\x0d\\x1b[K<user1>"), shown);
    socket.close();
  },
);

Deno.test(
  "udp_sender.ts lets nothing through when an answer attacks its terminal",
  RUDE,
  async () => {
    const socket = Deno.listenDatagram({
      transport: "udp",
      hostname: "127.0.0.1",
      port: 0,
    });
    const { port } = socket.addr as Deno.NetAddr;
    await using sender = atTerminal(
      "udp_sender.ts",
      ...[`127.0.0.1:${port}`, "hello", "--wait", "20s"],
      ...["--replies", String(DATAGRAMS.length + 1)],
    );
    const [, peer] = await within(socket.receive());
    for (const datagram of [...DATAGRAMS, bytes(LAST)]) {
      await socket.send(datagram, peer);
    }
    const { code, stdout } = await sender.ended();
    socket.close();
    assertEquals(code, 0);
    assert(assertHarmless(stdout).includes("hello\\x0d\\x1b[K<user1>"), stdout);
  },
);

/** Attacks as the rest of a status line, as many as one may hold. */
const STATUS_LINES = Array.from({ length: 8 }, (_, i) => {
  const size = Math.ceil(ATTACKS.length / 8);
  return concatenate([
    bytes("HTTP/1.1 200 "),
    ...ATTACKS.slice(i * size, (i + 1) * size),
    bytes(` ${LAST}\r\n\r\n`),
  ]);
});

Deno.test(
  "google_connect.ts lets nothing through when a server attacks its terminal",
  RUDE,
  async () => {
    const notHttp = [
      "\x1b]0;owned\x07",
      "\x9b2J\r\x1b[Kgoogle_connect: all is well",
      "\u202elleh\u2028x",
    ].map((text) => bytes(`${text}\r\n`));
    for (const answer of [...STATUS_LINES, ...notHttp]) {
      for (const options of [[], ["--all"], ["--json"]]) {
        using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
        const served = (async () => {
          using conn = await within(listener.accept());
          await within(conn.read(new Uint8Array(4096)));
          await writeAll(conn, answer);
        })();
        await using script = atTerminal(
          "google_connect.ts",
          ...[`127.0.0.1:${listener.addr.port}`, ...options],
        );
        const { stdout } = await script.ended();
        await within(served);
        assertHarmless(stdout);
        assertEquals(stdout.includes(LAST), STATUS_LINES.includes(answer));
      }
    }
  },
);
