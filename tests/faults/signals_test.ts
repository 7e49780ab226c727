/** SIGINT and SIGTERM in the middle of a transfer of 16 MiB. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { concatenate, frame } from "../support/bytes.ts";
import { readAll, start, within } from "../support/helpers.ts";
import { pieces, type Readable, writeAll } from "../support/sockets.ts";
import { onLinux, report, serverWith, short } from "./support.ts";

const FRAME_LENGTH = 65_000;
const FRAMES = 258; // 16 MiB
const POINTS = 20;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** The k-th message: told from the others, and from a part of itself. */
function message(k: number): Uint8Array {
  return Uint8Array.from(
    { length: FRAME_LENGTH },
    (_, i) => (k * 7 + i + (i >> 8)) & 0xff,
  );
}
const MESSAGES = Array.from({ length: FRAMES }, (_, k) => message(k));
const WIRE = concatenate(MESSAGES.map((message) => frame("u32", message)));

/** What a framed receiver has got. */
interface Received {
  whole: number;
  cut: boolean;
}

/** Where a frame ends in what was sent. */
const SIZE = 4 + FRAME_LENGTH;

/** Receives what was sent, of which an end may be missing. */
async function receive(
  conn: Readable,
  onFrame: (count: number) => Promise<void> | void,
): Promise<Received> {
  let [length, whole] = [0, 0];
  try {
    for await (const piece of pieces(conn)) {
      if (piece.some((byte, i) => byte !== WIRE[length + i])) {
        throw new Error(`Not what was sent, after ${length} bytes`);
      }
      length += piece.length;
      while (SIZE * (whole + 1) <= length) await onFrame(++whole);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionReset)) throw error;
  }
  return { whole, cut: length < WIRE.length };
}

Deno.test(
  "tcp_server.ts ends within its grace when it is told to at 20 points of a transfer",
  {
    ignore: !onLinux,
  },
  async () => {
    let [finished, cut, slowest] = [0, 0, 0];
    for (let point = 0; point < POINTS; point++) {
      // Every other receiver is too slow for the grace, and is cut off.
      const slow = point % 2 === 1;
      await using server = await serverWith(
        "-f",
        "u32",
        "--grace",
        slow ? "100ms" : "5s",
      );
      using conn = await Deno.connect({ port: server.port });
      const sending = writeAll(conn, WIRE).then(() => conn.closeWrite())
        .catch(() => {});
      const at = 1 + Math.floor(point * FRAMES / POINTS);
      let signalled = 0;
      const { status } = server.running.process;
      const got = await within(receive(conn, async (count) => {
        if (count !== at) return;
        signalled = performance.now();
        server.running.process.kill(SIGNALS[(point >> 1) % 2]);
        // A slow one reads on only after it has been cut off.
        if (slow) await within(status);
      }));
      const { code } = await server.running.ended();
      await sending;
      slowest = Math.max(slowest, performance.now() - signalled);
      assertEquals(code, 0);
      if (!slow) assertEquals(got, { whole: FRAMES, cut: false });
      if (got.cut) cut++;
      else finished++;
    }
    report(
      "a server told to stop at 20 points",
      `${finished} transfers finished`,
      `${cut} cut and known to be cut`,
      `at most ${short(slowest)} ms`,
    );
    assert(finished >= POINTS / 2 && cut > 0);
  },
);

Deno.test(
  "tcp_client.ts ends within its grace when it is told to at 20 points of a transfer",
  {
    ignore: !onLinux,
  },
  async () => {
    let [finished, cut, slowest] = [0, 0, 0];
    for (let point = 0; point < POINTS; point++) {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      await using client = start("tcp_client.ts", [
        `127.0.0.1:${listener.addr.port}`,
      ], { input: WIRE });
      using conn = await within(listener.accept());
      const at = 1 + Math.floor(point * FRAMES / POINTS);
      let signalled = 0;
      const got = await within(receive(conn, (count) => {
        if (count !== at) return;
        signalled = performance.now();
        client.process.kill(SIGNALS[point % 2]);
      }));
      conn.close();
      const { code, stderr } = await client.ended();
      slowest = Math.max(slowest, performance.now() - signalled);
      if (got.cut) {
        cut++;
        assertEquals(code, 1);
        assertMatch(stderr, /it was stopped after \d+ bytes of its input\n$/);
      } else {
        finished++;
        assertEquals(code, 0);
      }
    }
    report(
      "a client told to stop at 20 points",
      `${finished} transfers finished`,
      `${cut} cut and known to be cut`,
      `at most ${short(slowest)} ms`,
    );
  },
);

Deno.test("tcp_client.ts ends at once when it gets a second signal", {
  ignore: !onLinux,
}, async () => {
  for (
    const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143]] as const
  ) {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using client = start("tcp_client.ts", [
      `127.0.0.1:${listener.addr.port}`,
    ], { input: "open" });
    using conn = await within(listener.accept());
    await conn.write(new TextEncoder().encode("go"));
    await client.stdout("go");
    client.process.kill("SIGINT");
    // It has half-closed, and waits for what the peer still has to say.
    assertEquals((await within(readAll(conn))).length, 0);
    const second = performance.now();
    client.process.kill(signal);
    const { code } = await client.ended();
    report(`a second ${signal}`, `${short(performance.now() - second)} ms`);
    assertEquals(code, expected);
  }
});
