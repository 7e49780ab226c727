/**
 * Fifty mixed clients of one echo server for ten minutes, one in a hundred of
 * their conversations cut off in the middle.
 *
 *     deno task soak
 *     deno task soak 2m
 *
 * Every byte that comes back is compared. At the end the slope of the server's
 * resident memory is printed, from the third minute on: exit code 1 if a byte
 * was wrong, if the server complained, or if it grew by 1 MiB a minute or more.
 *
 * @module
 */
import { noise } from "../support/peers.ts";
import { writeAll } from "../support/sockets.ts";
import { type Server, serverWith, short } from "./support.ts";

const CLIENTS = 50;
/** One conversation in so many ends in the middle. */
const CUT_ONE_IN = 100;
const MINUTE = 60_000;
/** When the memory should be level, in milliseconds. */
const WARM_UP = 3 * MINUTE;
const SAMPLE_EVERY = 1000;

const counts = { conversations: 0, cut: 0, bytes: 0, wrong: 0 };

/** Talks: mostly a little at a time, sometimes a lot, sometimes after a rest. */
async function converse(port: number): Promise<void> {
  using conn = await Deno.connect({ port });
  counts.conversations++;
  const cut = Math.random() < 1 / CUT_ONE_IN;
  const turns = 1 + Math.floor(Math.random() * 20);
  for (let turn = 0; turn < turns; turn++) {
    const size = 1 + Math.floor(10 ** (Math.random() * 5));
    const said = noise(size);
    const saying = writeAll(conn, said);
    // Closing on what has come and is unread resets the connection.
    if (cut && turn === turns - 1) {
      counts.cut++;
      return await saying;
    }
    await Promise.all([saying, hear(conn, said)]);
    counts.bytes += size;
    if (Math.random() < 0.05) await rest(Math.random() * 200);
  }
}

async function hear(conn: Deno.Conn, said: Uint8Array): Promise<void> {
  const buffer = new Uint8Array(said.length);
  for (let have = 0; have < said.length;) {
    const more = await conn.read(buffer.subarray(have));
    if (more === null) throw new Error(`It ended after ${have} bytes`);
    for (const end = have + more; have < end; have++) {
      if (buffer[have] !== said[have]) counts.wrong++;
    }
  }
}

function rest(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Samples of memory: milliseconds from the start, MiB. */
type Sample = [number, number];

async function watch(server: Server, until: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  const start = performance.now();
  while (performance.now() < until) {
    samples.push([performance.now() - start, await server.memory()]);
    if (samples.length % 60 === 1) say(samples.at(-1)!);
    await rest(SAMPLE_EVERY);
  }
  return samples;
}

function say([time, memory]: Sample): void {
  const { conversations, cut, bytes, wrong } = counts;
  console.log(
    `${short(time / MINUTE)} min: ${conversations} conversations, ${cut} cut, ${
      short(bytes / 2 ** 20)
    } MiB back, ${wrong} wrong bytes, memory ${short(memory)} MiB`,
  );
}

/** The slope of the line of least squares, in MiB a minute. */
function slope(samples: Sample[]): number {
  const mean = (i: 0 | 1) =>
    samples.reduce((sum, sample) => sum + sample[i], 0) / samples.length;
  const [time, memory] = [mean(0), mean(1)];
  let [above, below] = [0, 0];
  for (const [t, m] of samples) {
    above += (t - time) * (m - memory);
    below += (t - time) ** 2;
  }
  return above / below * MINUTE;
}

if (import.meta.main) {
  const [, number = "10", unit = "m"] =
    /^(\d+)([ms])$/.exec(Deno.args[0] ?? "10m") ?? [];
  const length = Number(number) * (unit === "m" ? MINUTE : 1000);
  await using server = await serverWith();
  const until = performance.now() + length;
  const clients = Array.from({ length: CLIENTS }, async () => {
    while (performance.now() < until) await converse(server.port);
  });
  const samples = await watch(server, until);
  await Promise.all(clients);
  say(samples.at(-1)!);
  const warm = Math.min(WARM_UP, length / 2);
  const level = samples.filter(([time]) => time > warm);
  const growth = slope(level);
  console.log(
    `memory grew by ${growth.toFixed(2)} MiB a minute after ${
      short(warm / MINUTE)
    } min`,
  );
  if (counts.wrong > 0 || growth >= 1 && length > WARM_UP) Deno.exitCode = 1;
}
