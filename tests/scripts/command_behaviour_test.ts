/** What all scripts share, seen from outside: options, the log, exit codes. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { bytes, concatenate, text } from "../support/bytes.ts";
import { run, start } from "../support/helpers.ts";
import { redirected } from "../support/processes.ts";
import {
  echo,
  pieces,
  readUntil,
  serving,
  Udp,
  writeAll,
} from "../support/sockets.ts";
import { needs } from "../support/system.ts";

const ANY_PORT = "127.0.0.1:0";
const SOCKET_SCRIPTS = [
  "tcp_server",
  "tcp_client",
  "udp_receiver",
  "udp_sender",
  "google_connect",
];
/** Nobody reads on after the first line of the log. */
const LOG_IS_GONE = "2> >(head -1 >&2)";
const withBash = needs("bash");
const notWindows = needs("signals");

for (const name of SOCKET_SCRIPTS) {
  for (const flag of ["--allow-net", "--allow-net=:1234"]) {
    Deno.test(`${name}.ts says where ${flag} belongs when it stands after the script`, async () => {
      const { code, stdout, stderr } = await run(`${name}.ts`, [flag]);
      assertEquals([code, stdout], [2, ""]);
      assertMatch(stderr, new RegExp(`^${name}: [^\n]*--allow-net[^\n]*\n$`));
      assertStringIncludes(
        stderr,
        "what Deno is to allow stands before the script's name",
      );
    });
  }
}

Deno.test("tcp_client.ts takes what stands after -- for its address", async () => {
  await using server = serving(echo);
  const args = ["--send", "hello", "--", server.address];
  const { code, stdout } = await run("tcp_client.ts", args);
  assertEquals([code, stdout], [0, "hello\n"]);
  const wrong = await run("tcp_client.ts", ["--", "--send", "hello"]);
  assertEquals(wrong.code, 2);
  assertStringIncludes(wrong.stderr, "one argument too many");
});

/** Text that a terminal would obey, or show in another order. */
const UNSAFE = "\x9b31m\u202e\u2066\x7f\u2028\ufeff";

/** A PROXY header, version 2, from a unix socket with this name. */
function proxyHeader(path: string): Uint8Array<ArrayBuffer> {
  const names = new Uint8Array(2 * 108);
  names.set(bytes(path));
  const [version, unix] = [0x21, 0x31];
  return concatenate([
    bytes("\r\n\r\n\0\r\nQUIT\n"),
    new Uint8Array([version, unix, 0, names.length]),
    names,
  ]);
}

Deno.test("tcp_client.ts --json complains of other options in JSON, too", async () => {
  const { code, stderr } = await run("tcp_client.ts", ["--nope", "--json"]);
  assertEquals([code, JSON.parse(stderr).level], [2, "error"]);
});

Deno.test(
  "tcp_server.ts --json escapes what a terminal would obey in the name of a peer",
  notWindows,
  async () => {
    const args = [ANY_PORT, "--proxy-protocol", "--json", "--once"];
    await using server = start("tcp_server.ts", args);
    using conn = await Deno.connect({ port: await server.port() });
    await writeAll(conn, proxyHeader(`/run/${UNSAFE}`));
    await writeAll(conn, "hello");
    await readUntil(conn, "hello");
    conn.close();
    const { stderr } = await server.ended();
    assertMatch(stderr, /^[\n\x20-\x7e]+$/);
    const records = stderr.trim().split("\n").map((line) => JSON.parse(line));
    const connected = records.find(({ event }) => event === "connected");
    assertEquals(connected.peer, `unix:/run/${UNSAFE}`);
  },
);

for (const name of SOCKET_SCRIPTS) {
  Deno.test(`${name}.ts --json escapes what a terminal would obey in a complaint`, async () => {
    const place = `127.0.0.1:${UNSAFE}`;
    const { code, stderr } = await run(`${name}.ts`, ["--json", place]);
    assertEquals(code, 2);
    assertMatch(stderr, /^[\x20-\x7e]+\n$/);
    const { level, message } = JSON.parse(stderr);
    assertEquals(level, "error");
    assertStringIncludes(message, "127.0.0.1:");
  });
}

Deno.test(
  "udp_receiver.ts goes on when nobody reads its log any more",
  withBash,
  async () => {
    const args = [ANY_PORT, "--verbose", "--count", "20"];
    await using running = redirected(LOG_IS_GONE, "udp_receiver.ts", args);
    const to = await running.port();
    for (let i = 0; i < 20; i++) {
      // Each from another port, of which the log would tell.
      using sender = new Udp();
      await sender.send(`${i % 10}`, to);
      await running.stdout("0123456789".repeat(2).slice(0, i + 1));
    }
    assertEquals((await running.ended()).code, 0);
  },
);

Deno.test(
  "udp_sender.ts goes on when nobody reads its log any more",
  withBash,
  async () => {
    using socket = new Udp();
    const to = `127.0.0.1:${socket.port}`;
    const args = [to, "--replies", "10", "--wait", "20s"];
    await using running = redirected(LOG_IS_GONE, "udp_sender.ts", args, {
      input: "open",
    });
    for (let i = 0; i < 10; i++) {
      await running.type(`${i}\n`);
      const [{ payload, peer }] = await socket.next(1);
      await socket.send(payload, peer);
      await running.stdout("0123456789".slice(0, i + 1));
    }
    await running.stdin!.close();
    assertEquals((await running.ended()).code, 0);
  },
);

Deno.test(
  "google_connect.ts goes on when nobody reads its log",
  withBash,
  async () => {
    await using server = serving(async (conn) => {
      for await (const piece of pieces(conn)) {
        if (text(piece).endsWith("\r\n\r\n")) break;
      }
      await writeAll(conn, "HTTP/1.1 204 No Content\r\n\r\n");
    });
    const args = [server.address, "--verbose"];
    await using running = redirected(LOG_IS_GONE, "google_connect.ts", args);
    const { code, stdout } = await running.ended();
    assertEquals(code, 0);
    assertStringIncludes(stdout, "HTTP/1.1 204 No Content");
  },
);
