/** A crowd in a room: it comes and goes at once, and others hear on. */
import { assert } from "@std/assert";
import { text, within } from "../support/helpers.ts";
import { lines, writeAll } from "../support/sockets.ts";
import { pause } from "../support/timing.ts";
import {
  report,
  RUDE,
  rude,
  type Server,
  serverWith,
  short,
} from "./support.ts";

/** How much more memory a crowd may cost, in MiB. */
const MOST_MEMORY = 150;
/** How late others may hear what is said, in ms; a shared machine has it thrice. */
const MOST_DELAY = 3 * 2000;

/** Two who talk and hear each other, until the scope ends. */
class Talk implements AsyncDisposable {
  /** The longest time that a line took. */
  delay = 0;
  #said: number[] = [];
  #heard = 0;
  #over = false;
  #conns: Deno.Conn[] = [];
  #work: Promise<void>[] = [];
  #woken = Promise.withResolvers<void>();

  async start(port: number): Promise<void> {
    for (let i = 0; i < 2; i++) this.#conns.push(await Deno.connect({ port }));
    const [speaker, hearer] = this.#conns;
    this.#work = [
      this.#speak(speaker),
      this.#hear(hearer),
      this.#hear(speaker), // or it would be behind
    ];
    await this.goesOn();
  }

  /** Waits until a line that is said from now on has been heard. */
  async goesOn(): Promise<void> {
    const next = this.#said.length + 1;
    while (this.#heard < next) await within(this.#woken.promise);
  }

  async #speak(conn: Deno.Conn): Promise<void> {
    while (!this.#over) {
      this.#said.push(performance.now());
      await writeAll(conn, `word ${this.#said.length}\n`);
      await pause(20);
    }
  }

  async #hear(conn: Deno.Conn): Promise<void> {
    for await (const line of lines(conn)) {
      const [, number] = /> word (\d+)/.exec(text(line)) ?? [];
      if (number === undefined) continue;
      this.#heard = Number(number);
      const delay = performance.now() - this.#said[this.#heard - 1];
      this.delay = Math.max(this.delay, delay);
      this.#woken.resolve();
      this.#woken = Promise.withResolvers();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    for (const conn of this.#conns) conn.close();
    await Promise.allSettled(this.#work);
  }
}

/** Watches the memory of a server while something goes on. */
async function peakDuring(server: Server, work: () => Promise<unknown>) {
  const before = await server.memory();
  let peak = before;
  let over = false;
  const done = work().finally(() => over = true);
  while (!over) {
    peak = Math.max(peak, await server.memory());
    await pause(20);
  }
  await done;
  return peak - before;
}

for (
  const [what, number, times] of [
    ["2,000 come and leave at once", 2000, 1],
    ["900 come again and again at once", 900, 3],
  ] as const
) {
  Deno.test(`tcp_server.ts -m room goes on when ${what}`, RUDE, async () => {
    await using server = await serverWith("-m", "room");
    await using talk = new Talk();
    await talk.start(server.port);
    const grown = await peakDuring(server, async () => {
      for (let i = 0; i < times; i++) {
        await using crowd = rude("crowd", server.port, number);
        await crowd.stdout("here\n");
        if (times > 1) await talk.goesOn();
        await crowd.type("\n");
        await crowd.stdout("gone\n");
      }
      await talk.goesOn();
      await pause(500);
      await talk.goesOn();
    });
    report(
      what,
      `heard after ${short(talk.delay)} ms at the latest`,
      `memory + ${short(grown)} MiB`,
    );
    assert(grown < MOST_MEMORY, `It grew by ${grown} MiB`);
    assert(talk.delay < MOST_DELAY, `A line took ${talk.delay} ms`);
  });
}
