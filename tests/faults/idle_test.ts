/** Clients that are silent, among 2,000 that are not. */
import { assert, assertEquals } from "@std/assert";
import { within } from "../support/helpers.ts";
import { report, RUDE, serverWith, short } from "./support.ts";

const CONNECTIONS = 2000;
const SILENT = 50;
const TIMEOUT = 2000;
const x = new Uint8Array([0x78]);

/** Says a byte and hears it. */
async function ping(conn: Deno.Conn): Promise<void> {
  await conn.write(x);
  assertEquals(await within(conn.read(new Uint8Array(1))), 1);
}

Deno.test(
  "tcp_server.ts closes silent clients and no other when 2,000 are connected",
  RUDE,
  async () => {
    await using server = await serverWith(
      ...["--idle-timeout", `${TIMEOUT}ms`, "--max-connections", "3000"],
    );
    const conns: Deno.Conn[] = [];
    try {
      while (conns.length < CONNECTIONS) {
        conns.push(await Deno.connect({ port: server.port }));
      }
      const [silent, busy] = [conns.slice(0, SILENT), conns.slice(SILENT)];
      // They fall silent one after the other, each at another point of a sweep.
      // What the server takes for silence began between these two moments.
      const [fromPing, fromPong]: number[][] = [[], []];
      const falling = silent.map(async (conn, i) => {
        await new Promise((resolve) => setTimeout(resolve, i * 13));
        const before = performance.now();
        await ping(conn);
        const after = performance.now();
        const buffer = new Uint8Array(1);
        assertEquals(await within(conn.read(buffer)), null);
        const end = performance.now();
        fromPing.push(end - before);
        fromPong.push(end - after);
      });
      const fallen = Promise.all(falling);
      while (fromPing.length < SILENT) {
        await Promise.all(busy.map(ping));
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      await fallen;
      await Promise.all(busy.map(ping));
      const [least, most] = [Math.min(...fromPing), Math.max(...fromPong)];
      report(
        `${SILENT} silent clients of ${CONNECTIONS}`,
        `closed after ${short(least)} to ${short(most)} ms of silence`,
      );
      assert(least > 0.9 * TIMEOUT, `One was closed after ${least} ms`);
      // By 20 % on a machine that has nothing else to do.
      assert(most < 2 * TIMEOUT, `One was closed after ${most} ms`);
    } finally {
      for (const conn of conns) conn.close();
    }
  },
);

/** The processor time of 30,000 reads, in seconds. */
async function costOfReads(...args: string[]): Promise<number> {
  await using server = await serverWith(...args);
  using conn = await Deno.connect({ port: server.port });
  for (let i = 0; i < 3000; i++) await ping(conn);
  const before = await server.cpu();
  for (let i = 0; i < 30_000; i++) await ping(conn);
  return await server.cpu() - before;
}

Deno.test(
  "tcp_server.ts reads as fast when it looks out for silent clients",
  RUDE,
  async () => {
    const without = await costOfReads();
    const watched = await costOfReads("--idle-timeout", "2s");
    report(
      "30,000 reads",
      `${without.toFixed(2)} s of CPU`,
      `${watched.toFixed(2)} s with --idle-timeout`,
    );
    // What is measured is small and the machine is shared.
    assert(watched < 2 * without + 0.5, `${watched} s, not ${without} s`);
  },
);
